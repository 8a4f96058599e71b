"""Published encoder weights: a file of the user's, or the name of a package that fetches them.

    S3D        "torchvision"      Kinetics-400 weights of torchvision; they expect frames normalised with
                                  `TORCHVISION_MEAN` and `TORCHVISION_STD`
    CLIP text  an open_clip tag   "openai", "laion2b_s34b_b79k", ...: what open_clip lists for the model
               "hf:NAME"          a CLIP model of the Hugging Face hub, or a folder that transformers saved
    any        a path             a checkpoint of any scheme that `convert` reads

What a package fetches is kept in that package's own cache; without a network only cached weights load.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


def s3d_weights(source: str) -> State:
    """S3D weights from "torchvision" or a path, in this project's names; raises `UserError`."""
    if source != "torchvision":
        return convert_s3d(read_checkpoint(Path(source)))
    from torchvision.models.video import S3D_Weights

    return convert_s3d(_fetched("visual.weights torchvision",
                                lambda: S3D_Weights.KINETICS400_V1.get_state_dict(progress=False)))


def soundnet_weights(source: str) -> State:
    """SoundNet weights from a path, in this project's names; raises `UserError`."""
    return convert_soundnet(read_checkpoint(Path(source)))


def clip_text_weights(source: str, model: str) -> State:
    """Weights of the text tower of open_clip's `model` from a tag, "hf:NAME", a folder or a file.

    Raises `UserError` for what is neither, or cannot be fetched.
    """
    if source.startswith("hf:") or Path(source).is_dir():
        return convert_clip_text(_fetched(f"text.weights {source}", lambda: _transformers(source.removeprefix("hf:"))))
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    if source in tags and not Path(source).exists():
        return convert_clip_text(_fetched(
            f"text.weights {source}", lambda: open_clip.create_model(model, pretrained=source).state_dict()))
    if not Path(source).exists():
        raise UserError(f"text.weights {source}: expected a file, a folder, hf:NAME or one of open_clip's tags for "
                        f"{model} ({', '.join(tags) or 'it has none'}), found none of them")
    return convert_clip_text(read_checkpoint(Path(source)))


def _transformers(name: str) -> State:
    from transformers import CLIPTextModel

    model = CLIPTextModel.from_pretrained(name, dtype=torch.float32)
    return dict(model.state_dict())


def _fetched(what: str, fetch: Callable[[], State]) -> State:
    try:
        return fetch()
    except Exception as error:  # each package raises its own kinds for a missing network, name or file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{what}: expected weights in the cache or on the network, found neither ({reason}); fetch "
                        "the file where there is a network and give its path") from error
