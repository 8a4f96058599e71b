"""Frozen descriptions of work: a `RunSpec` determines a run's scores, a `TrainSpec` a training's weights.

A `Recipe` is how a preset is trained; with a mode and a data set it becomes a `TrainSpec`.  `Ablations` are what a
model's authors vary, as data: a grid makes trainings and runs of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from saliency_bench import __version__
from saliency_bench.data.clip import parse_mode

TRAINING_VERSION = 2  # raised by hand where equal specs of trainings come to give other weights
SUBMISSION = "submission.toml"  # what a folder of maps says of the system that made it


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
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
    metrics: tuple[str, ...] = Field(default=(), description="columns that were asked for beside the protocol's own")
    weights: str = Field(default="", description="name and SHA-256 of the weights, empty where there are none")
    seed: int = 0
    batch: int = 8
    device: str = Field(default="cpu", description="kind of device: its arithmetic differs in the last digits")
    options: dict[str, Any] = Field(default_factory=dict, description="the model's own settings")
    version: str = Field(default=__version__, description="the package's, and of what takes part, see "
                         "`harness.identity.version`")

    @model_serializer(mode="wrap")
    def _without_what_was_not_asked(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out `metrics` where there are none: such runs keep the hash that they had before columns could be
        asked for."""
        out: dict[str, Any] = handler(self)
        if not self.metrics:
            out.pop("metrics", None)
        return out

    @property
    def columns(self) -> str:
        """The protocol with the columns that were asked for, e.g. `av6-clean+IG`."""
        return "+".join((self.protocol, *self.metrics))

    @property
    def label(self) -> str:
        """How tables name the row, e.g. `tavdiff(TAV)`."""
        return f"{self.model}({self.mode})" if self.mode else self.model

    @property
    def run_id(self) -> str:
        """Folder name of the run: readable, and unique by the hash of the canonical JSON."""
        return "-".join(x for x in (self.model, self.mode, self.dataset, self.id) if x)


class Settings(_Spec):
    """How weights are learned: what a recipe and the record of a training have in common."""

    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    batch: int = Field(default=16, gt=0, description="windows a step, over all processes together")
    accumulate: int = Field(default=1, gt=0, description="parts that a step's windows are worked through in")
    learning_rate: float = Field(default=1e-4, gt=0, description="its peak")
    rates: tuple[tuple[str, float], ...] = Field(
        default=(), description="(regular expression, factor): of every parameter whose name it is found in, the rate "
        "is so many times `learning_rate`; the first that is found counts, 1 where none is")
    warmup: int = Field(default=0, ge=0, description="steps over which the rate rises linearly to its peak")
    schedule: Literal["plateau", "linear", "constant", "milestones"] = Field(
        default="plateau", description="after the warm-up: times `factor` after more than `patience` checks without a "
        "better held-out loss; linearly to zero at the last step; as it is; times `factor` at each of `milestones`")
    factor: float = Field(default=0.2, gt=0, lt=1)
    patience: int = Field(default=10, ge=0)
    milestones: tuple[float, ...] = Field(default=(), description="shares of the steps, from 0 to 1")
    validation: float = Field(default=0.1, ge=0, lt=1, description="share of the training videos that is held out")
    keep: Literal["best", "last"] = Field(default="best", description="weights of the least held-out loss, or the last")
    clip_norm: float = Field(default=1.0, ge=0, description="largest norm of a step's gradient; 0 = any")
    weight_decay: float = Field(default=0.01, ge=0)
    beta2: float = Field(default=0.999, gt=0, lt=1, description="Adam's memory of squared gradients")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD, and Adam's memory of gradients")
    dampening: float = Field(default=0.0, ge=0, le=1, description="of SGD's momentum")
    average: float = Field(default=0.0, ge=0, lt=1, description="decay of the moving average of weights; 0 = off")
    precision: Literal["float32", "bf16", "fp16"] = Field(default="float32", description="of the products in a step")
    batch_norm: Literal["train", "frozen"] = Field(default="train", description="its statistics: learned or kept")
    mirror: bool = Field(default=False, description="every other window, at random, with left and right exchanged")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} must be a multiple of accumulate {self.accumulate}")
        if (self.schedule == "milestones") != bool(self.milestones):
            raise ValueError('schedule = "milestones" and milestones go together: give both or neither')
        if any(not 0 < m < 1 for m in self.milestones) or list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"milestones must be shares between 0 and 1 in rising order, found {self.milestones}")
        for pattern, factor in self.rates:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"rates: {pattern!r} is no regular expression ({error})") from None
            if not factor > 0:
                raise ValueError(f"rates: factor of {pattern!r} must be positive, found {factor}")
        return self

    @model_validator(mode="after")
    def _needs_validation(self) -> Self:
        if not self.validation and (self.schedule == "plateau" or self.keep == "best"):
            what = 'schedule = "plateau"' if self.schedule == "plateau" else 'keep = "best"'
            raise ValueError(f"{what} needs held-out videos: validation must be above 0")
        return self


class Pretrain(_Spec):
    """The training whose weights another one starts from."""

    dataset: str
    mode: str


class Recipe(Settings):
    """How a preset is trained, on whatever data: its length in epochs, or in steps; what comes before.

    An epoch is one window of every training video, at a random place inside it; of an endless set, 4,000 windows.
    modes : by mode, the settings that are others in it
    """

    epochs: int | None = Field(default=80, gt=0)
    steps: int | None = Field(default=None, gt=0, description="in place of epochs")
    pretrain: Pretrain | None = None
    modes: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def settings(self, mode: str, keep: Collection[str] = ()) -> dict[str, Any]:
        """What a training in `mode` is done with; the fields `keep` stay as they are, whatever `modes` says."""
        others = {k: v for k, v in self.modes.get(mode, {}).items() if k not in keep}
        return Settings.model_validate({k: getattr(self, k) for k in Settings.model_fields} | others).model_dump()

    @model_validator(mode="after")
    def _modes_fit(self) -> Self:
        for mode in self.modes:
            self.settings(parse_mode(mode))
        return self


class TrainSpec(Settings):
    """Everything that trained weights depend on."""

    model: str
    mode: str
    dataset: str
    fold: int | None = Field(default=None, description="number of the fold whose train list was used")
    manifest: str
    preset: str = "nano"
    seed: int = 0
    steps: int = Field(gt=0)
    check: int = Field(gt=0, description="steps of an epoch, after each of which the held-out loss is measured")
    init: str = Field(default="", description="name and SHA-256 of the weights it starts from, empty for random ones")
    init_parts: tuple[str, ...] = Field(default=(), description="parts of the network that are taken over from them; "
                                        "all that fits where empty")
    options: dict[str, Any] = Field(default_factory=dict)
    network: str = Field(default="", description="hash of what preset and options make of the network")
    version: str = Field(default_factory=lambda: __version__ + (f"+training@v{TRAINING_VERSION}"
                                                                if TRAINING_VERSION > 1 else ""))

    @field_validator("mode")
    @classmethod
    def _canonical_mode(cls, mode: str) -> str:
        return parse_mode(mode)

    @model_validator(mode="after")
    def _can_be_mirrored(self) -> Self:
        if self.mirror and ("T" in self.mode or "V" not in self.mode):
            raise ValueError("mirror is for frames without captions, which may say left or right; found mode "
                             f"{self.mode}")
        return self


class Row(_Spec):
    """One row of a study: what it changes of the reference.

    mode    : the reference's where empty
    train   : settings that are trained with; match : more of them, by preset, such as those that keep the number of
              parameters
    budget  : length of its training, as a multiple of the grid's
    run     : settings the weights are used with
    noise   : seed of the sampling noise
    swap    : letters of the modalities that are taken from another clip at test time
    against : label of the row it is compared with; the reference's where empty
    line, x : where the row stands in the study's curve
    """

    label: str = Field(min_length=1)
    mode: str = ""
    train: dict[str, Any] = Field(default_factory=dict)
    match: dict[str, dict[str, Any]] = Field(default_factory=dict)
    budget: float = Field(default=1.0, gt=0)
    run: dict[str, Any] = Field(default_factory=dict)
    noise: int = Field(default=0, ge=0)
    swap: str = ""
    against: str = ""
    line: str = ""
    x: float | None = None


class Study(_Spec):
    """Rows of one table; `paper` names the table or figure they answer, `axis` what a curve's x is.

    Read with `lengths`, every row given is a line of trainings of these lengths (multiples of the grid's), which are
    compared at equal length with those of its `against`, or of the last row.
    """

    title: str
    paper: str = ""
    axis: str = ""
    rows: tuple[Row, ...] = Field(min_length=2)

    @model_validator(mode="before")
    @classmethod
    def _at_every_length(cls, given: Any) -> Any:
        if not (isinstance(given, dict) and "lengths" in given):
            return given
        rest = {k: v for k, v in given.items() if k != "lengths"}
        rows, lengths = given.get("rows", ()), given["lengths"]
        if not rows or not all("label" in row for row in rows):
            return rest  # which is refused for that
        reference = rows[-1]["label"]
        return rest | {"rows": [
            row | {"label": f"{row['label']}, x{x:g}", "line": row["label"], "x": x, "budget": x}
            | ({} if row["label"] == reference else {"against": f"{row.get('against') or reference}, x{x:g}"})
            for row in rows for x in lengths]}

    @model_validator(mode="after")
    def _refers_to_its_rows(self) -> Self:
        labels = [row.label for row in self.rows]
        if len(set(labels)) < len(labels):
            raise ValueError(f"{self.title}: every row needs a label of its own")
        for row in self.rows:
            if row.against and row.against not in labels:
                raise ValueError(f"{self.title}: {row.label} is compared with {row.against}, which is no row")
        return self


class Start(_Spec):
    """Weights of which every training of a grid takes over the parts that its mode has; `settings` go with them.

    mode     : shipped weights of this mode and the grid's preset; or
    weights  : a file (.safetensors with its TOML beside it), relative to the folder of the model's card
    parts    : first word of the tensors' names, and the modality without which a network does not have them
    settings : for every row, such as which parts stay as they are
    """

    mode: str = ""
    weights: str = ""
    parts: dict[str, str] = Field(min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if bool(self.mode) == bool(self.weights):
            raise ValueError("start: give the mode of shipped weights or a file of weights, one of the two")
        return self

    def parts_of(self, mode: str) -> tuple[str, ...]:
        """The parts that a network of a mode has."""
        return tuple(part for part, modality in self.parts.items() if modality in mode)


class Ablations(_Spec):
    """The studies of a model; `mode` is the reference's, `run` how weights are used where a row does not say.

    By preset: `reference`, settings of every row where the preset's own are not the reference's; `steps`, the length of
    every training of a grid, and where they `start`, if not where the preset's recipe says.
    """

    mode: str
    run: dict[str, Any] = Field(default_factory=dict)
    reference: dict[str, dict[str, Any]] = Field(default_factory=dict)
    steps: dict[str, int]
    start: dict[str, Start] = Field(default_factory=dict)
    studies: dict[str, Study]
