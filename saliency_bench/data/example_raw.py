"""Example sets in the form in which their authors distribute them, which `data prepare` reads.

What real files have is in them: blinks, saccades, errors and wild values beside the fixations, people who look past the
video, eyes that disagree, gaze recorded under other sounds, clips of another set in the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from saliency_bench.data.audio import write_wav
from saliency_bench.data.catalogue import CATALOGUE
from saliency_bench.data.clip import Audio
from saliency_bench.data.example_scene import BLINK, ERROR, FIXATION, FRAMES, OBSERVERS, RATE, SACCADE, Scene
from saliency_bench.data.matfile import write_variables
from saliency_bench.data.video_writer import write_video
from saliency_bench.files import write_atomic

DIEM_SCREEN = (960, 1280)
DHF1K_SCREEN = (900, 1440)
DHF1K_STEP = 4000  # microseconds between two samples: 250 Hz


def is_public(scene: Scene) -> bool:
    """Whether where people looked is handed out; that of DHF1K's test videos is not."""
    return scene.set_name != "dhf1k" or scene.video not in {row.video for row in CATALOGUE["dhf1k"].roles("test")}


def write_film(path: Path, scene: Scene, sound: bool = True) -> None:
    """The scene as mp4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, map(scene.picture, range(FRAMES)), float(scene.rate),
                Audio(RATE, scene.sound) if sound else None)


def write_avi(path: Path, scene: Scene, sound: bool = False) -> None:
    """The scene as MPEG-4 video in an AVI file, with 16-bit sound if wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi") as container:
        video: Any = container.add_stream("mpeg4", rate=scene.rate)
        video.height, video.width = scene.size
        video.pix_fmt, video.bit_rate = "yuv420p", 2_000_000
        track: Any = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound else None
        for k in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(scene.picture(k), format="rgb24")
            frame.pts = k
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if track is not None:
            samples = np.rint(scene.sound() * 32767).astype(np.int16)
            block = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            block.sample_rate = RATE
            container.mux(track.encode(block))
            container.mux(track.encode(None))


def write_sound(path: Path, scene: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, RATE, scene.sound())


def diem(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """A folder a video; the sound of the first lies beside it, that of the second in the film alone."""
    for trial, scene in enumerate(scenes, 1):
        folder = root / scene.video
        write_film(folder / "video" / f"{scene.video}.mp4", scene, sound=trial != 1)
        if trial == 1:
            write_sound(folder / "audio" / f"{scene.video}.wav", scene)
        for observer in range(OBSERVERS):
            name = f"diem1s{observer + 1:02d}.asc_{trial}_{scene.video}.txt"
            rows = ["\t".join(row) for row in _diem_rows(scene, observer)]
            write_atomic(folder / "event_data" / name, "\n".join(rows) + "\n")
    return [("*/video/*.mp4", "videos"), ("*/audio/*.wav", "sound, where it is not the video's own"),
            ("*/event_data/*.txt", "gaze of an observer: frame, then x, y, pupil, event of either eye; screen pixels")]


def _diem_rows(scene: Scene, observer: int) -> list[list[str]]:
    """Frame from 1, then x, y, pupil and event of the left and of the right eye."""
    draw = scene.draw(2, observer)
    corner = (np.array(DIEM_SCREEN) - scene.size)[::-1] / 2
    on_screen = np.round(scene.gaze_in_video[observer] + corner, 1)
    outside = int(draw.integers(len(scene.runs(observer))))  # after this fixation the observer looks past the video
    past = scene.runs(observer)[outside][1]
    rows = []
    for k in range(FRAMES):
        state, at = int(scene.state[observer, k]), on_screen[k]
        apart = (int(draw.integers(0, 30)) / 10, 0.0)
        left, right = _eye(at - apart, FIXATION), _eye(at + apart, FIXATION)
        if state == FIXATION and (observer + k) % 7 == 3:
            left, right = _eye(at, FIXATION), _eye((0, 0), BLINK)
        elif state == FIXATION and (observer + k) % 7 == 5:
            left, right = _eye((3021.7, -1204.3), FIXATION), _eye(at, FIXATION)
        elif state == FIXATION and (observer + k) % 7 == 6:
            left, right = _eye(at, FIXATION), _eye(at + 31.4, SACCADE)
        elif k == past:
            left, right = _eye((12.4, 10.2), FIXATION), _eye((11.8, 9.6), FIXATION)
        elif state == SACCADE:
            left, right = (_eye(draw.uniform(400, 800, 2), SACCADE) for _ in range(2))
        elif state == ERROR:
            left, right = _eye((4117.4, -2203.9), ERROR), _eye((-816.2, 5104.5), ERROR)
        elif state != FIXATION:
            left = right = _eye((0, 0), BLINK)
        rows.append([str(k + 1), *left, *right])
    return rows


def _eye(at: Sequence[float] | np.ndarray, event: int) -> list[str]:
    shown = [f"{float(value):.1f}" if value else "0" for value in at]
    return [*shown, "0.0" if event == BLINK else "1503.0", str(event)]


def coutrot1(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """Gaze under five kinds of sound, of which the first was the film's own."""
    return _coutrot(root, scenes, "1", "ERB3_Stimuli",
                    ("OriginalSounds", "LandscapesSounds", "FacesSounds", "SameCatSounds", "MovObjectsSounds"))


def coutrot2(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """Gaze with the sound and without it."""
    return _coutrot(root, scenes, "2", "ERB4_Stimuli", ("AudioVisual", "Visual"))


def _coutrot(root: Path, scenes: Sequence[Scene], number: str, stimuli: str, conditions: Sequence[str]
             ) -> list[tuple[str, str]]:
    content: dict[str, dict[str, Any]] = {condition: {} for condition in conditions}
    for scene in scenes:
        clip = f"clip_{scene.video.removeprefix('clip')}"
        write_avi(root / stimuli / f"{clip}.avi", scene, sound=True)
        info = {"fps": float(scene.rate), "vidwidth": float(scene.size[1]), "vidheight": float(scene.size[0]),
                "nframe": float(FRAMES)}
        for k, condition in enumerate(conditions):
            data = scene.gaze_in_video.transpose(2, 1, 0).copy()
            if k == 0:
                past = scene.runs(0)[0][1]
                data[:, past, 0] = (-3.5, scene.size[0] + 2.5)  # beside the video
            else:  # other people, who look elsewhere
                data = np.array([[[scene.size[1]]], [[scene.size[0]]]]) - data[..., k:]
            content[condition][clip] = {"data": data, "info": info}
    name = f"coutrot_database{number}.mat"
    write_variables(root / name, {f"Coutrot_Database{number}": content}, "gaze")
    return [(f"{stimuli}/*.avi", "videos with their sound"), (name, f"gaze under {', '.join(conditions)}")]


def aveyetracking(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """ETMD and SumMe come in one distribution: a clip of the other set is in it too."""
    other = CATALOGUE["summe" if scenes[0].set_name == "etmd" else "etmd"]
    row = other.roles("test")[0]
    guest = Scene(other.name, row.video, scenes[0].size, scenes[0].map_size, scenes[0].rate)
    clips: dict[str, np.ndarray] = {}
    for scene in (*scenes, guest):
        write_film(root / "video" / f"{scene.video}.mp4", scene, sound=False)
        write_sound(root / "audio_mono" / f"{scene.video}.wav", scene)
        shares = (scene.gaze / (scene.map_size[1], scene.map_size[0])).transpose(2, 1, 0)
        shares[:, scene.runs(1)[0][1], 1] = (1.25, -0.5)  # beside the video
        clips[scene.video] = shares
    write_variables(root / "eyetracking" / "all_videos.mat", {"eye_data_all": clips}, "gaze")
    return [("video/*.mp4", "videos, one of them of the other set in this distribution"),
            ("audio_mono/*.wav", "sound, mono"),
            ("eyetracking/all_videos.mat", "gaze of all, x and y in shares of the picture")]


def avad(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """A CSV a video; the sound of the first lies beside it, that of the second in the film alone."""
    for index, scene in enumerate(scenes):
        write_film(root / "video" / f"{scene.video}.mp4", scene, sound=index != 0)
        if index == 0:
            write_sound(root / "audio" / f"{scene.video}.wav", scene)
        lines = ["observer,frame,x,y"]
        for observer, points in enumerate(scene.gaze_in_video, 1):
            lines += [f"{observer:02d},{k}," + ("," if np.isnan(x) else f"{x},{y}") for k, (x, y) in enumerate(points)]
        write_atomic(root / "gaze" / f"{scene.video}.csv", "\n".join(lines) + "\n")
    return [("video/*.mp4", "videos"), ("audio/*.wav", "sound, where it is not the video's own"),
            ("gaze/*.csv", "gaze: observer, frame from 0, x, y in pixels of the video")]


def dhf1k(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """Videos of all, and the tracker's samples of those whose truth is public."""
    for scene in scenes:
        number = int(scene.video)
        write_avi(root / "video" / f"{number:03d}.AVI", scene)
        for observer in range(OBSERVERS if is_public(scene) else 0):
            person = f"P{observer + 1:02d}"
            rows = ["Time\tModel\tTrial\tPupilX\tPupilY\tScreenX\tScreenY\tEvent", *_dhf1k_rows(scene, observer)]
            write_atomic(root / "exportdata_train" / person / f"{person}_Trail{number:03d}.txt", "\n".join(rows) + "\n")
    return [("video/*.AVI", "videos, without sound"),
            ("exportdata_train/*/*.txt", "an observer's samples: time in microseconds, ..., x, y on the screen, event")]


def _dhf1k_rows(scene: Scene, observer: int) -> list[str]:
    """Samples every 4 ms, none of them at the border of two frames."""
    height, width = scene.size
    share = width / DHF1K_SCREEN[1]
    above = (DHF1K_SCREEN[0] - height / share) / 2
    start, rows = 1_000_000 * (observer + 1) + 137, []
    names = {FIXATION: "Fixation", SACCADE: "Saccade", BLINK: "Blink", ERROR: "-"}
    for sample in range(int(FRAMES / scene.rate * 1_000_000) // DHF1K_STEP):
        after = sample * DHF1K_STEP + (700 if sample else 0)
        k = int(scene.rate * after / 1_000_000)
        x, y = scene.gaze_in_video[observer, k]
        state = int(scene.state[observer, k])
        shown = (x / share, y / share + above) if state == FIXATION else (700.0, 400.0) if state == SACCADE else (0, 0)
        rows.append(f"{start + after}\tSMP\t{int(scene.video)}\t41.20\t37.65\t{shown[0]:.2f}\t{shown[1]:.2f}\t"
                    f"{names[state]}")
    return rows


def events(root: Path, scenes: Sequence[Scene]) -> list[tuple[str, str]]:
    """One table of the fixations of all videos."""
    lines = ["subject,video,start,duration,x,y"]
    for scene in scenes:
        write_film(root / "video" / f"{scene.video}.mp4", scene)
        frame = 1000 / float(scene.rate)  # ms
        for observer in range(OBSERVERS):
            for first, end in scene.runs(observer):
                x, y = scene.gaze_in_video[observer, first]
                start, stop = round(first * frame) + 12, round(end * frame) - 6
                if first == scene.runs(observer)[0][0]:  # a short one before, whose frame the long one takes
                    lines.append(f"{observer + 1},{scene.video},{start - 9},7,{scene.size[1] - x},{y}")
                lines.append(f"{observer + 1},{scene.video},{start},{stop - start},{x},{y}")
    write_atomic(root / "fixations.csv", "\n".join(lines) + "\n")
    return [("video/*.mp4", "videos"),
            ("fixations.csv", "fixations: subject, video, start and duration in ms, x, y in pixels of the video")]


FORMS: dict[str, Callable[..., list[tuple[str, str]]]] = {
    "diem": diem, "coutrot1": coutrot1, "coutrot2": coutrot2, "etmd": aveyetracking, "summe": aveyetracking,
    "avad": avad, "dhf1k": dhf1k, "events": events}
