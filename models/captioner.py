"""Captions of frames by BLIP-2 (Li, Li, Savarese & Hoi 2023) through transformers, as the TAVDiff paper makes them.

Conventions
-----------
frames  : (n, H, W, 3) uint8 RGB.
caption : what the model goes on to say after the prompt, on one line; "" where it says nothing.
greedy  : the likeliest token each time, so that the same frame has the same caption.  In 16 bits a batch of
          another size may round differently and, where two words are equally likely, give another one.

The weights are a folder in the form in which transformers saves them, or a model of the Hugging Face hub in the cache
of `huggingface_hub`; nothing is fetched unless `download` is asked for.  Only safetensors are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from saliency_bench.errors import UserError

MODEL = "Salesforce/blip2-opt-2.7b"
PROMPT = (  # "TAVDiff", section "Image description generation"; printed there without a final full stop
    "Please use no more than 20 words to describe this image, focusing on the following two aspects: "
    "(1) The foreground objects in the image. (2) What scene, event or theme is the image mainly expressing")
FORMATS = {"plain": "{}", "qa": "Question: {} Answer:"}  # "qa" is how BLIP-2 was asked questions
MAX_NEW_TOKENS = 40  # of a sentence of at most 20 words
NEEDED = ("*.json", "*.txt", "*.model", "*.safetensors")  # what of a folder is read
TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model", "vocab.txt")
DTYPES = ("float32", "float16", "bfloat16")

T = TypeVar("T")


class Captioner:
    """A loaded BLIP-2 with its prompt; made by `load`.

    facts : model, revision, prompt_hash, decoding and the version of transformers, as kept with every caption
    """

    def __init__(self, model: Any, processor: Any, prompt: str, decoding: dict[str, Any], facts: dict[str, Any]):
        self.model, self.processor, self.prompt, self.facts = model, processor, prompt, facts
        self._greedy = {k: v for k, v in decoding.items() if k != "dtype"}

    @torch.inference_mode()
    def caption(self, frames: np.ndarray) -> list[str]:
        """A caption for each of `frames` (n, H, W, 3) uint8, "" where the model says nothing.

        Raises `UserError` where so many frames do not fit into the memory of the device.
        """
        if not len(frames):
            return []
        images = [Image.fromarray(frame) for frame in frames]
        asked = self.processor(images=images, text=[self.prompt] * len(images), return_tensors="pt")
        asked = asked.to(self.model.device)
        pixels = asked["pixel_values"].to(self.model.dtype)
        try:
            said = self.model.generate(pixel_values=pixels, input_ids=asked["input_ids"],
                                       attention_mask=asked["attention_mask"], **self._greedy,
                                       pad_token_id=self.processor.tokenizer.pad_token_id)
        except torch.OutOfMemoryError:
            raise UserError(f"--batch {len(frames)}: expected frames that fit into the memory of {self.model.device}, "
                            "found too many; give a smaller --batch, what is done is kept") from None
        said = _without(said, asked["input_ids"])
        texts = self.processor.tokenizer.batch_decode(said, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def load(model: str | Path = MODEL, device: str = "cpu", *, revision: str | None = None, download: bool = False,
         prompt: str = PROMPT, prompt_format: str = "plain", max_new_tokens: int = MAX_NEW_TOKENS,
         dtype: str | None = None) -> Captioner:
    """A captioner from a folder, or from a model of the hub that is in the cache (or is fetched with `download`).

    revision       : branch, tag or commit of a hub model
    prompt, prompt_format : what the model is asked, and one of `FORMATS`
    max_new_tokens : length at which a caption is cut
    dtype          : of `DTYPES`; by default float32 on a CPU, else 16 bits (bfloat16 for a T5, float16 for an OPT)

    Raises `UserError` for weights that are not here, and for a folder that is no whole BLIP-2.
    """
    prompt = _prompt(prompt, prompt_format)
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens: expected a number from 1, found {max_new_tokens}; give one")
    folder = _folder(model, revision, download)
    config = _config(folder)
    dtype = _dtype(dtype, device, config)
    with _quiet():
        processor = _processor(folder)
        network = _network(folder, dtype)
    _refuse_blind(folder, processor, network)
    _refuse_long(prompt, max_new_tokens, processor, network)
    try:
        network.to(device).eval()
    except torch.OutOfMemoryError:
        raise UserError(f"--device {device}: expected memory for {folder} in {dtype}, found too little; use a smaller "
                        "model or --device cpu") from None
    name, version = _identity(folder)
    decoding = {"do_sample": False, "num_beams": 1, "max_new_tokens": max_new_tokens, "dtype": dtype}
    import transformers

    facts = {"model": name, "revision": version, "prompt_hash": prompt_hash(prompt), "decoding": decoding,
             "transformers": transformers.__version__}
    return Captioner(network, processor, prompt, decoding, facts)


def prompt_hash(prompt: str) -> str:
    """The first 12 hex digits of the sha256 of what the model is asked, format included."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


def _prompt(prompt: str, prompt_format: str) -> str:
    if not prompt.strip():
        raise UserError("--prompt: expected a sentence, found an empty text; leave it out for the paper's prompt")
    if prompt_format not in FORMATS:
        raise UserError(f"--prompt-format {prompt_format}: expected one of {', '.join(FORMATS)}; choose one")
    return FORMATS[prompt_format].format(prompt.strip())


def _folder(model: str | Path, revision: str | None, download: bool) -> Path:
    """Where the files are: the folder itself, or the hub's snapshot in the cache."""
    if Path(model).is_dir():
        if revision is not None:
            raise UserError(f"--revision {revision}: expected a model of the hub, found the folder {model}, which has "
                            "one state; leave it out")
        return Path(model).absolute()
    name = str(model)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"--model {name}: expected a folder with a BLIP-2, or a model of the hub such as {MODEL}, "
                        "found neither; check the path")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=not download,
                                      allow_patterns=list(NEEDED)))
    except Exception as error:  # no network, no such model, no such revision, a gate: each has a kind of its own
        at = f" at revision {revision}" if revision else ""
        if download:
            raise UserError(f"--model {name}{at}: expected a model of the hub that can be fetched, found none "
                            f"({_first_line(error)}); check the name and the network") from None
        raise UserError(f"--model {name}{at}: expected a folder, or this model in the cache, found neither; give "
                        f"--download, or `hf download {name}` where there is a network and then its folder") from None


def _identity(folder: Path) -> tuple[str, str]:
    """Name and revision: the hub's where the folder is a snapshot of its cache, else the folder's name and a hash."""
    store = folder.parent.parent.name
    if folder.parent.name == "snapshots" and store.startswith("models--"):
        return store.removeprefix("models--").replace("--", "/"), folder.name[:12]
    digest = hashlib.sha256()
    for path in sorted({path for pattern in NEEDED for path in folder.glob(pattern)}):
        with open(path, "rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return folder.name, digest.hexdigest()[:12]


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: expected the configuration of a BLIP-2, found none that can be read; give the "
                        "folder that `hf download` names") from None
    if kind != "blip-2":
        raise UserError(f"{folder}: expected a model of type blip-2, found {str(kind)[:40]!r}; give a BLIP-2, for "
                        f"example {MODEL}")
    return config


def _dtype(dtype: str | None, device: str, config: dict[str, Any]) -> str:
    if dtype is not None and dtype not in DTYPES:
        raise UserError(f"--dtype {dtype}: expected one of {', '.join(DTYPES)}; choose one")
    if dtype is not None or device.startswith("cpu"):
        return dtype or "float32"
    return "bfloat16" if config.get("text_config", {}).get("model_type") == "t5" else "float16"


def _processor(folder: Path) -> Any:
    """Tokenizer and image processor."""
    from transformers import Blip2Processor

    if not any((folder / name).is_file() for name in TOKENIZERS):  # some versions make up an empty one
        raise UserError(f"{folder}: expected a tokenizer ({', '.join(TOKENIZERS[:2])}, ...), found none; fetch the "
                        "whole model")
    return _read(folder, "a tokenizer and an image processor",
                 lambda: Blip2Processor.from_pretrained(folder, local_files_only=True))


def _network(folder: Path, dtype: str) -> Any:
    """The network, each of whose weights stands in the folder."""
    import transformers
    from packaging.version import Version

    word = "dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype"
    network, found = _read(folder, "whole weights (safetensors)", lambda: (
        transformers.Blip2ForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True,
            **{word: getattr(torch, dtype)})))
    state = network.state_dict()
    read = {state[name].data_ptr() for name in set(state) - set(found["missing_keys"])}
    absent = sorted(name for name in found["missing_keys"] if name in state and state[name].data_ptr() not in read)
    if absent:
        raise UserError(f"{folder}: expected all weights of a BLIP-2, found none for {absent[0]} and "
                        f"{len(absent) - 1} others; fetch the whole model")
    return network


def _refuse_blind(folder: Path, processor: Any, network: Any) -> None:
    """Refuse a folder in whose prompts the picture has no place: its captions would not depend on the frame."""
    queries, token = network.config.num_query_tokens, getattr(network.config, "image_token_index", None)
    given = processor(images=[Image.new("RGB", (8, 8))], text=["a"], return_tensors="pt")["input_ids"]
    top = network.get_input_embeddings().num_embeddings
    if token is None or int((given == token).sum()) != queries or int(given.max()) >= top:
        raise UserError(f"{folder}: expected a processor that gives the picture {queries} places in the prompt, found "
                        "one that does not (files of before 2024 lack them); fetch a newer revision of the model")


def _refuse_long(prompt: str, max_new_tokens: int, processor: Any, network: Any) -> None:
    """Refuse a prompt that leaves the language model no room for a caption."""
    room = getattr(network.config.text_config, "max_position_embeddings", None)
    needed = len(processor.tokenizer(prompt)["input_ids"]) + network.config.num_query_tokens + max_new_tokens
    if room is not None and needed > room:
        raise UserError(f"--prompt: expected one that leaves room for the caption, found {needed} tokens in all where "
                        f"the model takes {room}; shorten it")


def _without(said: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """The new tokens alone: some versions repeat the prompt, whose image tokens no model says, before them."""
    n = asked.shape[1]
    return said[:, n:] if said.shape[1] >= n and torch.equal(said[:, :n], asked) else said


def _read(folder: Path, what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except Exception as error:  # a damaged file, a missing one, other sizes: each has a kind of its own
        raise UserError(f"{folder}: expected {what} of a BLIP-2, found none that can be read ({_first_line(error)}); "
                        "fetch the whole model again") from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:160]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's bars and warnings: what matters of them is checked here."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
