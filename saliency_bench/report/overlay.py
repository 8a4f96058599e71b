"""Pictures to look at: saliency over a frame, gaze over a frame, several frames on a sheet.

Conventions
-----------
frame  : (H, W, 3) uint8 RGB.
map    : (h, w) float, any scale; resized to the frame bilinearly.
range  : (low, high) of the map that become no and full saliency; the map's own extremes where it is not
         given, so that every frame uses all colours.  `map_range` of a whole video keeps frames comparable.
colour : a matplotlib map whose lightness rises with saliency, so that a copy in grey reads the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.errors import UserError

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luminance of RGB


def overlay(frame: np.ndarray, saliency: np.ndarray, *, alpha: float = 0.75, cmap: str = "inferno",
            range: tuple[float, float] | None = None) -> np.ndarray:
    """The map as coloured light on a darkened, paler frame, which alone is seen where nothing is salient.

    frame, saliency, range : see above
    alpha : strength in [0, 1]; 0 is the frame as it was
    cmap  : name of a matplotlib colour map
    returns (H, W, 3) uint8; raises ValueError for another shape, alpha or colour map

    Light adds up as on two projectors, 1 - (1 - frame)(1 - colour), so that more salience is never darker.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or saliency.ndim != 2:
        raise ValueError(f"expected a frame (H, W, 3) and a map (h, w): {frame.shape}, {saliency.shape}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    level = np.rint(255 * normalised(resize_map(saliency, frame.shape[:2]), range)).astype(np.uint8)
    steps = np.linspace(0, 1, 256, dtype=np.float32)
    tint = np.minimum(1, 10 * steps)[:, None]  # none where nothing is salient, in any map
    dark = 1 - _colours(cmap) * tint * min(1, 1.2 * alpha)
    shade = ((1 - 0.6 * alpha) * (1 - 0.4 * alpha * steps)).astype(np.float32)
    pale = np.float32(0.5 * alpha)
    picture = frame * (1 - pale) + (frame @ (GREY * pale))[..., None]
    picture *= shade[level][..., None]
    return (255.5 - (255 - picture) * dark[level]).astype(np.uint8)


def normalised(saliency: np.ndarray, range: tuple[float, float] | None = None) -> np.ndarray:
    """The map in [0, 1] float32: (map - low) / (high - low), clipped; all zero where it is flat or NaN."""
    saliency = np.asarray(saliency, np.float32)
    low, high = map_range([saliency]) if range is None else range
    if not high > low:
        return np.zeros_like(saliency)
    return np.nan_to_num(np.clip((saliency - low) / (high - low), 0, 1))


def map_range(maps: Iterable[np.ndarray]) -> tuple[float, float]:
    """(low, high) over all finite values of the maps; (0, 0) without any."""
    low, high = math.inf, -math.inf
    for saliency in maps:
        values = saliency[np.isfinite(saliency)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if high >= low else (0.0, 0.0)


def resize_map(saliency: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The map at `size` (H, W) float32, bilinear, averaging where it shrinks; for pictures, not scores."""
    saliency = np.asarray(saliency, np.float32)
    if saliency.shape == tuple(size):
        return saliency
    picture = Image.fromarray(saliency)
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def draw_gaze(frame: np.ndarray, points: np.ndarray, *, radius: float | None = None) -> np.ndarray:
    """A ring with a dark rim at every gaze point, so that it shows on any picture.

    points : (n, 2) x, y in pixels of the frame, NaN left out; radius : pixels, max(H, W) / 90 by default
    """
    radius = max(frame.shape[:2]) / 90 if radius is None else radius
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    width = max(1, round(radius / 4))
    for x, y in points[np.isfinite(points).all(-1)].tolist():
        for r, colour in ((radius + width, (0, 0, 0)), (radius, (255, 214, 10))):
            draw.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=width + (r > radius))
    return np.asarray(picture)


def contact_sheet(images: Sequence[np.ndarray], labels: Sequence[str] | None = None, *,
                  columns: int | None = None, width: int = 320, gap: int = 8) -> np.ndarray:
    """Pictures (H, W, 3) uint8 in a grid on white, each scaled to `width` pixels, with its label below.

    columns : a nearly square grid by default
    raises ValueError without a picture, or with labels that are not one a picture
    """
    if not images or (labels is not None and len(labels) != len(images)):
        raise ValueError(f"expected pictures and as many labels, got {len(images)} and {len(labels or ())}")
    columns = columns or math.ceil(math.sqrt(len(images)))
    scaled = [Image.fromarray(i).resize((width, max(1, round(i.shape[0] * width / i.shape[1]))),
                                        Image.Resampling.LANCZOS) for i in images]
    size = max(11, width // 22)
    caption = 0 if labels is None else round(1.8 * size)
    rows = [scaled[i:i + columns] for i in range(0, len(scaled), columns)]
    tops = np.cumsum([gap, *(max(i.height for i in row) + caption + gap for row in rows)]).tolist()
    sheet = Image.new("RGB", (columns * (width + gap) + gap, tops[-1]), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    for k, picture in enumerate(scaled):
        left, top = gap + k % columns * (width + gap), tops[k // columns]
        sheet.paste(picture, (left, top))
        if labels is not None:
            draw.text((left + 1, top + picture.height + size * 0.3), labels[k], fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def gaze_sheet(datasets: Sequence[Dataset], pictures: int = 12) -> np.ndarray:
    """Frames spread over the videos of data sets with every fixation drawn on them: does gaze fall where it should?

    Observers' gaze where the set keeps it, else the pixels of the fixation maps; videos without frames are left out.
    Raises `UserError` where no video has frames.
    """
    videos = [(d, i) for d in datasets for i in range(len(d))]
    videos = [videos[k] for k in np.linspace(0, len(videos) - 1, min(pictures, len(videos))).round().astype(int)]
    images, labels = [], []
    for number, (dataset, index) in enumerate(videos):
        sample = dataset.samples[index]
        if sample.clip.frames is None:
            continue
        share = pictures // len(videos) + (number < pictures % len(videos))
        for frame in np.unique(np.linspace(0, sample.clip.n_frames - 1, share + 2).astype(int)[1:-1]).tolist():
            images.append(draw_gaze(sample.clip.frames.read([frame])[0], gaze_points(sample, frame)))
            labels.append(f"{sample.name}, frame {frame + 1}")
    if not images:
        raise UserError(f"{', '.join(d.name for d in datasets)}: expected videos with frames, found none; "
                        "add the frames")
    return contact_sheet(images, labels, width=480)


def gaze_points(sample: Sample, frame: int) -> np.ndarray:
    """Fixations (n, 2) of a frame as x, y in pixels of the video."""
    gaze, (height, width) = sample.truth.gaze(), sample.truth.size
    if gaze is None:
        y, x = np.nonzero(sample.truth.frame(frame).fixations)
        points = np.stack([x, y], 1) + 0.5
    else:
        points = gaze[:, frame]
    return points * (sample.clip.size[1] / width, sample.clip.size[0] / height)


@cache
def _colours(name: str) -> np.ndarray:
    """(256, 3) float32 colours in [0, 1] of a matplotlib map; ValueError for an unknown name."""
    import matplotlib  # takes half a second: only who draws pays for it

    if name not in matplotlib.colormaps:
        raise ValueError(f"expected a matplotlib colour map such as inferno or turbo, got {name!r}")
    return np.asarray(matplotlib.colormaps[name](np.arange(256))[:, :3], np.float32)
