"""Encoder weights by the name of who ships them, from the caches that these packages keep; no network."""

import pytest
import torch
import torchvision
from transformers import CLIPTextConfig, CLIPTextModel

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import load_encoder
from saliency_bench.models.encoders.pretrained import clip_text_weights, s3d_weights
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
    ("hf:nobody/no-such-model", "fetch the file"),
])
def test_weights_that_nobody_ships_are_one_line(source, said):
    with pytest.raises(UserError, match=said) as caught:
        clip_text_weights(source, "ViT-B-32-quickgelu")
    assert "\n" not in str(caught.value)


def test_weights_without_a_network_are_one_line():
    with pytest.raises(UserError, match="torchvision: expected weights in the cache or on the network") as caught:
        s3d_weights("torchvision")
    assert "\n" not in str(caught.value)
