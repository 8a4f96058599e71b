"""`models check`: one model for every breach, which is named in plain words; good ones are clean."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.harness.check_clips import PLAIN, SIZE
from saliency_bench.harness.check_model import check_model
from saliency_bench.models.adapter import SlidingWindowModel, Window
from saliency_bench.report.cards import shipped


class Good:
    """Brightness of what is shown: frames, loudness, length of the caption."""

    name, modes, chunk = "good", ("TAV", "V", "TA"), 4

    def __init__(self, options):
        self.options = options

    @classmethod
    def load(cls, options):
        return cls(options)

    def predict(self, clip):
        yield from self.chunks(clip)

    def chunks(self, clip):
        for start in range(0, clip.n_frames, self.chunk):
            index = np.arange(start, min(start + self.chunk, clip.n_frames))
            yield index, self.maps(clip, index)

    def maps(self, clip, index):
        out = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (len(index), 12, 1))
        if clip.frames is not None:
            rows, columns = (np.linspace(0, n - 1, k).astype(int) for n, k in zip(clip.size, (12, 16), strict=True))
            out += clip.frames.read(index.tolist())[:, rows][:, :, columns].mean(-1).astype(np.float32)
        if clip.audio is not None:
            out[:, 0] += np.abs(clip.audio.samples).mean()
        if clip.captions is not None:
            out[:, 1] += len(clip.captions.at(0))
        return out


def only(found):
    """The one finding of a report."""
    assert len(found.findings) == 1, str(found)
    return found.findings[0]


def test_a_good_model_is_clean():
    report = check_model(Good)
    assert report.ok and report.findings == [], report
    assert str(report) == "good: checked in TAV, V, TA: 0 breaches, 0 warnings"


def test_only_the_modes_asked_for_are_run():
    assert check_model(Good, ["vat"]).modes == ("TAV",)
    with pytest.raises(UserError, match="good has no mode A"):
        check_model(Good, ["A"])


def test_an_unknown_name_is_an_error():
    with pytest.raises(UserError, match="did you mean itti"):
        check_model("ittti")


# What the class says of itself

@pytest.mark.parametrize(("more", "said"), [
    ({"name": ""}, "expected `name`, a text, found ''; write name ="),
    ({"name": None}, "expected `name`, a text, found None"),
    ({"modes": "AV"}, "in that order, each once, found 'AV'; write for example modes ="),
    ({"modes": ("VA",)}, "in that order, each once, found ('VA',)"),
    ({"modes": ("V", "V")}, "each once, found ('V', 'V')"),
    ({"modes": (1,)}, "each once, found (1,)"),
    ({"modes": None}, "each once, found None"),
    ({"load": None}, "expected a class method load(options) that gives the model, found none"),
    ({"predict": None}, "expected a method predict(clip) that yields frame indices and maps, found none"),
])
def test_what_the_class_lacks_is_named(more, said):
    report = check_model(type("Lacking", (Good,), more), ["V"] if "name" in more else [])
    assert not report.ok and said in only(report).said


def test_a_name_that_is_not_the_registered_one_is_named(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "better", f"{__name__}:Good")
    registry.names.cache_clear()
    try:
        assert "registered under, better, found good; make the two the same" in only(check_model("better")).said
    finally:
        registry.names.cache_clear()


# What predict does

def yielding(change):
    """A model of mode V whose first chunk is what `change` makes of it."""
    class Changed(Good):
        modes = ("V",)

        def predict(self, clip):
            for n, (index, maps) in enumerate(self.chunks(clip)):
                yield (index, maps) if n else change(index, maps)

    return Changed


def nan(index, maps):
    maps[0, 0, 0] = np.nan
    return index, maps


@pytest.mark.parametrize(("change", "rule", "said"), [
    (lambda i, m: m, "pair", "expected pairs (frame indices (n,), maps (n, h, w)), found a ndarray of shape (4,"),
    (lambda i, m: (i, m, 0), "pair", "found a tuple; yield both"),
    (lambda i, m: (i, torch.from_numpy(m)), "array", "found a Tensor of shape (4, 12, 16); add .cpu().numpy()"),
    (lambda i, m: (i, m.tolist()), "array", "found a list; make it a numpy array"),
    (lambda i, m: (i, m[0]), "shape", "expected maps (4, h, w) for 4 frame indices, found shape (12, 16); add the"),
    (lambda i, m: (i, m[:, None]), "shape", "found shape (4, 1, 12, 16); drop the axis of channels"),
    (lambda i, m: (i, m[:-1]), "shape", "found shape (3, 12, 16); one map a frame"),
    (lambda i, m: (i, m[:, :0]), "shape", "found shape (4, 0, 16)"),
    (lambda i, m: (i[:, None], m), "index", "expected frame indices (n,) of whole numbers, found int64 of shape"),
    (lambda i, m: (i.astype(float), m), "index", "found float64 of shape (4,)"),
    (lambda i, m: (i, m.astype(np.float64)), "dtype", "expected float32 maps, found float64; add .astype(np.float32)"),
    (lambda i, m: (i, m.astype(np.uint8)), "dtype", "found uint8"),
    (nan, "finite", "expected finite numbers, found 1 values that are NaN or infinite; look for a division by zero"),
    (lambda i, m: (i - 1, m), "range", f"expected frames 0 to {PLAIN - 1}, found -1; count from 0"),
    (lambda i, m: (i * 0 + 1, m), "twice", "expected every frame at most once, found frame 1 twice"),
])
def test_what_is_yielded_wrongly_is_named_with_the_cure(change, rule, said):
    def for_long_clips(index, maps):
        return change(index, maps) if len(index) == Good.chunk else (index, maps)

    report = check_model(yielding(for_long_clips))
    found = next(f for f in report.findings if f.breach)
    assert (found.rule, found.mode, found.clip) == (rule, "V", "clip plain") and said in found.said, report
    assert not report.ok


@pytest.mark.parametrize(("gives", "said"), [
    (lambda self, clip: list(self.chunks(clip)), "expected an iterator from predict, found a list; write `yield index"),
    (lambda self, clip: None, "found None"),
])
def test_predict_must_be_an_iterator(gives, said):
    assert said in check_model(type("Listed", (Good,), {"predict": gives}), ["V"]).findings[0].said


def test_a_generator_without_an_end_is_stopped():
    def predict(self, clip):
        while True:
            yield from self.chunks(clip)

    report = check_model(type("Endless", (Good,), {"predict": predict}), ["V"])
    assert [f.rule for f in report.findings] == ["twice", "endless"]
    assert "found 41 chunks for 20 frames and no end; stop at clip.n_frames" in report.findings[1].said


def failing(message, modes=("V",)):
    def predict(self, clip):
        if clip.n_frames == 1:
            raise ValueError(message)
        yield from self.chunks(clip)

    return type("Failing", (Good,), {"predict": predict, "modes": modes})


def test_a_failure_is_named_with_the_clip_and_the_line():
    found = only(check_model(failing("windows need\n16 frames")))
    assert found.rule == "predict" and found.clip == "clip one-frame"
    assert "predict failed: ValueError: windows need 16 frames (test_check_model.py, line " in found.said


def test_a_model_that_peeks_at_what_the_mode_hides_is_told_so():
    class Peeking(Good):
        modes = ("AV", "V")

        def maps(self, clip, index):
            return super().maps(clip, index) + np.float32(clip.audio.samples[0])

    found = only(check_model(Peeking))
    assert found.rule == "hidden" and found.mode == "V"
    assert "runs where a caption and sound can be had and fails where the mode hides it" in found.said
    assert "'NoneType' object has no attribute 'samples'" in found.said
    assert "clip.captions and clip.audio must not be needed" in found.said


def test_no_maps_at_all_is_a_breach_and_frames_without_a_map_are_a_warning():
    def every_second(self, clip):
        yield from ((i[::2], m[::2]) for i, m in self.chunks(clip))

    report = check_model(type("Silent", (Good,), {"predict": lambda self, clip: iter(())}), ["V"])
    assert not report.ok and "expected maps for 20 frames, found none that can be used" in report.findings[0].said
    report = check_model(type("Every", (Good,), {"predict": every_second}), ["V"])
    assert report.ok and "10 of 20 frames have no map (first: 1)" in only(report).said


def test_constant_maps_are_a_warning():
    class Flat(Good):
        def maps(self, clip, index):
            return super().maps(clip, index) * 0

    report = check_model(Flat, ["V"])
    assert report.ok and [f.rule for f in report.findings] == ["constant", "look"]


# What runs twice

class Random(Good):
    def maps(self, clip, index):
        return super().maps(clip, index) + np.random.default_rng().random((len(index), 12, 16), np.float32)


class Remembering(Good):
    def __init__(self, options):
        super().__init__(options)
        self.seen = 0

    def maps(self, clip, index):
        self.seen += 1
        return super().maps(clip, index) + np.eye(12, 16, dtype=np.float32) * self.seen


class Batchwise(Good):
    def chunks(self, clip):
        self.chunk = self.options.batch
        yield from super().chunks(clip)

    def maps(self, clip, index):
        found = super().maps(clip, index)
        return found - found.mean()


class Writing(Good):
    def maps(self, clip, index):
        out = super().maps(clip, index)
        clip.audio.samples[:] *= 0.5
        return out


class Drawing(Good):
    def maps(self, clip, index):
        frames = clip.frames.read(index.tolist())
        frames[:, 0] = 0
        return super().maps(clip, index)


@pytest.mark.parametrize(("model", "mode", "rule", "said"), [
    (Random, "V", "random", "expected the same maps from the same seed"),
    (Remembering, "V", "state", "found others after other clips were predicted"),
    (Batchwise, "V", "batch", "with options.batch 1 instead of 4 maps differ by"),
    (Writing, "TA", "writes", "found its arrays changed; work on a copy"),
    (Drawing, "V", "writes", "found its arrays changed; work on a copy"),
])
def test_maps_depend_on_the_clip_and_the_seed_alone(model, mode, rule, said):
    report = check_model(model, [mode])
    assert only(report).rule == rule and said in only(report).said
    assert report.ok == (rule == "batch")


@pytest.mark.parametrize(("hides", "said"), [
    ({"audio": None}, "the model does not listen: with the sound of another clip"),
    ({"captions": None}, "the model does not read: with the caption of another clip"),
    ({"frames": None}, "the model does not look: with the frames of another clip"),
])
def test_a_modality_that_changes_nothing_is_a_warning(hides, said):
    class Deaf(Good):
        def maps(self, clip, index):
            return super().maps(replace(clip, **hides), index)

    report = check_model(Deaf, ["TAV"])
    assert report.ok and said in only(report).said


# What grows with the clip

class Reading(Good):
    """Reads all frames first."""

    def predict(self, clip):
        frames = clip.frames.read(range(clip.n_frames))
        for i in range(0, clip.n_frames, 4):
            yield np.arange(i, min(i + 4, clip.n_frames)), self.of(frames[i:i + 4])

    def of(self, frames):
        return frames[:, ::8, ::8].mean(-1).astype(np.float32)


class Gathering(Good):
    """Yields all maps at once."""

    def predict(self, clip):
        index, maps = zip(*self.chunks(clip), strict=True)
        yield np.concatenate(index), np.concatenate(maps)


class Hoarding(Good):
    """Keeps what it has read."""

    def predict(self, clip):
        kept = []
        for index, maps in self.chunks(clip):
            kept.append(clip.frames.read(index.tolist()))
            yield index, maps


class HoardingTensors(Good):
    def predict(self, clip):
        kept = []
        for index, maps in self.chunks(clip):
            kept.append(torch.zeros(len(index), 64, 64))
            yield index, maps


@pytest.mark.parametrize(("model", "mode", "rule", "said"), [
    (Reading, "V", "streaming", "found that 512 frames are decoded before their maps are yielded (32 of a clip of 32)"),
    (Gathering, "TA", "streaming", "found that 512 maps are yielded at once (32 of a clip of 32)"),
    (Hoarding, "V", "memory", "expected memory that does not grow with the clip, found"),
    (HoardingTensors, "V", "memory", "KiB more for every frame"),
])
def test_what_grows_with_the_clip_is_a_breach(model, mode, rule, said):
    found = only(check_model(model, [mode]))
    assert found.rule == rule and said in found.said and found.breach, found


def test_a_window_and_frames_read_ahead_are_no_growth():
    class Ahead(Good):
        def predict(self, clip):
            for start in range(0, clip.n_frames, 4):
                index = np.arange(start, min(start + 4, clip.n_frames))
                clip.frames.read(range(max(0, start - 40), min(start + 40, clip.n_frames)))
                yield index, self.maps(clip, index)

    assert check_model(Ahead, ["V"]).ok


# What load does

class Strict(Good):
    @classmethod
    def load(cls, options):
        if options.options:
            raise UserError(f"strict takes no setting {list(options.options)}; leave it out")
        if options.mode == "TAV":
            raise RuntimeError("no such file\nor directory")
        return None if options.mode == "TA" else cls(options)


def test_what_load_does_wrong_is_named():
    report = check_model(Strict)
    said = {f.mode: f.said for f in report.findings}
    assert "load(options) failed: RuntimeError: no such file or directory (test_check_model.py, line " in said["TAV"]
    assert "load(options) gave NoneType, which has no predict; return the model" in said["TA"] and "V" not in said
    refused = only(check_model(Strict, ["V"], options={"a": 1}))
    assert "load(options) refused: strict takes no setting ['a']" in refused.said


# Models of this repository, and the command

class Averaging(SlidingWindowModel):
    name, modes, window = "averaging", ("V",), Window(3, (24, 32), 1)

    def forward(self, batch):
        return batch.frames.mean((1, 2))


def test_a_window_model_that_looks_is_clean():
    assert check_model(Averaging).findings == []


@pytest.mark.parametrize("name", ["itti", "spectral_residual", "centre", "gaussian", "mean_map"])
def test_the_classical_models_and_floors_are_clean(name):
    report = check_model(name)
    assert report.findings == [], report


SHIPPED = [(name, mode) for name in registry.names("models") for mode in shipped(registry.load("models", name))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode"), SHIPPED)
def test_every_model_that_ships_weights_keeps_the_contract(name, mode):
    report = check_model(name, [mode])
    assert report.ok, report


def test_the_command_says_what_is_wrong_and_exits_1(type_, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN["models"], "good", f"{__name__}:Strict")
    registry.names.cache_clear()
    try:
        code, out, _ = type_("models", "check", "good", "--modes", "TAV,V")
        assert code == 1 and out.startswith("breach: mode TAV: load(options) failed") and out.count("\n") == 2
        code, out, _ = type_("models", "check", "good", "--modes", "V", "--set", "a=1", "--json")
        found = json.loads(out)
        assert code == 1 and not found["ok"] and found["findings"][0]["rule"] == "load"
        code, out, _ = type_("models", "check", "good", "--modes", "V")
        assert code == 0 and out == "good: checked in V: 0 breaches, 0 warnings\n"
    finally:
        registry.names.cache_clear()
    assert type_("models", "check", "goood")[0] == 2


def test_the_size_of_the_clips_is_small():
    assert SIZE[0] * SIZE[1] < 20000
