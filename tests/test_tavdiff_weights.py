"""TAVDiff on disk and in the harness: what is written comes back, and mistakes are named in one line."""

import hashlib
import re
import tomllib

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from saliency_bench.data.clip import Audio, Captions, Clip
from saliency_bench.data.target import Target
from saliency_bench.errors import UserError
from saliency_bench.models.adapter import LoadOptions, Windows
from saliency_bench.models.tavdiff import model as model_module
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.weights import load_weights, save_weights, weights_name
from saliency_bench.models.weights import save_weights as save_any
from tests.tavdiff_small import SMALL, small_model, windows

RECORD = {"trained_on": ["avt-causal"], "seed": 3, "loss_curve": [0.5, 0.25], "spec": {"steps": 7, "note": 'a "b"'},
          "missing": None, "provenance": {"packages": [{"name": "torch"}], "nested": {"x": float("nan")}}}


class Noise:
    """Five frames of noise, of another size than the model's input."""

    size = (40, 60)

    def __len__(self) -> int:
        return 5

    def read(self, indices):
        return np.stack([np.random.default_rng(i).integers(0, 255, (*self.size, 3), dtype=np.uint8) for i in indices])


def clip() -> Clip:
    tone = np.sin(np.arange(8000) / 3).astype(np.float32)
    return Clip("noise", 5, Noise.size, 12.0, Noise(), Audio(8000, lambda: tone), Captions({0: "a red circle"}))


@pytest.fixture
def saved(tmp_path):
    model, path = small_model("TV"), tmp_path / "nano-TV.safetensors"
    save_weights(path, model, RECORD)
    return model, path


def one_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_come_back_in_half_precision(saved):
    model, path = saved
    loaded, record = load_weights(path, "TV")
    assert loaded.config == model.config and not loaded.training
    for name, value in model.state_dict().items():
        back = loaded.state_dict()[name]
        assert torch.equal(back, value.half().float() if value.ndim > 1 else value), name
    assert record["loss_curve"] == [0.5, 0.25] and record["spec"] == {"steps": 7, "note": 'a "b"'}
    assert "missing" not in record and np.isnan(record["provenance"]["nested"]["x"])
    batch = windows("TV")
    assert torch.allclose(loaded.sample(batch), model.sample(batch), atol=0.05)


def test_single_precision_comes_back_exactly(tmp_path):
    model, path = small_model("V"), tmp_path / "v.safetensors"
    save_weights(path, model, {}, half=False)
    assert torch.equal(load_weights(path)[0].sample(windows("V")), model.sample(windows("V")))


def test_eight_bits_keep_every_row_within_half_a_step_and_take_half_the_room(tmp_path):
    network = small_model("TV")
    whole, config = network.state_dict(), network.config.describe()
    save_any(tmp_path / "eighth.safetensors", "tavdiff", "TV", network, config, {}, eighth=True)
    again = TAVDiffModel.read(tmp_path / "eighth.safetensors").network.state_dict()
    assert again.keys() == whole.keys()
    for key, value in whole.items():
        if value.ndim > 1:
            step = value.half().float().flatten(1).abs().amax(1) / 127
            error = (again[key] - value.half().float()).flatten(1).abs().amax(1)
            assert (error <= 0.52 * step + 1e-7).all(), key
        else:
            assert torch.equal(again[key], value), key
    sizes = []
    for eighth in (True, False):
        save_any(tmp_path / "linear.safetensors", "tavdiff", "TV", torch.nn.Linear(256, 256), {}, {}, eighth=eighth)
        sizes.append((tmp_path / "linear.safetensors").stat().st_size)
    assert sizes[0] < 0.53 * sizes[1]


def test_the_same_weights_give_the_same_bytes(saved, tmp_path):
    model, path = saved
    other = tmp_path / "again" / path.name
    save_weights(other, model, RECORD)
    assert other.read_bytes() == path.read_bytes()
    assert other.with_suffix(".toml").read_bytes() == path.with_suffix(".toml").read_bytes()


def test_weights_that_diverged_are_not_written(tmp_path):
    model = small_model("V")
    with torch.no_grad():
        model.denoiser.embed.weight[0, 0] = 1e6
    with pytest.raises(UserError, match="float16"):
        save_weights(tmp_path / "v.safetensors", model, {})
    assert not (tmp_path / "v.safetensors").exists()


def test_the_harness_gets_weights_record_and_maps(saved):
    path = saved[1]
    model = TAVDiffModel.load(LoadOptions("TV", weights=path, seed=5, batch=4))
    assert model.trained_on == ("avt-causal",)
    assert model.weights == weights_name(path)
    chunks = list(model.predict(clip().only("TV")))
    assert np.concatenate([index for index, _ in chunks]).tolist() == list(range(5))
    maps = np.concatenate([m for _, m in chunks])
    assert maps.shape == (5, 32, 48) and maps.dtype == np.float32 and maps.min() >= 0 and maps.max() <= 1


@pytest.mark.parametrize("mode", TAVDiffModel.modes)
def test_maps_do_not_depend_on_the_batch(mode):
    one, four = (TAVDiffModel.load(LoadOptions(mode, batch=n, options=SMALL | {"untrained": True})) for n in (1, 4))
    for model in (one, four):
        torch.nn.init.normal_(model.network.denoiser.out.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    a, b = (np.concatenate([m for _, m in model.predict(clip().only(mode))]) for model in (one, four))
    assert np.allclose(a, b, atol=1e-4) and a.std() > 0


def test_steps_and_samples_can_be_set_on_trained_weights(saved):
    path = saved[1]
    model = TAVDiffModel.load(LoadOptions("TV", weights=path, options={"steps": "2", "samples": 3, "preset": "nano"}))
    assert (model.network.config.sampling.steps, model.network.config.sampling.samples) == (2, 3)


def test_untrained_models_depend_on_the_seed_alone():
    a, b, c = (TAVDiffModel.load(LoadOptions("V", seed=s, options=SMALL | {"untrained": "true"})) for s in (1, 1, 2))
    same, other = (x.network.state_dict()["visual.layers.0.spatial.conv.weight"] for x in (b, c))
    mine = a.network.state_dict()["visual.layers.0.spatial.conv.weight"]
    assert torch.equal(mine, same) and not torch.equal(mine, other)


def test_a_model_that_was_trained_is_saved_with_its_record(tmp_path):
    model = TAVDiffModel.create("TA", "nano", SMALL)
    batch = Windows(clip().only("TA"), model.window).batch([0, 4])
    density = torch.rand(2, 40, 60)
    loss = model.train().loss(batch, Target(density, density > 0.99))
    loss.backward()
    model.save(tmp_path / "ta.safetensors", RECORD)
    assert TAVDiffModel.load(LoadOptions("TA", weights=tmp_path / "ta.safetensors")).record["seed"] == 3


@pytest.mark.parametrize(("options", "message"), [
    (LoadOptions("AV"), "expected weights of mode AV, found mode TV"),
    (LoadOptions("A"), "it has TAV"),
    (LoadOptions("TV", options={"preset": "paper"}), "preset paper, found preset nano"),
    (LoadOptions("TV", options={"denoiser.depth": 3}), "not an option of trained weights"),
    (LoadOptions("TV", options={"sampling.stesp": 3}), "stesp"),
    (LoadOptions("TV", options={"untrained": True}), "exclude each other"),
    (LoadOptions("TV", options={"untrained": "maybe"}), "untrained: expected true or false, found 'maybe'"),
])
def test_options_that_do_not_fit_the_weights_are_named(saved, options, message):
    with pytest.raises(UserError, match=message) as error:
        TAVDiffModel.load(LoadOptions(options.mode, weights=saved[1], options=options.options))
    one_line(error)


@pytest.mark.parametrize(("mode", "said"), [("TAV", "--minutes 20 --set text.weights=openai"),
                                            ("AV", "--minutes 20, or give")])
def test_the_way_to_train_the_paper_preset_is_one_that_works(mode, said):
    with pytest.raises(UserError, match=said) as error:
        TAVDiffModel.load(LoadOptions(mode, options={"preset": "paper"}))
    one_line(error)


def test_descriptions_of_before_training_was_a_section_are_read(saved):
    path = saved[1]
    beside = path.with_suffix(".toml")
    assert "training" not in tomllib.loads(beside.read_text())["config"]
    assert TAVDiffModel.load(LoadOptions("TV", weights=path)).network.config == saved[0].config


def test_weights_have_one_name_whoever_asks(saved):
    model = TAVDiffModel.load(LoadOptions("TV", weights=saved[1]))
    assert TAVDiffModel.weights_name(saved[1]) == weights_name(saved[1]) == model.weights


def test_missing_weights_say_how_to_train(tmp_path, monkeypatch):
    monkeypatch.setattr(model_module, "WEIGHTS", tmp_path)
    with pytest.raises(UserError, match=r"nano-TAV\.safetensors.*saliency-bench train tavdiff") as error:
        TAVDiffModel.load(LoadOptions("TAV"))
    one_line(error)


def test_damaged_or_foreign_files_are_named(saved, tmp_path):
    path = saved[1]
    beside = path.with_suffix(".toml")
    text, data = beside.read_text(), path.read_bytes()

    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match) as error:
            load_weights(path, "TV")
        one_line(error)

    path.write_bytes(data[:-10])
    refused("sha256 differs")
    path.write_bytes(data)
    beside.write_text(text.replace('model = "tavdiff"', 'model = "vinet"'))
    refused("vinet")
    beside.write_text(text.replace("format = 1", "format = 99"))
    refused("expected format 1, found 99")
    beside.write_text(text.replace("format = 1\n", ""))
    refused("expected format 1, found None")
    beside.write_text("record = 3\n" + re.sub(r"\[record.*?\n(?=\[config\])", "", text, flags=re.DOTALL))
    refused("record to be a table, found 3")
    beside.write_text("not = [toml")
    refused("expected TOML")
    beside.write_text(text.replace("depth = 2", "depth = 3"))
    refused("another version")
    beside.write_text(text.replace("depth = 2", "deepness = 3"))
    refused("deepness")

    def changed(name: str, change) -> None:
        """The same weights, but for one tensor, with a description that fits them."""
        tensors = load(data)
        tensors[name] = change(tensors[name])
        path.write_bytes(save(tensors))
        digests = [hashlib.sha256(x).hexdigest() for x in (data, path.read_bytes())]
        beside.write_text(text.replace(*digests))

    matrix, vector = "denoiser.embed.weight", "denoiser.embed.bias"
    counter = next(k for k in load(data) if k.endswith("num_batches_tracked"))
    for name, change, match in [
        (matrix, lambda x: x.int(), f"{matrix} expected torch.float32, found torch.int32"),
        (vector, lambda x: x.double(), f"{vector} expected torch.float32, found torch.float64"),
        (counter, lambda x: x.float(), f"{counter} expected torch.int64, found torch.float32"),
        (matrix, lambda x: x.index_fill(1, torch.tensor(0), float("nan")), f"{matrix} expected finite"),
        (vector, lambda x: x / 0, f"{vector} expected finite"),
        (matrix, lambda x: x[:, 1:].contiguous(), "another version"),
    ]:
        changed(name, change)
        refused(match)
    beside.unlink()
    refused("copy it along")
    other = path.rename(path.with_suffix(".pt"))
    with pytest.raises(UserError, match=r"expected weights of tavdiff \(\.safetensors.*found \.pt"):
        load_weights(other)
    refused("no such file")
