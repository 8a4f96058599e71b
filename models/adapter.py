"""The whole third-party contract: what a model is, and a helper for models that slide a window over the clip.

A model is a class with `name`, `modes`, `load(options)` and `predict(clip)`; it lives in a package of its own.
`saliency-bench models new my-model` writes such a package.

name, modes
-----------
name    : how tables call it and how it is registered: letters, digits, "-", "_", "."
modes   : tuple of the modes it can be run in.  A mode is a set of modalities, spelt in this order: T (caption),
          A (sound), V (frames), for example ("TAV", "V").  () for a model that looks at nothing: it is run once.

load(options) -> model
----------------------
A class method.  `options` is a `LoadOptions`: `mode`; `weights`, the file after --weights or None; `device`; `seed`;
`batch`, how many windows at once; `options`, the model's own settings (--set key=value).  What cannot be obeyed, an
unknown setting or weights of another model, raises `UserError` (saliency_bench.errors): one line that says what was
expected, what was found and what to do.  Nothing is downloaded unless the user asked for it.

predict(clip) -> iterator of (frame indices, maps)
--------------------------------------------------
clip    : a `Clip` with what the mode shows; the rest is None.  `clip.frames.read(indices)` gives uint8 RGB
          (n, H, W, 3); `clip.audio.samples` float32 (n,) in [-1, 1] at `clip.audio.rate` Hz, which may end before
          the frames do; `clip.captions.at(frame)` a sentence.  `clip.n_frames`, `clip.size` (H, W) and `clip.fps` are
          always there.  None of its arrays may be written to.
indices : (n,) whole numbers from 0 to clip.n_frames - 1, in any order, every frame at most once.  A frame that is
          never yielded counts as unscored and is named in the table.
maps    : (n, h, w) float32 array, finite, any range; higher is more salient.  h and w are the model's own choice, one
          size a chunk: the protocol resizes maps to the truth.
stream  : yield a few frames at a time, in chunks of any size, and let go of what was used: a film has 10,000 frames.
repeat  : maps depend on weights, options and the clip alone, and not on the clips before, so that a run that is
          stopped goes on to the same scores.  Noise comes from a generator seeded by `options.seed`, the clip's name
          and the frame (`WindowBatch.seeds`).  The size of the batch does not matter beyond rounding (1e-4).
clips   : of one frame, of odd sizes, black and silent are clips, too.

What a model may have beside
----------------------------
weights    : name and hash of what was loaded, "" for nothing.  It is part of the run's id: other weights, another run.
trained_on : names of the data sets the weights have seen; results on others are called zero-shot.
densities  : True where the maps are probability densities: information gain takes them as they are, over their sums;
             maps of others it has to fit (`saliency_bench.metrics.information`).
fitted(training) -> model : for what is fitted to a set's own training videos before it is scored (`Dataset`).
card() -> dict : a class method; facts for `models list` and `models info`: title, paper, year, modalities, kind,
                 parameters, code, weights, training_data, protocol, reported, notes.

Register, check, run
--------------------
    [project.entry-points."saliency_bench.models"]
    my-model = "my_package:MyModel"

in the package's pyproject.toml; after `pip install -e .`

    saliency-bench models check my-model     every mode on tiny clips; each breach of the above in plain words
    saliency-bench run my-model --modes V --datasets avt-causal

`check_model(MyModel)` (saliency_bench.harness.check_model) does the first in a test.

Example 1: a window
-------------------
Most models are a function of a window of frames, its sound and its caption.  Those subclass `SlidingWindowModel`,
which decodes, resizes and batches, and write `forward`.  The louder it is, the more motion counts:

    from saliency_bench.models.adapter import AudioRule, SlidingWindowModel, Window

    class Loud(SlidingWindowModel):
        name, modes = "loud", ("AV", "V")
        window = Window(frames=2, size=(72, 96), target=1, audio=AudioRule())  # a frame and the one before

        def forward(self, batch):
            grey = batch.frames.mean(1)                                        # (B, T, h, w)
            contrast = (grey[:, 1] - grey[:, 1].mean((1, 2), keepdim=True)).abs()
            motion = (grey[:, 1] - grey[:, 0]).abs()
            if batch.audio is None:                                            # mode V hides the sound
                return contrast + motion                                       # (B, h, w)
            loudness = batch.audio.abs().mean(1).view(-1, 1, 1)
            return contrast + (1 + loudness) * motion

Example 2: a generator
----------------------
Any other model writes `predict`.  What differs from the frames so far is salient:

    import numpy as np
    from saliency_bench.errors import UserError

    class Novelty:
        name, modes = "novelty", ("V",)

        def __init__(self, chunk):
            self.chunk = chunk

        @classmethod
        def load(cls, options):
            if options.weights or options.options:
                raise UserError("novelty: takes no weights and no settings; leave them out")
            return cls(options.batch)

        def predict(self, clip):
            usual = None                                                       # of this clip alone
            for start in range(0, clip.n_frames, self.chunk):
                index, maps = np.arange(start, min(start + self.chunk, clip.n_frames)), []
                for frame in clip.frames.read(index):
                    grey = frame[::4, ::4].mean(-1)
                    usual = grey if usual is None else 0.9 * usual + 0.1 * grey
                    maps.append(np.abs(grey - usual))
                yield index, np.stack(maps).astype(np.float32)
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
