"""Protocols: named, versioned answers to "which frames count, how is a map compared, how do frames become a score".

Every number this project stores carries the id of its protocol, because the same maps score differently
under each.  What they share: predictions are resized to the size of the truth with MATLAB's bicubic rule,
SIM, CC, NSS and AUC-Judd are computed by one fused call, frames are averaged within videos and videos within
a data set (the frame-pooled mean is kept beside it).  Any other metric of the table can be a column of any of them
(`load_protocol`); what other videos of the set say, `data.other_videos` gives.

    av6-clean   frames whose truth is not empty; float maps; a constant map scores what a map of random values is
                expected to, and SIM as the uniform map
    info-v1     as av6-clean; headlines information gain and shuffled AUC
    mit         all frames; float maps; what is NaN is dropped metric by metric
    stavis-v1   frames from the 9th; 8-bit JPEG at the map's own size and a blur of 2 px; NaN dropped metric by
                metric, but SIM of an empty density is a 0 that counts
    vinet-v1    all frames; maps at frame size, 11x11 blur, min-max, 8-bit JPEG; NaN dropped metric by metric

A metric that reads the prediction as a density (KLD, EMD, IG) gets it clipped at zero: MATLAB's bicubic rule
undershoots beside steep flanks, and a density has no negative values.  The other metrics get the map as it is.

A video that the test lists of several folds hold (AVAD has three) counts once under the first two, and once in each
list under the others, whose authors average over folds.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from saliency_bench import registry
from saliency_bench.columns import FIXATED, GRID_COLUMNS, IG
from saliency_bench.data.other_videos import OtherVideos
from saliency_bench.data.truth import FrameTruth, Truth, fixation_counts
from saliency_bench.errors import UserError
from saliency_bench.metrics import METRICS, SCORES, cc, resize_like, score_frame, sim
from saliency_bench.metrics.information import ig_grid
from saliency_bench.metrics.scale import tame, unit

HEADLINE = SCORES
NO_TRUTH, NO_MAP, CONSTANT = "no truth", "no map", "constant map"

Size = tuple[int, int]
PostProcess = Callable[[np.ndarray, Size], np.ndarray]


@dataclass(frozen=True)
class Protocol:
    """One way of scoring.

    first_frame : 0-based; earlier frames are not scored
    post        : (map (h, w), frame size) -> map; what the published pipeline does to a map before comparing
    common      : every model is scored on the same frames, those whose truth is not degenerate; a constant map scores
                  chance (`Metric.chance`: CC 0, NSS 0, AUC-J (n + 2) / (2 (n + 1)) for n fixated pixels), and where
                  chance is not defined what the uniform map scores.  Otherwise a metric that is NaN is dropped by
                  itself.
    sim_zero    : an empty density scores SIM 0 and counts (STAViS's scripts)
    per_list    : a video that several test lists hold counts once in each, as where folds are scored one by one and
                  averaged; otherwise every video counts once
    more        : names of metrics that are measured beside the headline ones, out of `METRICS` or of a plug-in; they
                  are columns of the score files
    headline    : names of the metrics that come first; the four of the fused call are always measured
    version     : raised by hand where the same maps come to have other scores; runs before it are other runs
    """

    name: str
    about: str
    first_frame: int = 0
    post: PostProcess = field(default=lambda prediction, size: prediction)
    common: bool = False
    sim_zero: bool = False
    per_list: bool = False
    more: tuple[str, ...] = ()
    headline: tuple[str, ...] = HEADLINE
    version: int = 1

    @property
    def measured(self) -> tuple[str, ...]:
        """All that is measured, each once: the headline metrics, `more`, and what of the fused four is left."""
        return tuple(dict.fromkeys((*self.headline, *self.more, *HEADLINE)))

    @property
    def needs(self) -> frozenset[str]:
        """What the metrics take beside the prediction, e.g. "baseline"."""
        return frozenset(need for name in self.measured for need in registry.load("metrics", name).needs)

    def columns(self, densities: bool) -> tuple[str, ...]:
        """Columns of the score files: `measured`, but in place of the information gain of maps that are no `densities`
        one for every nonlinearity that could make them some (`metrics.information`), among which `finished` chooses.
        """
        return tuple(c for name in self.measured for c in (GRID_COLUMNS if name == IG and not densities else [name]))

    def score(self, prediction: np.ndarray, truth: FrameTruth, frame_size: Size, *, densities: bool = False,
              others: Mapping[str, np.ndarray] | None = None,
              looks: np.ndarray | None = None) -> tuple[dict[str, float], str]:
        """Scores of one frame by `columns`, and a note on what was out of the ordinary ("" where nothing was).

        prediction : (h, w) of any size, finite; frame_size : (H, W) of the video frame
        densities  : whether predictions are densities as they are
        others     : what `OtherVideos.maps` gives for `needs`
        looks      : (H, W) how many observers fixate each pixel, where it is known: information gain counts each
        """
        density, fixations = truth
        degenerate = _degenerate(truth)
        if self.common and degenerate:
            return dict.fromkeys(self.columns(densities), np.nan), NO_TRUTH
        map_ = self._compared(prediction, frame_size, density.shape)
        constant = bool(map_.min() == map_.max())
        scores = score_frame(map_, density, fixations)
        flat = self.common and (constant or bool(np.isnan(list(scores.values())).any()))
        more = self._more(np.ones(map_.shape) if flat else map_, truth, densities, others or {},
                          fixations if looks is None or not looks.any() else looks)
        if flat:
            n = int(np.count_nonzero(fixations))
            chance = {name: METRICS[name].expected(n) for name in ("CC", "NSS", "AUC-J")}
            chance |= {name: registry.load("metrics", name).expected(n) for name, x in more.items()
                       if np.isnan(x) and name not in GRID_COLUMNS}
            return {"SIM": _sim_uniform(density), **more, **chance}, CONSTANT
        if not self.common and np.isnan(scores["SIM"]):  # the fused call blanks all scores of a frame without fixations
            scores["SIM"], scores["CC"] = sim(map_, density), cc(map_, density)
        if self.sim_zero and not density.any():
            scores["SIM"] = 0.0
        return {**scores, **more}, NO_TRUTH if degenerate else CONSTANT if constant else ""

    def _more(self, map_: np.ndarray, truth: FrameTruth, densities: bool,
              others: Mapping[str, np.ndarray], looks: np.ndarray) -> dict[str, float]:
        """Scores of the map by the metrics beside the fused four; raises `UserError` for one that fails."""
        out: dict[str, float] = {}
        for name in self.measured:
            if name in HEADLINE:
                continue
            metric = registry.load("metrics", name)
            seen = np.maximum(map_, 0) if metric.nonnegative else map_
            at = looks if name == IG else truth.fixations
            try:
                if name == IG and not densities:
                    out |= zip(GRID_COLUMNS, ig_grid(map_, at, others["baseline"]).tolist(), strict=True)
                else:
                    out[name] = float(metric(seen, density=truth.density, fixations=at, **others))
            except Exception as error:  # a plug-in may raise anything
                said = " ".join(str(error).split())[:200]
                raise UserError(f"protocol {self.name}: metric {name}: expected a score, found "
                                f"{type(error).__name__}: {said}; mend the metric or leave it out of `more`") from error
        return out

    def _compared(self, prediction: np.ndarray, frame_size: Size, size: Size) -> np.ndarray:
        """The map that is compared with the truth: post-processed and resized to `size`.

        A constant map stays itself; post-processing would only make something of its rounding.
        """
        prediction = tame(prediction)
        if prediction.min() != prediction.max():
            prediction = self.post(prediction, frame_size)
        return prediction if prediction.shape == size else resize_like(prediction, size)

    def open(self, name: str, truth: Truth, frame_size: Size, others: OtherVideos | None = None,
             densities: bool = False) -> VideoScores:
        """Collector for the scores of one video; `others` are those of its set, where `needs` names one of theirs."""
        return VideoScores(self, name, truth, frame_size, others, densities)


class VideoScores:
    """Scores of one video, frame by frame; `close` gives the table that the store keeps."""

    def __init__(self, protocol: Protocol, name: str, truth: Truth, frame_size: Size,
                 others: OtherVideos | None = None, densities: bool = False):
        self.protocol, self.name, self.truth, self.frame_size = protocol, name, truth, frame_size
        self.others, self.densities, self.needs = others, densities, protocol.needs
        self._rows: dict[int, tuple[dict[str, float], str]] = {}
        self._fixated: dict[int, int] = {}
        self._gaze = truth.gaze() if IG in protocol.measured else None

    def add(self, frames: Iterable[int], maps: np.ndarray) -> None:
        """Score `maps` (n, h, w) against the truth of the 0-based `frames`."""
        for frame, prediction in zip(frames, maps, strict=True):
            if frame < self.protocol.first_frame or frame >= self.truth.n_frames:
                continue
            if frame in self._rows:
                raise UserError(f"{self.name}: frame {frame + 1} was predicted twice")
            if prediction.ndim != 2 or not np.isfinite(prediction).all():
                raise UserError(f"{self.name}: the map of frame {frame + 1} has shape {prediction.shape} and "
                                f"{int((~np.isfinite(prediction)).sum())} values that are NaN or infinite; "
                                "expected a finite (h, w) map")
            truth, index = self.truth.frame(int(frame)), int(frame)
            others = {} if self.others is None else self.others.maps(self.needs, self.name, index, truth.fixations)
            looks = None if self._gaze is None else fixation_counts(self._gaze[:, index], truth.fixations.shape)
            self._rows[index] = self.protocol.score(prediction, truth, self.frame_size, densities=self.densities,
                                                    others=others, looks=looks)
            self._fixated[index] = int(np.count_nonzero(truth.fixations))

    def close(self) -> pd.DataFrame:
        """Table with a row a frame: frame, what the protocol measures, how many pixels are fixated, note."""
        frames = range(self.protocol.first_frame, self.truth.n_frames)
        scores = score_table(self._rows, frames, self.protocol.columns(self.densities))
        fixated = pd.Series([self._fixated.get(f, 0) for f in frames], scores.index, name=FIXATED, dtype="int32")
        table = pd.concat([scores.drop(columns="note"), fixated, scores["note"]], axis=1)
        kinds = dict.fromkeys(set(GRID_COLUMNS) & set(table.columns), "float32")  # they are many
        return table.astype(kinds)


def score_table(rows: dict[int, tuple[dict[str, float], str]], frames: Iterable[int],
                metrics: Sequence[str] = HEADLINE) -> pd.DataFrame:
    """Score table over `frames`; a frame that has no row is there with the note that it has no map."""
    blank = (dict.fromkeys(metrics, np.nan), NO_MAP)
    table = [{"frame": f, **{m: rows.get(f, blank)[0][m] for m in metrics}, "note": rows.get(f, blank)[1]}
             for f in frames]
    return pd.DataFrame(table, columns=["frame", *metrics, "note"]).astype({"frame": "int32"})


def _degenerate(truth: FrameTruth) -> bool:
    """Whether some metric has nothing to measure: fixations nowhere or everywhere, a flat density, NaN or infinity."""
    density, fixations = truth
    if not (np.isfinite(density).all() and np.isfinite(fixations).all()):
        return True
    return not fixations.any() or bool(fixations.all()) or bool(density.min() == density.max())


def _sim_uniform(density: np.ndarray) -> float:
    """SIM of the uniform map, which the min-max form of SIM cannot express."""
    d = unit(density)
    return float(np.minimum(1 / d.size, d / d.sum()).sum())


def _jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    """8-bit grey JPEG round trip."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def stavis_blur(levels: np.ndarray) -> np.ndarray:
    """STAViS's map clean-up of an 8-bit map: min-max, then a 13x13 Gaussian of 2 px with mirrored borders."""
    return ndimage.gaussian_filter(unit(levels), 2.0, mode="reflect", radius=6)


def vinet_blur(prediction: np.ndarray) -> np.ndarray:
    """ViNet's 11x11 Gaussian of 2 px (OpenCV's width for that size), borders mirrored without the edge pixel."""
    return ndimage.gaussian_filter(prediction.astype(np.float64), 2.0, mode="mirror", radius=5)


def _stavis(prediction: np.ndarray, frame_size: Size) -> np.ndarray:
    return stavis_blur(_jpeg((255 * unit(prediction)).astype(np.uint8), 75))


def _vinet(prediction: np.ndarray, frame_size: Size) -> np.ndarray:
    x = unit(vinet_blur(resize_like(prediction, frame_size, "bilinear")))
    return _jpeg(np.rint(np.clip(255 * x + 0.5, 0, 255)).astype(np.uint8), 100)


AV6_CLEAN = Protocol(
    "av6-clean",
    "every frame that has fixations and a density that is not flat, for all models alike; float maps, no blur; all "
    "metrics on the same frames; a constant map scores chance; AUC-J with ties broken in expectation",
    common=True, version=2)
MIT = Protocol(
    "mit",
    "the MIT benchmark's formulas on all frames; a metric that is undefined for a frame is dropped there; AUC-J "
    "with ties broken in expectation instead of by random jitter")
STAVIS_V1 = Protocol(
    "stavis-v1",
    "STAViS's evaluation: frames 1-8 left out, maps through 8-bit JPEG (quality 75) at their own size, a blur of "
    "2 px there, undefined metrics dropped one by one while SIM of an empty density counts as 0",
    first_frame=8, post=_stavis, sim_zero=True, per_list=True)
VINET_V1 = Protocol(
    "vinet-v1",
    "ViNet's evaluation: maps resized to the frame, blurred by 11x11, min-max, 8-bit JPEG (quality 100); the "
    "reversed start-up windows are the model's own; video mean and frame mean are both kept",
    post=_vinet, per_list=True)
INFO_V1 = Protocol(
    "info-v1",
    "the frames and maps of av6-clean, measured by what the centre bias does not inflate: information gain over the "
    "set's centre prior in bits a fixation, and shuffled AUC against fixations of other videos",
    common=True, headline=("IG", "sAUC"), more=("NSS", "AUC-rank", "CC", "SIM", "KLD"))
PROTOCOLS = {p.name: p for p in (AV6_CLEAN, INFO_V1, MIT, STAVIS_V1, VINET_V1)}


def load_protocol(name: str, metrics: Iterable[str] = ()) -> Protocol:
    """The protocol of this name, with further metrics as columns; raises `UserError` for names that are not known."""
    protocol: Protocol = registry.load("protocols", name)
    return replace(protocol, more=(*protocol.more, *added(protocol, metrics)))


def added(protocol: Protocol, metrics: Iterable[str]) -> tuple[str, ...]:
    """Those of `metrics` that the protocol does not measure anyway, in the order of the table of metrics, so that the
    same columns are the same run in whatever order they were asked for."""
    wanted = dict.fromkeys(metrics)
    for name in wanted:
        registry.load("metrics", name)
    order = list(METRICS)
    return tuple(sorted((name for name in wanted if name not in protocol.measured),
                        key=lambda name: (order.index(name) if name in order else len(order), name)))

