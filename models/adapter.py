"""The whole third-party contract: what a model is, and a helper for models that slide a window over the clip.

A model is any object with `name`, `modes` and `predict(clip)`.  Most are a function of a window of frames, its
sound and its caption; those subclass `SlidingWindowModel` and write `forward`:

    class MyModel(SlidingWindowModel):
        name, modes = "my-model", ("AV", "V")
        window = Window(frames=16, size=(224, 384), audio=AudioRule())

        def forward(self, batch: WindowBatch) -> Tensor:   # (B, h, w), any real range, higher = more salient
            ...

plus one line in their own package:

    [project.entry-points."saliency_bench.models"]
    my-model = "my_package:MyModel"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from saliency_bench.data.ahead import ahead
from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError
from saliency_bench.models.windows import AudioRule, Cut, Memory, Window, WindowBatch, Windows
from saliency_bench.spec import LoadOptions, Recipe

__all__ = ["AudioRule", "LoadOptions", "Model", "Recipe", "SlidingWindowModel", "Window", "WindowBatch", "Windows"]


class Model(Protocol):
    """Anything that turns a clip into saliency maps, in streaming fashion."""

    name: str
    modes: tuple[str, ...]
    weights: str = ""  # name and hash of what was loaded; "" where there is nothing to load
    trained_on: tuple[str, ...] = ()  # data sets the weights have seen; results on others are zero-shot

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (frame indices (n,), maps (n, h, w) float32), every frame at most once, in any chunks."""
        ...


class SlidingWindowModel(nn.Module):
    """A model that predicts each frame from the window around it; see the module docstring."""

    name: str = ""
    modes: tuple[str, ...] = ()
    window: Window = Window()
    blur: float = 0.0  # standard deviation, in pixels of the map, of a Gaussian over what `forward` gives
    weights: str = ""
    trained_on: tuple[str, ...] = ()

    mode: str = ""
    seed: int = 0
    batch: int = 8
    device: str = "cpu"

    @classmethod
    def load(cls, options: LoadOptions) -> SlidingWindowModel:
        """Build the model for `options.mode`; override to read weights or the model's own options."""
        if options.weights is not None:
            raise UserError(f"{cls.name} takes no weights; leave out --weights {options.weights}")
        if options.options:
            raise UserError(f"{cls.name} has no setting {', '.join(options.options)}; leave it out")
        return cls().setup(options)

    def setup(self, options: LoadOptions) -> SlidingWindowModel:
        """Take mode, seed, batch and device from `options` and switch to evaluation."""
        self.mode, self.seed, self.batch, self.device = options.mode, options.seed, options.batch, options.device
        return self.to(options.device).eval()

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Maps of the clip's frames; decoding, resizing and sound run ahead in threads that end with the iterator."""
        with closing(ahead(Windows(clip, self.window, self.seed).cuts(self.batch))) as cuts:
            for cut in cuts:
                yield cut.batch.index, self._maps(cut)

    def _maps(self, cut: Cut) -> np.ndarray:
        memory = self.__dict__.setdefault("_memory", Memory())  # for all clips; a subclass need not call __init__ first
        batch = cut.to(self.device, memory)
        with torch.inference_mode():
            maps = self.forward(batch)
        found = maps.float().cpu().numpy()
        return gaussian_filter(found, (0, self.blur, self.blur)) if self.blur else found

    def forward(self, batch: WindowBatch) -> Tensor:
        """Saliency maps (B, h, w) of the batch's target frames."""
        raise TypeError(f"{type(self).__name__} does not define forward(batch)")
