"""What each mode, and each cue by itself, can know of avt-causal.

Every metric is scored on the oracle's map of the form that is best for it.  A score is the mean over a clip's frames,
then over clips.  A set whose modes can hardly be told apart measures nothing, so `shortfalls` holds this one to
`LEAST_OVER_FLOOR` for every mode with frames and to `LEAST_BY_CUE` for every cue of `HELD` in the clips where it alone
tells which object is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from saliency_bench.data.dataset import Dataset
from saliency_bench.data.truth import FrameTruth, Truth
from saliency_bench.errors import UserError
from saliency_bench.metrics import SCORES, cc, score_frame
from saliency_bench.synthetic.causal.law import CUES, TONES, WORDS
from saliency_bench.synthetic.causal.oracle import Oracle, form_of

MODES = ("TAV", "AV", "TV", "TA", "V")
LEAST_OVER_FLOOR = 0.15  # CC
LEAST_BY_CUE = 0.05  # CC
HELD = ("name", "pulse")
HALVES_EVERY = 8  # frames: their difference is an error estimate, not a score
_BETWEEN = (("TAV", "AV"), ("TAV", "TV"), ("AV", "V"), ("TV", "V"))


@dataclass(frozen=True)
class Gap:
    """One mode's oracle; `cc_error` and `floor_error` are standard errors over clips.

    scores : by metric, of the form of the oracle that is best for it
    draws, effective_draws : of the Monte Carlo posterior, 0 where it is exact
    map_error : relative standard error of a map;  cc_halves : CC of the oracles of either half of the bank, on
        every `HALVES_EVERY`-th frame
    """

    mode: str
    scores: dict[str, float]
    cc_error: float
    floor: float
    floor_error: float
    draws: int = 0
    effective_draws: float = 0.0
    map_error: float = 0.0
    cc_halves: tuple[float, float] | None = None

    @property
    def cc(self) -> float:
        return self.scores["CC"]

    @property
    def over_floor(self) -> float:
        return self.cc - self.floor

    @property
    def cc_draw_error(self) -> float:
        """Standard error of `cc` from the draws: half the difference of the two halves."""
        return abs(self.cc_halves[0] - self.cc_halves[1]) / 2 if self.cc_halves else 0.0


@dataclass(frozen=True)
class CueGap:
    """CC that sight and one cue allow over what sight alone does, in the `clips` whose words or tone tell it alone."""

    cue: str
    clips: int
    sight: float
    gain: float
    gain_error: float


def oracle_gaps(dataset: Dataset, modes: Sequence[str] = MODES,
                progress: Callable[[int, int], object] = lambda done, total: None) -> list[Gap]:
    """`Gap` of every mode over the data set; `progress` is called with (clips done, clips in all).

    Raises `UserError` for a set that has no oracle.
    """
    oracles, centre = {mode: _oracle(dataset, mode) for mode in modes}, np.asarray(dataset.centre)
    parts = {m: [Oracle(m, o.scenes, bank) for bank in o.bank.halves()] for m, o in oracles.items() if o.draws}
    scores: dict[str, list[dict[str, float]]] = {mode: [] for mode in modes}
    halves: dict[str, list[list[float]]] = {mode: [[], []] for mode in parts}
    floor = []
    for done, sample in enumerate(dataset, 1):
        truth = _truth(sample.truth)
        some = dict(list(truth.items())[::HALVES_EVERY])
        floor.append(float(np.mean([cc(centre, t.density) for t in truth.values()])))
        for mode, oracle in oracles.items():
            scores[mode].append(best_scores(oracle, sample.name, truth))
            for k, half in enumerate(parts.get(mode, ())):
                halves[mode][k].append(_mean_cc(half, sample.name, some))
        progress(done, len(dataset))
    floor_mean, floor_error = _mean(floor)
    out = []
    for mode, oracle in oracles.items():
        means = {m: _mean([s[m] for s in scores[mode]]) for m in SCORES}
        first, second = (_mean(h)[0] for h in halves[mode]) if mode in parts else (np.nan, np.nan)
        out.append(Gap(mode, {m: mean for m, (mean, _) in means.items()}, means["CC"][1], floor_mean, floor_error,
                       oracle.draws, oracle.effective_draws, oracle.standard_error,
                       (first, second) if mode in parts else None))
    return out


def cue_gaps(dataset: Dataset) -> list[CueGap]:
    """`CueGap` of every cue; those that no clip of the set tells alone are left out."""
    out = []
    for cue, modality in CUES.items():
        values = dataset.strata.get("words" if modality == "T" else "tone", {})
        sight, both = _oracle(dataset, "V"), _oracle(dataset, f"{modality}V", (cue,))
        found = []
        for name, sample in zip(dataset.names, dataset, strict=True):
            if values.get(name) == cue:
                truth = _truth(sample.truth)
                found.append((_mean_cc(sight, name, truth), _mean_cc(both, name, truth)))
        if found:
            a, b = np.array(found).T
            out.append(CueGap(cue, len(found), float(a.mean()), *_mean(list(b - a))))
    return out


def best_scores(oracle: Oracle, name: str, truth: dict[int, FrameTruth]) -> dict[str, float]:
    """Means over the frames of a clip of every headline metric, each by the form that is best for it."""
    scene, forms = oracle.scene(name), {form: oracle.forms[form] for form in dict.fromkeys(map(form_of, SCORES))}
    rows = []
    for frame, (density, fixations) in truth.items():
        scored = {form: score_frame(o.map(scene, frame), density, fixations) for form, o in forms.items()}
        rows.append([scored[form_of(m)][m] for m in SCORES])
    return dict(zip(SCORES, map(float, np.mean(rows, 0)), strict=True))


def shortfalls(gaps: Sequence[Gap], cues: Sequence[CueGap] = ()) -> list[str]:
    """What the set promises and is not so, one line each; empty where all is well."""
    return [*(f"{gap.mode} is only {gap.over_floor:.3f} CC above the floor, less than {LEAST_OVER_FLOOR}: "
              "its skill is not shown" for gap in gaps if "V" in gap.mode and gap.over_floor < LEAST_OVER_FLOOR),
            *(f"{gap.cue} by itself is worth only {gap.gain:.3f} CC, less than {LEAST_BY_CUE}"
              for gap in cues if gap.cue in HELD and gap.gain < LEAST_BY_CUE)]


def table(gaps: Sequence[Gap], cues: Sequence[CueGap] = ()) -> str:
    """The gaps as lines of text, the largest first."""
    lines = ["What a mode can know (the oracle's map is the best one for each metric)",
             f"{'mode':7}{'CC':>15}{'- floor':>9}{'SIM':>7}{'NSS':>7}{'AUC-J':>7}   draws (effective), s.e. of a map, "
             "of CC by draws"]
    for gap in sorted(gaps, key=lambda g: -g.cc):
        how = (f"{gap.draws} ({gap.effective_draws:.0f}), {gap.map_error:.1%}, {gap.cc_draw_error:.4f}"
               if gap.draws else "0, exact")
        s = gap.scores
        lines.append(f"{gap.mode:7}{gap.cc:7.3f} ± {gap.cc_error:.3f}{gap.over_floor:9.3f}{s['SIM']:7.3f}"
                     f"{s['NSS']:7.3f}{s['AUC-J']:7.3f}   {how}")
    lines.append(f"{'floor':7}{gaps[0].floor:7.3f} ± {gaps[0].floor_error:.3f}{'':32}centre prior")
    by_mode = {gap.mode: gap.cc for gap in gaps}
    between = [f"{a} - {b} {by_mode[a] - by_mode[b]:.3f}" for a, b in _BETWEEN if a in by_mode and b in by_mode]
    lines += [", ".join(between)] if between else []
    if cues:
        lines += ["", "What one cue is worth, in the clips whose words (or tone) tell that alone",
                  f"{'cue':9}{'clips':>7}{'CC of sight':>13}{'with the cue':>14}{'gain':>15}"]
        lines += [f"{g.cue:9}{g.clips:7}{g.sight:13.3f}{g.sight + g.gain:14.3f}{g.gain:+8.3f} ± {g.gain_error:.3f}"
                  for g in cues]
    return "\n".join([*lines, *shortfalls(gaps, cues)])


def balance(dataset: Dataset) -> str:
    """How many clips are in each stratum, as lines of text."""
    words, tone = dataset.strata["words"], dataset.strata["tone"]
    lines = [f"{'words':9}" + "".join(f"{t:>9}" for t in TONES) + "   (columns: tone)"]
    for w in WORDS:
        counts = [sum(words[n] == w and tone[n] == t for n in dataset.names) for t in TONES]
        lines.append(f"{w:9}" + "".join(f"{c:9}" for c in counts))
    return "\n".join(lines)


def _oracle(dataset: Dataset, mode: str, uses: Sequence[str] = tuple(CUES)) -> Oracle:
    if dataset.oracle is None or dataset.centre is None:
        raise UserError(f"{dataset.name}: expected a data set whose gaze has known causes, found one without "
                        "an oracle; only avt-causal has one")
    return dataset.oracle(mode, uses=uses)


def _truth(truth: Truth) -> dict[int, FrameTruth]:
    """The frames that have fixations."""
    frames = ((i, truth.frame(i)) for i in range(truth.n_frames))
    return {i: frame for i, frame in frames if frame.fixations.any()}


def _mean_cc(oracle: Oracle, name: str, truth: dict[int, FrameTruth]) -> float:
    scene = oracle.scene(name)
    return float(np.mean([cc(oracle.map(scene, frame), t.density) for frame, t in truth.items()]))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(spread / np.sqrt(len(values)))
