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


def choose(net: SITR, given, density=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The words' maps (B, words, *GRID) and the index (B,) of the chosen word, with one head for all."""
    maps, chosen = net.choose(*given[:-1], density)
    return maps[:, 0].unflatten(-1, GRID), chosen[:, 0]


def peak_of(maps: torch.Tensor, word: int) -> torch.Tensor:
    """A density (B, 3, 4) that is one where each window's map of `word` is largest, summed over time."""
    place = maps[:, word].sum(1).flatten(1).argmax(1)
    return torch.nn.functional.one_hot(place, 12).float().unflatten(1, (3, 4))


def test_every_words_response_sums_to_one():
    maps, _ = choose(module(), inputs())
    assert maps.shape == (2, 5, *GRID)
    assert torch.allclose(maps.flatten(2).sum(2), torch.ones(2, 5))


def test_every_head_may_choose_a_word_of_its_own():
    net, given = module(select_heads="each"), inputs(8)
    maps, chosen = net.choose(*given[:-1])
    assert maps.shape == (8, 2, 5, PLACES) and chosen.shape == (8, 2) and (chosen[:, 0] != chosen[:, 1]).any()


def test_training_chooses_the_word_that_overlaps_the_truth_most():
    net, given = module().train(), inputs()
    maps, _ = choose(net, given)
    for word in (1, 2, 3):
        density = peak_of(maps, word)
        overlap = (maps.sum(2) * density[:, None]).flatten(2).sum(2)[:, 1:-1]
        assert torch.equal(choose(net, given, density)[1], overlap.argmax(1) + 1)


def test_inference_never_looks_at_the_truth():
    net, given = module(), inputs()
    maps, plain = choose(net, given)
    assert all(torch.equal(choose(net, given, peak_of(maps, w))[1], plain) for w in (1, 2, 3))


def test_without_fixations_training_chooses_as_inference_does():
    net, given = module(), inputs()
    plain = choose(net, given)[1]
    assert torch.equal(choose(net.train(), given, torch.zeros(2, 3, 4))[1], plain)


def test_training_may_leave_the_truth_out_of_the_choice():
    net, given = module(train_selection="rank"), inputs()
    maps, plain = choose(net, given)
    assert all(torch.equal(choose(net.train(), given, peak_of(maps, w))[1], plain) for w in (1, 2, 3))


@pytest.mark.parametrize("response", ["residual", "gate", "product"])
def test_by_the_letter_the_response_in_training_is_the_map_times_the_truth(response):
    net, given = module(train_selection="truth-map", response=response), inputs()
    plain, _ = choose(net, given)
    density = 3 * peak_of(plain, 2) + 1.5 * peak_of(plain, 1)
    maps, chosen = choose(net.train(), given, density)
    shown = density / density.amax((1, 2), keepdim=True)
    assert torch.allclose(maps, plain * shown[:, None, None], atol=1e-6)
    assert torch.equal(chosen, choose(module(response=response).train(), given, density)[1])


def test_the_letter_tells_the_features_in_training_where_people_looked_and_the_printed_choice_does_not():
    """With one word to choose, the truth can only come in through the map."""
    only = torch.zeros(2, 5, dtype=torch.bool)
    only[:, 2] = True
    visual, grid, words, _, pooled = inputs()
    densities = [torch.zeros(2, 3, 4).index_fill(2, torch.tensor([column]), 1.0) for column in (0, 3)]
    for selection, leaks in [("rank", False), ("truth", False), ("truth-map", True)]:
        net = module(train_selection=selection).train()
        one, other = (net(visual, grid, words, only, pooled, density) for density in densities)
        assert torch.allclose(one, other) is not leaks
        if leaks:  # what lies where nobody looked is left as it was
            outside = net.norm(net.value(visual)).unflatten(1, grid)[:, :, :, 1:]
            assert torch.allclose(one.unflatten(1, grid)[:, :, :, 1:], outside, atol=1e-6)
        assert torch.equal(*(net.eval()(visual, grid, words, only, pooled, density) for density in densities))


def test_by_the_letter_a_frame_without_fixations_keeps_its_map():
    net, given = module(train_selection="truth-map").train(), inputs()
    maps, chosen = choose(net, given, torch.zeros(2, 3, 4))
    plain, rank = choose(net.eval(), given)
    assert torch.equal(maps, plain) and torch.equal(chosen, rank)


def test_the_softmax_may_be_over_each_time_step_apart():
    maps, _ = choose(module(softmax="step"), inputs())
    assert torch.allclose(maps.flatten(3).sum(3), torch.full((2, 5, 2), 0.5))
    assert not torch.allclose(choose(module(), inputs())[0].flatten(3).sum(3), torch.full((2, 5, 2), 0.5), atol=1e-3)


def test_scores_may_be_divided_by_the_root_of_the_whole_width():
    visual, grid, words, allowed, _ = inputs()
    head, width = (module(scale=scale).scores(words, allowed, visual, grid) for scale in ("head", "width"))
    assert torch.allclose(head / 2**0.5, width, atol=1e-6)  # of two heads


@pytest.mark.parametrize("rank", ["logsumexp", "mean", "token-softmax"])
def test_only_allowed_words_are_chosen(rank):
    net, (visual, grid, words, allowed, pooled) = module(rank=rank), inputs()
    for only in range(5):
        allowed = torch.zeros(2, 5, dtype=torch.bool)
        allowed[:, only] = True
        assert choose(net, (visual, grid, words, allowed, pooled))[1].tolist() == [only, only]


@pytest.mark.parametrize("rank", ["logsumexp", "mean", "token-softmax"])
def test_words_that_are_not_allowed_do_not_matter(rank):
    net, (visual, grid, words, allowed, pooled) = module(rank=rank), inputs(8)
    plain = choose(net, (visual, grid, words, allowed, pooled))[1]
    for seed in range(5):
        noise = 5 * torch.randn(words.shape, generator=torch.Generator().manual_seed(seed))
        other = torch.where(allowed[..., None], words, noise)
        assert torch.equal(choose(net, (visual, grid, other, allowed, pooled))[1], plain)


def test_log_sum_exp_prefers_a_word_that_answers_strongly_somewhere():
    net = module()
    even, peaked = torch.full((PLACES,), 0.5), torch.zeros(PLACES)
    peaked[3] = 9.0
    scores = torch.stack([even, peaked])[None, None]
    allowed = torch.ones(1, 2, dtype=torch.bool)
    assert net._rank(scores, allowed).argmax() == 1
    assert module(rank="mean")._rank(scores, allowed).argmax() == 0


def test_the_response_raises_values_by_up_to_two_and_never_hides_them():
    net, given = module(), inputs()
    fused, (maps, word) = net(*given), choose(net, given)
    gain = fused / net.norm(net.value(given[0]))
    chosen = maps[torch.arange(2), word].flatten(1)
    assert torch.allclose(gain, (1 + chosen / chosen.amax(1, keepdim=True))[..., None].expand_as(gain), atol=1e-4)
    assert torch.allclose(gain.amax(1), torch.full((2, 8), 2.0), atol=1e-4)


def test_the_strict_product_is_the_map_times_the_values():
    net, given = module(response="product"), inputs()
    fused, (maps, word) = net(*given), choose(net, given)
    chosen = maps[torch.arange(2), word].flatten(1)
    assert torch.allclose(fused, chosen[..., None] * net.norm(net.value(given[0])), atol=1e-6)


def test_the_vector_is_the_sum_of_the_product():
    given = inputs()
    product, vector = module(response="product")(*given), module(response="vector")(*given)
    assert vector.shape == (2, 1, 8) and torch.allclose(product.sum(1, keepdim=True), vector, atol=1e-6)


def test_the_map_alone_carries_no_visual_content():
    net, given = module(response="map"), inputs()
    fused, (maps, word) = net(*given), choose(net, given)
    places = maps[torch.arange(2), word].flatten(1)
    order = places[0].argsort()
    direction = fused[0, order[-1]] - fused[0, order[0]]
    assert torch.linalg.matrix_rank(fused[0] - fused[0, :1], tol=1e-4) == 1 and direction.abs().sum() > 0


@pytest.mark.parametrize("fusion", ["concatenate", "repeat-add", "repeat-average"])
def test_repeated_sentences_change_every_place_and_need_no_choice(fusion):
    net, given = module(fusion=fusion), inputs()
    fused = net(*given)
    other = net(*given[:-1], given[-1] + 1)
    assert fused.shape == (2, PLACES, 8)
    assert ((fused - other).abs().amax(2) > 0).all()


def test_average_is_half_of_the_sum():
    given = inputs()
    assert torch.allclose(module(fusion="repeat-add")(*given) / 2, module(fusion="repeat-average")(*given))


@pytest.mark.parametrize("fusion", ["concatenate", "repeat-add", "repeat-average"])
def test_the_sentence_may_be_the_mean_over_its_words_whose_encoder_then_learns_from_every_word(fusion):
    net, (visual, grid, words, allowed, pooled) = module(fusion=fusion, sentence="mean"), inputs()
    words.requires_grad_()
    fused = net(visual, grid, words, allowed, pooled)
    assert torch.equal(net(visual, grid, words, allowed, pooled + 1), fused)
    end = module(fusion=fusion)
    assert torch.allclose(end(visual, grid, words, allowed, words[:, 1:-1].mean(1)), fused, atol=1e-6)
    fused.sum().backward()
    assert (words.grad.abs().amax(2) > 0).tolist() == allowed.tolist()
