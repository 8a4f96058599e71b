"""The STAViS layout, in which the six audio-visual sets are distributed.

    video_frames/<set>/<video>/img_%05d.jpg             frames, numbered from 1
    video_audio/<set>/<video>/<video>.wav               sound; a video without it has none
    annotations/<set>/<video>/maps/eyeMap_%05d.jpg      density, 8-bit grey, any size
    annotations/<set>/<video>/fixMap_%05d.mat           fixation map, variable eyeMap
    fold_lists/<set>_list_{train,test}[_k]_fps.txt      <video> <frames> <fps>
    captions/<set>/<video>.jsonl (.csv, .txt)           optional, see `captions`
    gaze/<set>/<video>.npz                              optional: gaze (observers, frames, 2) in map pixels

What does not agree is handled so, and said in one line of `Dataset.problems` a video:
- the list, frames, maps and fixation maps differ in number, or one is missing in between: the frames before
  the first disagreement are used;
- a listed video has no frames or no maps, or two files of one number: it is left out;
- there is no wav: the video has no sound.
"""

from __future__ import annotations

import json
from pathlib import Path

from saliency_bench.data.dataset import Dataset, Loss
from saliency_bench.data.folds import FoldRow
from saliency_bench.data.images import entries, is_folder, numbered
from saliency_bench.data.layout import ABSENT, FileSamples, Found, VideoFiles, listing_hash, natural
from saliency_bench.data.making import WIDEST, Sigma
from saliency_bench.data.splits import SPLITS, Chosen, choose, lists_of
from saliency_bench.data.stavis_writer import MARKER, VARIABLE, StavisWriter
from saliency_bench.errors import UserError

__all__ = ["StavisWriter", "open_set", "sets_in"]

NAMED = 5  # videos named in a line about many
SILENT_FPS = 25.0  # stated for a video without sound and without a list; only sound is aligned by it


def sets_in(root: str | Path) -> list[str]:
    """Names of the data sets in a folder of the STAViS layout; [] where the folder has another layout."""
    names = {name for kind in ("video_frames", "annotations") for name in _folders(Path(root) / kind)}
    return sorted(names, key=natural)


def open_set(root: str | Path, set_name: str, split: str = "test", fold: int | None = None) -> Dataset:
    """Open one set without decoding anything.

    split : "test", "train" or "all" (both)
    fold  : number of the split's list, or any number where its one list has none; None takes each video of all
            its lists once, in their order, and is refused for "train" with several lists: what one fold trains
            on, others test

    The lists are those beside the data, else the published ones of a set in the catalogue (see `splits`).  Any other
    set without lists gives every video found, for "test" and for "all"; the frame rate then comes
    from manifest-<set>.json (`fps`, or `videos.<video>.fps`) or from what `StavisWriter` left beside the
    maps. Raises `UserError` where the set, its list or every one of its videos is missing.
    """
    root = Path(root)
    if set_name not in sets_in(root):
        raise UserError(f"{root}: expected video_frames/{set_name} and annotations/{set_name}, "
                        f"found the sets {sets_in(root) or 'none'}; check the folder and the name")
    if split not in SPLITS:
        raise UserError(f"{set_name}: expected split {', '.join(SPLITS)}, found {split!r}; choose one of them")
    found = Found(root)
    lists = lists_of(root, set_name)
    chosen = (choose(lists, f"{root}/fold_lists", set_name, split, fold) if lists
              else _without_lists(root, set_name, split, fold))
    found.problems.extend(chosen.problems)
    here = {name for kind in ("video_frames", "annotations") for name in _folders(root / kind / set_name)}
    for row in _present(found, set_name, chosen.rows, here):
        with found.left_out_if_unreadable(f"{set_name}/{row.video}", row.video, row.frames):
            _add(found, set_name, row)
    if split == "all":
        _surplus(found, set_name, here - set(chosen.times))
    if not found.videos:
        first = f" (first: {found.problems[0]})" if found.problems else ""
        raise UserError(f"{root}: expected videos of {set_name} with frames, maps and fixation maps for the {split} "
                        f"split, found none of {len(chosen.rows)}{first}; unpack video_frames and annotations")
    remarks = (*lists.remarks, *_silence(found, root, set_name))
    names = [video.name for video in found.videos]
    notes: dict[str, object] = {"layout": "STAViS", "folds": chosen.lists or "no list",
                                "frames": sum(len(video.maps) for video in found.videos),
                                **_sigma(_read_json(root / f"manifest-{set_name}.json"), names)}
    return Dataset(name=set_name, split=split if chosen.fold is None else f"{split}-{chosen.fold}",
                   samples=FileSamples(found.videos), names=names,
                   manifest=listing_hash(found.files, chosen.content), problems=(*found.problems, *remarks),
                   notes=notes, remarks=remarks, fold=chosen.fold, losses=found.losses,
                   times={v: n for v, n in chosen.times.items() if n > 1 and v in set(names) and split == "test"})


def _sigma(manifest: dict, names: list[str]) -> dict[str, object]:
    """`sigma_px` of the notes where the manifest states it: one number where all videos share it, else (vertical,
    horizontal) of each video that states it, in pixels of its maps.
    """
    stated, found = manifest.get("videos"), {}
    videos = stated if isinstance(stated, dict) else {}
    for name in names:
        try:
            entry = videos[name]
            sigma = Sigma(float(entry["sigma_px_of_video"]), "").in_maps(entry["size"], entry["map_size"])
        except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
            continue
        if all(0 < s < WIDEST for s in sigma):
            found[name] = sigma
    values = {s for sigma in found.values() for s in sigma}
    if not found:
        return {}
    return {"sigma_px": values.pop() if len(values) == 1 and len(found) == len(names) else found}


def _present(found: Found, set_name: str, rows: list[FoldRow], here: set[str]) -> list[FoldRow]:
    """The listed videos that have a folder; the others are named in one line, and lost."""
    absent = [row for row in rows if row.video not in here]
    if absent:
        found.problems.append(f"{set_name}: {len(absent)} of {len(rows)} listed videos have neither frames nor "
                              f"annotations here ({', '.join(row.video for row in absent[:NAMED])}"
                              f"{' and others' * (len(absent) > NAMED)}); left out")
        found.losses.extend(Loss(row.video, row.frames, ABSENT) for row in absent)
    return [row for row in rows if row.video in here]


def _surplus(found: Found, set_name: str, names: set[str]) -> None:
    for name in sorted(names, key=natural):
        found.problems.append(f"{set_name}/{name}: is in no fold list; left out")
        frames = numbered(found.root / "video_frames" / set_name / name, stem=r"img_\d+")
        found.losses.append(Loss(name, len(frames), "in no fold list"))


def _without_lists(root: Path, set_name: str, split: str, fold: int | None) -> Chosen:
    """Every video on disk."""
    if split == "train" or fold is not None:
        raise UserError(f"{root}/fold_lists: expected {set_name}_list_{split}_fps.txt, found no list of this set; "
                        "write one line '<video> <frames> <fps>' a video")
    rows = _unlisted(root, set_name)
    return Chosen(rows, [], [], None, {row.video: 1 for row in rows},
                  [f"{set_name}: no fold list in {root}/fold_lists; every video found is in the split"])


def _unlisted(root: Path, set_name: str) -> list[FoldRow]:
    """Every video on disk, with 0 for what no list states."""
    stated = _read_json(root / f"manifest-{set_name}.json")
    names = {name for kind in ("video_frames", "annotations") for name in _folders(root / kind / set_name)}
    rows = []
    for name in sorted(names, key=natural):
        videos = stated.get("videos")
        video = videos.get(name) if isinstance(videos, dict) else None
        marker = _read_json(root / "annotations" / set_name / name / MARKER)
        sources = [video if isinstance(video, dict) else {}, marker, stated]
        fps = next((source["fps"] for source in sources if _is_rate(source.get("fps"))), 0.0)
        if not fps and (root / "video_audio" / set_name / name / f"{name}.wav").exists():
            raise UserError(f"{set_name}/{name}: expected a frame rate to align the sound with, found no fold list and "
                            f"no manifest-{set_name}.json that states fps; write "
                            f"fold_lists/{set_name}_list_test_fps.txt")
        rows.append(FoldRow(name, 0, float(fps)))
    return rows


def _add(found: Found, set_name: str, row: FoldRow) -> None:
    """Take one listed video into `found`, with a line for whatever is wrong with it."""
    root, video = found.root, row.video
    frames = numbered(root / "video_frames" / set_name / video, stem=r"img_\d+")
    maps = numbered(root / "annotations" / set_name / video / "maps", stem=r"eyeMap_\d+")
    fixations = numbered(root / "annotations" / set_name / video, (".mat",), r"fixMap_\d+")
    n = found.agreed(f"{set_name}/{video}", video, {"frames": frames, "maps": maps, "fixation maps": fixations},
                     first=1, listed=row.frames or None)
    if not n:
        return
    for files in (frames, maps, fixations):
        found.add_files(files.values())
    audio = found.optional(root / "video_audio" / set_name / video / f"{video}.wav")
    order = range(1, n + 1)
    found.videos.append(VideoFiles(
        name=video, fps=row.fps or SILENT_FPS, frames=tuple(frames[k].path for k in order),
        maps=tuple(maps[k].path for k in order), fixations=tuple(fixations[k].path for k in order),
        variable=VARIABLE, audio=audio,
        captions=found.captions(root / "captions" / set_name, video),
        gaze=found.optional(root / "gaze" / set_name / f"{video}.npz")))


def _silence(found: Found, root: Path, set_name: str) -> tuple[str, ...]:
    """One line a video without sound, or one for the set where none has any."""
    silent = [video.name for video in found.videos if video.audio is None]
    if silent and len(silent) == len(found.videos):
        return (f"{set_name}: no video has sound (expected {root}/video_audio/{set_name}/<video>/<video>.wav); "
                "sound is absent",)
    return tuple(f"{set_name}/{name}: video_audio has no {name}.wav; sound is absent" for name in silent)


def _folders(path: Path) -> list[str]:
    return [entry.name for entry in entries(path) if is_folder(entry) and not entry.name.startswith(".")]


def _read_json(path: Path) -> dict:
    """A JSON object, {} where the file is absent or states nothing usable."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6
