"""TAVDiff assembled: modes, training loss, sampling, and every reading of the paper."""

import dataclasses
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from saliency_bench.errors import UserError
from saliency_bench.models.tavdiff import presets as presets_module
from saliency_bench.models.tavdiff.config import SitrConfig
from saliency_bench.models.tavdiff.model import TAVDiffModel
from saliency_bench.models.tavdiff.network import MODES, TAVDiff
from saliency_bench.models.tavdiff.presets import load_preset, parse, toml_text
from tests.tavdiff_small import SMALL, densities, rows, small_config, small_model, windows

# The other reading of each choice in the table of README.md: field, value, mode it shows in.
READINGS = [
    ("denoiser.residual", False, "V"), ("denoiser.cross_norm", "post", "V"), ("denoiser.mlp", False, "V"),
    ("sitr.rank", "mean", "TV"), ("sitr.rank", "token-softmax", "TV"), ("sitr.response", "map", "TV"),
    ("sitr.response", "gate", "TV"), ("training.beta2", 0.9, "V"),
    ("sitr.response", "vector", "TV"), ("sitr.response", "product", "TV"), ("sitr.select_heads", "each", "TV"),
    ("sitr.special_tokens", True, "TV"), ("sitr.truth_resize", "bilinear", "TV"),
    ("sitr.train_selection", "rank", "TV"), ("visual.layer", 6, "V"), ("visual.time", "mean", "V"),
    ("window.target", 3, "V"), ("window.map_size", [16, 24], "V"), ("denoiser.patch", 16, "V"),
    ("denoiser.width", 64, "V"), ("denoiser.depth", 1, "V"), ("denoiser.heads", 4, "V"),
    ("denoiser.positions", "learned", "V"), ("denoiser.align", False, "V"), ("diffusion.schedule", "linear", "V"),
    ("diffusion.range", "unit", "V"), ("diffusion.clamp", False, "V"), ("denoiser.output", "sigmoid", "V"),
    ("diffusion.times", "trailing", "V"), ("diffusion.final", "ddim", "V"), ("denoiser.packing", "separate", "AV"),
    ("audio.final_pool", True, "AV"), ("audio.layer", 3, "AV"), ("audio.rate", 16000, "AV"),
    ("audio.scale", 256.0, "AV"), ("audio.buffer", 8000, "AV"), ("sitr.fusion", "concatenate", "TV"),
    ("sitr.fusion", "repeat-add", "TV"), ("sitr.fusion", "repeat-average", "TV"),
    ("denoiser.kind", "undecoupled", "V"), ("denoiser.kind", "dit", "V"), ("denoiser.kind", "unet", "V"),
    ("denoiser.unet_channels", [8, 8, 8, 8], "V"), ("sampling.samples", 5, "V"), ("frozen", ["visual"], "V"),
    ("text.model", "ViT-L-14-quickgelu", "TA"), ("visual.weights", None, "V"), ("audio.weights", None, "AV"),
    ("text.weights", None, "TV"), ("training.average", 0.5, "V"), ("training.clip_norm", 2.0, "V"),
    ("training.schedule", "constant", "V"), ("training.factor", 0.5, "V"), ("training.patience", 3, "V"),
    ("training.keep", "best", "V"), ("training.validation", 0.25, "V"), ("training.epochs", 3, "V"),
    ("denoiser.condition", "pooled", "V"), ("denoiser.condition", "in-context", "V"),
    ("denoiser.last_modulation", "none", "V"), ("denoiser.modulation", "shared", "V"),
    ("denoiser.mlp_ratio", 3.0, "V"), ("denoiser.time_width", 24, "V"),
    ("sitr.train_selection", "truth-map", "TV"), ("sitr.softmax", "step", "TV"), ("sitr.scale", "width", "TV"),
    ("sitr.sentence", "mean", "TV"), ("sitr.width", 32, "TV"), ("sitr.heads", 4, "TV"),
    ("audio.hann", "frame", "AV"), ("window.captions", "distinct", "TV"), ("window.first", "reverse", "V"),
    ("window.last", "loop", "V"), ("window.mean", [0.4, 0.4, 0.4], "V"), ("window.std", [0.2, 0.2, 0.2], "V"),
    ("training.pretrain", {"dataset": "avt-causal", "mode": "V"}, "TAV"), ("training.batch", 64, "V"),
    ("training.mirror", True, "V"), ("training.batch_norm", "frozen", "V"), ("visual.momentum", 0.2, "V"),
    ("audio.momentum", 0.2, "AV"), ("training.precision", "bf16", "V"), ("sampling.precision", "bf16", "V"),
    ("training.warmup", 7, "V"), ("training.weight_decay", 0.1, "V"), ("training.learning_rate", 1e-5, "V"),
]
# Ours: no reading of the paper.
BEYOND = [
    ("denoiser.token_norm", False, "V"),
    ("sitr.qk_norm", True, "TV"), ("sitr.centre", True, "TV"), ("sitr.positions", True, "TV"),
    ("sitr.bias_start", 1.0, "TV"), ("text.embed_scale", 20.0, "TV"), ("text.skip", ["a", "an"], "TV"),
    ("diffusion.objective", "regression", "V"), ("diffusion.signal_scale", 0.5, "V"),
]
# These change what is fed, trained or loaded rather than the map of given windows; other tests show their effect.
OF_THE_INPUT = {"window.target", "window.captions", "window.first", "window.last", "window.mean", "window.std",
                "audio.rate", "audio.scale", "audio.hann", "frozen", "text.model", "visual.weights", "audio.weights",
                "text.weights", "visual.momentum", "audio.momentum",
                *(field for field, _, _ in READINGS if field.startswith("training."))}
# Where the reading needs company to show.
COMPANY = {"denoiser.unet_channels": {"denoiser__kind": "unet"}, "denoiser.condition": {"denoiser__kind": "dit"},
           "sitr.sentence": {"sitr__fusion": "concatenate"}, "sitr.softmax": {"visual__layer": 6}}
IN_TRAINING = {"sitr.truth_resize", "sitr.train_selection"}
# Settings of SITR under which a word is chosen among others.
CHOICES = [{}, {"sitr__special_tokens": True}, {"sitr__rank": "token-softmax"}, {"sitr__rank": "mean"},
           {"sitr__rank": "token-softmax", "sitr__special_tokens": True}, {"sitr__select_heads": "each"},
           {"sitr__response": "map"}, {"sitr__fusion": "concatenate"}]


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def sampled(model: TAVDiff, **kind) -> torch.Tensor:
    return model.sample(windows(model.mode, config=model.config, **kind))


def test_every_option_of_the_readme_is_a_field_with_a_tested_reading():
    table = (Path(presets_module.__file__).parent / "README.md").read_text().split("| # |")[1].split("\n\n")[0]
    section, named = "", set()
    sections = {name for name, field in presets_module.TAVDiffConfig.model_fields.items()}
    for code in re.findall(r"`([^`]+)`", "\n".join(line.rsplit("|", 2)[1] for line in table.splitlines())):
        name = code.split(" =")[0]
        if name.startswith("."):
            name = section + name
        if name.split(".")[0] in sections:
            section = name.split(".")[0]
            named.add(name)
    assert len(named) > 30 and named == {field for field, _, _ in READINGS}


def points() -> list[list[str]]:
    """The cells of every row of the table of README.md: number, paper, decision, option."""
    table = (Path(presets_module.__file__).parent / "README.md").read_text().split("| # |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_points_of_the_readme_are_counted_and_each_has_an_option_or_says_why_not():
    home = Path(presets_module.__file__).parent
    assert [row[0] for row in points()] == [str(i + 1) for i in range(len(points()))]
    assert f"\n{len(points())} points where the text" in (home / "README.md").read_text()
    assert f"leaves {len(points())} points open" in (home / "card.toml").read_text()
    assert all(len(row) == 4 and all(row) for row in points())
    assert [row for row in points() if row[3].startswith("-") and not row[3].startswith("- (")] == []


def test_the_preset_of_the_paper_has_nothing_that_goes_beyond_it():
    c = load_preset("paper")
    assert c.sitr == SitrConfig() and c.diffusion.signal_scale == 1 and c.diffusion.objective == "diffusion"
    assert (c.denoiser.token_norm, c.denoiser.cross_start, c.denoiser.time_width) == (False, "independent", None)
    assert (c.denoiser.align_scale, c.denoiser.position_base, c.denoiser.embed_scale) == (1, 10000, 1)
    assert c.audio.filters == "random" and c.text.kind == "clip"


@pytest.mark.parametrize(("field", "value", "mode"),
                         [r for r in READINGS + BEYOND if r[0] not in OF_THE_INPUT | IN_TRAINING])
def test_both_readings_run_and_differ(field, value, mode):
    company = COMPANY.get(field, {})
    # Clamping shows once the network overshoots its range, the rank of words once their responses are uneven.
    plain, other = small_model(mode, **company), small_model(mode, **company, **{field.replace(".", "__"): value})
    with torch.no_grad():
        for model in (plain, other):
            if field == "diffusion.clamp":
                model.denoiser.out.weight.mul_(30)
            if field == "sitr.rank":
                model.sitr.query.weight.mul_(30)
    found, expected = sampled(other, n=12), sampled(plain, n=12)
    assert torch.isfinite(found).all()
    assert found.shape != expected.shape or not torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("field", "value", "mode"),
                         [r for r in READINGS if r[0] in IN_TRAINING and r[1] != "truth-map"])
def test_both_readings_of_the_choice_of_words_train_and_differ(field, value, mode):
    choices = []
    for fields in ({}, {field.replace(".", "__"): value}):
        model = small_model(mode, **fields).train()
        batch = windows(mode, n=8)
        generator = torch.Generator().manual_seed(0)
        density = torch.rand(8, 32, 48, generator=generator).pow(20)
        assert torch.isfinite(model.loss(batch, density))
        with torch.no_grad():
            visual = model.visual(batch.frames)
            words = model.text(batch.captions)
            choices.append(model.sitr.choose(visual.flatten(2).transpose(1, 2), tuple(visual.shape[2:]), words.tokens,
                                             words.content, density)[1])
    assert not torch.equal(*choices)


def test_readings_of_a_training_change_what_it_is_told():
    for field, value in {field: value for field, value, _ in READINGS if field.startswith("training.")}.items():
        name = field.partition(".")[2]
        told = getattr(TAVDiffModel.recipe("nano", {field: value}), name)
        assert (told.model_dump() if name == "pretrain" else told) == value
        assert getattr(TAVDiffModel.recipe("nano"), name) != value


def test_readings_of_the_input_change_the_window():
    plain = small_config().adapter_window("TAV")
    assert small_config(window__target=3).adapter_window("TAV").target == 3 != plain.target
    assert small_config(audio__rate=16000).adapter_window("TAV").audio.rate == 16000 != plain.audio.rate
    assert small_config(audio__hann="frame").adapter_window("TAV").audio.hann == "frame" != plain.audio.hann
    for field, value in [("captions", "distinct"), ("first", "reverse"), ("last", "loop"), ("mean", (0.4, 0.4, 0.4)),
                         ("std", (0.2, 0.2, 0.2))]:
        assert getattr(small_config(**{f"window__{field}": value}).adapter_window("TAV"), field) == value
        assert getattr(plain, field) != value
    assert small_config(audio__scale=256.0).adapter_window("TAV").audio.scale == 256 != plain.audio.scale
    assert plain.audio is not None and small_config().adapter_window("TV").audio is None


def test_frozen_encoders_keep_weights_and_statistics():
    model = small_model("AV", frozen=["visual"]).train()
    before = {k: v.clone() for k, v in model.visual.state_dict().items()}
    audio = {k: v.clone() for k, v in model.audio.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    model.loss(windows("AV"), densities()).backward()
    optimiser.step()
    assert all(torch.equal(v, before[k]) for k, v in model.visual.state_dict().items())
    assert not all(torch.equal(v, audio[k]) for k, v in model.audio.state_dict().items())


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_trains_all_of_its_parameters(mode):
    model = small_model(mode).train()
    model.loss(windows(mode), densities()).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # Adding one vector to all keys changes no attention, so the keys' own bias has no effect.
    assert [n for n in idle if not re.search(r"key\.bias$", n)] == []


@pytest.mark.parametrize("mode", MODES)
def test_nano_has_at_most_eleven_hundred_thousand_parameters(mode):
    assert parameters(TAVDiff(load_preset("nano"), mode)) <= 1_100_000


@pytest.mark.parametrize("mode", MODES)
def test_maps_lie_between_zero_and_one_and_depend_on_every_modality(mode):
    model, batch = small_model(mode), windows(mode)
    maps = model.sample(batch)
    assert maps.shape == (3, 32, 48) and maps.min() >= 0 and maps.max() <= 1
    other = windows(mode, seed=1)
    other.captions = batch.captions and ["a yellow square, lower right"] * 3
    changes = {"T": "captions", "A": "audio", "V": "frames"}
    for modality in mode:
        changed = dataclasses.replace(batch, **{changes[modality]: getattr(other, changes[modality])})
        assert not torch.allclose(model.sample(changed), maps, atol=1e-5), modality


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_modality_is_refused_and_never_replaced(mode):
    model = small_model(mode)
    for modality, field in {"T": "captions", "A": "audio", "V": "frames"}.items():
        if modality in mode:
            with pytest.raises(UserError, match=rf"tavdiff\({mode}\) needs"):
                model.sample(dataclasses.replace(windows(mode), **{field: None}))


def test_hidden_modalities_do_not_matter():
    model = small_model("V")
    assert torch.equal(model.sample(windows("TAV")), model.sample(windows("V")))


@pytest.mark.parametrize("fields", CHOICES)
def test_a_map_depends_on_its_window_and_seed_alone(fields):
    model, batch = small_model(**fields), windows(n=6)
    assert len({len(caption.split()) for caption in batch.captions}) > 2
    together = model.sample(batch)
    for order in ([3], [4, 0, 2], [1, 1]):
        assert torch.allclose(model.sample(rows(batch, order)), together[order], atol=5e-5)
    other = dataclasses.replace(batch, seeds=batch.seeds + 1)
    assert not torch.allclose(model.sample(other), together, atol=1e-4)


def test_several_samples_are_averaged_and_the_first_is_the_single_one():
    one, five = small_model(), small_model(sampling__samples=5)
    batch = windows()
    noise = five.noise(batch)
    assert noise.shape == (5, 3, 32, 48) and torch.equal(noise[:1], one.noise(batch))
    singles = torch.stack([one.sample(batch, noise=n) for n in noise])
    assert torch.allclose(five.sample(batch), singles.mean(0), atol=1e-6)


def calls_of(model: TAVDiff, watched: dict[str, torch.nn.Module]) -> dict[str, list[int]]:
    """How many rows each module got in each of its calls, sampling three windows in four steps."""
    rows = {name: [] for name in watched}
    for name, module in watched.items():
        module.register_forward_hook(lambda m, given, out, name=name: rows[name].append(len(given[0])))
    model.sample(windows(), steps=4)
    return rows


@pytest.mark.parametrize("kind", ["saliency-dit", "unet"])
def test_conditions_keys_and_values_are_computed_once_a_window(kind):
    model = small_model(denoiser__kind=kind, sampling__samples=3)
    crosses = [m for n, m in model.denoiser.named_modules() if re.search(r"\.cross\.\d+$", n)]
    calls = calls_of(model, {"visual": model.visual.layers[1], "audio": model.audio, "text": model.text.tower,
                             "sitr": model.sitr, "keys": crosses[0].key, "values": crosses[-1].value,
                             "queries": crosses[0].query})
    assert {name: len(rows) for name, rows in calls.items()} == {
        "visual": 1, "audio": 1, "text": 1, "sitr": 1, "keys": 1, "values": 1, "queries": 12}


@pytest.mark.parametrize(("fields", "mode"), [
    ({"denoiser__kind": kind, "denoiser__condition": condition}, mode)
    for kind in ("undecoupled", "dit") for condition in ("per-patch", "pooled", "in-context")
    for mode in ("TAV", "TA") if (kind, condition) != ("undecoupled", "in-context")])
def test_the_conditions_of_every_kind_train_all_of_their_parameters(fields, mode):
    model = small_model(mode, **fields).train()
    model.loss(windows(mode), densities()).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert [n for n in idle if not re.search(r"key\.bias$", n)] == []


@pytest.mark.parametrize("kind", ["saliency-dit", "undecoupled", "dit", "unet"])
def test_what_depends_on_the_time_alone_is_computed_once_a_step_for_all_windows_and_samples(kind):
    model = small_model(denoiser__kind=kind, sampling__samples=3)
    net = model.denoiser
    one = {"time": net.time}
    if kind == "unet":
        one |= {"down": net.down[0][0].time, "up": net.up[0][1].time}
    elif kind == "saliency-dit":
        one |= {"block": net.blocks[1].modulation, "last": net.last_modulation}
    else:  # these mix in the conditions, which differ between windows
        assert calls_of(model, {"block": net.blocks[1].modulation})["block"] == [3] * 4
    assert calls_of(model, one) == {name: [1] * 4 for name in one}


def test_the_unet_projects_its_places_once_a_window():
    model = small_model(denoiser__kind="unet", sampling__samples=3)
    places = {name: attend.place for name, attend in model.denoiser.attend.items()}
    assert all(len(rows) == 1 for rows in calls_of(model, places).values())


def test_the_loss_is_the_mean_squared_error_of_the_predicted_map():
    model, batch, density = small_model("V"), windows("V"), densities(size=(32, 48))
    t, noise = torch.tensor([10, 400, 900]), torch.randn(3, 32, 48)
    signal = 2 * density / density.flatten(1).amax(1)[:, None, None] - 1
    x = model.diffusion.add_noise(signal, noise, t)
    predicted = model.denoiser(x, t, model.denoiser.prepare(model.conditions(batch)))
    assert torch.allclose(model.loss(batch, density, t=t, noise=noise), (predicted - signal).square().mean(), atol=1e-6)


def test_the_loss_does_not_depend_on_the_scale_of_the_density():
    model, batch = small_model(), windows()
    given = {"t": torch.tensor([5, 300, 800]), "noise": torch.randn(3, 32, 48)}
    assert torch.allclose(model.loss(batch, densities(), **given), model.loss(batch, 1e-4 * densities(), **given))


def test_frames_without_fixations_do_not_train():
    model, batch, density = small_model(), windows(), densities()
    given = {"t": torch.tensor([5, 300, 800]), "noise": torch.randn(3, 32, 48)}
    density[1] = 0
    kept = model.loss(rows(batch, [0, 2]), density[[0, 2]], t=given["t"][[0, 2]], noise=given["noise"][[0, 2]])
    assert torch.allclose(model.loss(batch, density, **given), kept, atol=1e-5)
    assert model.loss(batch, 0 * density, **given) == 0


def test_what_is_drawn_for_a_window_in_training_follows_its_seed_alone():
    model, density = small_model(), densities()
    batch = dataclasses.replace(windows(), seeds=np.array([7, 8, 9], np.uint64))
    whole = model.loss(batch, density)
    other = dataclasses.replace(batch, seeds=batch.seeds + np.uint64(1))
    assert whole == model.loss(batch, density) != model.loss(other, density)
    each = [model.loss(rows(batch, [i]), density[[i]]) for i in (2, 0, 1)]
    assert torch.allclose(torch.stack(each).mean(), whole, rtol=1e-5)


def test_training_on_one_batch_teaches_where_to_look():
    torch.manual_seed(0)
    model = TAVDiff(small_config(window__frames=2, window__target=1, visual__layer=3), "TV").train()
    batch, blob = windows("TV", config=model.config), densities(1, (32, 48))[0]
    density = torch.stack([blob.roll((8 * i, 12 * i), (0, 1)) for i in range(3)])
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(60):
        optimiser.zero_grad()
        model.loss(dataclasses.replace(batch, seeds=np.arange(3 * step, 3 * step + 3)), density).backward()
        optimiser.step()
    maps = model.train(False).sample(batch)
    found = torch.corrcoef(torch.cat([maps.flatten(1), density.flatten(1)]))[:3, 3:]
    assert (found.diagonal() > 0.5).all() and (found.argmax(1) == torch.arange(3)).all()


def test_a_clip_tower_without_weights_is_refused():
    with pytest.raises(UserError, match=r"text\.weights.*text\.random"):
        TAVDiff(small_config(text__kind="clip"), "TA")


def test_encoders_are_read_from_files(tmp_path):
    donor = small_model("V")
    state = {f"x.{k}": v for k, v in donor.visual.state_dict().items()}
    torch.save({k.replace("x.layers", "base").replace("spatial.conv", "conv_s").replace("spatial.norm", "bn_s")
                .replace("temporal.conv", "conv_t").replace("temporal.norm", "bn_t").replace("norm.", "bn.")
                .replace("direct.", "branch0.0.").replace("wide.", "branch1.").replace("narrow.", "branch2.")
                .replace("pooled.", "branch3."): v for k, v in state.items()}, tmp_path / "s3d.pt")
    torch.manual_seed(9)
    model = TAVDiff(small_config(visual__weights=str(tmp_path / "s3d.pt")), "V")
    assert all(torch.equal(v, donor.visual.state_dict()[k]) for k, v in model.visual.state_dict().items())
    with pytest.raises(UserError, match="found none for"):
        TAVDiff(small_config(audio__weights=str(tmp_path / "s3d.pt")), "AV")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "name", "width"), [("TAV", "ViT-B-32-quickgelu", 512),
                                                     ("TA", "ViT-L-14-quickgelu", 768)])
def test_the_paper_preset_runs_with_both_clip_sizes(mode, name, width):
    c = load_preset("paper", {"text.random": True, "text.model": name, "denoiser.depth": 1})
    model = TAVDiff(c, mode).eval()
    assert model.text.width == width
    maps = model.sample(windows(mode, n=1, config=c), steps=1)
    assert maps.shape == (1, 224, 384) and torch.isfinite(maps).all()


@pytest.mark.parametrize("preset", ["nano", "paper"])
def test_presets_survive_being_written_and_read(preset):
    c = load_preset(preset)
    read = parse(tomllib.loads(toml_text(c.describe())))
    assert read.model_copy(update={"training": c.training}) == c and "training" not in c.describe()


@pytest.mark.parametrize("preset", presets_module.presets())
def test_the_card_states_the_presets(preset):
    card = tomllib.loads((Path(presets_module.__file__).parent / "card.toml").read_text())
    c = load_preset(preset)
    assert card["modes"] == list(MODES) and sorted(card["presets"]) == presets_module.presets()
    assert card["presets"][preset] == {
        "frames": c.window.frames, "size": list(c.window.size), "denoising_steps": c.sampling.steps,
        "sound": f"{c.audio.rate:,} Hz mono, {c.audio.buffer:,} samples"}


def test_presets_train_as_the_readme_says():
    fields = ("learning_rate", "warmup", "schedule", "keep", "epochs", "average", "precision")
    recipes = {name: load_preset(name).training for name in presets_module.presets()}
    assert {name: tuple(getattr(r, f) for f in fields) for name, r in recipes.items()} == {
        "paper": (1e-4, 0, "plateau", "best", 80, 0.0, "float32"),
        "small": (3e-4, 200, "plateau", "best", 80, 0.999, "bf16"),
        "nano": (1e-3, 400, "linear", "last", 6, 0.998, "float32")}
    assert {name: (r.batch, r.weight_decay, r.beta2) for name, r in recipes.items()} == {
        "paper": (16, 0.01, 0.999), "small": (16, 0.01, 0.999), "nano": (2, 0.05, 0.98)}
    assert {(r.clip_norm, r.validation) for r in recipes.values()} == {(1.0, 0.1)}
    assert recipes["nano"].pretrain is None and recipes["small"].pretrain == recipes["paper"].pretrain


@pytest.mark.parametrize(("field", "value", "message"), [
    ("denoiser.depht", 3, "depht"), ("denoiser.kind", "gan", "saliency-dit"), ("window.target", 9, "below"),
    ("window.map_size", [30, 48], r"window\.map_size .* multiple of denoiser\.patch 8"),
    ("window.map_size", [0, 0], r"window\.map_size"), ("window.size", [0, 48], r"window\.size"),
    ("denoiser.heads", 5, r"denoiser\.width 32 must be a multiple of denoiser\.heads 5"), ("preset.x", 1, "preset"),
    ("audio.layer", 6, "name 6 layers"), ("sampling.steps", 0, "greater than or equal to 1"),
    ("denoiser.patch", 0, r"denoiser\.patch"), ("denoiser.heads", 0, r"denoiser\.heads"),
    ("denoiser.width", -96, r"denoiser\.width"), ("denoiser.width", 34, r"denoiser\.width 34 .* multiple"),
    ("denoiser.depth", 0, r"denoiser\.depth"), ("denoiser.mlp_ratio", 1e-3, r"denoiser\.mlp_ratio"),
    ("denoiser.embed_scale", float("inf"), r"denoiser\.embed_scale"), ("sitr.heads", 0, r"sitr\.heads"),
    ("sitr.heads", 3, r"sitr\.width 16 must be a multiple of sitr\.heads 3"),
    ("text.heads", 3, r"text\.width 16 must be a multiple of text\.heads 3"),
    ("visual.strides", {"5": [1, 1]}, r"visual\.strides: .*expected layers out of 0, 1, 4, 7, 13"),
    ("visual.strides", {"7": [0, 1]}, r"visual\.strides"), ("visual.width", 1e-9, r"visual\.width"),
    ("visual.layer", 15, r"leave nothing at visual\.layer 15"), ("visual.momentum", 2, r"visual\.momentum"),
    ("audio.rate", 0, r"audio\.rate"), ("audio.buffer", -1, r"audio\.buffer"),
    ("audio.channels", [8, 8, 0, 8], r"audio\.channels"),
    ("frozen", "visual", r"frozen: .*found 'visual'; a list is written as"),
    ("training.average", 1, r"training\.average"), ("training.learning_rate", 0, r"training\.learning_rate"),
])
def test_mistakes_in_fields_are_named_in_one_line(field, value, message):
    small = SMALL | ({"window.size": [8, 8], "window.frames": 5} if field == "visual.layer" else {})
    with pytest.raises(UserError, match=message) as error:
        load_preset("nano", small | {field: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("choice", [{"denoiser.kind": "unet"}, {"denoiser.kind": "dit"},
                                    {"text.kind": "clip", "text.random": True}, {"sitr.fusion": "repeat-add"}])
def test_a_preset_goes_with_every_choice(choice):
    assert load_preset("nano", choice)


@pytest.mark.parametrize(("choice", "unread"), [
    *[({"denoiser.kind": "unet"}, {f"denoiser.{field}": value}) for field, value in [
        ("residual", False), ("cross_norm", "post"), ("mlp", False), ("positions", "learned"), ("embed_scale", 0.5),
        ("depth", 3), ("mlp_ratio", 2.0)]],
    *[({"text.kind": "clip"}, {f"text.{field}": value}) for field, value in [
        ("causal", False), ("width", 32), ("layers", 3), ("words", ["red"]), ("context", 9), ("heads", 2)]],
    ({}, {"text.weights": "openai"}), ({}, {"denoiser.unet_channels": [8, 8, 8, 8]}),
    ({"denoiser.kind": "dit"}, {"denoiser.cross_norm": "post"}), ({"denoiser.kind": "dit"}, {"denoiser.align": False}),
    ({"denoiser.kind": "undecoupled"}, {"denoiser.align_scale": 3.0}), ({}, {"denoiser.condition": "pooled"}),
    ({"denoiser.kind": "unet"}, {"denoiser.last_modulation": "none"}),
    ({"denoiser.kind": "unet"}, {"denoiser.modulation": "shared"}), ({}, {"sitr.sentence": "mean"}),
    ({"sitr.response": "gate"}, {"sitr.softmax": "step"}), ({"sitr.fusion": "repeat-add"}, {"sitr.scale": "width"}),
    ({"denoiser.align": False}, {"denoiser.align_scale": 3}),
    ({"denoiser.mlp": False}, {"denoiser.mlp_ratio": 2.5}), ({"sitr.fusion": "repeat-add"}, {"sitr.rank": "mean"}),
    ({"sitr.train_selection": "rank"}, {"sitr.truth_resize": "bilinear"}),
])
def test_a_field_that_another_choice_leaves_unread_is_refused(choice, unread):
    (field,) = unread
    with pytest.raises(UserError, match=rf"{re.escape(field)} has no effect with") as error:
        load_preset("nano", choice | unread)
    assert "\n" not in str(error.value)


def test_an_unread_field_at_its_default_is_no_mistake():
    assert load_preset("nano", {"denoiser.kind": "unet", "denoiser.residual": True}).denoiser.residual


def test_conditions_in_the_sequence_read_the_fields_of_positions():
    fields = {"denoiser.align": False, "denoiser.cross_start": "independent"}
    assert not load_preset("nano", {"denoiser.kind": "dit", "denoiser.condition": "in-context"} | fields).denoiser.align


def test_an_unknown_preset_or_mode_is_refused():
    with pytest.raises(UserError, match="nano, paper"):
        load_preset("micro")
    with pytest.raises(UserError, match="TAV, AV, TV, TA, V"):
        TAVDiff(small_config(), "A")


def test_a_buffer_too_short_for_the_layer_is_refused():
    with pytest.raises(UserError, match=r"audio\.buffer"):
        TAVDiff(small_config(audio__buffer=40), "TA")
