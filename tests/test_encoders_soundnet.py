"""SoundNet: published sizes and lengths, checkpoints of other code bases, tones as a start."""

import json
import random
from pathlib import Path

import pytest
import torch

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import convert_soundnet, load_encoder
from saliency_bench.models.encoders.soundnet import CHANNELS, SoundNet, tune_first_layer

STAVIS_CONV, STAVIS_NORM = (0, 4, 8, 11, 14, 18, 21), (1, 5, 9, 12, 15, 19, 22)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def net_with_statistics(**options) -> SoundNet:
    torch.manual_seed(0)
    net = SoundNet(**options)
    for value in net.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5)
    return net.eval()


def named(net: SoundNet, conv: str, norm: str, axis: int, heads: tuple[str, str]) -> dict[str, torch.Tensor]:
    """The net's state in another scheme; `axis` is where the two-dimensional kernel gets its second axis."""
    out = {}
    for name, value in net.state_dict().items():
        kind = name.split(".")[0]
        if kind == "layers":
            _, i, part, leaf = name.split(".")
            scheme = conv if part == "conv" else norm
            key = scheme.format(n=int(i) + 1, c=STAVIS_CONV[int(i)], b=STAVIS_NORM[int(i)]) + "." + leaf
        else:
            key = heads[kind == "scenes"] + "." + name.partition(".")[2]
        out[key] = value.unsqueeze(axis) if value.ndim == 3 else value
    return out


def test_published_channels_have_the_published_number_of_parameters():
    assert parameters(SoundNet()) == 2_874_320
    assert parameters(SoundNet(heads=True)) == 14_352_713


@pytest.mark.parametrize(("samples", "length"), [(22050, 2), (35280, 2), (66150, 3), (70560, 3), (110250, 4),
                                                 (220500, 8)])
def test_the_last_layer_has_the_published_length(samples, length):
    thin = SoundNet(channels=(1,) * 7).eval()
    assert thin(torch.zeros(1, samples)).shape[2] == length


SCHEMES = {
    "smallflyingpig": ("conv{n}.0", "conv{n}.1", 3, ("conv8.0", "conv8_2.0")),
    "vinet": ("audionet.conv{n}", "audionet.batchnorm{n}", 3, ("audionet.conv8_objs", "audionet.conv8_scns")),
    "stavis": ("module.soundnet8.{c}", "module.soundnet8.{b}", 2, ("", "")),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_checkpoints_of_other_code_are_read(scheme):
    net = net_with_statistics(heads=scheme != "stavis")
    state = named(net, *SCHEMES[scheme]) | {"module.fusion3.weight": torch.zeros(1)}
    converted = convert_soundnet(state)
    assert converted.keys() == net.state_dict().keys()
    assert all(torch.equal(converted[k], v) for k, v in net.state_dict().items())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("prefix", ["", "module."])
def test_stavis_files_give_soundnet_and_not_the_image_network_in_any_order(prefix, seed):
    keys = json.loads((Path(__file__).parent / "golden" / "models" / "stavis_keys.json").read_text())
    assert {"conv1.weight", "layer1.0.conv1.weight"} <= set(keys)
    net = net_with_statistics()
    own = named(net, *SCHEMES["stavis"])
    random.Random(seed).shuffle(keys)
    state = {prefix + key: own.get(f"module.{key}", torch.zeros(3, 4, 5, 5, 5)) for key in keys}
    converted = convert_soundnet(state)
    assert converted.keys() == net.state_dict().keys()
    assert all(torch.equal(converted[k], v) for k, v in net.state_dict().items())


def test_convolutions_of_other_networks_are_left_out():
    state = named(net_with_statistics(), *SCHEMES["vinet"])
    others = {"visual_model.conv1.weight": torch.zeros(1), "layer1.0.conv2.weight": torch.zeros(1)}
    assert convert_soundnet(others | state | others).keys() == convert_soundnet(state).keys()


def test_two_sources_of_one_tensor_are_refused():
    state = named(net_with_statistics(), *SCHEMES["vinet"])
    with pytest.raises(UserError, match=r"audionet\.conv1\.weight and conv1\.0\.weight"):
        convert_soundnet(state | {"conv1.0.weight": torch.zeros(1)})


def test_a_trunk_loads_from_a_file_with_heads():
    net = net_with_statistics(heads=True)
    trunk = SoundNet().eval()
    load_encoder(trunk, convert_soundnet(named(net, *SCHEMES["vinet"])), "soundnet")
    wave = torch.randn(1, 35280)
    assert torch.equal(trunk(wave), net(wave))


def test_classes_need_ten_seconds_of_sound():
    objects, scenes = net_with_statistics(heads=True).logits(torch.zeros(1, 220500))
    assert objects.shape == (1, 1000, 1) and scenes.shape == (1, 401, 1)


@pytest.mark.parametrize("hertz", [300.0, 700.0, 1500.0, 3000.0])
def test_tuned_filters_answer_most_to_their_own_pitch(hertz):
    net = SoundNet(channels=(32,), last=1)
    tune_first_layer(net, rate=8000)
    time = torch.arange(6400) / 8000
    with torch.no_grad():
        answer = net.layers[0].conv(torch.sin(2 * torch.pi * hertz * time)[None, None])[0].square().mean(1)
    loudest = torch.fft.rfft(net.layers[0].conv.weight[answer.argmax(), 0], n=8000).abs().argmax()
    assert abs(float(loudest) - hertz) < 0.25 * hertz


def test_the_net_can_stop_early():
    assert SoundNet(last=4)(torch.zeros(2, 6400)).shape == (2, CHANNELS[3], 7)


@pytest.mark.parametrize("wrong", [{"last": 0}, {"last": 8}, {"channels": (4, 4), "last": 3},
                                   {"last": 4, "heads": True}])
def test_impossible_layouts_are_refused(wrong):
    with pytest.raises(ValueError, match="last must be"):
        SoundNet(**wrong)
