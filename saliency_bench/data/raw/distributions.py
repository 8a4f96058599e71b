"""The raw distributions by name."""

from __future__ import annotations

from saliency_bench.data.raw.avad import AVAD
from saliency_bench.data.raw.aveyetracking import ETMD, SUMME
from saliency_bench.data.raw.coutrot import COUTROT1, COUTROT2
from saliency_bench.data.raw.dhf1k import DHF1K
from saliency_bench.data.raw.diem import DIEM
from saliency_bench.data.raw.events import EVENTS
from saliency_bench.data.raw.source import Distribution

DISTRIBUTIONS: dict[str, Distribution] = {
    "diem": DIEM, "coutrot1": COUTROT1, "coutrot2": COUTROT2, "avad": AVAD, "etmd": ETMD, "summe": SUMME,
    "dhf1k": DHF1K, "events": EVENTS, "find": EVENTS, "muvfet": EVENTS,
}
