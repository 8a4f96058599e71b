"""S3D: published sizes, checkpoints of other code bases, reduced versions."""

import pytest
import torch
import torchvision
from torch import nn

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import convert_s3d, load_encoder, read_checkpoint
from saliency_bench.models.encoders.s3d import MIXED, S3D, output_size

GROUPS = {"1": range(0, 5), "2": range(5, 8), "3": range(8, 14), "4": range(14, 16)}


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def randomise(net: nn.Module) -> nn.Module:
    """Weights and running statistics unlike their starting values, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point() and value.ndim == 1:
                value.uniform_(-0.5, 1.0, generator=generator)
    return net.eval()


def kylemin(net: S3D) -> dict[str, torch.Tensor]:
    """A state dict in the published names, written out independently of the converter."""
    out = {}
    for name, value in net.state_dict().items():
        if name.startswith("classifier."):
            out["fc.0." + name.partition(".")[2]] = value
            continue
        _, index, rest = name.split(".", 2)
        for own, theirs in [("spatial.conv", "conv_s"), ("spatial.norm", "bn_s"), ("temporal.conv", "conv_t"),
                            ("temporal.norm", "bn_t"), ("norm.", "bn."), ("direct.", "branch0.0."),
                            ("wide.", "branch1."), ("narrow.", "branch2."), ("pooled.", "branch3.")]:
            rest = rest.replace(own, theirs)
        out[f"base.{index}.{rest}"] = value
    return out


def regrouped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same in the names of ViNet and TASED-Net, without the head."""
    out = {}
    for name, value in state.items():
        if name.startswith("base."):
            _, index, rest = name.split(".", 2)
            group = next(g for g, members in GROUPS.items() if int(index) in members)
            out[f"module.backbone.base{group}.{int(index) - GROUPS[group][0]}.{rest}"] = value
    return out


def test_published_width_has_the_published_number_of_parameters():
    assert parameters(S3D()) == 7_910_048
    assert parameters(S3D(classes=400)) == 8_320_048


def test_pyramid_has_the_published_shapes():
    levels = S3D(width=0.1).eval().pyramid(torch.zeros(1, 3, 16, 64, 96))
    assert {i: tuple(x.shape[2:]) for i, x in levels.items()} == {3: (8, 16, 24), 6: (8, 8, 12), 12: (4, 4, 6),
                                                                 15: (2, 2, 3)}


def test_torchvision_weights_give_torchvision_features():
    torch.manual_seed(0)
    theirs = randomise(torchvision.models.video.s3d(num_classes=7))
    ours = S3D(classes=7).eval()
    load_encoder(ours, convert_s3d(theirs.state_dict()), "torchvision")
    clip = torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = theirs.features(clip)
        logits = theirs.classifier(features.mean((2, 3, 4), keepdim=True)).flatten(1)
        assert torch.allclose(ours(clip), features, atol=1e-4 * float(features.max()))
        assert torch.allclose(ours.logits(clip), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_names_are_read(prefix):
    net = randomise(S3D(width=0.1, classes=5))
    state = {prefix + k: v for k, v in kylemin(net).items()}
    converted = convert_s3d(state)
    assert converted.keys() == net.state_dict().keys()
    assert all(torch.equal(converted[k], v) for k, v in net.state_dict().items())


def test_regrouped_names_of_vinet_and_tased_are_read():
    net = randomise(S3D(width=0.1))
    state = regrouped(kylemin(net)) | {"module.decoder.convtsp1.0.weight": torch.zeros(1)}
    converted = convert_s3d(state)
    assert converted.keys() == net.state_dict().keys()
    assert all(torch.equal(converted[k], v) for k, v in net.state_dict().items())


def test_a_file_without_an_encoder_is_refused_by_name():
    with pytest.raises(UserError, match=r"vinet\.pt.*found none for layers\.0"):
        load_encoder(S3D(width=0.1), convert_s3d({"decoder.weight": torch.zeros(1)}), "vinet.pt")


def test_weights_of_another_width_are_refused():
    with pytest.raises(UserError, match="expected shape"):
        load_encoder(S3D(width=0.1), S3D(width=0.2).state_dict(), "wide.pt")


def test_checkpoints_are_read_without_running_code(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, path)
    assert torch.equal(read_checkpoint(path)["a"], torch.ones(2))
    torch.save({"model": print}, path)
    with pytest.raises(UserError, match=r"checkpoint\.pt"):
        read_checkpoint(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"checkpoint\.pt"):
        read_checkpoint(path)
    with pytest.raises(UserError, match="found nothing"):
        read_checkpoint(tmp_path / "absent.pt")


def test_strides_can_keep_the_spatial_grid():
    net = S3D(width=0.1, last=12, strides={7: (2, 1)}).eval()
    assert net(torch.zeros(1, 3, 8, 64, 96)).shape[2:] == (2, 8, 12)


@pytest.mark.parametrize("size", [(16, 64, 96), (9, 50, 70), (5, 33, 31)])
@pytest.mark.parametrize(("last", "strides"), [(15, {}), (12, {7: (2, 1)}), (8, {0: (1, 3), 4: (3, 1)}), (0, {})])
def test_output_sizes_are_foretold(size, last, strides):
    net = S3D(width=0.01, last=last, strides=strides).eval()
    expected = output_size(size, last, strides)
    if min(expected):
        assert tuple(net(torch.zeros(1, 3, *size)).shape[2:]) == expected
    else:
        with pytest.raises(RuntimeError):
            net(torch.zeros(1, 3, *size))


def test_width_scales_every_block():
    half, full = S3D(width=0.5), S3D()
    assert all(half.channels[i] * 2 == full.channels[i] for i in MIXED)
    assert parameters(half) < 0.26 * parameters(full)


@pytest.mark.parametrize("wrong", [{"last": 16}, {"last": 12, "classes": 4}, {"strides": {5: (1, 1)}}])
def test_impossible_layouts_are_refused(wrong):
    with pytest.raises(ValueError, match="last must be"):
        S3D(width=0.1, **wrong)


def test_overlapping_windows_share_what_is_exact_to_the_bit():
    torch.manual_seed(0)
    net = S3D(0.1, 8).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    frames, rows = torch.randn(3, 11, 32, 48), torch.arange(4)[:, None] + torch.arange(8)
    rows[0, :3] = rows[0, 3]  # the start of a clip, whose first frame is repeated
    with torch.inference_mode():
        assert torch.equal(net.windows(frames, rows, (net.last,))[net.last], net(frames[:, rows].transpose(0, 1)))
