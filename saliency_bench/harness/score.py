"""Score a folder of maps that any program made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saliency_bench import registry
from saliency_bench.data.dataset import Dataset
from saliency_bench.data.other_videos import other_videos
from saliency_bench.harness.evaluate import evaluate, model_scorer
from saliency_bench.harness.identity import version
from saliency_bench.harness.record import Record
from saliency_bench.harness.run import SHOWN, Progress, Request, references
from saliency_bench.harness.store import Store
from saliency_bench.harness.submission import read_submission
from saliency_bench.harness.summary import keep_worth
from saliency_bench.protocol import added
from saliency_bench.spec import SUBMISSION, RunSpec


def score_maps(root: Path, datasets: Sequence[Dataset], protocol_name: str, out: Path, strict: bool = False,
               progress: Progress | None = None, metrics: Sequence[str] = ()) -> list[Record]:
    """Score the maps under `root` against every data set; missing maps are counted, or refused if `strict`.

    metrics : columns beside those of the protocol
    A `submission.toml` under `root` names the row and is kept as its card; maps that it calls densities are taken as
    they are where a metric needs densities.  Raises `UserError` where no frame of a set
    has a map, and for a submission that is not as it should be.
    """
    progress = progress or Progress()
    submission = read_submission(root)
    name, mode = (submission.name, submission.mode) if submission else ("maps", "")
    densities = bool(submission and submission.densities)
    source = f"{submission.name if submission else root.resolve().name}@{maps_hash(root)}"
    request = Request(name, protocol=protocol_name, out=out, metrics=tuple(metrics))
    protocol, columns = request.scoring, added(registry.load("protocols", protocol_name), metrics)
    records = []
    for dataset in datasets:
        model = registry.load("interface", "maps")(root, strict=strict, densities=densities)
        for sample in dataset:
            model.plan(sample.clip)
        model.require_some(dataset.names)
        strangers = [f"{root}: {name} is no video of {dataset.name} and is left out"
                     for name in model.unmatched(dataset.names)]
        dataset = replace(dataset, problems=(*dataset.problems, *model.problems, *strangers))
        spec = RunSpec(model=name, mode=mode, dataset=dataset.name, manifest=dataset.manifest, split=dataset.split,
                       protocol=protocol_name, metrics=columns, weights=source,
                       options={"strict": strict} | ({"densities": True} if densities else {}),
                       version=version(name, protocol_name, columns))
        store, shown = Store(out, spec), set(dataset.names[:SHOWN])
        score = model_scorer(model, "", protocol, progress=progress.frames, others=other_videos(dataset),
                             keep=lambda video, *kept: store.keep(video, *kept) if video in shown else None)  # noqa: B023
        progress.row(spec.label if submission else f"maps {root.name}", dataset)
        records.append(evaluate(dataset, score, store, progress=progress.video,
                                notes=submission.notes() if submission else None, maps=str(root)))
        records += references(request, [mode], dataset, protocol, progress)
    keep_worth(out, records)
    return records


def maps_hash(root: Path) -> str:
    """Hash of names, sizes and times of all files under `root`: another set of maps is another run.

    What the submission says of them is no part of it: a card that is mended describes the same maps.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p != root / SUBMISSION):
        stat = path.stat()
        digest.update(f"{path.relative_to(root)}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
