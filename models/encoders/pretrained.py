"""Published encoder weights: a file of the user's, or the name of a package that keeps them in a cache.

    S3D, MViT  "torchvision"      Kinetics-400 weights of torchvision, in the cache of torch.hub; they expect frames
                                  normalised with `TORCHVISION_MEAN` and `TORCHVISION_STD` (MViT: 0.45 and 0.225)
    CLIP text  an open_clip tag   "openai", "laion2b_s34b_b79k", ...: what open_clip lists for the model
               "hf:NAME"          a CLIP model of the Hugging Face hub, or a folder that transformers saved
    any        a path             a checkpoint of any scheme that `convert` reads

Only what is in the cache already is used, unless $SALIENCY_BENCH_DOWNLOAD is set: then the package may fetch it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import (
    State,
    convert_clip_text,
    convert_s3d,
    convert_soundnet,
    read_checkpoint,
)

TORCHVISION_MEAN, TORCHVISION_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
DOWNLOAD = "SALIENCY_BENCH_DOWNLOAD"  # set to anything but 0 it lets packages fetch what their cache lacks


def downloads() -> bool:
    """Whether weights may be fetched."""
    return os.environ.get(DOWNLOAD, "0") not in ("", "0")


def s3d_weights(source: str) -> State:
    """S3D weights from "torchvision" or a path, in this project's names; raises `UserError`."""
    if source != "torchvision":
        return convert_s3d(read_checkpoint(Path(source)))
    from torchvision.models.video import S3D_Weights

    return convert_s3d(torchvision_weights(S3D_Weights.KINETICS400_V1))


def mvit_weights(source: str) -> State:
    """MViTv2-S of "torchvision" or of a file with its names, without the classifier; raises `UserError`."""
    if source != "torchvision":
        state = read_checkpoint(Path(source))
    else:
        from torchvision.models.video import MViT_V2_S_Weights

        state = torchvision_weights(MViT_V2_S_Weights.KINETICS400_V1)
    return {k: v for k, v in state.items() if not k.startswith(("norm.", "head."))}


def torchvision_weights(entry: Any) -> State:
    """Tensors of an entry of torchvision's list of weights, as it names them; raises `UserError`."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]
    if not path.is_file():
        what = "visual.weights torchvision"
        if not downloads():
            raise UserError(f"{what}: expected the file {path}, found none, and nothing is downloaded unasked; fetch "
                            f"{entry.url} to there (or give visual.weights=FILE), or set {DOWNLOAD}=1")
        return _fetched(what, lambda: entry.get_state_dict(progress=False, check_hash=True))
    return read_checkpoint(path)


def soundnet_weights(source: str) -> State:
    """SoundNet weights from a path, in this project's names; raises `UserError`."""
    return convert_soundnet(read_checkpoint(Path(source)))


def clip_text_weights(source: str, model: str) -> State:
    """Weights of the text tower of open_clip's `model` from a tag, "hf:NAME", a folder or a file.

    Raises `UserError` for what is neither, or is not there.
    """
    if source.startswith("hf:") or Path(source).is_dir():
        name = source.removeprefix("hf:")
        place = f"a folder that transformers saved, or {name} in the cache of huggingface_hub"
        return convert_clip_text(_fetched(f"text.weights {source}", lambda: _transformers(name), place,
                                          f"`hf download {name}` where there is a network"))
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    if source in tags and not Path(source).exists():
        return convert_clip_text(_open_clip(model, source))
    if not Path(source).exists():
        raise UserError(f"text.weights {source}: expected a file, a folder, hf:NAME or one of open_clip's tags for "
                        f"{model} ({', '.join(tags) or 'it has none'}), found none of them")
    return convert_clip_text(read_checkpoint(Path(source)))


def _transformers(name: str) -> State:
    from transformers import CLIPTextModel

    model = CLIPTextModel.from_pretrained(name, dtype=torch.float32, local_files_only=not downloads())
    return dict(model.state_dict())


def _open_clip(model: str, tag: str) -> State:
    """Tensors of open_clip's `model` with the weights `tag`."""
    import open_clip

    where: Any = tag
    if not downloads():
        facts = open_clip.get_pretrained_cfg(model, tag)
        where = _cached(facts)
        if where is None:
            hub = str(facts.get("hf_hub", "")).rstrip("/")
            place = f"{hub} in the cache of huggingface_hub" if hub else f"the file {_clip_file(facts)}"
            how = f"`hf download {hub}`" if hub else f"fetch {facts.get('url')} to there"
            raise UserError(f"text.weights {tag}: expected {place}, found none, and nothing is downloaded unasked; "
                            f"{how} where there is a network (or give text.weights=FILE), or set {DOWNLOAD}=1")
    return _fetched(f"text.weights {tag}", lambda: open_clip.create_model(model, pretrained=str(where)).state_dict())


def _cached(facts: dict[str, Any]) -> Path | None:
    """The file of open_clip's weights in the cache it would be fetched to."""
    from huggingface_hub import try_to_load_from_cache

    repository, _, name = str(facts.get("hf_hub", "")).rpartition("/")
    for file in (name,) if name else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"):
        if repository and isinstance(found := try_to_load_from_cache(repository, file), str):
            return Path(found)
    return path if facts.get("url") and (path := _clip_file(facts)).is_file() else None


def _clip_file(facts: dict[str, Any]) -> Path:
    return Path.home() / ".cache" / "clip" / str(facts["url"]).rpartition("/")[2]


def _fetched(what: str, fetch: Callable[[], State], place: str = "weights in the cache or on the network",
             how: str = "fetch the file where there is a network and give its path") -> State:
    try:
        return fetch()
    except Exception as error:  # each package raises its own kinds for a missing network, name or file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        unasked = "" if downloads() else f", or set {DOWNLOAD}=1"
        raise UserError(f"{what}: expected {place}, found nothing that can be read ({reason}); {how}"
                        f"{unasked}") from error
