"""Raw distributions of eye-tracking data sets, and how they become a data set in the STAViS layout.

    source          what a distribution offers
    diem, ...       one module a distribution; `distributions` is their table
    pipeline        samples -> points -> maps, pure functions on arrays
    work, build     one video; a whole set
"""

from saliency_bench.data.raw.build import prepare
from saliency_bench.data.raw.prepared import Prepared

__all__ = ["Prepared", "prepare"]
