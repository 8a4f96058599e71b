"""Checkpoints of the systems' authors: renamed, compared tensor by tensor with the network, and loaded whole or not
at all.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from saliency_bench.errors import UserError
from saliency_bench.files import file_sha256
from saliency_bench.models.encoders.convert import State


@dataclass(frozen=True)
class Fit:
    """How the tensors of a checkpoint fit a network: those that are missing, surplus or of another shape."""

    missing: list[str]
    surplus: list[str]
    misshapen: list[str]
    total: int
    unlike: int = 0  # tensors of either side for whose shape the other has none left

    @property
    def exact(self) -> bool:
        return not (self.missing or self.surplus or self.misshapen)

    @property
    def matched(self) -> int:
        return self.total - len(self.missing) - len(self.misshapen)

    @property
    def score(self) -> tuple[int, int]:
        """The larger, the nearer: by names, and where these say nothing by shapes."""
        return self.matched - len(self.missing) - len(self.surplus) - len(self.misshapen), -self.unlike

    def __str__(self) -> str:
        """For example "340 of 341 tensors, missing 1 (fuse.bias)"."""
        parts = [f"{self.matched} of its {self.total} tensors"]
        for what, keys in (("missing", self.missing), ("surplus", self.surplus), ("of another shape", self.misshapen)):
            if keys:
                parts.append(f"{len(keys)} {what} ({_some(keys)})")
        return ", ".join(parts)


def fit(network: nn.Module, state: Mapping[str, Tensor], raw: Mapping[str, Tensor] | None = None,
        authors_name: Callable[[str], str] = str) -> Fit:
    """Compare the converted tensors of a checkpoint with those of `network`, counters of batches aside.

    raw          : the tensors as in the file, by whose names those of the file are told; the converted ones share
                   their memory
    authors_name : from a name of the network's to that in the authors' files
    """
    source = {v.data_ptr(): k for k, v in (raw or {}).items() if v.numel()}

    def both(ours: str, theirs: str) -> str:
        return ours if ours == theirs else f"{theirs}, here {ours}"

    def filed(key: str) -> str:
        return source.get(state[key].data_ptr(), key)

    own = {k: v for k, v in network.state_dict().items() if not _counter(k)}
    given = {k: v for k, v in state.items() if not _counter(k)}
    missing, surplus = [k for k in own if k not in given], [k for k in given if k not in own]
    over = [filed(k) for k in surplus]
    near = {k: difflib.get_close_matches(authors_name(k), over, 1, 0.8) for k in missing[:2]}
    shapes, theirs = (Counter(tuple(v.shape) for v in side.values()) for side in (own, given))
    return Fit([both(k, authors_name(k)) + "".join(f", nearest {n}" for n in near.get(k, ())) for k in missing], over,
               [f"{both(k, filed(k))}: expected {tuple(own[k].shape)}, found {tuple(given[k].shape)}"
                for k in own if k in given and own[k].shape != given[k].shape], len(own),
               ((shapes - theirs) + (theirs - shapes)).total())


def load_whole(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load converted tensors into `network`; raises `UserError`, and loads nothing, unless they fit exactly."""
    found = fit(network, state)
    if not found.exact:
        raise UserError(f"{source}: expected the weights of {type(network).__name__}, found {found}; give the file of "
                        "this network")
    own = network.state_dict()
    for key, value in state.items():
        if key in own and value.is_floating_point() != own[key].is_floating_point():
            raise UserError(f"{source}: {key} expected values of {own[key].dtype}, found {value.dtype}; give the file "
                            "of this network")
    network.load_state_dict({k: state.get(k, own[k]) for k in own})


def strip(state: Mapping[str, Tensor]) -> State:
    """Without the prefix `module.` that DataParallel puts before every name."""
    return {k.removeprefix("module."): v for k, v in state.items()}


def file_name(path: Path) -> str:
    """How tables name a checkpoint: the file's stem and a hash of its bytes."""
    return f"{Path(path).stem}@{file_sha256(path)[:12]}"


def _counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    return "; ".join(keys[:2]) + ("; ..." if len(keys) > 2 else "")
