"""Score a folder of maps that any program made."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saliency_bench import registry
from saliency_bench.data.dataset import Dataset
from saliency_bench.harness.evaluate import evaluate, model_scorer
from saliency_bench.harness.record import Record
from saliency_bench.harness.run import Progress, Request, references
from saliency_bench.harness.store import Store
from saliency_bench.spec import RunSpec


def score_maps(root: Path, datasets: Sequence[Dataset], protocol_name: str, out: Path, strict: bool = False,
               progress: Progress | None = None) -> list[Record]:
    """Score the maps under `root` against every data set; missing maps are counted, or refused if `strict`.

    Raises `UserError` where no frame has both a map and a truth.
    """
    progress = progress or Progress()
    protocol = registry.load("protocols", protocol_name)
    records = []
    for dataset in datasets:
        model = registry.load("models", "maps")(root, strict=strict)
        spec = RunSpec(model="maps", mode="", dataset=dataset.name, manifest=dataset.manifest, split=dataset.split,
                       protocol=protocol_name, weights=f"{root.resolve().name}@{listing_hash(root)}",
                       options={"strict": strict})
        store = Store(out, spec)
        progress.row(f"maps {root.name}", dataset)
        record = evaluate(dataset, model_scorer(model, "", protocol, keep=store.keep, progress=progress.frames),
                          store, progress=progress.video, maps=str(root))
        if not record.n_frames:
            shutil.rmtree(store.root)
            model.require_some(dataset.names)
        extra = [f"{root}: {name} is no video of {dataset.name} and was left out"
                 for name in model.unmatched(dataset.names)]
        records.append(replace(record, problems=(*record.problems, *model.problems, *extra)))
        request = Request("maps", protocol=protocol_name, out=out)
        records += references(request, [], dataset, protocol, progress)
    return records


def listing_hash(root: Path) -> str:
    """Hash of names, sizes and times of all files under `root`: another set of maps is another run."""
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        stat = path.stat()
        digest.update(f"{path.relative_to(root)}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
