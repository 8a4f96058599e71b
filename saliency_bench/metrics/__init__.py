"""Saliency metrics: pure functions on arrays, one fused compiled call for the four that every table prints.

Conventions
-----------
pred      : (H, W) float or uint8 prediction, any range; higher is more salient.  Values are used as they are:
            uint8 and float32 maps score as the float64 maps of the same numbers.
density   : (H, W) continuous ground truth, any positive scale.
fixations : (H, W) map, non-zero where at least one observer fixated.
All maps of a frame have one size; `resize_like` is the protocol's business.  An undefined score is NaN and
`reason` / `explain` say why (`contract`); a wrong shape or type is a ValueError in one line.

Metrics
-------
METRICS holds every metric and every published variant by name, `dialect` gives those of one code; `score_frame`
gives SIM, CC, NSS and AUC-Judd of a frame in one walk over its maps, `score_frames` those of a batch on several
threads.  `stats` makes intervals.
"""

from saliency_bench.metrics.density import cc, emd, kld, sim
from saliency_bench.metrics.fixation import auc_borji, auc_judd, auc_rank, auc_shuffled, nss
from saliency_bench.metrics.frame import SCORES, score_frame, score_frames
from saliency_bench.metrics.information import ig
from saliency_bench.metrics.reasons import explain, reason
from saliency_bench.metrics.resize import resize_like
from saliency_bench.metrics.stats import Difference, Interval, crossed_mean, mean_interval, paired_difference
from saliency_bench.metrics.table import METRICS, Metric, dialect

__all__ = [
    "METRICS", "SCORES", "Difference", "Interval", "Metric", "auc_borji", "auc_judd", "auc_rank",
    "auc_shuffled", "cc", "crossed_mean", "dialect", "emd", "explain", "ig", "kld", "mean_interval", "nss",
    "paired_difference", "reason", "resize_like", "score_frame", "score_frames", "sim",
]
