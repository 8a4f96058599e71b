"""BLIP-2 through transformers: a model of the real class with random weights says the same of the same frame."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.models import captioner
from saliency_bench.models.captioner import PROMPT, load
from tests.layouts import one_line, truncate
from tests.tiny_blip2 import build

torch.set_num_threads(1)
NAME, COMMIT = "lab/tiny-blip2", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("blip2") / "tiny")


@pytest.fixture(scope="module")
def tiny(folder):
    return load(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the model to break."""
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.fixture
def cache(folder, tmp_path, monkeypatch):
    """A cache of the hub that holds the model as `NAME`."""
    store = tmp_path / "hub" / "models--lab--tiny-blip2"
    shutil.copytree(folder, store / "snapshots" / COMMIT)
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return store


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)


def edit(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_each_frame_gets_words_and_the_picture_decides_them(tiny, frames):
    texts = tiny.caption(frames)
    assert all(text and text == " ".join(text.split()) for text in texts)
    assert len(set(texts)) > 1


def test_a_frame_has_one_caption_whatever_the_batch(tiny, frames):
    texts = tiny.caption(frames)
    for size in (1, 2, 3):
        assert [t for k in range(0, 5, size) for t in tiny.caption(frames[k:k + size])] == texts
    assert tiny.caption(frames[::-1]) == texts[::-1]
    assert tiny.caption(frames[:0]) == []


def test_captions_are_what_the_library_generates_greedily(folder, tiny, frames):
    model = transformers.Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    processor = transformers.Blip2Processor.from_pretrained(folder)
    given = processor(images=[frames[0]], text=[PROMPT], return_tensors="pt", input_data_format="channels_last")
    tokens = given["input_ids"]
    with torch.inference_mode():
        said = model.generate(**given, do_sample=False, num_beams=1, max_new_tokens=40)[0, tokens.shape[1]:]
        assert processor.tokenizer.decode(said, skip_special_tokens=True) == tiny.caption(frames[:1])[0]
        logits = model(**given).logits[0, -1]
    assert int(logits.argmax()) == int(said[0]) and len(said) == 40


def test_the_prompt_is_the_papers_and_its_words_are_hashed(tiny):
    assert PROMPT.startswith("Please use no more than 20 words") and PROMPT.endswith("is the image mainly expressing")
    assert tiny.prompt == PROMPT
    assert tiny.facts["prompt_hash"] == hashlib.sha256(PROMPT.encode()).hexdigest()[:12]


def test_a_question_and_another_prompt_change_what_is_asked_and_its_hash(folder, tiny, frames):
    asked = load(folder, prompt_format="qa")
    assert asked.prompt == f"Question: {PROMPT} Answer:"
    other = load(folder, prompt=" the dog runs ")
    assert other.prompt == "the dog runs"
    hashes = {c.facts["prompt_hash"] for c in (tiny, asked, other)}
    assert len(hashes) == 3 and tiny.caption(frames) != asked.caption(frames) != other.caption(frames)


def test_facts_say_what_made_a_caption(tiny):
    assert tiny.facts["model"] == "tiny" and len(tiny.facts["revision"]) == 12
    assert tiny.facts["decoding"] == {"do_sample": False, "num_beams": 1, "max_new_tokens": 40, "dtype": "float32"}
    assert tiny.facts["transformers"] == transformers.__version__
    assert json.loads(json.dumps(tiny.facts)) == tiny.facts


def test_the_revision_of_a_folder_follows_its_files_not_its_place(folder, copy):
    assert load(copy).facts["revision"] == load(folder).facts["revision"]
    edit(copy / "processor_config.json", note="another resize, say")
    assert load(copy).facts["revision"] != load(folder).facts["revision"]


def test_a_caption_is_cut_at_the_stated_number_of_tokens(folder, tiny, frames):
    short = load(folder, max_new_tokens=3)
    assert [" ".join(text.split()[:3]) for text in tiny.caption(frames)] == short.caption(frames)
    assert short.facts["decoding"]["max_new_tokens"] == 3


def test_a_model_that_says_nothing_gives_empty_texts(tmp_path, frames):
    assert load(build(tmp_path / "silent", silent=True)).caption(frames) == [""] * 5


def test_sixteen_bits_give_words_too_and_are_stated(folder, frames):
    half = load(folder, dtype="bfloat16")
    assert all(half.caption(frames)) and half.facts["decoding"]["dtype"] == "bfloat16"


def test_a_model_in_the_cache_of_the_hub_has_its_name_and_commit(cache, tiny, frames):
    found = load(NAME)
    assert (found.facts["model"], found.facts["revision"]) == (NAME, COMMIT[:12])
    assert found.caption(frames) == tiny.caption(frames)
    assert load(NAME, revision=COMMIT).facts == load(cache / "snapshots" / COMMIT).facts == found.facts


def test_a_model_that_is_not_in_the_cache_is_refused_with_how_to_get_it(cache):
    with pytest.raises(UserError) as error:
        load("lab/other")
    one_line(error, "lab/other", "--download", "hf download lab/other")
    with pytest.raises(UserError) as error:
        load(NAME, revision="v2")
    one_line(error, "revision v2", "--download")
    with pytest.raises(UserError) as error:
        load("no/such/folder")
    one_line(error, "no/such/folder", "check the path")


def test_a_download_that_fails_is_one_line(cache, monkeypatch):
    asked = {}

    def fetch(name, **options):
        asked.update(options)
        raise OSError("the network is\nunreachable")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(UserError) as error:
        load("lab/other", download=True)
    one_line(error, "lab/other", "the network is")
    assert asked["local_files_only"] is False and not any("bin" in p for p in asked["allow_patterns"])
    with pytest.raises(UserError):
        load("lab/other")
    assert asked["local_files_only"] is True


def no_config(folder):
    (folder / "config.json").unlink()


def other_kind(folder):
    edit(folder / "config.json", model_type="blip")


def no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def bad_tokenizer(folder):
    truncate(folder / "tokenizer.json")


def no_image_processor(folder):
    (folder / "processor_config.json").unlink()


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_weights(folder):
    truncate(folder / "model.safetensors")


def pickled_weights(folder):
    torch.save(safetensors.torch.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    no_weights(folder)


def lacking_weights(folder):
    state = safetensors.torch.load_file(folder / "model.safetensors")
    del state["qformer.layernorm.weight"]
    safetensors.torch.save_file(state, folder / "model.safetensors", {"format": "pt"})


def other_sizes(folder):
    edit(folder / "config.json", num_query_tokens=5)


def blind_processor(folder):
    edit(folder / "processor_config.json", num_query_tokens=None)


@pytest.mark.parametrize("breaks, words", [
    (no_config, ["config.json"]),
    (other_kind, ["type blip-2", "'blip'"]),
    (no_tokenizer, ["tokenizer"]),
    (bad_tokenizer, ["tokenizer"]),
    (no_image_processor, ["image"]),
    (no_weights, ["weights", "safetensors"]),
    (cut_weights, ["weights"]),
    (pickled_weights, ["weights", "safetensors"]),
    (lacking_weights, ["qformer.layernorm.weight"]),
    (other_sizes, ["fetch the whole model"]),
    (blind_processor, ["places in the prompt"]),
])
def test_a_folder_that_is_no_whole_blip2_is_refused_in_one_line(copy, breaks, words):
    breaks(copy)
    with pytest.raises(UserError) as error:
        load(copy)
    one_line(error, str(copy), *words)


@pytest.mark.parametrize("options, words", [
    ({"prompt": "  "}, ["--prompt"]),
    ({"prompt_format": "chat"}, ["--prompt-format", "plain, qa"]),
    ({"prompt": "dog " * 400}, ["--prompt", "160", "shorten"]),
    ({"max_new_tokens": 0}, ["max_new_tokens"]),
    ({"dtype": "int8"}, ["--dtype", "float32"]),
    ({"revision": "main"}, ["--revision", "leave it out"]),
])
def test_settings_that_cannot_be_are_refused_in_one_line(folder, options, words):
    with pytest.raises(UserError) as error:
        load(folder, **options)
    one_line(error, *words)


def test_too_many_frames_for_the_memory_are_one_line(tiny, frames, monkeypatch):
    def full(**given):
        raise torch.OutOfMemoryError("CUDA out of memory\nand more")

    monkeypatch.setattr(tiny.model, "generate", full)
    with pytest.raises(UserError) as error:
        tiny.caption(frames)
    one_line(error, "--batch 5", "smaller --batch")


def test_the_core_reaches_the_captioner_by_name():
    assert registry.load("captioners", "blip2") is captioner.load
