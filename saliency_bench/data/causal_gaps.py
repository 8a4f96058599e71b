"""What each mode can know of avt-causal: CC of its oracle against the truth, and how far above the floor.

CC is the mean over a clip's frames, then over clips.  A set whose modes can hardly be told apart measures
nothing, so `shortfalls` holds this one to `LEAST_OVER_FLOOR` for every mode and to `LEAST_BETWEEN` for every
modality added to the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saliency_bench.data.causal import open_test
from saliency_bench.data.causal_oracle import Oracle
from saliency_bench.data.dataset import Dataset
from saliency_bench.errors import UserError
from saliency_bench.metrics import cc

MODES = ("TAV", "AV", "TV", "TA", "V")
LEAST_OVER_FLOOR = 0.15
LEAST_BETWEEN = 0.05
_BETWEEN = (("TAV", "AV"), ("TAV", "TV"), ("AV", "V"), ("TV", "V"))


@dataclass(frozen=True)
class Gap:
    """One mode's oracle; `cc_error` and `floor_error` are standard errors over clips.

    draws, effective_draws : of the Monte Carlo posterior, 0 where it is exact
    map_error : relative standard error of a map;  cc_halves : CC of the oracles of either half of the bank
    """

    mode: str
    cc: float
    cc_error: float
    floor: float
    floor_error: float
    draws: int
    effective_draws: float
    map_error: float
    cc_halves: tuple[float, float] | None

    @property
    def over_floor(self) -> float:
        return self.cc - self.floor

    @property
    def cc_draw_error(self) -> float:
        """Standard error of `cc` from the draws: half the difference of the two halves."""
        return abs(self.cc_halves[0] - self.cc_halves[1]) / 2 if self.cc_halves else 0.0


def oracle_gaps(dataset: Dataset, modes: Sequence[str] = MODES) -> list[Gap]:
    """`Gap` of every mode over the data set; raises `UserError` for a set that has no oracle."""
    if dataset.oracle is None or dataset.centre is None:
        raise UserError(f"{dataset.name}: expected a data set whose gaze has known causes, found one without "
                        "an oracle; only avt-causal has one")
    scores: dict[str, list[float]] = {}
    oracles = {mode: dataset.oracle(mode) for mode in modes}
    parts = {m: [Oracle(m, o.scene, bank) for bank in o.bank.halves()] for m, o in oracles.items() if o.draws}
    for sample in dataset:
        truth = [sample.truth.frame(i).density for i in range(sample.clip.n_frames)]
        scores.setdefault("floor", []).append(_mean_cc([dataset.centre] * len(truth), truth))
        for mode, oracle in oracles.items():
            for k, o in enumerate((oracle, *parts.get(mode, ()))):
                maps = np.concatenate([m for _, m in o.predict(sample.clip)])
                scores.setdefault(f"{mode}{k}", []).append(_mean_cc(maps, truth))
    floor, floor_error = _mean(scores["floor"])
    return [Gap(mode, *_mean(scores[f"{mode}0"]), floor, floor_error, oracle.draws, oracle.effective_draws,
                oracle.standard_error,
                (_mean(scores[f"{mode}1"])[0], _mean(scores[f"{mode}2"])[0]) if mode in parts else None)
            for mode, oracle in oracles.items()]


def shortfalls(gaps: Sequence[Gap]) -> list[str]:
    """What the set promises and `gaps` does not show, one line each; empty where all is well."""
    by_mode = {gap.mode: gap for gap in gaps}
    lines = [f"{gap.mode} is only {gap.over_floor:.3f} CC above the floor, less than {LEAST_OVER_FLOOR}: "
             "its skill is not shown" for gap in gaps if gap.over_floor < LEAST_OVER_FLOOR]
    for more, less in _BETWEEN:
        if more in by_mode and less in by_mode and by_mode[more].cc - by_mode[less].cc < LEAST_BETWEEN:
            lines.append(f"{more} is only {by_mode[more].cc - by_mode[less].cc:.3f} CC above {less}, "
                         f"less than {LEAST_BETWEEN}")
    return lines


def table(gaps: Sequence[Gap]) -> str:
    """The gaps as lines of text, the largest first."""
    lines = [f"{'mode':6}{'oracle CC':>16}{'- floor':>9}   draws (effective), s.e. of a map, of CC by draws"]
    for gap in sorted(gaps, key=lambda g: -g.cc):
        how = (f"{gap.draws} ({gap.effective_draws:.0f}), {gap.map_error:.1%}, {gap.cc_draw_error:.4f}"
               if gap.draws else "0, exact")
        lines.append(f"{gap.mode:6}{gap.cc:8.3f} ± {gap.cc_error:.3f}{gap.over_floor:9.3f}   {how}")
    lines.append(f"{'floor':6}{gaps[0].floor:8.3f} ± {gaps[0].floor_error:.3f}{'':12}centre prior")
    cc = {gap.mode: gap.cc for gap in gaps}
    between = [f"{a} - {b} {cc[a] - cc[b]:.3f}" for a, b in _BETWEEN if a in cc and b in cc]
    return "\n".join([*lines, *([", ".join(between)] if between else []), *shortfalls(gaps)])


def _mean_cc(maps: Sequence[np.ndarray] | np.ndarray, truth: Sequence[np.ndarray]) -> float:
    return float(np.mean([cc(m, t) for m, t in zip(maps, truth, strict=True) if t.any()]))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(spread / np.sqrt(len(values)))


def main() -> None:
    """Print what each mode can know of the test split."""
    try:
        dataset = open_test()
        print(f"{dataset.name}, {len(dataset)} test clips, content {dataset.manifest[:12]}")
        print(table(oracle_gaps(dataset)))
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None
