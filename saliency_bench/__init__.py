"""saliency-bench: one harness, one protocol and exact metrics for multimodal video saliency."""

__version__ = "0.1.0"
