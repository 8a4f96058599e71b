"""Frozen descriptions of work: a `RunSpec` determines a run's scores, a `TrainSpec` a training's weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from saliency_bench import __version__
from saliency_bench.data.clip import parse_mode


@dataclass(frozen=True)
class LoadOptions:
    """How a model is to be set up; `options` holds the model's own settings (`--set key=value`)."""

    mode: str
    weights: Path | None = None
    device: str = "cpu"
    seed: int = 0
    batch: int = 8
    options: Mapping[str, Any] = field(default_factory=dict)


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:12]


class RunSpec(_Spec):
    """Everything that the scores of a run depend on.  Paths are left out: what lies there is hashed."""

    model: str = Field(description="registered name, or a reference: centre, oracle, human")
    mode: str = Field(description="modalities the model is shown, e.g. TAV; empty for human and for maps")
    dataset: str = Field(description="name of the data set")
    manifest: str = Field(description="hash of what the data set is made of")
    split: str = "test"
    protocol: str = "av6-clean"
    weights: str = Field(default="", description="name and SHA-256 of the weights, empty where there are none")
    seed: int = 0
    batch: int = 8
    device: str = Field(default="cpu", description="kind of device: its arithmetic differs in the last digits")
    options: dict[str, Any] = Field(default_factory=dict, description="the model's own settings")
    version: str = __version__

    @property
    def label(self) -> str:
        """How tables name the row, e.g. `tavdiff(TAV)`."""
        return f"{self.model}({self.mode})" if self.mode else self.model

    @property
    def run_id(self) -> str:
        """Folder name of the run: readable, and unique by the hash of the canonical JSON."""
        return "-".join(x for x in (self.model, self.mode, self.dataset, self.id) if x)


class TrainSpec(_Spec):
    """Everything that trained weights depend on."""

    model: str
    mode: str
    dataset: str
    fold: int | None = Field(default=None, description="number of the fold whose train list was used")
    manifest: str
    preset: str = "nano"
    seed: int = 0
    steps: int = Field(gt=0)
    batch: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: int = Field(default=100, ge=0, description="steps of linear warm-up; the rate then falls linearly to zero")
    clip_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    average: float = Field(default=0.0, ge=0, lt=1, description="decay of the moving average of weights; 0 = off")
    init: str = Field(default="", description="name and SHA-256 of the weights it starts from, empty for random ones")
    options: dict[str, Any] = Field(default_factory=dict)
    version: str = __version__

    @field_validator("mode")
    @classmethod
    def _canonical_mode(cls, mode: str) -> str:
        return parse_mode(mode)
