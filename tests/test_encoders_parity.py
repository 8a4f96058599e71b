"""Parity: the project's networks against figures that the reference implementations gave."""

from pathlib import Path

import numpy as np
import pytest
import torch

from saliency_bench.errors import UserError
from saliency_bench.models.encoders.convert import convert_soundnet, load_encoder
from saliency_bench.models.encoders.soundnet import SoundNet
from saliency_bench.models.parity import compare, parity

FIGURES = Path(__file__).parent / "golden" / "models"


NETWORKS = ("avinet", "avinet_tf", "dit", "s3d", "soundnet", "stavis_av", "stavis_v", "vinet", "vinet16")


@pytest.mark.parametrize("name", NETWORKS)
def test_network_agrees_with_its_reference(name):
    rows = parity(name, FIGURES)
    assert rows and all(row.ok for row in rows), rows


def test_a_changed_network_disagrees(monkeypatch):
    def broken(manifest, state, inputs):
        net = SoundNet(heads=True).eval()
        load_encoder(net, convert_soundnet(state), "soundnet")
        net.layers[2].norm.eps = 0.5
        return {f"conv{i}": x.unsqueeze(-1) for i, x in net.pyramid(inputs["wave"].flatten(1)).items()}

    monkeypatch.setattr("saliency_bench.models.encoders.parity.soundnet", broken)
    assert not any(row.ok for row in parity("soundnet", FIGURES))


def test_agreement_is_relative_to_the_largest_value():
    expected = np.array([0.0, 100.0])
    assert compare("x", torch.tensor([0.0, 100.009]), expected).ok
    row = compare("x", torch.tensor([0.0, 100.02]), expected)
    assert not row.ok and row.difference == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize("found", [None, torch.zeros(3), torch.tensor([0.0, float("nan")])])
def test_missing_misshapen_or_undefined_outputs_disagree(found):
    assert not compare("x", found, np.array([0.0, 1.0])).ok


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(UserError, match="soundnet"):
        parity("alexnet", tmp_path)


def test_a_folder_without_figures_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"recipe\.py.*--golden"):
        parity("s3d", tmp_path)
