"""Boards and clips for tests of the page, made from a seed: nothing in them was measured."""

from __future__ import annotations

import base64
import io
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saliency_bench.data.clip import Audio
from saliency_bench.data.video_writer import write_video

NAMES = ("tavdiff", "diffsal", "casp-like", "stavis", "avinet", "vinet", "tased", "davs-like", "tsfp-like", "itti")
MODES = ("TAV", "AV", "AV", "AV", "AV", "V", "V", "TA", "TV", "V")
SETS = ("avt-causal", "diem", "coutrot1", "coutrot2", "avad", "etmd", "summe")
METRICS = {"SIM": (0.55, "Overlap of two densities."), "CC": (0.65, "Linear correlation of map and density."),
           "NSS": (2.6, "Mean of the standardised map at fixations."), "AUC-J": (0.72, "Area under Judd's ROC."),
           "KLD": (0.8, "Information lost by taking the map for the density.")}
PROTOCOL, REPORTED = "av6-clean", "as published"
NASTY = """ <img src=x onerror="window.pwned=1"></script><script>window.pwned=1</script><!--{{script}}\u2028&amp;'"""
NO_WORTH: dict[str, Any] = {"skill": None, "skill_interval": None, "gain": None, "gain_interval": None,
                            "gains": []}
KEPT_KEYS = {"source", "better", "media", "image", "file", "id", "mode", "schema"}


def board(systems: int = 10, sets: int = 2, videos: int = 12, seed: int = 0, clips: int = 0) -> dict[str, Any]:
    """A board of `systems` measured and half as many reported rows on each of `sets` data sets, with references."""
    rng = np.random.default_rng(seed)
    names = SETS[:sets]
    rows = [row for name in names for row in _measured(name, systems, videos, rng)]
    reported = [row for name in names for row in _reported(name, max(1, systems // 2), rng)]
    comparisons, stability = [], []
    for name in names:
        ranked = [r for r in rows if r["dataset"] == name and not r["reference"]]
        for metric in METRICS:
            _rank(ranked, metric)
            comparisons += [_comparison(a, b, metric) for a, b in combinations(ranked, 2)]
            places = {r["id"]: r["metrics"][metric]["rank"] for r in ranked}
            ranks = {row: {"low": max(1, place - 1), "high": place + 1} for row, place in places.items()}
            stability.append({"dataset": name, "protocol": PROTOCOL, "metric": metric, "tau": 0.91, "low": 0.82,
                              "high": 0.98, "ranks": ranks})
        for metric in METRICS:
            _rank([r for r in reported if r["dataset"] == name], metric)
    listed = [{"id": f"avt-causal-{i:04d}", "dataset": "avt-causal", "video": f"clip_{i:04d}", "frames": 24,
               "seconds": 0.96, "file": f"clips/avt-causal-{i:04d}.js",
               "caption": f"the {word} disc moves over a texture",
               "rows": [r["id"] for r in rows if r["dataset"] == "avt-causal" and not r["reference"]][:4]}
              for i, word in zip(range(clips), ("yellow", "striped", "blue", "small"), strict=False)]
    return {
        "schema": 1, "title": "saliency-bench", "version": "0.1.0",
        "metrics": [{"name": m, "better": "lower" if m == "KLD" else "higher", "about": about}
                    for m, (_, about) in METRICS.items()],
        "protocols": {PROTOCOL: "Frames with fixations and a density that is not flat.",
                      REPORTED: "Whatever the paper's own code did; frames and n are seldom stated."},
        "kinds": {"exact": "The published network.", "reconstruction": "Built from a paper that leaves things open.",
                  "re-implementation": "The published method in code of our own.", "floor": "Looks at nothing."},
        "statistics": ["Intervals are t intervals over videos: a video is what was drawn from the world.",
                       "Marks are of paired comparisons over the same videos, corrected by Holm's method."],
        "datasets": [{"name": n, "title": n.upper() if n != "avt-causal" else n, "videos": videos,
                      "frames": videos * 48, "about": "Clips with sound and gaze."} for n in names],
        "rows": rows + reported, "videos": {f"{n}/{videos}": [f"clip_{i:04d}" for i in range(videos)] for n in names},
        "comparisons": comparisons, "stability": stability, "cards": {n: _card(n) for n in NAMES[:systems]},
        "clips": listed}


def emptied(board: dict[str, Any]) -> dict[str, Any]:
    """The board of a repository that has no records yet."""
    return {**board, "rows": [], "clips": [], "cards": {}, "comparisons": [], "stability": [], "videos": {}}


def _measured(dataset: str, systems: int, videos: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    difficulty = rng.normal(0, 0.1, videos)
    rows = [_system_row(dataset, i, videos, difficulty, rng) for i in range(systems)]
    for label, level in (("centre", -0.45), ("oracle(TAV)", 0.32), ("human", 0.1)):
        row = _system_row(dataset, 0, videos, difficulty, rng, level)
        rows.append({**row, "id": f"{label}-{dataset}", "system": label, "label": label, "reference": True,
                     "mode": "TAV" if "TAV" in label else "", "kind": "floor" if label == "centre" else "",
                     "weights": "", "zero_shot": None, **NO_WORTH, "parameters": None, "macs": None,
                     "ms_per_frame": None, "notes": [], "problems": [], "untrained": False, "lessons": False})
    return rows


def _system_row(dataset: str, i: int, videos: int, difficulty: np.ndarray, rng: np.random.Generator,
                level: float | None = None) -> dict[str, Any]:
    name, again = NAMES[i % len(NAMES)], i // len(NAMES)
    label = name if not again else f"{name}-{again + 1}"
    mode = MODES[i % len(MODES)]
    level = 0.2 - 0.4 * (i % 10) / 10 - 0.02 * again + rng.normal(0, 0.03) if level is None else level
    scores = {}
    for metric, (typical, _) in METRICS.items():
        sign = -1 if metric == "KLD" else 1
        scores[metric] = typical * (1 + sign * (level + difficulty + rng.normal(0, 0.08, videos)))
    means = {m: s.mean() for m, s in scores.items()}
    half = {m: 1.96 * s.std() / np.sqrt(videos) for m, s in scores.items()}
    return {
        "id": f"{label}-{mode}-{dataset}-{i:04x}", "source": "measured", "system": name, "label": f"{label}({mode})",
        "mode": mode, "kind": ("re-implementation", "exact", "reconstruction")[i % 3], "reference": False,
        "dataset": dataset, "protocol": PROTOCOL, "weights": f"nano-{mode}@{i * 7919 % 65536:04x}",
        "zero_shot": i % 4 == 1, "untrained": i % 10 == 9, "lessons": i % 6 == 2,
        "n_videos": videos, "n_frames": videos * 48,
        "metrics": {m: {"mean": round(means[m], 4), "low": round(means[m] - half[m], 4), "rank": None,
                        "high": round(means[m] + half[m], 4)} for m in METRICS},
        **_worth(mode, round(0.5 + level, 3), videos), "parameters": int(10 ** rng.uniform(5, 8)), "device": "cpu",
        "macs": int(10 ** rng.uniform(7, 11)), "ms_per_frame": round(10 ** rng.uniform(0, 2.5), 2),
        "notes": ["The sound is read at 8 kHz."] if i % 3 == 0 else [],
        "problems": ["3 frames had a constant map."] if i % 5 == 2 else [], "doubts": [],
        "source_text": f"run {i:04x} of 2026-11-28, saliency-bench 0.1.0",
        "videos": {m: [round(float(v), 4) for v in s] for m, s in scores.items()}, "videos_of": f"{dataset}/{videos}"}


def _worth(mode: str, skill: float, videos: int) -> dict[str, Any]:
    """Skill of a row and, in modes with frames and more, the gains: of all videos, and of those that tell by name,
    too few for an interval; the row in fewer modalities is missing for TV."""
    found = {**NO_WORTH, "skill": skill, "skill_interval": [round(skill - 0.1, 3), round(skill + 0.1, 3)]}
    if mode not in ("TAV", "AV", "TV"):
        return found
    whole = None if mode == "TV" else {"mean": 0.37, "low": 0.21, "high": 0.52}
    few = None if mode == "TV" else {"mean": 0.44, "low": None, "high": None}
    told, of = ("sound", "A") if mode == "AV" else ("caption", "T")
    gain = {"of": of, "told": told, "attribute": "", "value": "", "videos": videos, "offered": 0.131, "captured": whole,
            "against_oracle": {"mean": -0.08, "low": -0.19, "high": 0.04}}
    part = {**gain, "told": f"{told} (name)", "attribute": "words", "value": "name", "videos": 3, "captured": few,
            "against_oracle": {"mean": 0.02, "low": None, "high": None}}
    return {**found, "gain": whole and whole["mean"], "gain_interval": whole and [whole["low"], whole["high"]],
            "gains": [gain, part]}


def _reported(dataset: str, systems: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for i in range(systems):
        name = NAMES[i % len(NAMES)]
        metrics = {m: {"mean": round(typical * (1.2 - 0.03 * i), 3), "low": None, "high": None, "rank": None}
                   for m, (typical, _) in METRICS.items()}
        metrics["KLD"]["mean"] = None
        rows.append({
            "id": f"reported/{name}/table-1/{i}/{dataset}", "source": "reported", "system": name, "label": name.upper(),
            "mode": MODES[i % len(MODES)], "kind": "", "reference": False, "dataset": dataset, "protocol": REPORTED,
            "weights": "", "zero_shot": None, "untrained": False, "lessons": False, "n_videos": None, "n_frames": None,
            "metrics": metrics,
            **NO_WORTH, "parameters": int(10 ** rng.uniform(6, 8)), "macs": None, "ms_per_frame": None, "device": "",
            "notes": [], "problems": [], "doubts": ["Text and table disagree."] if i == 1 else [],
            "source_text": f"Example et al., Table I, row {i + 1}", "videos": None, "videos_of": ""})
    return rows


def _rank(rows: list[dict[str, Any]], metric: str) -> None:
    stated = [r for r in rows if r["metrics"][metric]["mean"] is not None]
    for rank, row in enumerate(sorted(stated, key=lambda r: r["metrics"][metric]["mean"], reverse=metric != "KLD"), 1):
        row["metrics"][metric]["rank"] = rank


def _comparison(a: dict[str, Any], b: dict[str, Any], metric: str) -> dict[str, Any]:
    gap = np.subtract(a["videos"][metric], b["videos"][metric])
    half = 1.96 * gap.std() / np.sqrt(len(gap))
    wins = gap < 0 if metric == "KLD" else gap > 0
    told = bool(abs(gap.mean()) > 1.5 * half)
    return {"a": a["id"], "b": b["id"], "metric": metric, "difference": round(gap.mean(), 4), "n": len(gap),
            "low": round(gap.mean() - half, 4), "high": round(gap.mean() + half, 4), "significant": told,
            "probability": round(float(wins.mean()), 3), "p": 0.004 if told else 0.31}


def _card(name: str) -> dict[str, Any]:
    return {"title": name.capitalize(), "paper": "Example et al., Where people look, 2021", "year": 2021,
            "modalities": MODES[NAMES.index(name)], "kind": "reconstruction", "parameters": 45_494_970,
            "code": "example/code, MIT", "weights": "none were published", "training_data": "DHF1K, then each fold",
            "protocol": "MIT metrics; per frame or per video not stated", "reported": "its paper, Table I",
            "notes": ["Windows at the start of a clip run backwards.", "Sound is read around the frame."],
            "presets": {"nano": {"TAV": 978_000, "AV": 911_000}, "paper": {"TAV": 61_200_000}}}


def clip(entry: dict[str, Any], folder: Path, size: tuple[int, int] = (192, 108)) -> dict[str, Any]:
    """The clip of an entry of a board: a disc that circles over a texture and hums, with maps that follow it."""
    width, height = size
    frames, fps, rng = entry["frames"], 25.0, np.random.default_rng(len(entry["id"]))
    angle = np.linspace(0, 4, frames)
    centres = np.stack([width * (0.5 + 0.28 * np.cos(angle)), height * (0.5 + 0.24 * np.sin(angle))], 1)
    texture = rng.normal(110, 12, (height // 6, width // 6))
    ground = np.asarray(Image.fromarray(texture.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    path = folder / f"{entry['id']}.mp4"
    time = np.arange(int(frames / fps * 16000)) / 16000
    hum = (0.2 * np.sin(2 * np.pi * 330 * time)).astype(np.float32)
    write_video(path, (_picture(ground, *centre) for centre in centres), fps, Audio(16000, lambda: hum))
    maps = {row: _atlas([_bump(size, c + rng.normal(0, 3 + 5 * k, 2), 0.09 + 0.03 * k) for c in centres], k + 1)
            for k, row in enumerate(entry["rows"])}
    return {"id": entry["id"], "dataset": entry["dataset"], "video": entry["video"], "fps": fps, "frames": frames,
            "size": [width, height], "sound": True, "maps": maps,
            "media": "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode(),
            "captions": [[0, entry["caption"]], [frames // 2, f"{entry['caption']}, then turns"]],
            "truth": _atlas([_bump(size, centre, 0.08) for centre in centres], 1),
            "fixations": [[[round(x + dx, 1), round(y + dy, 1)] for dx, dy in rng.normal(0, 5, (6, 2))]
                          for x, y in centres.tolist()]}


def _picture(ground: np.ndarray, x: float, y: float) -> np.ndarray:
    height, width = ground.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    disc = np.clip(height * 0.12 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
    return np.uint8(ground[..., None] * (1 - disc) + np.array([226, 190, 60]) * disc)


def _bump(size: tuple[int, int], centre: np.ndarray, sigma: float) -> np.ndarray:
    columns, rows = np.meshgrid((np.arange(64) + 0.5) * size[0] / 64, (np.arange(36) + 0.5) * size[1] / 36)
    return np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / (2 * (sigma * size[0]) ** 2))


def _atlas(maps: list[np.ndarray], every: int) -> dict[str, Any]:
    kept, columns = maps[::every], 8
    sheet = np.zeros((36 * -(-len(kept) // columns), 64 * columns), np.uint8)
    for i, saliency in enumerate(kept):
        top, left = i // columns * 36, i % columns * 64
        sheet[top:top + 36, left:left + 64] = np.rint(255 * saliency / saliency.max())
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    return {"image": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), "width": 64, "height": 36,
            "columns": columns, "frames": list(range(0, len(maps), every))}


def spiced(value: Any, names: frozenset[str] = frozenset()) -> Any:
    """The same board or clip with markup in every string and in every key that is data, the same one everywhere."""
    if isinstance(value, str):
        return value + NASTY
    if isinstance(value, list):
        return [spiced(v) for v in value]
    if not isinstance(value, dict):
        return value
    data_keys = {"protocols", "kinds", "cards", "videos", "metrics", "ranks", "presets", "maps"}
    out = {}
    for key, part in value.items():
        if key in KEPT_KEYS and not ("id" == key and "source" in value):
            out[key] = part
        elif key in data_keys and isinstance(part, dict):
            out[key] = {k + NASTY: ({m + NASTY: n for m, n in v.items()} if key == "presets" else spiced(v))
                        for k, v in part.items()}
        else:
            out[key] = spiced(part)
    return out
