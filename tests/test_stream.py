"""Streaming: what comes next is prepared in threads while the model runs, in bounded memory, with the same result."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from saliency_bench.data.ahead import DEPTH, ahead
from saliency_bench.data.clip import Audio, Captions, Clip
from saliency_bench.data.images import ImageFolder
from saliency_bench.errors import UserError
from saliency_bench.models import windows
from saliency_bench.models.adapter import AudioRule, SlidingWindowModel, Window, WindowBatch, Windows
from saliency_bench.models.windows import Memory, normalise_frame, resize_frame, spread

from .layouts import one_line, picture

SIZE = (18, 26)
WINDOW = Window(frames=5, size=(12, 20), target=2, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3),
                audio=AudioRule(4000, 1024))


class Film:
    """Frames that are a function of their index; keeps count of what was asked for and what is still alive."""

    size = SIZE

    def __init__(self, n: int, broken: int | None = None):
        self.n, self.broken = n, broken
        self.asked: list[int] = []
        self.alive, self.most = 0, 0

    def __len__(self) -> int:
        return self.n

    def read(self, indices: Sequence[int]) -> np.ndarray:
        self.asked += indices
        if self.broken in indices:
            raise UserError(f"film: frame {self.broken} is damaged")
        out = np.stack([np.random.default_rng(i).integers(0, 256, (*SIZE, 3), np.uint8) for i in indices])
        self.alive += len(out)
        self.most = max(self.most, self.alive)
        weakref.finalize(out, self.forget, len(out))
        return out

    def forget(self, n: int) -> None:
        self.alive -= n


def film(n: int, broken: int | None = None) -> Clip:
    sound = np.random.default_rng(0).uniform(-1, 1, 8000 * n // 25).astype(np.float32)
    return Clip("film", n, SIZE, 25.0, Film(n, broken), Audio(8000, lambda: sound),
                Captions({0: "a ball", n // 2: "a box"}))


class Recorder(SlidingWindowModel):
    """Shows the middle of the target frame, and keeps a copy of every batch."""

    name, modes, window = "recorder", ("TAV",), WINDOW

    def __init__(self, batch: int = 4, fail_at: int | None = None):
        super().__init__()
        self.batch, self.fail_at, self.seen = batch, fail_at, list[WindowBatch]()

    def forward(self, batch: WindowBatch) -> torch.Tensor:
        if self.fail_at in batch.index:
            raise RuntimeError("the model fails")
        self.seen.append(copy.deepcopy(batch))
        assert batch.frames is not None
        return batch.frames[:, 0, 2]


def running() -> list[threading.Thread]:
    """Threads that prepare something; those of other tests' abandoned iterators are collected first."""
    gc.collect()
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


# What is made ahead of its use


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 20])
def test_items_keep_their_order(n: int, depth: int) -> None:
    assert list(ahead(range(n), depth)) == list(range(n))
    assert not running()


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        made.set()
        yield 1

    items = ahead(source())
    assert next(items) == 0
    assert made.wait(60)
    assert list(items) == [1]


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_items_wait(depth: int) -> None:
    made = 0

    def source() -> Iterator[int]:
        nonlocal made
        for i in range(50):
            made += 1
            yield i

    for taken, _ in enumerate(ahead(source(), depth), 1):
        assert made <= taken + depth


def test_nothing_starts_before_the_first_item_is_asked_for() -> None:
    items = ahead(iter(int, 1))
    assert not running()
    items.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    broken = UserError("a.jpg: expected an image, found none")

    def source() -> Iterator[int]:
        yield from (1, 2)
        raise broken

    items = ahead(source())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(UserError) as error:
        next(items)
    assert error.value is broken and not running()


@pytest.mark.parametrize("way", ["close", "forget", "error", "interrupt"])
def test_the_thread_and_its_source_end_with_the_consumer(way: str) -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    def consume() -> None:
        for _ in ahead(source()):
            if way in ("error", "interrupt"):
                raise ValueError if way == "error" else KeyboardInterrupt
            return

    if way == "close":
        items = ahead(source())
        next(items)
        assert running()
        items.close()
    elif way == "forget":
        consume()
    else:
        with pytest.raises((ValueError, KeyboardInterrupt)):
            consume()
    assert closed.is_set() and not running()


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        next(ahead([1], 0))


# What a model is given


@pytest.mark.parametrize("batch", [1, 3, 8, 100])
@pytest.mark.parametrize("n", [1, 4, 37])
def test_streamed_windows_are_those_cut_one_by_one(n: int, batch: int) -> None:
    model = Recorder(batch)
    index, maps = (np.concatenate(parts) for parts in zip(*model.predict(film(n)), strict=True))
    np.testing.assert_array_equal(index, np.arange(n))
    streamed = WindowBatch.stack(model.seen)
    alone = WindowBatch.stack([Windows(film(n), WINDOW).batch([t]) for t in range(n)])
    for given, expected in ((streamed.frames, alone.frames), (streamed.audio, alone.audio)):
        assert given is not None and expected is not None and torch.equal(given, expected)
    assert streamed.captions == alone.captions
    np.testing.assert_array_equal(streamed.seeds, alone.seeds)
    assert alone.frames is not None and alone.frames.is_contiguous()
    np.testing.assert_array_equal(maps, alone.frames[:, 0, 2])


@pytest.mark.parametrize("mode", ["T", "A", "TA"])
def test_what_is_hidden_is_not_prepared(mode: str) -> None:
    clip = film(6)
    parts = [cut.to("cpu") for cut in Windows(clip.only(mode), WINDOW).cuts(4)]
    assert [len(part) for part in parts] == [4, 2]
    assert all(part.frames is None and (part.audio is None) == ("A" not in mode) for part in parts)
    assert isinstance(clip.frames, Film) and not clip.frames.asked


@pytest.mark.parametrize("window", [Window(frames=16), Window(frames=1, target=0), Window(frames=3, target=-1),
                                    Window(frames=3, target=5)])
def test_every_frame_that_a_window_shows_is_decoded_once(window: Window) -> None:
    clip = film(40)
    for _ in Windows(clip, Window(window.frames, (6, 8), window.target)).cuts(4):
        pass
    shown = {int(i) for t in range(40) for i in window.indices(t, 40)}
    assert isinstance(clip.frames, Film) and sorted(clip.frames.asked) == sorted(shown)


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("broken", [0, 2, 20, 29])
def test_everything_before_a_damaged_frame_is_predicted(broken: int, batch: int) -> None:
    done: list[int] = []
    with pytest.raises(UserError, match=f"frame {broken} is damaged"):
        for index, _ in Recorder(batch).predict(film(30, broken)):
            done += list(index)
    whole = [range(s, min(s + batch, 30)) for s in range(0, 30, batch)]
    assert done == [t for targets in whole if targets[-1] + 2 < broken for t in targets]
    assert not running()


@pytest.mark.parametrize("batch", [2, 8])
def test_memory_does_not_grow_with_the_film(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most = 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(frame: torch.Tensor, window: Window) -> torch.Tensor:
        nonlocal alive, most
        out = normalise_frame(frame, window)
        alive, most = alive + 1, max(most, alive + 1)
        weakref.finalize(out, gone)
        return out

    monkeypatch.setattr(windows, "normalise_frame", counted)
    clip, model = film(400), Recorder(batch)
    for _ in model.predict(clip):
        model.seen.clear()
    held = DEPTH + 3  # batches that wait, one in the making, one handed over, and the frames dropped after the next
    assert most <= WINDOW.frames + held * batch
    assert isinstance(clip.frames, Film) and len(clip.frames.asked) == 400
    assert clip.frames.most <= 2  # of the film's own size: one that is resized, one that is decoded


@pytest.mark.parametrize("way", ["to the end", "left", "model fails", "sound fails"])
def test_no_thread_outlives_a_prediction(way: str) -> None:
    def fail() -> np.ndarray:
        raise UserError("a.wav: cut short")

    clip = film(60)
    if way == "sound fails":
        clip = Clip("film", 60, SIZE, 25.0, clip.frames, Audio(8000, fail))
    chunks = Recorder(4, fail_at=20 if way == "model fails" else None).predict(clip)
    if way == "left":
        next(chunks)
        assert running()
        chunks.close()  # type: ignore[attr-defined]
    elif way == "to the end":
        assert len(list(chunks)) == 15
    else:
        with pytest.raises((RuntimeError, UserError)):
            list(chunks)
    assert not running()


def test_maps_that_show_the_model_its_own_input_stay_as_they_were() -> None:
    maps = [part for _, part in Recorder(4).predict(film(20))]  # views of the batches' frames
    expected = Windows(film(20), WINDOW).batch(range(20)).frames
    assert expected is not None
    np.testing.assert_array_equal(np.concatenate(maps), expected[:, 0, 2])


def test_two_clips_predicted_in_turn_do_not_mix() -> None:
    model = Recorder(4)
    for (_, a), (_, b) in zip(model.predict(film(16)), model.predict(film(16)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_is_used_again_only_when_nobody_has_it() -> None:
    memory = Memory()
    tensor = memory.empty(4, 3)
    place, view = tensor.data_ptr(), tensor[1:].numpy()
    del tensor
    assert memory.empty(4, 3).data_ptr() != place
    del view
    again = memory.empty(2, 3).fill_(7)
    assert again.shape == (2, 3)
    place = again.data_ptr()
    del again
    assert memory.empty(3, 2).data_ptr() == place
    assert pickle.loads(pickle.dumps(memory)).empty(2).shape == (2,)


def test_frames_spread_on_a_device_are_those_laid_out_on_the_cpu() -> None:
    for cut in Windows(film(11), WINDOW).cuts(4):
        laid = cut.to("cpu").frames
        assert laid is not None and cut.frames is not None
        out = spread(torch.stack(cut.frames, 1), cut.rows)
        assert torch.equal(out, laid) and out.is_contiguous()
        there = cut.to("meta").frames
        assert there is not None and there.shape == laid.shape and there.device.type == "meta"


# Resizing


@pytest.mark.parametrize("size", [(360, 640), (480, 640), (720, 1280), (144, 176), (224, 400)])
def test_a_resized_level_is_at_most_one_from_the_sum_that_is_rounded_once(size: tuple[int, int]) -> None:
    for frame in (picture(3, size).copy(), np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)):
        exact = torch.nn.functional.interpolate(torch.from_numpy(frame).permute(2, 0, 1)[None].double(), (224, 384),
                                                mode="bilinear", antialias=True, align_corners=False)[0]
        away = (resize_frame(frame, (224, 384)).double() - exact.round()).abs()
        assert float(away.max()) <= 1 and float(away.mean()) < 0.25


def test_a_frame_of_the_right_size_is_taken_as_it_is() -> None:
    frame = picture(1, (24, 32)).copy()
    np.testing.assert_array_equal(resize_frame(frame, (24, 32)).permute(1, 2, 0), frame)


def test_normalised_levels_are_those_of_the_formula_to_the_bit() -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).view(3, 16, 16)
    for window in (Window(), WINDOW):
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (window.mean, window.std))
        assert torch.equal(normalise_frame(levels, window), (levels.float() / 255 - mean) / std)


# Folders of images


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    for i in range(30):
        Image.fromarray(picture(i)).save(tmp_path / f"{i:03d}.jpg")
    return sorted(tmp_path.iterdir())


def test_files_decoded_together_come_in_the_order_asked_for(folder: list[Path]) -> None:
    source = ImageFolder(folder)
    order = [*np.random.default_rng(0).permutation(30), 3, 3]
    np.testing.assert_array_equal(source.read(order), np.stack([source.read([i])[0] for i in order]))
    assert source.read([]).shape == (0, *source.size, 3)


def test_the_first_bad_file_is_the_one_named(folder: list[Path]) -> None:
    for bad in (25, 9, 17):
        folder[bad].write_bytes(b"")
    with pytest.raises(UserError) as error:
        ImageFolder(folder).read(range(30))
    one_line(error, "009.jpg")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]


def test_windows_of_a_folder_are_those_of_its_frames_read_one_by_one(folder: list[Path]) -> None:
    class Plain:
        def __init__(self, source: ImageFolder):
            self.size, self.read, self.n = source.size, source.read, len(source)

        def __len__(self) -> int:
            return self.n

    source = ImageFolder(folder)
    window = Window(frames=4, size=(10, 14), target=1)
    for pooled, alone in zip(*(Windows(Clip("folder", 30, source.size, 25.0, frames), window).cuts(8)
                               for frames in (source, Plain(source))), strict=True):
        a, b = pooled.to("cpu").frames, alone.to("cpu").frames
        assert a is not None and b is not None and torch.equal(a, b)


def test_a_frame_outside_a_folder_is_an_index_error(folder: list[Path]) -> None:
    for index in (-1, 30):
        with pytest.raises(IndexError):
            ImageFolder(folder).read([0, index])
