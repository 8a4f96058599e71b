"""The campaign that trains every nano system under one budget: what it trains, that it goes on, what it installs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from saliency_bench import registry
from saliency_bench.errors import UserError
from saliency_bench.files import claimed
from saliency_bench.models.config import read_toml
from saliency_bench.models.network_model import NetworkModel
from saliency_bench.models.tavdiff.model import TAVDiffModel
from tests.campaign import nano_encoders
from tests.campaign.train_nano import (
    LIMIT,
    Campaign,
    Training,
    cheapest_first,
    install,
    main,
    shipped,
    train_all,
    trainings,
)

pytestmark = pytest.mark.slow
VINET = Training("vinet", "V")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Campaign:
    """One training of eight windows, done."""
    out = tmp_path_factory.mktemp("campaign")
    assert main(["--windows", "8", "--out", str(out), "--only", "vinet"]) == 0
    return Campaign(8, out)


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A folder in place of the one whose weights come with the package; tavdiff's stay where they are."""
    monkeypatch.setattr(NetworkModel, "weights_path",
                        classmethod(lambda cls, preset, mode: tmp_path / f"{cls.name}-{preset}-{mode}.safetensors"))
    return tmp_path


def test_every_system_is_trained_in_every_mode():
    found = trainings()
    networks = {name: model for name in registry.own("models")
                if hasattr(model := registry.load("models", name), "create")}
    assert sorted(found) == sorted(Training(name, mode) for name, model in networks.items() for mode in model.modes)
    assert {t.mode for t in trainings(("tavdiff", "stavis"), ("AV",))} == {"AV"}
    with pytest.raises(UserError, match="salnet: expected one of avinet, "):
        trainings(("salnet",))


def test_the_cheapest_comes_first():
    dear = Training("tavdiff", "TAV")
    assert cheapest_first([dear, VINET]) == [VINET, dear]


def test_a_finished_training_is_told_in_a_line_and_not_made_again(campaign):
    weights = campaign.weights(VINET)
    before = weights.stat().st_mtime_ns
    assert list(train_all(campaign, [VINET])) == []
    assert weights.stat().st_mtime_ns == before
    assert re.fullmatch(r"vinet +V +8 windows +519,849 parameters  held-out loss +\d\.\d{4}  +12 s",
                        campaign.line(VINET, 12.3))


def test_a_training_is_what_the_command_makes(campaign):
    command = campaign.record(VINET)["record"]["provenance"]["command"]
    assert command[:3] == ["saliency-bench", "train", "vinet"] and command[command.index("--windows") + 1] == "8"


def test_weights_of_another_budget_are_not_finished_and_their_training_fails_in_a_line(campaign):
    other = Campaign(80, campaign.out)
    assert other.record(VINET) is None
    [line] = train_all(other, [VINET])
    assert line.startswith("FAILED vinet(V): training ended with exit code 2") and "other settings" in line


def test_what_another_process_trains_is_left_to_it(campaign, monkeypatch):
    lock = campaign.out / ".vinet-V.lock"
    asked = [Training("davs_like", "V"), VINET]
    order = []
    monkeypatch.setattr(Campaign, "record", lambda self, t: None if t not in order else {})
    monkeypatch.setattr(Campaign, "line", lambda self, t, seconds: str(t))

    def train(self, training):
        order.append(training)
        held.__exit__(None, None, None)
        order.append(VINET)  # the other process has finished it
        return 0.0

    monkeypatch.setattr(Campaign, "train", train)
    held = claimed(lock, wait=False)
    assert held.__enter__()
    assert list(train_all(campaign, reversed(asked))) == ["davs_like(V)"]


def test_finished_weights_are_installed_where_the_package_looks(campaign, shelf):
    written = install(campaign, [VINET, Training("stavis", "V")])
    assert written == [shelf / "vinet-nano-V.safetensors", shelf / "vinet-nano-V.toml"]
    loaded = registry.load("models", "vinet").read(shelf / "vinet-nano-V.safetensors", "V")
    assert loaded.windows_seen == 8


def test_more_than_the_limit_is_refused_with_a_table_of_sizes_and_nothing_is_copied(campaign, shelf):
    with pytest.raises(UserError, match=r"expected at most 1,000,000 bytes in all, found \d+,\d+,\d+") as error:
        install(campaign, [VINET], limit=1_000_000)
    table = str(error.value).splitlines()[1:]
    assert any("vinet-nano-V.safetensors" in line and "new" in line for line in table)
    assert any("shipped" in line for line in table if "vinet" not in line)
    assert not list(shelf.iterdir())


def test_nothing_finished_is_nothing_installed(campaign, shelf):
    with pytest.raises(UserError, match="expected finished trainings of 8 windows, found none"):
        install(campaign, [Training("stavis", "V")])


def test_what_comes_with_the_package_is_within_the_limit():
    names = {path.name for path in shipped()}
    assert {"nano-encoders.safetensors", "nano-TAV.safetensors", "vinet-nano-V.safetensors"} <= names
    assert sum(path.stat().st_size for path in shipped()) <= LIMIT


def test_the_studies_start_from_encoders_whose_maps_were_made_from_sight_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(TAVDiffModel, "home", tmp_path / "card.toml")
    (tmp_path / "weights").mkdir()
    start = TAVDiffModel.ablations().start["nano"]
    assert nano_encoders.main(["--windows", "4", "--out", str(tmp_path / "runs"), "--install"]) == 0
    config = read_toml((tmp_path / start.weights).with_suffix(".toml"))["config"]
    assert config["grounding"]["alone"] is True
    for mode, parts in {"TAV": ("visual", "audio", "text"), "AV": ("visual", "audio"), "V": ("visual",)}.items():
        model = TAVDiffModel.create(mode)
        taken = model.start_from(tmp_path / start.weights, start.parts_of(mode))
        assert start.parts_of(mode) == parts and {name.split(".")[0] for name in taken.names} == set(parts)
        assert model.windows_seen == 4 and model.had_lessons
