"""saliency-bench: one harness, one protocol and exact metrics for multimodal video saliency.

What `__all__` names is that of `api`, loaded when first used: `saliency_bench.metrics` stays light.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["UserError", "__version__", "evaluate", "load_model", "open_dataset", "score", "systems"]

_LAZY = {**dict.fromkeys(["evaluate", "load_model", "open_dataset", "score", "systems"], "api"), "UserError": "errors"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY:
        return getattr(import_module(f"saliency_bench.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'saliency_bench' has no attribute {name!r}")
