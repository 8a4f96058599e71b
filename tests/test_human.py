"""What observers tell of each other: true where the truth is known, of the set's own sigma, with honest chance."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from saliency_bench import registry
from saliency_bench.data import stavis
from saliency_bench.data.clip import Clip
from saliency_bench.data.dataset import Dataset, Sample
from saliency_bench.data.density import density
from saliency_bench.data.media import write_video
from saliency_bench.data.prepare import import_video
from saliency_bench.data.truth import FrameTruth, fixation_map
from saliency_bench.harness.human import Human, sigma_of
from saliency_bench.harness.run import Request, run
from saliency_bench.metrics import auc_judd, cc, score_frame, sim
from saliency_bench.metrics.observers import (
    CANDIDATES,
    UNKNOWN,
    Kernel,
    cross_validated,
    judd,
    leave_one_out,
    limit,
    log_likelihood,
)
from saliency_bench.protocol import AV6_CLEAN
from saliency_bench.report.tables import footnotes, table
from tests.layouts import picture

SIZE = (60, 80)
FLAT = np.ones(SIZE)
PLACES, SHARES, SPREAD = np.array([[20.0, 20.0], [60.0, 25.0], [40.0, 45.0]]), np.array([0.5, 0.3, 0.2]), 4.0


def gaze_of(random, observers, frames=20, shares=SHARES, spread=SPREAD):
    """Gaze (observers, frames, 2) on three places, each frame drawn anew."""
    cause = random.choice(len(PLACES), (observers, frames), p=shares)
    points = PLACES[cause] + spread * random.standard_normal((observers, frames, 2))
    return np.clip(points, 0, np.array(SIZE[::-1]) - 1e-3)


def expected_density(sigma):
    """What infinitely many observers would give."""
    blurred = np.hypot(SPREAD, sigma)
    return sum(share * density(place, SIZE, blurred) for share, place in zip(SHARES, PLACES, strict=True))


class Watched:
    """Truth of given gaze, with density of `sigma`."""

    def __init__(self, gaze, sigma=5.0):
        self._gaze, self._sigma, self.size, self.n_frames = gaze.astype(np.float32), sigma, SIZE, gaze.shape[1]

    def frame(self, index):
        points = self._gaze[:, index]
        return FrameTruth(density(points, SIZE, self._sigma), fixation_map(points, SIZE))

    def gaze(self):
        return self._gaze


def watched(gazes, **more):
    """A set of videos with this gaze."""
    samples = [Sample(Clip(f"v{i}", g.shape[1], SIZE, 10.0), Watched(g)) for i, g in enumerate(gazes)]
    given = {"notes": {"sigma_px": 5.0}} | more
    return Dataset("watched", "test", samples, [s.name for s in samples], "watched", **given)


# ------------------------------------------------------------------ the limit: CC and SIM
@pytest.mark.parametrize("sigma", [3.0, 6.0])
@pytest.mark.parametrize("observers", [6, 12, 24, 48])
def test_the_limit_is_what_the_true_expected_density_scores(observers, sigma):
    random, best = np.random.default_rng(observers), expected_density(sigma)
    found, true = [], []
    for _ in range(15):
        gaze = gaze_of(random, observers)
        values = limit(gaze, SIZE, (sigma, sigma))
        found.append([values["CC"].mean(), values["SIM"].mean()])
        drawn = [density(gaze[:, f], SIZE, sigma) for f in range(gaze.shape[1])]
        true.append([np.mean([cc(best, d) for d in drawn]), np.mean([sim(best, d) for d in drawn])])
    gaps = np.subtract(found, true)
    error = gaps.std(0, ddof=1) / np.sqrt(len(gaps))
    assert (np.abs(gaps.mean(0)) < 0.012 + 3 * error).all() and (error < 0.013).all()


def test_one_observer_against_the_others_is_far_below_the_limit():
    """The finding: CC and SIM of one observer stood beside those of models, which are against all observers."""
    gaze = gaze_of(np.random.default_rng(1), 24)
    values = limit(gaze, SIZE, (5, 5))
    ones = [cc(density(gaze[1:, f], SIZE, 5.0), density(gaze[:1, f], SIZE, 5.0)) for f in range(gaze.shape[1])]
    assert np.mean(ones) < 0.65 < 0.9 < values["CC"].mean() < 1


def test_the_limit_grows_with_observers_and_with_sigma():
    few, many = (limit(gaze_of(np.random.default_rng(2), n), SIZE, (4, 4)) for n in (6, 40))
    wide = limit(gaze_of(np.random.default_rng(2), 6), SIZE, (9, 9))
    for metric in ("CC", "SIM"):
        assert few[metric].mean() < many[metric].mean() < 1 and few[metric].mean() < wide[metric].mean()


def test_observers_who_look_at_one_point_agree_wholly():
    same = np.tile(np.array([30.2, 20.7]), (8, 3, 1))
    values = limit(same, SIZE, (4, 4))
    assert values["CC"] == pytest.approx(1) and values["SIM"] == pytest.approx(1, abs=1e-3)


def test_frames_with_one_observer_have_no_limit():
    gaze = gaze_of(np.random.default_rng(3), 5)
    gaze[1:, 2] = np.nan
    values = limit(gaze, SIZE, (4, 4))
    assert np.isnan(values["CC"][2]) and np.isnan(values["SIM"][2]) and np.isfinite(np.delete(values["CC"], 2)).all()
    assert np.isnan(limit(gaze[:1], SIZE, (4, 4))["CC"]).all()


def test_a_coarser_grid_gives_the_same_limit():
    gaze = gaze_of(np.random.default_rng(4), 12)
    fine, coarse = limit(gaze, SIZE, (5, 5)), limit(8 * gaze, (8 * SIZE[0], 8 * SIZE[1]), (40, 40))
    for metric in ("CC", "SIM"):
        assert coarse[metric].mean() == pytest.approx(fine[metric].mean(), abs=0.01)


# ------------------------------------------------------------------ leave one out: NSS, AUC, IG
def test_gaze_without_an_aim_scores_what_chance_does():
    random, observers = np.random.default_rng(5), 6
    frames = [random.uniform(0, 1, (observers, 2)) * SIZE[::-1] for _ in range(400)]
    found = [leave_one_out(points, [UNKNOWN] * observers, SIZE, FLAT) for points in frames]
    means = {m: np.mean([f[m] for f in found]) for m in found[0]}
    assert means["AUC-rank"] == pytest.approx(0.5, abs=0.02) and means["NSS"] == pytest.approx(0, abs=0.06)
    assert means["AUC-J"] == pytest.approx((observers + 2) / (2 * (observers + 1)), abs=0.02) and means["IG"] < 0


def test_the_area_of_a_single_fixation_is_why_its_chance_is_three_quarters():
    """The finding: Judd's area of one fixation is 1 - FP / 2, so the row's chance was .75 and a model's was near .5."""
    noise = np.random.default_rng(6).random(SIZE)
    one = fixation_map(np.array([[11.5, 7.5]]), SIZE)
    false_positives = (noise > noise[7, 11]).mean()
    assert auc_judd(noise, one) == pytest.approx(1 - false_positives / 2, abs=1e-3)
    assert judd(np.array([false_positives])) == pytest.approx(auc_judd(noise, one), abs=1e-3)


def test_areas_of_many_fixations_in_one_map_are_judds():
    random = np.random.default_rng(7)
    noise, points = random.random(SIZE), random.uniform(0, 1, (5, 2)) * SIZE[::-1]
    x, y = points.astype(int).T
    assert judd([(noise > v).mean() for v in noise[y, x]]) == pytest.approx(
        auc_judd(noise, fixation_map(points, SIZE)), abs=2e-3)


def test_nss_is_that_of_the_others_density():
    gaze = gaze_of(np.random.default_rng(8), 9, frames=1)[:, 0]
    kernel = Kernel(6 / 80, 0.0, 0.0)
    expected = []
    for i in range(len(gaze)):
        truth = fixation_map(gaze[i:i + 1], SIZE)
        others = sum(d / d.sum() for d in (density(p, SIZE, 6.0).astype(float) for p in np.delete(gaze, i, 0)))
        expected.append(score_frame(others, density(gaze[i], SIZE, 6.0), truth)["NSS"])
    found = leave_one_out(gaze, [kernel] * 9, SIZE, FLAT)
    assert found["NSS"] == pytest.approx(np.mean(expected), rel=0.02)  # on a grid of 2 px


def test_the_others_tell_less_than_the_law_and_more_than_the_prior():
    random, best = np.random.default_rng(9), expected_density(2.0)
    gaze = gaze_of(random, 20, frames=60)
    kernels = cross_validated([log_likelihood(gaze[:, f], SIZE, FLAT) for f in range(30)])
    found = [leave_one_out(gaze[:, f], kernels, SIZE, FLAT) for f in range(30, 60)]
    x, y = gaze[:, 30:].reshape(-1, 2).astype(int).T
    law = best / best.sum()
    gain = np.log2(law[y, x] * law.size).mean()
    assert 0.5 < np.mean([f["IG"] for f in found]) < gain
    assert np.mean([f["NSS"] for f in found]) > 1.5


@pytest.mark.parametrize("spread", [1.5, 3.0, 8.0])
def test_cross_validation_finds_how_wide_the_gaze_is(spread):
    gaze = gaze_of(np.random.default_rng(10), 24, frames=40, spread=spread)
    kernels = cross_validated([log_likelihood(gaze[:, f], SIZE, FLAT) for f in range(40)])
    assert 0.5 * spread < kernels[0].bandwidth * max(SIZE) < 1.5 * spread


def test_a_kernel_is_chosen_without_the_observer_it_is_for():
    gaze = gaze_of(np.random.default_rng(11), 8, frames=10)
    moved = gaze.copy()
    moved[3] = np.random.default_rng(12).uniform(0, 1, (10, 2)) * SIZE[::-1]

    def likelihood(g):
        return sum(log_likelihood(g[:, f], SIZE, FLAT) for f in range(10))

    assert likelihood(gaze)[:, 3] == pytest.approx(likelihood(moved)[:, 3])
    assert not np.allclose(likelihood(gaze)[:, 2], likelihood(moved)[:, 2])


def test_the_likelihood_of_a_frame_is_that_of_every_fixation_given_the_rest():
    gaze = gaze_of(np.random.default_rng(13), 4, frames=1)[:, 0]
    pick = next(i for i, k in enumerate(CANDIDATES) if k.centre == 0.1 and 4 < k.bandwidth * 80 < 6)
    kernel, prior = CANDIDATES[pick], np.random.default_rng(14).random(SIZE) + 0.1

    def given(rest, point):
        h, (x, y) = kernel.bandwidth * 80, point.astype(int)
        parts = [d / d.sum() for d in (density(p, SIZE, h).astype(float) for p in rest)]
        at = np.exp(-((rest - point) ** 2).sum(1) / (2 * h**2)) / [density(p, SIZE, h).sum() for p in rest]
        assert len(parts) == len(rest)
        return np.log((1 - kernel.centre - kernel.uniform) * at.mean() + kernel.centre * prior[y, x] / prior.sum()
                      + kernel.uniform / prior.size)

    rest = gaze[:3]
    expected = sum(given(np.delete(rest, j, 0), rest[j]) for j in range(3))
    assert log_likelihood(gaze, SIZE, prior)[pick, 3] == pytest.approx(expected, abs=0.02)


def test_two_observers_are_too_few_to_choose_a_kernel():
    gaze = gaze_of(np.random.default_rng(15), 2, frames=5)
    assert cross_validated([log_likelihood(gaze[:, f], SIZE, FLAT) for f in range(5)]) == [UNKNOWN] * 2
    with pytest.raises(ValueError, match="at least 2 observers with gaze, found 1"):
        leave_one_out(gaze[:1, 0], [UNKNOWN], SIZE, FLAT)


# ------------------------------------------------------------------ the row
def test_the_row_says_what_may_be_compared(tmp_path):
    dataset = watched([gaze_of(np.random.default_rng(i), 12, frames=8) for i in range(6)])
    human = run(Request("centre", out=tmp_path), [dataset])[-1]
    assert human.spec.label == "human" and human.n_frames == 48 and human.notes["sigma_px"] == 5.0
    said = " ".join(footnotes([human]))
    assert "Compare within a column" in said and "sigma of the density 5 px" in said and "choice of observers" in said
    assert 0.8 < human.metric("CC")["mean"] < 1 and f"{human.metric('NSS')['mean']:.3f} [" in table([human])
    again = run(Request("centre", out=tmp_path), [dataset])[-1]
    assert again.scores.equals(human.scores) and again.spec.run_id == human.spec.run_id


def test_no_model_is_above_the_limit_by_more_than_chance(tmp_path, monkeypatch):
    """The expected density as a model, scored as models are."""
    monkeypatch.setitem(registry.BUILT_IN["models"], "law", "tests.test_human:Law")
    registry.names.cache_clear()
    dataset = watched([gaze_of(np.random.default_rng(i), 16, frames=12) for i in range(8)])
    law, *_, human = run(Request("law", out=tmp_path), [dataset])
    for metric in ("CC", "SIM"):
        assert law.metric(metric)["mean"] == pytest.approx(human.metric(metric)["mean"], abs=0.02)
    assert law.metric("NSS")["mean"] == pytest.approx(human.metric("NSS")["mean"], abs=0.25)
    registry.names.cache_clear()


class Law:
    """The expected density of `gaze_of` at sigma 5."""

    name, modes, weights, trained_on = "law", (), "", ()

    @classmethod
    def load(cls, options):
        return cls()

    def predict(self, clip):
        yield np.arange(clip.n_frames), np.repeat(expected_density(5.0)[None], clip.n_frames, 0)


def test_observers_whom_all_videos_share_widen_the_interval():
    random = np.random.default_rng(16)
    shared = np.linspace(0.5, 20, 12)[:, None, None]  # some observers look closely, some anywhere, in all videos

    def gazes(spreads):
        return [np.clip(gaze_of(random, 12, frames=6, spread=0) + spreads * random.standard_normal((12, 6, 2)), 0,
                        np.array(SIZE[::-1]) - 1e-3) for _ in range(10)]

    alike, unlike = (Human.of(watched(gazes(s)), AV6_CLEAN).errors["NSS"][0] for s in (SPREAD, shared))
    assert unlike > 5 * alike and unlike > 0


def test_the_interval_of_the_row_holds_the_observers_part(tmp_path):
    dataset = watched([gaze_of(np.random.default_rng(i), 12, frames=6) for i in range(6)])
    human = run(Request("centre", out=tmp_path), [dataset])[-1]
    alone = replace(human, notes={})
    wider = replace(human, notes={"observers": {"CC": [0.01, 7.0]}})
    width = [r.metric("CC")["high"] - r.metric("CC")["low"] for r in (alone, wider)]
    assert width[1] == pytest.approx(np.hypot(width[0], 2 * 2.3646 * 0.1), rel=1e-3)


def test_metrics_without_a_human_value_are_empty_and_named(tmp_path):
    protocol = replace(AV6_CLEAN, name="more", more=("KLD",))
    scorer = Human.of(watched([gaze_of(np.random.default_rng(17), 6, frames=4)]), protocol)
    scores = scorer(scorer.dataset.samples[0])
    assert scores["KLD"].isna().all() and scores[["SIM", "CC", "NSS", "AUC-J"]].notna().all(axis=None)
    assert "KLD: not defined for observers" in scorer.notes["rule"]


def test_frames_of_one_observer_and_of_none_say_so():
    gaze = gaze_of(np.random.default_rng(18), 4, frames=5)
    gaze[:, 1], gaze[1:, 3] = np.nan, np.nan
    scorer = Human.of(watched([gaze]), AV6_CLEAN)
    scores = scorer(scorer.dataset.samples[0])
    assert scores["note"].tolist() == ["", "no truth", "", "one observer", ""]
    assert scores["CC"].isna().tolist() == scores["NSS"].isna().tolist() == [False, True, False, True, False]


def test_a_set_in_which_nobody_can_be_compared_has_an_empty_row():
    gaze = gaze_of(np.random.default_rng(19), 1, frames=3)
    scorer = Human.of(watched([gaze]), AV6_CLEAN)
    assert scorer(scorer.dataset.samples[0])[["CC", "NSS"]].isna().all(axis=None) and not scorer.errors


# ------------------------------------------------------------------ the set's own sigma
@pytest.fixture(scope="module")
def film(tmp_path_factory):
    root = tmp_path_factory.mktemp("film")
    write_video(root / "one.mp4", (picture(i, SIZE) for i in range(6)), 25)
    np.savez(root / "gaze.npz", gaze=gaze_of(np.random.default_rng(20), 8, frames=6).astype(np.float32))
    return root


def row_of(root, out):
    return run(Request("centre", out=out), [stavis.open_set(root, root.name)])[-1]


def test_gaze_imported_with_two_sigmas_has_two_limits_and_one_nss(film, tmp_path):
    """The finding: whatever sigma a set was imported with, the row took the default."""
    rows = []
    for sigma in (3.0, 9.0):
        import_video(film / "one.mp4", film / "gaze.npz", tmp_path / f"s{sigma:g}", sigma_px=sigma)
        rows.append(row_of(tmp_path / f"s{sigma:g}", tmp_path / "runs"))
    sharp, wide = rows
    assert (sharp.notes["sigma_px"], wide.notes["sigma_px"]) == (3.0, 9.0)
    for metric in ("CC", "SIM"):
        assert sharp.metric(metric)["mean"] < wide.metric(metric)["mean"] - 0.02
    assert sharp.metric("NSS") == wide.metric("NSS") and sharp.spec.run_id != wide.spec.run_id


def test_sigma_is_in_pixels_of_the_maps(film, tmp_path):
    import_video(film / "one.mp4", film / "gaze.npz", tmp_path / "half", sigma_px=8.0, map_size="40x60")
    dataset = stavis.open_set(tmp_path / "half", "half")
    assert sigma_of(dataset, dataset.samples[0]) == (8.0, 4.0)
    assert row_of(tmp_path / "half", tmp_path / "runs").notes["sigma_px"] == [4.0, 8.0]


def test_videos_of_one_set_may_have_sigmas_of_their_own(film, tmp_path):
    for name, sigma in (("a", 3.0), ("b", 6.0)):
        import_video(film / "one.mp4", film / "gaze.npz", tmp_path / "two", sigma_px=sigma, name=name)
    dataset = stavis.open_set(tmp_path / "two", "two")
    assert [sigma_of(dataset, sample)[0] for sample in dataset] == [3.0, 6.0]


def test_a_set_that_states_no_sigma_takes_the_default():
    sample = SimpleNamespace(name="v", truth=SimpleNamespace(size=(72, 108)))
    assert sigma_of(replace(watched([]), notes={}), sample) == (3.0, 3.0)
    assert sigma_of(replace(watched([]), notes={"sigma_px": {"other": (1, 1)}}), sample) == (3.0, 3.0)


@pytest.mark.parametrize("entry", [{"sigma_px_of_video": "x", "size": [60, 80], "map_size": [60, 80]}, {}, 7,
                                   {"sigma_px_of_video": -2, "size": [60, 80], "map_size": [60, 80]},
                                   {"sigma_px_of_video": 3, "size": [0, 0], "map_size": [60, 80]}])
def test_a_manifest_that_states_nonsense_states_no_sigma(entry):
    assert stavis._sigma({"videos": {"v": entry}}, ["v"]) == {}
    assert stavis._sigma({"videos": [1]}, ["v"]) == {}
