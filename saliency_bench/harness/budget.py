"""What weights had to learn with: training windows, parameters, preset; of a diffusion model also how it diffuses.

Rows of a board compare systems only as far as these agree.
"""

from __future__ import annotations

from typing import Any


def budget(model: Any, parameters: int | None) -> dict[str, Any]:
    """What is known of a loaded model of so many `parameters`, in plain values; what is not known is left out.

    windows      : training windows that the weights have seen
    lessons      : True where some of them came with lessons: which objects words and sounds mean
    preset       : name of the network's preset
    signal_scale : of a diffusion model, s in x_t = sqrt(abar_t) s x0 + sqrt(1 - abar_t) eps
    steps        : of a diffusion model, denoising steps a map
    """
    config = getattr(model, "config", None)
    diffusion = getattr(config, "diffusion", None)
    windows = None if getattr(model, "unknown_training", False) else getattr(model, "windows_seen", None)
    lessons = getattr(model, "had_lessons", False) or None
    known = {"windows": windows or None, "lessons": lessons, "parameters": parameters,
             "preset": getattr(config, "preset", "") or None}
    if getattr(diffusion, "objective", "") == "diffusion":
        known |= {"signal_scale": getattr(diffusion, "signal_scale", None),
                  "steps": getattr(getattr(config, "sampling", None), "steps", None)}
    return {key: value for key, value in known.items() if value is not None}
