"""Encoder weights by the name of who ships them, from the caches that these packages keep; no network."""

import pytest
import torch
import torchvision
from transformers import CLIPTextConfig, CLIPTextModel

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import load_encoder
from saliency_bench.models.encoders.pretrained import clip_text_weights, mvit_weights, s3d_weights
from saliency_bench.models.encoders.s3d import S3D
from saliency_bench.models.encoders.text import TextEncoder, WordTokeniser


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_torchvision_serves_s3d_from_its_cache(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.video.s3d()
    url = torchvision.models.video.S3D_Weights.KINETICS400_V1.url
    cached = tmp_path / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    cached.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), cached)
    ours = S3D()
    load_encoder(ours, s3d_weights("torchvision"), "torchvision")
    assert torch.equal(ours.layers[0].spatial.conv.weight, theirs.features[0][0][0].weight)


def test_a_folder_that_transformers_saved_is_read(tmp_path):
    torch.manual_seed(0)
    words = WordTokeniser(["red", "square"], context=10)
    theirs = CLIPTextModel(CLIPTextConfig(vocab_size=words.size, hidden_size=32, intermediate_size=128,
                                          num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=10))
    theirs.save_pretrained(tmp_path / "clip")
    ours = TextEncoder(words, 32, 4, 2, quick_gelu=True)
    load_encoder(ours.tower, clip_text_weights(str(tmp_path / "clip"), "ViT-B-32-quickgelu"), "clip")
    assert torch.equal(ours.tower.token_embedding.weight, theirs.get_input_embeddings().weight)


@pytest.mark.parametrize("source, said", [
    ("no-such-tag", "openai"),
    ("hf:nobody/no-such-model", "hf download nobody/no-such-model"),
])
def test_weights_that_nobody_ships_are_one_line(source, said):
    with pytest.raises(UserError, match=said) as caught:
        clip_text_weights(source, "ViT-B-32-quickgelu")
    assert "\n" not in str(caught.value)


@pytest.fixture
def no_call(monkeypatch):
    """Whoever looks for the network fails."""
    def called(*words, **more):
        raise AssertionError("looked for the network")

    monkeypatch.setattr("urllib.request.urlopen", called)
    monkeypatch.setattr("socket.create_connection", called)
    monkeypatch.setattr("socket.socket.connect", called)


@pytest.mark.parametrize(("weights", "stem"), [(s3d_weights, "s3d"), (mvit_weights, "mvit_v2_s")])
def test_nothing_is_fetched_unasked_and_the_file_and_its_place_are_named(weights, stem, no_call, tmp_path, capfd):
    with pytest.raises(UserError, match=r"downloaded unasked; fetch https.*SALIENCY_BENCH_DOWNLOAD=1") as caught:
        weights("torchvision")
    said = str(caught.value)
    assert f"{tmp_path}/torch/hub/checkpoints/{stem}" in said and "\n" not in said
    assert not any(capfd.readouterr()) and not (tmp_path / "torch").exists()


@pytest.mark.parametrize(("tag", "place"), [("openai", "cache"), ("laion2b_s34b_b79k", "cache")])
def test_a_tag_of_open_clip_is_not_fetched_unasked_either(tag, place, no_call, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *words: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"{place}.*nothing is downloaded unasked.*text.weights=FILE") as caught:
        clip_text_weights(tag, "ViT-B-32")
    assert "\n" not in str(caught.value)


def test_what_is_asked_for_without_a_network_is_one_line(monkeypatch):
    monkeypatch.setenv("SALIENCY_BENCH_DOWNLOAD", "1")
    with pytest.raises(UserError, match="torchvision: expected weights in the cache or on the network") as caught:
        s3d_weights("torchvision")
    assert "\n" not in str(caught.value)
