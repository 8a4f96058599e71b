"""Checkpoints of the systems' authors: read whole, in the preset they fit, or refused with what does not fit."""

import argparse
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from saliency_bench import registry
from saliency_bench.baselines.avinet import AViNetModel
from saliency_bench.baselines.tased import TASEDModel
from saliency_bench.baselines.vinet import ViNetModel
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions

FIGURES = Path(__file__).parent / "golden" / "models"


def authors(name: str, prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors of the authors' names and shapes."""
    manifest = json.loads((FIGURES / f"{name}.json").read_text())
    return {prefix + key: torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else None)
            if key.endswith(("num_batches_tracked", "bias", "running_mean")) else torch.full(shape, 0.5)
            for key, shape in manifest["keys"].items()}


def refused(path: Path, model: str, mode: str, *words: str, **options) -> None:
    with pytest.raises(UserError) as error:
        registry.load("models", model).load(LoadOptions(mode, weights=path, options=options))
    said = str(error.value)
    assert "\n" not in said and str(path) in said, said
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(("name", "model", "mode", "preset"), [
    ("vinet", "vinet", "V", "paper"), ("vinet16", "vinet", "V", "paper16"), ("avinet", "avinet", "AV", "paper"),
    ("avinet_tf", "avinet", "AV", "paper_tf"), ("stavis_av", "stavis", "AV", "paper"),
    ("stavis_v", "stavis", "V", "paper"),
])
def test_a_checkpoint_is_read_in_the_preset_that_it_fits(name, model, mode, preset, tmp_path):
    path = tmp_path / "released.pth"
    torch.save({"epoch": 60, "arch": "x", "state_dict": authors(name, "module.")}, path)
    loaded = registry.load("models", model).load(LoadOptions(mode, weights=path))
    assert loaded.config.preset == preset and loaded.weights.startswith("released@") and not loaded.training
    assert loaded.unknown_training and loaded.trained_on == ()
    assert all((p == 0.5).all() for n, p in loaded.network.named_parameters() if n.endswith("weight"))


def test_missing_and_surplus_tensors_are_counted_and_the_nearest_named(tmp_path):
    state = authors("vinet16")
    state["decoder.convtsp2.0.weights"] = state.pop("decoder.convtsp2.0.weight")
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "preset paper16", "391 of its 392", "1 missing", 
            "decoder.convtsp2.0.weight, here decoder.joined.1.weight, nearest decoder.convtsp2.0.weights",
            "1 surplus (decoder.convtsp2.0.weights)",
            "nothing was loaded; no system here is nearer; fetch the authors' file of vinet again")


def test_a_file_is_held_to_the_sha256_that_is_asked_for(type_, tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"lr": 0.1}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    asked = ("run", "vinet", "--weights", path, "--out", tmp_path, "--sha256")
    for sha, said in (("0" * 64, f"expected SHA-256 {'0' * 64}, found {digest}"), ("12", "8 to 64 hexadecimal"),
                      (digest[:12].upper(), "state dict of tensors")):
        code, _, err = type_(*asked, sha)
        assert code == 2 and said in err, err
    code, _, err = type_("run", "vinet", "--sha256", digest)
    assert code == 2 and "found no file" in err


@pytest.mark.parametrize(("name", "model", "mode", "key"), [
    ("vinet16", "vinet", "V", "backbone.base1.9.extra.weight"), ("stavis_av", "stavis", "AV", "soundnet8.25.weight"),
    ("avinet", "avinet", "AV", "audionet.conv9.weight"),
])
def test_a_surplus_tensor_of_an_encoder_is_not_passed_over(name, model, mode, key, tmp_path):
    torch.save(authors(name) | {key: torch.zeros(2, 2)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", model, mode, "1 surplus", key.rpartition(".")[0].rpartition(".")[2])


def test_values_of_another_kind_and_names_that_are_no_text_are_refused(tmp_path):
    state = authors("vinet16")
    state["decoder.convtsp1.0.weight"] = state["decoder.convtsp1.0.weight"].to(torch.int8)
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "found torch.int8")
    torch.save({0: torch.zeros(2)}, tmp_path / "numbered.pt")
    refused(tmp_path / "numbered.pt", "vinet", "V", "state dict of tensors")


@pytest.mark.parametrize(("model", "mode", "options", "said"), [
    *((model, mode, {"window.frames": n}, f"window.frames {n} must be 8, 16 or 32") for n in (9, 12, 20, 24, 64)
      for model, mode in (("vinet", "V"), ("tased", "V"), ("avinet", "AV"))),
    ("vinet", "V", {"window.size": [200, 320]}, "multiples of 32"),
    ("casp_like", "AV", {"sound.rate": 4000}, "half the rate"),
    ("stavis", "AV", {"sound.buffer": 100}, "too short for layer 4"),
])
def test_settings_that_make_no_network_are_one_line(model, mode, options, said):
    with pytest.raises(UserError, match=said) as error:
        registry.load("models", model).create(mode, "nano", options)
    assert "\n" not in str(error.value)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path):
    state = authors("stavis_v")
    state["fuse.weight"] = torch.zeros(1, 32, 1, 1)
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "stavis", "V", "fuse.weight", "(1, 64, 1, 1)", "(1, 32, 1, 1)")


@pytest.mark.parametrize(("name", "asked", "mode", "said"), [
    ("stavis_av", "vinet", "V", "it is a checkpoint of stavis in mode AV or V, which its tensors do not tell, preset "
     "paper: run stavis"),
    ("vinet", "stavis", "AV", "it is a checkpoint of vinet(V)"),
    ("vinet", "tased", "V", "it is a checkpoint of vinet(V)"),
    ("avinet", "vinet", "V", "it is a checkpoint of avinet(AV)"),
])
def test_a_checkpoint_of_another_system_is_recognised(name, asked, mode, said, tmp_path):
    torch.save(authors(name), tmp_path / "w.pt")
    refused(tmp_path / "w.pt", asked, mode, said)


def test_a_file_that_would_run_code_or_holds_no_tensors_is_refused(tmp_path):
    torch.save({"state_dict": {"a": print}}, tmp_path / "code.pt")
    refused(tmp_path / "code.pt", "vinet", "V", "plain tensors", "builtins.print", "would run code")
    torch.save({"lr": 0.1}, tmp_path / "no.pt")
    refused(tmp_path / "no.pt", "vinet", "V", "state dict of tensors", "found the keys 'lr' (float)")


class Runs:
    """A pickle of it leaves a file behind, should anything load it."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_is_never_loaded_and_what_it_asks_for_is_named(protocol, tmp_path):
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Runs(tmp_path / "ran"), protocol))
    refused(tmp_path / "w.pt", "vinet", "V", "not opened", "code")
    (tmp_path / "system.pt").write_bytes(pickle.dumps(os.system, protocol))
    refused(tmp_path / "system.pt", "vinet", "V", "a call of posix.system")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_class_beside_the_tensors_is_named_with_the_way_to_save_them_alone(zipped, tmp_path):
    torch.save({"args": argparse.Namespace(), "state_dict": authors("vinet16")}, tmp_path / "w.pt",
               _use_new_zipfile_serialization=zipped)
    refused(tmp_path / "w.pt", "vinet", "V", "found argparse.Namespace in it", "torch.save(c['state_dict'], 'weights.")


@pytest.mark.parametrize("suffix", [".pt", ".old.pt", ".safetensors"])
@pytest.mark.parametrize(("share", "said"), [(0.0, "found an empty file; fetch it again"),
                                             (0.2, "bytes that is damaged or ends early; fetch it again")])
def test_a_file_that_ends_early_is_said_to_in_plain_words(suffix, share, said, tmp_path):
    path, state = tmp_path / f"w{suffix}", {"a": torch.ones(3000)}
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == ".pt")
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    refused(path, "vinet", "V", said)


def test_files_of_other_kinds_are_told_apart(tmp_path):
    for content, said in ((b"<!DOCTYPE html><html>", "a page of text"), (b"hello", "a file of another kind")):
        (tmp_path / "w.pt").write_bytes(content)
        refused(tmp_path / "w.pt", "vinet", "V", said)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    refused(tmp_path / "w.pt", "vinet", "V", "a TorchScript program")


def test_tensors_below_another_key_are_found_and_named(tmp_path):
    torch.save({"epoch": 3, "net": authors("vinet16")}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "keys 'epoch' (int), 'net' (", "torch.save(torch.load(FILE)['net']")


@pytest.mark.parametrize("model", ["vinet", "tavdiff"])
def test_a_folder_is_no_weights_file(model, tmp_path):
    refused(tmp_path, model, "V", "found a folder; give a file in it")
    (tmp_path / "a.pth").write_bytes(b"")
    refused(tmp_path, model, "V", f"for example {tmp_path / 'a.pth'}")


@pytest.mark.parametrize(("name", "model", "mode", "preset"), [
    ("vinet", "vinet", "V", "paper"), ("vinet16", "vinet", "V", "paper16"), ("avinet", "avinet", "AV", "paper"),
    ("avinet_tf", "avinet", "AV", "paper_tf"), ("stavis_av", "stavis", "AV", "paper"),
])
def test_every_tensor_has_the_name_of_the_authors_file(name, model, mode, preset):
    system = registry.load("models", model)
    config = system.load_preset(preset)
    ours = [k for k in system.sized(config, mode).state_dict() if not k.endswith("num_batches_tracked")]
    theirs = [k for k in authors(name) if not k.endswith(("num_batches_tracked", "pos_encoder.pe"))]
    assert sorted(system.authors_name(k, config) for k in ours) == sorted(theirs)


def test_taseds_names_go_back_to_its_authors():
    config = TASEDModel.load_preset("paper")
    for key, value in TASEDModel.sized(config, "V").state_dict().items():
        assert list(TASEDModel.convert({TASEDModel.authors_name(key, config): value})) == [key]


def test_a_file_without_its_last_bias_is_held_against_the_preset_it_is_nearest_to(tmp_path):
    state = authors("vinet16")
    del state["decoder.convtsp4.6.bias"]
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "preset paper16, found 391 of its 392 tensors, 1 missing "
            "(decoder.convtsp4.6.bias, here decoder.out.bias)")
    torch.save({f"net.{k}": v for k, v in authors("vinet16").items()}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "preset paper16, found")


@pytest.mark.parametrize(("mode", "other", "head"), [("AV", "V", "fuseav.bias"), ("V", "AV", "fuse.bias")])
def test_a_stavis_file_of_the_other_mode_is_refused_by_the_head_that_never_learned(mode, other, head, tmp_path):
    torch.save(authors("stavis_av", "module.") | {f"module.{head}": torch.full((1,), -6.0)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "stavis", mode, f"{head} still at -6", f"give --modes {other}")
    assert registry.load("models", "stavis").load(LoadOptions(other, weights=tmp_path / "w.pt")).mode == other
    refused(tmp_path / "w.pt", "vinet", "V", f"it is a checkpoint of stavis({other}), preset paper: run stavis")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    state = authors("vinet16")
    state["decoder.convtsp1.0.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "finite")


def test_a_preset_that_the_authors_do_not_have_is_refused(tmp_path):
    torch.save(authors("vinet16"), tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "vinet", "V", "paper or paper16", "preset nano", preset="nano")


def test_a_training_starts_from_an_authors_checkpoint(tmp_path):
    torch.save(authors("vinet16"), tmp_path / "w.pt")
    model = ViNetModel.create("V", "paper16")
    model.start_from(tmp_path / "w.pt", ("visual",))
    state = model.network.state_dict()
    assert (state["visual.layers.0.spatial.conv.weight"] == 0.5).all()
    assert not (state["decoder.joined.0.weight"] == 0.5).all()
    assert ViNetModel.weights_name(tmp_path / "w.pt").startswith("w@")
    assert model.unknown_training  # so that no table calls it zero-shot, when it is trained further and read again
    model.record = {"unknown_training": True}
    model.save(tmp_path / "further.safetensors", model.record)
    assert ViNetModel.read(tmp_path / "further.safetensors").unknown_training


def test_avinet_starts_from_vinets_checkpoint_as_its_authors_do(tmp_path):
    torch.save(authors("vinet", "module."), tmp_path / "w.pt")
    model = AViNetModel.create("AV", "paper")
    model.start_from(tmp_path / "w.pt", ("visual",))
    state = model.network.state_dict()
    assert (state["visual.layers.0.spatial.conv.weight"] == 0.5).all() and (state["decoder.out.weight"] != 0.5).any()
    model.start_from(tmp_path / "w.pt")
    assert (model.network.state_dict()["decoder.out.weight"] == 0.5).all()


def test_a_start_from_another_preset_takes_over_nothing(tmp_path):
    ViNetModel.create("V", "nano").save(tmp_path / "nano.safetensors", {})
    with pytest.raises(UserError, match="found none"):
        ViNetModel.create("V", "paper16").start_from(tmp_path / "nano.safetensors")


def test_the_reconstructed_networks_have_the_published_parameters_and_tensors():
    sizes = {}
    for name in ("tased", "vinet_s"):
        model = registry.load("models", name)
        network = model.sized(model.load_preset("paper"), "V")
        sizes[name] = sum(p.numel() for p in network.parameters()), len(network.state_dict())
    assert sizes == {"tased": (21_260_693, 513), "vinet_s": (9_500_737, 470)}


def test_the_names_of_taseds_authors_are_read():
    network = TASEDModel.sized(TASEDModel.load_preset("paper"), "V")
    theirs = {"convtsp1.0.weight": "top.0.conv.weight", "convtsp1.4.running_var": "top.1.norm.running_var",
              "convtsp2.0.weight": "middle.conv.weight", "convtsp3.1.bias": "low.norm.bias",
              "convtsp4.3.weight": "last.1.conv.weight", "convtsp4.10.weight": "last.3.norm.weight",
              "convtsp4.12.weight": "up.weight", "convtsp4.13.bias": "out.bias"}
    state = network.state_dict()
    found = TASEDModel.convert({"module." + k: state[v] for k, v in theirs.items()})
    assert sorted(found) == sorted(theirs.values())


def test_shared_frames_meet_each_slice_of_staviss_kernel_once():
    model = registry.load("models", "stavis").load(LoadOptions("V", options={"untrained": True}))
    frames = torch.randn(3, 12, 32, 48)
    rows = torch.tensor(np.stack([np.clip(np.arange(8) + i, 0, 11) for i in (0, 2, 6)]))
    whole = torch.stack([frames[:, r] for r in rows])
    stem = model.network.stem
    with torch.inference_mode():
        assert torch.allclose(stem.shared(frames, rows), stem.conv(whole), atol=1e-5)
