"""What the classical systems share: they see one frame at a time and learn nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from saliency_bench.data.clip import MODALITIES, Clip
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions
from saliency_bench.models.config import read_toml


class FrameByFrame:
    """A model that sees one frame at a time and has one `setting`, a key of `choices`, by default the first.

    A subclass gives `maps`: images (n, H, W, 3) uint8 RGB to maps (n, h, w) float32.
    """

    name = ""
    modes: tuple[str, ...] = ("V",)
    weights = ""
    trained_on: tuple[str, ...] = ()
    setting = ""
    choices: Mapping[str, Callable[..., np.ndarray]] = MappingProxyType({})
    chunk = 4  # frames

    def __init__(self, choice: str = ""):
        self.choice = self.choices[choice or next(iter(self.choices))]

    @classmethod
    def load(cls, options: LoadOptions) -> Self:
        """The model of `options`; raises `UserError` for weights, another setting or another value."""
        if options.weights is not None:
            raise UserError(f"{cls.name}: expected no weights, found {options.weights}; leave out --weights")
        unknown = [key for key in options.options if key != cls.setting]
        if unknown:
            raise UserError(f"{cls.name}: expected no setting but {cls.setting}, found {', '.join(unknown)}; "
                            "leave it out")
        default = next(iter(cls.choices))
        value = options.options.get(cls.setting, default)
        if not isinstance(value, str) or value not in cls.choices:
            raise UserError(f"{cls.name}: {cls.setting}: expected {' or '.join(cls.choices)}, found {value!r}; "
                            f"leave it out for {default}")
        return cls(value)

    @classmethod
    def card(cls) -> dict[str, Any]:
        """The facts of the model: paper, code, protocol."""
        return read_toml(Path(__file__).parent / "cards" / f"{cls.name}.toml")

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One map a frame, in chunks; raises `UserError` for a clip without frames."""
        if clip.frames is None:
            raise UserError(f"{clip.name}: {self.name} needs {MODALITIES['V']}, which this clip does not have "
                            f"(it has {clip.modalities or 'nothing'}); choose a data set with frames")
        for start in range(0, clip.n_frames, self.chunk):
            index = np.arange(start, min(start + self.chunk, clip.n_frames))
            yield index, self.maps(clip.frames.read(index.tolist()))

    def maps(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError
