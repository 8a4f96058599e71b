"""`check_model`: does a model keep the contract of `saliency_bench.models.adapter`, said in plain words.

Every mode is run on tiny clips made in code.  A breach is what would stop a run or make its scores wrong; a warning
is what an author should know: frames without a map, maps that are constant, a modality that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from saliency_bench import registry
from saliency_bench.data.clip import MODALITIES, Clip, parse_mode
from saliency_bench.errors import UserError
from saliency_bench.harness import check_clips
from saliency_bench.harness.check_play import LONG, MARKS, SHORT, Failed, Held, Maps, described, held, play
from saliency_bench.harness.run import check_modes, fitted
from saliency_bench.spec import LoadOptions

SAME, SAME_BATCHED = 1e-5, 1e-4  # of a map's largest value: two runs of one seed, two sizes of batch
BATCHES = (4, 1)
LEAK = 8192  # bytes that may be kept for every frame
FAR = (48, 480)  # frames between which a suspicion is checked: what is read ahead comes and goes, what grows grows on
WARNINGS = ("missing", "constant", "batch", "read", "listen", "look")


class Finding(NamedTuple):
    """One thing that is wrong: the `rule` that it breaks, and what was expected, found and would mend it."""

    rule: str
    mode: str
    clip: str
    said: str

    @property
    def breach(self) -> bool:
        """Whether it breaks the contract; else it is a warning."""
        return self.rule not in WARNINGS

    def __str__(self) -> str:
        where = ", ".join(x for x in (f"mode {self.mode}" if self.mode else "", self.clip) if x)
        return f"{'breach' if self.breach else 'warning'}: {where + ': ' if where else ''}{self.said}"


@dataclass
class Report:
    """What `check_model` found; `findings` in the order they were found, each rule once a mode."""

    name: str
    modes: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the contract is kept; warnings do not count."""
        return not any(f.breach for f in self.findings)

    def note(self, rule: str, mode: str, clip: str, said: str) -> None:
        """Keep a finding, unless the mode has broken that rule already."""
        if not any((f.rule, f.mode) == (rule, mode) for f in self.findings):
            self.findings.append(Finding(rule, mode, clip, said))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"name": self.name, "ok": self.ok, "modes": list(self.modes),
                "findings": [{"breach": f.breach, **f._asdict()} for f in self.findings]}

    def __str__(self) -> str:
        breaches = sum(f.breach for f in self.findings)
        counts = (f"{breaches} breach{'es' * (breaches != 1)}, {len(self.findings) - breaches} warning"
                  f"{'s' * (len(self.findings) - breaches != 1)}")
        checked = f"checked in {', '.join(self.modes)}" if any(self.modes) else "checked" if self.modes else "not run"
        return "\n".join([*map(str, self.findings), f"{self.name}: {checked}: {counts}"])


def check_model(model: Any, modes: Sequence[str] = (), *, options: Mapping[str, Any] | None = None,
                weights: Path | None = None, device: str = "cpu") -> Report:
    """Run a model on tiny clips and say what of the contract it breaks.

    model : a registered name, or the class itself
    modes : those to run, all by default; options, weights : as for `run`
    Raises `UserError` for a name that is not registered and a mode that the model does not have.
    """
    report = Report(model if isinstance(model, str) else str(getattr(model, "name", "") or _called(model)))
    if isinstance(model, str):
        try:
            model = registry.found("models", model)
        except UserError as error:
            if report.name not in registry.names("models"):
                raise
            report.note("import", "", "", str(error))
            return report
    if not _attributes(model, report):
        return report
    report.modes = tuple(check_modes(model, report.name, modes)) if modes else tuple(model.modes) or ("",)
    for mode in report.modes:
        def load(batch: int = BATCHES[0], mode: str = mode) -> Any:
            made = model.load(LoadOptions(mode, weights, device, 0, batch, dict(options or {})))
            if not callable(getattr(made, "predict", None)):
                raise Failed(f"gave {type(made).__name__}, which has no predict; return the model")
            return fitted(made, check_clips.training())

        _Mode(report, mode, model, load).check()
    return report


def _called(model: Any) -> str:
    return getattr(model, "__name__", type(model).__name__)


def _attributes(model: Any, report: Report) -> bool:
    """Whether the model has what it must have to be run at all."""
    def note(rule: str, said: str) -> None:
        report.note(rule, "", "", said)

    name, modes = getattr(model, "name", None), getattr(model, "modes", None)
    if not isinstance(name, str) or not name:
        note("name", f'expected `name`, a text, found {name!r}; write name = "my-model" in the class')
    elif name != report.name:
        note("name", f"expected the name it is registered under, {report.name}, found {name}; make the two the same")
    runs = isinstance(modes, (tuple, list)) and all(map(_is_mode, modes)) and len(set(modes)) == len(modes)
    if not runs:
        note("modes", "expected `modes`, a tuple of sets of the letters T (caption), A (sound) and V (frames), in that "
             f'order, each once, found {modes!r}; write for example modes = ("AV", "V")')
    for verb, what in (("load", "a class method load(options) that gives the model"),
                       ("predict", "a method predict(clip) that yields frame indices and maps")):
        if not callable(getattr(model, verb, None)):
            note(verb, f"expected {what}, found none; write one, or subclass SlidingWindowModel")
            runs = False
    return runs


def _is_mode(mode: Any) -> bool:
    try:
        return isinstance(mode, str) and parse_mode(mode) == mode
    except UserError:
        return False


class _Mode:
    """The checks of one mode."""

    def __init__(self, report: Report, mode: str, home: Any, load: Callable[..., Any]):
        self.report, self.mode, self.home, self.load = report, mode, home, load

    def check(self) -> None:
        try:
            model = self.load()
        except Failed as error:
            self.note("load", "", f"load(options) {error}")
            return
        except (Exception, SystemExit) as error:
            self.note("load", "", f"load(options) {described(error, self.home)}")
            return
        plain = check_clips.plain()
        first = self.played(model, plain)
        others = [self.played(model, clip) for clip in check_clips.others()]
        if first is None or None in others or not self.sound():
            return  # what follows compares maps, which must be maps first
        if self.repeats(model, plain, first):
            for letter in self.mode:
                self.heeds(letter, plain, first)
        self.streams(model)

    def note(self, rule: str, clip: str, said: str) -> None:
        self.report.note(rule, self.mode, clip, said)

    def sound(self) -> bool:
        """Whether the mode has no breach so far."""
        return not any(f.mode == self.mode and f.breach for f in self.report.findings)

    def shown(self, clip: Clip) -> Clip:
        return clip.only(self.mode) if self.mode else clip

    def played(self, model: Any, clip: Clip) -> Maps | None:
        """The maps of a clip, None where the model failed; what is wrong is noted."""
        name = f"clip {clip.name}"
        try:
            maps = play(model, self.shown(clip), lambda rule, said: self.note(rule, name, said))
        except Failed as error:
            self.note(*self.failure(model, clip, str(error)))
            return None
        lacks = sorted(set(range(clip.n_frames)) - set(maps))
        if len(lacks) == clip.n_frames >= check_clips.PLAIN:
            self.note("empty", name, f"expected maps for {clip.n_frames} frames, found none that can be used; yield "
                      "every frame")
        elif lacks:
            self.note("missing", name, f"{len(lacks)} of {clip.n_frames} frames have no map (first: {lacks[0]}); they "
                      "count as unscored")
        if clip.name == "plain" and maps and all(m.min() == m.max() for m in maps.values()):
            self.note("constant", name, "every map is constant, which scores chance")
        return maps

    def failure(self, model: Any, clip: Clip, said: str) -> tuple[str, str, str]:
        """What to say of a model that failed: whether it is what the mode hides that it missed."""
        name = f"clip {clip.name}"
        hidden = [m for m in "TAV" if self.mode and m not in self.mode]
        if hidden:
            try:
                play(model, clip, lambda rule, said: None)
            except Failed:
                pass
            else:
                parts = {"T": "clip.captions", "A": "clip.audio", "V": "clip.frames"}
                return ("hidden", name, f"predict runs where {' and '.join(MODALITIES[m] for m in hidden)} can be had "
                        f"and fails where the mode hides it ({said.removeprefix('failed: ')}); in mode {self.mode} "
                        f"{' and '.join(parts[m] for m in hidden)} must not be needed: it is None")
        return "predict", name, f"predict {said}; every clip must do that has what the mode shows"

    def repeats(self, model: Any, plain: Clip, first: Maps) -> bool:
        """Whether the same seed gives the same maps; notes where it does not, and where the batch matters."""
        fresh = self.played(self.load(), plain)
        if (gap := _gap(first, fresh)) > SAME:
            self.note("random", "clip plain", f"expected the same maps from the same seed, found a difference of "
                      f"{gap:.2g} of the largest value; draw noise from a generator seeded by options.seed, the clip's "
                      "name and the frame (batch.seeds)")
            return False
        if (gap := _gap(first, self.played(model, plain))) > SAME:
            self.note("state", "clip plain", "expected maps that depend on the clip alone, found others after other "
                      f"clips were predicted (a difference of {gap:.2g}); keep nothing from one clip to the next")
            return False
        if (gap := _gap(first, self.played(self.load(BATCHES[1]), plain))) > SAME_BATCHED:
            self.note("batch", "clip plain", f"with options.batch {BATCHES[1]} instead of {BATCHES[0]} maps differ by "
                      f"{gap:.2g} of the largest value; nothing should be averaged over a batch (a norm in training "
                      "mode?)")
        return True

    def heeds(self, letter: str, plain: Clip, first: Maps) -> None:
        """Note where another clip's frames, sound or caption changes nothing."""
        if _gap(first, self.played(self.load(), check_clips.swapped(plain, letter))) == 0:
            verb, what = {"T": ("read", "caption"), "A": ("listen", "sound"), "V": ("look", "frames")}[letter]
            self.note(verb, "clip plain", f"the model does not {verb}: with the {what} of another clip every map is "
                      f"the same; is {letter} used in this mode?")

    def streams(self, model: Any) -> None:
        """Note what grows with the length of a clip: frames or maps waited for, memory that is kept."""
        where = f"clip of {LONG} frames"
        try:
            short, long = held(model, self.mode, SHORT), held(model, self.mode, LONG)
            for kind, few, many in (("frames are decoded before their maps are yielded", short.frames, long.frames),
                                    ("maps are yielded at once", short.chunk, long.chunk)):
                if many - few > (LONG - SHORT) / 2:
                    self.note("streaming", where, f"expected work in chunks of a fixed size, found that {many} {kind} "
                              f"({few} of a clip of {SHORT}); read, predict and yield a few frames at a time")
                    return
            growth = _growth(long, MARKS)
            if growth and (growth := _growth(held(model, self.mode, LONG, FAR), FAR)):
                self.note("memory", where, "expected memory that does not grow with the clip, found "
                          f"{growth / 1024:.0f} KiB more for every frame; let go of frames, features and maps that "
                          "were used")
        except Failed as error:
            self.note("predict", where, f"predict {error}")


def _growth(seen: Held, marks: tuple[int, ...]) -> float:
    """Bytes a frame by which memory grows between the marks; 0 where that is no more than what is read ahead."""
    if len(seen.bytes) < len(marks):
        return 0.0
    grown, frames = seen.bytes[-1] - seen.bytes[0], marks[-1] - marks[0]
    return grown / frames if grown > max(LEAK * frames, seen.bytes[0] / 4) else 0.0


def _gap(a: Maps, b: Maps | None) -> float:
    """Largest difference between two sets of maps, as a share of the largest value; infinite where frames differ."""
    if b is None or a.keys() != b.keys() or any(a[k].shape != b[k].shape for k in a):
        return np.inf
    top = max((float(np.abs(m).max()) for m in a.values()), default=0.0)
    gap = max((float(np.abs(a[k] - b[k]).max()) for k in a), default=0.0)
    return gap / top if top else gap
