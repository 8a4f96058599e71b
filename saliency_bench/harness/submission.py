"""`submission.toml`: what a folder of maps says of the system that made it, whatever language that is written in.

    name = "deep-gaze-x"              # how tables call it
    mode = "AV"                       # what it was shown: T caption, A sound, V frames
    title = "Deep Gaze X"
    paper = "Doe and Roe, Deep gaze, CVPR 2026"
    year = 2026
    kind = "original"                 # the authors' own program; or exact, reconstruction, re-implementation, floor
    code = "https://..."
    weights = "https://..., or a hash"
    training_data = "DHF1K, then the sets' own training videos"
    parameters = 31100000
    ms_per_frame = 12.5               # of the system itself, on what its authors say
    densities = true                  # the maps are densities of fixations, not saliency up to a monotone function

Only the name must be there.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from saliency_bench import registry
from saliency_bench.data.clip import parse_mode
from saliency_bench.errors import UserError
from saliency_bench.files import read_text
from saliency_bench.harness.record import REFERENCES
from saliency_bench.schema import validated
from saliency_bench.spec import SUBMISSION

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Text = Annotated[str, Field(min_length=1, max_length=1000)]


class Submission(BaseModel):
    """The facts of a system whose maps are scored; see the module docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    name: str = Field(pattern=NAME)
    mode: str = ""
    title: Text | None = None
    paper: Text | None = None
    year: int | None = Field(default=None, ge=1950, le=2200)
    kind: Literal["original", "exact", "reconstruction", "re-implementation", "floor"] | None = None
    code: Text | None = None
    weights: Text | None = None
    training_data: Text | None = None
    parameters: int | None = Field(default=None, ge=0)
    ms_per_frame: float | None = Field(default=None, gt=0)
    densities: bool | None = None

    @field_validator("name")
    @classmethod
    def _is_its_own(cls, name: str) -> str:
        if name in {*registry.names("models"), *registry.reserved("models"), *REFERENCES}:
            raise ValueError("is the name of a model or reference of saliency-bench, give another")
        return name

    @field_validator("mode")
    @classmethod
    def _canonical(cls, mode: str) -> str:
        try:
            return parse_mode(mode) if mode else ""
        except UserError as error:
            raise ValueError(str(error)) from None

    def notes(self) -> dict[str, Any]:
        """What a record keeps: the card, and what tables show of it."""
        card = self.model_dump(exclude_none=True)
        out: dict[str, Any] = {"submission": card}
        if self.kind:
            out["kind"] = self.kind
        if self.parameters is not None:
            out["cost"] = {"parameters": self.parameters, "macs": None}
        return out


def read_submission(root: Path) -> Submission | None:
    """The submission that lies in a folder of maps, None where there is none; raises `UserError` naming the field."""
    path = root / SUBMISSION
    if not path.exists():
        return None
    try:
        tree = tomllib.loads(read_text(path, "a submission"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: expected TOML, found {' '.join(str(error).split())}; mend it") from None
    return validated(Submission, tree, path)
