"""The centre prior: people look at the middle of the screen whatever is on it.  The floor of every table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from saliency_bench.data.clip import Clip
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions

LONG_SIDE = 160  # pixels; the prior is smooth, so a small map loses nothing


class CentrePrior:
    """One map for all frames: a given density, or a centred Gaussian of `spread` of each side.

    The default spread is fixed, not fitted: a quarter of the width and of the height as standard deviation.
    """

    name = "centre"
    modes: tuple[str, ...] = ()
    weights = ""
    trained_on: tuple[str, ...] = ()

    def __init__(self, density: np.ndarray | None = None, spread: float = 0.25):
        if not spread > 0:
            raise UserError(f"centre: spread must be positive, found {spread}")
        self.density, self.spread = density, spread

    @classmethod
    def load(cls, options: LoadOptions) -> CentrePrior:
        given = dict(options.options)
        spread = given.pop("spread", 0.25)
        if given or options.weights is not None or not isinstance(spread, (int, float)):
            raise UserError("centre: takes no weights and one setting, spread (a positive number), found "
                            f"{options.weights or ', '.join(given) or repr(spread)}; leave it out")
        return cls(spread=float(spread))

    def predict(self, clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the same map (h, w) for every frame, in chunks of 64 frames."""
        density = self._gaussian(clip.size) if self.density is None else self.density.astype(np.float32)
        for start in range(0, clip.n_frames, 64):
            frames = np.arange(start, min(start + 64, clip.n_frames))
            yield frames, np.broadcast_to(density, (len(frames), *density.shape))

    def _gaussian(self, size: tuple[int, int]) -> np.ndarray:
        scale = LONG_SIDE / max(size)
        axes = [np.linspace(-0.5, 0.5, max(2, round(n * scale))) for n in size]
        y, x = (np.exp(-0.5 * (a / self.spread) ** 2) for a in axes)
        return np.outer(y, x).astype(np.float32)
