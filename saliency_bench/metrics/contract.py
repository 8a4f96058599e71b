"""What counts as a frame, and what an undefined score is: NaN, with a reason.

Contract
--------
wrong rank, size or type    : ValueError in one line; nothing is resized, cropped or guessed here
masked pixels               : ValueError, as no metric can leave pixels out
NaN or infinity in a map    : NaN in every metric that reads the map
no fixations                : NaN in every score of the frame, SIM and CC included in `score_frame`
all pixels fixated          : the AUCs are NaN (no negatives)
constant prediction         : SIM, CC, NSS and the AUCs are NaN; KLD, EMD and IG are defined
all-zero prediction         : the same, but SIM is 0, EMD and IG are NaN
all-zero baseline           : IG is NaN
constant density            : SIM and CC are NaN; all-zero: KLD and EMD too
negative values             : KLD, IG and EMD are NaN (no distributions; a protocol clips them at zero before); the
                              others take any sign
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Map: TypeAlias = ArrayLike


def prepare(array: Map, name: str, rank: int = 2) -> np.ndarray:
    """The array as contiguous uint8, float32 or float64; raises ValueError for what is no map."""
    if np.ma.is_masked(array):
        raise ValueError(f"{name}: expected a map without masked pixels; fill them first")
    out = np.asarray(numbers(array))
    if out.ndim != rank:
        shape = "(H, W)" if rank == 2 else "(n, H, W)"
        hint = "; score_frames and METRICS[name].batch take batches" if (rank, out.ndim) == (2, 3) else ""
        raise ValueError(f"{name}: expected a map of shape {shape}, found {out.shape}{hint}")
    if 0 in out.shape[-2:]:
        raise ValueError(f"{name}: expected at least one pixel, found shape {out.shape}")
    if out.dtype == np.bool_:
        out = out.view(np.uint8)
    elif out.dtype == np.float16:
        out = out.astype(np.float32)
    elif out.dtype not in (np.uint8, np.float32, np.float64):
        if out.dtype.kind not in "iuf":
            raise ValueError(f"{name}: expected real numbers, found dtype {out.dtype}")
        out = out.astype(np.float64)
    return np.ascontiguousarray(out, dtype=out.dtype.newbyteorder("="))


def numbers(array: Any) -> Any:
    """A tensor's numbers, wherever it lies and whether or not it has a gradient; anything else as it is."""
    if not hasattr(array, "detach"):  # torch is not imported for those who do not use it
        return array
    tensor = array.detach().cpu()
    return tensor.float() if "bfloat16" in str(tensor.dtype) else tensor


def prepare_fixations(array: Map, name: str = "fixations", rank: int = 2) -> np.ndarray:
    """The fixation map as uint8, non-zero where fixated; counts are not weights.

    A map that holds NaN or infinity does not say where people looked: it becomes a map without fixations.
    """
    out = prepare(array, name, rank)
    if out.dtype == np.uint8:
        return out
    sound = np.isfinite(out).all((-2, -1), keepdims=True)
    return ((out != 0) & sound).view(np.uint8)


def prepare_other(array: Map, name: str = "other") -> np.ndarray:
    """Where people looked elsewhere, (H, W) bool: positive pixels; none if the map holds NaN or infinity."""
    out = prepare(array, name)
    return (out > 0) & np.isfinite(out).all()


def require(met: bool, name: str, expected: str, found: object) -> None:
    """Raises ValueError in one line for an option that is not as expected."""
    if not met:
        raise ValueError(f"{name}: expected {expected}; found {found!r}")


def _one_size(maps: dict[str, np.ndarray]) -> None:
    sizes = {name: array.shape for name, array in maps.items()}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"maps must have one size, found {found}; `resize_like` brings a prediction to it")


def pair(pred: Map, density: Map, name: str = "density") -> tuple[np.ndarray, np.ndarray]:
    """Prediction and density (or another map that errors call `name`), checked."""
    p, g = prepare(pred, "pred"), prepare(density, name)
    _one_size({"pred": p, name: g})
    return p, g


def looked_at(pred: Map, fixations: Map) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and uint8 fixation map, checked."""
    p, f = prepare(pred, "pred"), prepare_fixations(fixations)
    _one_size({"pred": p, "fixations": f})
    return p, f


def looked_at_and_elsewhere(pred: Map, fixations: Map, other: Map) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, uint8 fixation map and where people looked elsewhere (bool), checked."""
    p, f = looked_at(pred, fixations)
    o = prepare_other(other)
    _one_size({"pred": p, "other": o})
    return p, f, o


def frame(pred: Map, density: Map, fixations: Map) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, density and uint8 fixation map of one frame, checked."""
    return _three(pred, density, fixations, 2)


def frames(preds: Map, densities: Map, fixations: Map) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for n frames, (n, H, W)."""
    return _three(preds, densities, fixations, 3)


def _three(pred: Map, density: Map, fixations: Map, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p, g = prepare(pred, "pred", rank), prepare(density, "density", rank)
    f = prepare_fixations(fixations, "fixations", rank)
    _one_size({"pred": p, "density": g, "fixations": f})
    return p, g, f


# ------------------------------------------------------------------ reasons
def map_trouble(array: np.ndarray, name: str) -> str | None:
    """Why no metric can read the map, or None."""
    if array.dtype == np.uint8 or np.isfinite(array).all():
        return None
    kind = "NaN" if np.isnan(array).any() else "infinite values"
    return f"the {name} holds {kind}"


def is_constant(array: np.ndarray) -> bool:
    """Whether all pixels have one value (exactly)."""
    return bool(array.min() == array.max())


def flat_trouble(array: np.ndarray, name: str) -> str | None:
    """Why a metric that standardises the map cannot, or None."""
    if is_constant(array):
        return f"the {name} is all zero" if not array.any() else f"the {name} is constant"
    return None


def mass_trouble(array: np.ndarray, name: str) -> str | None:
    """Why the map is no distribution, or None."""
    if array.dtype != np.uint8 and array.min() < 0:
        return f"the {name} has negative values"
    return None
