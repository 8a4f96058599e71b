"""SITR: which word is chosen, and what becomes of the visual features."""

import pytest
import torch

from saliency_bench.models.tavdiff.config import SitrConfig
from saliency_bench.models.tavdiff.sitr import SITR

GRID = (2, 3, 4)
PLACES = 2 * 3 * 4


def module(**fields) -> SITR:
    torch.manual_seed(0)
    return SITR(8, 6, SitrConfig(width=8, heads=2, **fields)).eval()


def inputs(batch: int = 2, words: int = 5):
    generator = torch.Generator().manual_seed(3)
    content = torch.ones(batch, words, dtype=torch.bool)
    content[:, 0] = content[:, -1] = False
    return (torch.randn(batch, PLACES, 8, generator=generator), GRID,
            torch.randn(batch, words, 6, generator=generator), content,
            torch.randn(batch, 6, generator=generator))


def peak_of(maps: torch.Tensor, word: int) -> torch.Tensor:
    """A density (B, 3, 4) that is one where each window's map of `word` is largest, summed over time."""
    place = maps[:, word].sum(1).flatten(1).argmax(1)
    return torch.nn.functional.one_hot(place, 12).float().unflatten(1, (3, 4))


def test_every_words_response_sums_to_one():
    _, response = module()(*inputs())
    assert response.maps.shape == (2, 5, *GRID)
    assert torch.allclose(response.maps.flatten(2).sum(2), torch.ones(2, 5))


def test_training_chooses_the_word_that_overlaps_the_truth_most():
    net, given = module().train(), inputs()
    _, response = net(*given)
    for word in (1, 2, 3):
        density = peak_of(response.maps, word)
        overlap = (response.maps.sum(2) * density[:, None]).flatten(2).sum(2)[:, 1:-1]
        _, chosen = net(*given, density)
        assert torch.equal(chosen.chosen, overlap.argmax(1) + 1)


def test_inference_never_looks_at_the_truth():
    net, given = module(), inputs()
    plain = net(*given)[1].chosen
    assert all(torch.equal(net(*given, peak_of(net(*given)[1].maps, w))[1].chosen, plain) for w in (1, 2, 3))


def test_without_fixations_training_chooses_as_inference_does():
    net, given = module(), inputs()
    plain = net(*given)[1].chosen
    assert torch.equal(net.train()(*given, torch.zeros(2, 3, 4))[1].chosen, plain)


def test_training_may_leave_the_truth_out_of_the_choice():
    net, given = module(train_selection="rank"), inputs()
    plain = net(*given)[1].chosen
    assert all(torch.equal(net.train()(*given, peak_of(net(*given)[1].maps, w))[1].chosen, plain) for w in (1, 2, 3))


@pytest.mark.parametrize("rank", ["logsumexp", "mean", "token-softmax"])
def test_start_end_and_padding_are_chosen_only_on_request(rank):
    visual, grid, words, _, pooled = inputs()
    for only in (1, 2, 3):
        content = torch.zeros(2, 5, dtype=torch.bool)
        content[:, only] = True
        assert module(rank=rank)(visual, grid, words, content, pooled)[1].chosen.tolist() == [only, only]
    free = [module(rank=rank, special_tokens=True)(visual, grid, words.roll(i, 1), content, pooled)[1].chosen
            for i in range(5)]
    assert any(set(c.tolist()) & {0, 4} for c in free)


def test_log_sum_exp_prefers_a_word_that_answers_strongly_somewhere():
    net = module()
    even, peaked = torch.full((PLACES,), 0.5), torch.zeros(PLACES)
    peaked[3] = 9.0
    scores = torch.stack([even, peaked])[None, None]
    assert net._rank(scores).argmax() == 1
    assert module(rank="mean")._rank(scores).argmax() == 0


def test_the_response_raises_values_by_up_to_two_and_never_hides_them():
    net, given = module(), inputs()
    fused, response = net(*given)
    gain = fused / net.norm(net.value(given[0]))
    chosen = response.maps[torch.arange(2), response.chosen].flatten(1)
    assert torch.allclose(gain, (1 + chosen / chosen.amax(1, keepdim=True))[..., None].expand_as(gain), atol=1e-4)
    assert torch.allclose(gain.amax(1), torch.full((2, 8), 2.0), atol=1e-4)


def test_the_strict_product_is_the_map_times_the_values():
    net, given = module(response="product"), inputs()
    fused, response = net(*given)
    chosen = response.maps[torch.arange(2), response.chosen].flatten(1)
    assert torch.allclose(fused, chosen[..., None] * net.norm(net.value(given[0])), atol=1e-6)


def test_the_vector_is_the_sum_of_the_product():
    given = inputs()
    product, vector = module(response="product")(*given)[0], module(response="vector")(*given)[0]
    assert vector.shape == (2, 1, 8) and torch.allclose(product.sum(1, keepdim=True), vector, atol=1e-6)


def test_the_map_alone_carries_no_visual_content():
    net = module(response="map")
    fused, response = net(*inputs())
    places = response.maps[torch.arange(2), response.chosen].flatten(1)
    order = places[0].argsort()
    direction = fused[0, order[-1]] - fused[0, order[0]]
    assert torch.linalg.matrix_rank(fused[0] - fused[0, :1], tol=1e-4) == 1 and direction.abs().sum() > 0


@pytest.mark.parametrize("fusion", ["concatenate", "repeat-add", "repeat-average"])
def test_repeated_sentences_change_every_place_and_need_no_choice(fusion):
    net, given = module(fusion=fusion), inputs()
    fused, response = net(*given)
    other = net(*given[:-1], given[-1] + 1)[0]
    assert response is None and fused.shape == (2, PLACES, 8)
    assert ((fused - other).abs().amax(2) > 0).all()


def test_average_is_half_of_the_sum():
    given = inputs()
    assert torch.allclose(module(fusion="repeat-add")(*given)[0] / 2, module(fusion="repeat-average")(*given)[0])
