"""Denoisers: sizes, patches, positions, the printed equations, and what is computed once."""

import pytest
import torch
from torch.nn import functional as F

from saliency_bench.errors import UserError
from saliency_bench.models.tavdiff.conditions import Conditions, grid_positions
from saliency_bench.models.tavdiff.config import DenoiserConfig
from saliency_bench.models.tavdiff.denoisers import Block, MapTransformer
from saliency_bench.models.tavdiff.presets import load_preset
from saliency_bench.models.tavdiff.unet import UNet

SIZE = (32, 48)
GRID = (4, 6)  # of map patches
KINDS = ["saliency-dit", "undecoupled", "undecoupled, pooled", "dit", "dit, pooled", "dit, in-context", "unet"]


def config(**fields) -> DenoiserConfig:
    """A small network; `kind` may also say how the conditions reach it, after a comma."""
    kind, _, condition = fields.pop("kind", "saliency-dit").partition(", ")
    fields |= {"kind": kind} | ({"condition": condition} if condition else {})
    return DenoiserConfig(**{"patch": 8, "width": 32, "depth": 2, "heads": 2, "unet_channels": (4, 4, 8, 8)} | fields)


def build(c: DenoiserConfig, sequences: int = 1) -> MapTransformer | UNet:
    torch.manual_seed(0)
    net = (UNet if c.kind == "unet" else MapTransformer)(c, SIZE, sequences)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2)
    return net.eval()


def conditions(n: int = 7, seed: int = 0, mask: bool = False) -> Conditions:
    generator = torch.Generator().manual_seed(seed)
    keep = torch.ones(2, n, dtype=torch.bool)
    keep[1, 4:] = False
    return Conditions(torch.randn(2, n, 32, generator=generator), torch.randn(n, 32, generator=generator), (3, n - 3),
                      keep if mask else None)


def over_the_frame(grid: tuple[int, int, int] = (2, *GRID), sound: int = 3, seed: int = 0,
                   base: float = 10000.0) -> Conditions:
    """Visual tokens on a grid, and sound, which has no place."""
    generator = torch.Generator().manual_seed(seed)
    places = grid_positions(grid[1:], GRID, 32, base).repeat(grid[0], 1)
    n = len(places)
    return Conditions(torch.randn(2, n + sound, 32, generator=generator),
                      torch.cat([places, torch.zeros(sound, 32)]), (n, sound), grid=grid)


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(5)), torch.tensor([10, 700])


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_paper_preset_has_a_denoiser_of_dit_s_size():
    c = load_preset("paper")
    assert parameters(MapTransformer(c.denoiser, c.window.map_size)) == pytest.approx(39.76e6, rel=1e-3)


@pytest.mark.parametrize(("preset", "channels"), [("nano", {"denoiser.unet_channels": [8, 16, 24, 36]}), ("paper", {})])
def test_the_unet_has_the_size_of_saliency_dit(preset, channels):
    c, unet = load_preset(preset), load_preset(preset, {"denoiser.kind": "unet", **channels})  # as the studies ask
    sequences = 2 if c.denoiser.packing == "separate" else 1
    sizes = [parameters(net(made.denoiser, c.window.map_size, sequences))
             for net, made in ((MapTransformer, c), (UNet, unet))]
    assert 0.9 < sizes[1] / sizes[0] < 1.1


def test_patches_are_put_back_where_they_were():
    net, (x, _) = build(config()), noisy()
    patches = net._patches(x)
    assert patches.shape == (2, 24, 64) and torch.equal(net._unpatch(patches), x)
    assert torch.equal(patches[0, 7], x[0, 8:16, 8:16].flatten())


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_network_predicts_zero(kind):
    net = (UNet if kind == "unet" else MapTransformer)(config(kind=kind), SIZE)
    x, t = noisy()
    assert not net(x, t, net.prepare(conditions())).any()


@pytest.mark.parametrize("kind", KINDS)
def test_output_depends_on_the_map_the_time_and_the_conditions(kind):
    net, (x, t) = build(config(kind=kind)), noisy()
    prepared = net.prepare(conditions())
    plain = net(x, t, prepared)
    assert plain.shape == x.shape
    assert not torch.allclose(net(x + 1, t, prepared), plain)
    assert not torch.allclose(net(x, t + 200, prepared), plain)
    assert not torch.allclose(net(x, t, net.prepare(conditions(seed=1))), plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", ["joint", "separate"])
def test_masked_tokens_change_nothing(packing, kind):
    net, (x, t) = build(config(kind=kind, packing=packing), 1 if packing == "joint" else 2), noisy()
    given = conditions(mask=True)
    plain = net(x, t, net.prepare(given))
    given.tokens[1, 4:] += 100
    assert torch.allclose(net(x, t, net.prepare(given)), plain, atol=1e-5)


def test_only_the_undecoupled_kinds_mix_conditions_into_the_modulation():
    t = torch.tensor([3, 500])
    for kind, mixes in [("saliency-dit", False), ("undecoupled", True), ("undecoupled, pooled", True), ("dit", True),
                        ("dit, pooled", True), ("dit, in-context", False)]:
        net = build(config(kind=kind))
        one, other = (net._modulations(t, net.prepare(conditions(seed=seed)).mixed) for seed in (0, 1))
        assert torch.allclose(one[0], other[0]) is not mixes and torch.allclose(one[-1], other[-1]) is not mixes
        assert any(len(block.cross) for block in net.blocks) is (kind == "saliency-dit")


def test_the_undecoupled_kind_joins_time_and_conditions_in_one_linear_layer():
    given, t = over_the_frame(), torch.tensor([3, 500])
    known = given.at_patches(GRID)
    for kind, told in [("undecoupled", known), ("undecoupled, pooled", known.mean(1, keepdim=True))]:
        net = build(config(kind=kind))
        time = net.time(t).unsqueeze(1).expand(-1, told.shape[1], -1)
        joined = net.condition(torch.cat([time, told], 2))
        found = net._modulations(t, net.prepare(given).mixed)
        assert torch.allclose(found[0].reshape(2, -1, 192), net.blocks[0].modulation(joined), atol=1e-5)
        assert torch.allclose(found[-1].reshape(2, -1, 64), net.last_modulation(joined), atol=1e-5)


def modulations(net: MapTransformer, given: Conditions) -> list[torch.Tensor]:
    return net._modulations(torch.tensor([3, 500]), net.prepare(given).mixed)


@pytest.mark.parametrize("kind", ["undecoupled", "dit"])
def test_a_visual_cell_changes_the_modulation_of_its_own_patch_alone(kind):
    net, given, other = build(config(kind=kind)), over_the_frame(), over_the_frame()
    row, column = 2, 3
    other.tokens[:, row * GRID[1] + column] += 1  # at the first time step
    for one, changed in zip(modulations(net, given), modulations(net, other), strict=True):
        assert one.shape[1] == GRID[0] * GRID[1]
        where = (one - changed).abs().amax((0, 2)) > 1e-6
        assert where.nonzero().tolist() == [[row * GRID[1] + column]]


def test_sound_changes_the_modulation_of_every_patch():
    net, given, other = build(config(kind="dit")), over_the_frame(), over_the_frame()
    other.tokens[:, -1] += 1
    for one, changed in zip(modulations(net, given), modulations(net, other), strict=True):
        assert ((one - changed).abs().amax((0, 2)) > 1e-6).all()


@pytest.mark.parametrize(("grid", "cells"), [((1, 4, 6), [15]), ((1, 8, 12), [54, 55, 66, 67]), ((1, 2, 3), [4])])
def test_a_patch_is_told_the_mean_of_the_visual_cells_over_it(grid, cells):
    given = over_the_frame(grid, sound=0)
    given.segments = (len(given.positions),)
    assert torch.allclose(given.at_patches(GRID)[:, 2 * GRID[1] + 3], given.tokens[:, cells].mean(1), atol=1e-6)


def test_every_modality_weighs_as_much_however_many_tokens_it_has():
    given = over_the_frame()
    visual, sound = given.tokens[:, :48].mean(1), given.tokens[:, 48:].mean(1)
    assert torch.allclose(given.at_patches(GRID).mean(1), visual + sound, atol=1e-6)


def test_where_nothing_has_a_place_all_patches_are_told_the_same():
    given = conditions(mask=True)
    known = given.at_patches(GRID)
    words, sound = given.tokens[1, :3].mean(0), given.tokens[1, 3:4].mean(0)
    assert known.shape == (2, 1, 32) and torch.allclose(known[1, 0], words + sound, atol=1e-6)
    per_patch, pooled = (build(config(kind=kind)) for kind in ("dit", "dit, pooled"))
    (x, t), prepared = noisy(), [net.prepare(given) for net in (per_patch, pooled)]
    assert torch.allclose(per_patch(x, t, prepared[0]), pooled(x, t, prepared[1]), atol=1e-5)


def moved(given: Conditions) -> Conditions:
    """The same visual tokens at other places."""
    order = torch.randperm(given.segments[0], generator=torch.Generator().manual_seed(1))
    tokens = given.tokens.clone()
    tokens[:, : len(order)] = tokens[:, order]
    return Conditions(tokens, given.positions, given.segments, given.mask, given.grid)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unet"])
def test_where_a_token_stands_matters_unless_it_is_pooled(kind):
    net, (x, t), given = build(config(kind=kind)), noisy(), over_the_frame((1, *GRID))
    one, other = (net(x, t, net.prepare(c)) for c in (given, moved(given)))
    assert torch.allclose(one, other, atol=1e-5) is kind.endswith("pooled")


def test_tokens_in_the_sequence_are_a_set_with_places():
    net, (x, t), given = build(config(kind="dit, in-context")), noisy(), over_the_frame((1, *GRID))
    order = torch.randperm(len(given.positions), generator=torch.Generator().manual_seed(1))
    same = Conditions(given.tokens[:, order], given.positions[order], given.segments)
    assert torch.allclose(net(x, t, net.prepare(same)), net(x, t, net.prepare(given)), atol=1e-5)


def test_conditions_in_the_sequence_leave_nothing_to_join_with_the_time():
    with pytest.raises(UserError, match=r'"in-context" leaves no condition .* choose denoiser\.kind "dit"'):
        load_preset("nano", {"denoiser.kind": "undecoupled", "denoiser.condition": "in-context"})


def test_the_blocks_may_share_one_modulation():
    each, shared = (build(config(modulation=m, depth=3)) for m in ("each", "shared"))
    one = sum(p.numel() for p in each.blocks[0].modulation.parameters())
    assert parameters(each) - parameters(shared) == 2 * one
    first, *others = modulations(shared, conditions())[:-1]
    assert len(others) == 2 and all(torch.equal(first, other) for other in others)
    assert not torch.allclose(*modulations(each, conditions())[:2])


def test_the_last_modulation_follows_the_blocks_or_the_time_or_is_left_out():
    last = {}
    for choice in ("blocks", "time", "none"):
        net = build(config(kind="undecoupled", last_modulation=choice))
        one, other = (modulations(net, conditions(seed=seed))[-1] for seed in (0, 1))
        last[choice] = one.numel() and not torch.allclose(one, other)
        assert hasattr(net, "last_modulation") is (choice != "none")
    assert last == {"blocks": True, "time": False, "none": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_one_time_for_all_windows_gives_what_a_time_for_each_gives(kind):
    net, (x, _) = build(config(kind=kind)), noisy()
    prepared = net.prepare(conditions())
    for t in (700, 10, 700):
        assert torch.allclose(net(x, t, prepared), net(x, torch.tensor([t, t]), prepared), atol=1e-5)


def block_and_inputs(**fields):
    """A block with random weights, and (x, modulation, positions, conditions) for it."""
    torch.manual_seed(0)
    block = Block(config(**fields), 32, 1).eval()
    keys, values = block.cross[0].prepare(torch.randn(2, 5, 32), None)
    return block, [torch.randn(2, 6, 32), torch.randn(2, 6 * 32), None, [(keys, values, None)]]


def gated(inputs, **gates: float):
    """The inputs with no shift and scale, and constant gates `first` and `second`."""
    modulation = torch.zeros(2, 6, 32)
    modulation[:, 2], modulation[:, 5] = gates["first"], gates["second"]
    return [inputs[0], modulation.flatten(1), *inputs[2:]]


def test_post_norm_hides_the_scale_of_what_the_attention_returns_and_pre_norm_that_of_its_query():
    for cross_norm, hidden in [("post", "answer"), ("pre", "query")]:
        # Without residuals the second sub-layer's input is its query and its output its answer.
        block, given = block_and_inputs(cross_norm=cross_norm, residual=False, mlp=False)
        block.norm = torch.nn.Identity()
        plain = block(*gated(given, first=1, second=1))
        query = block(*gated(given, first=3, second=1))
        with torch.no_grad():
            for parameter in block.cross[0].proj.parameters():
                parameter.mul_(3)
        answer = block(*gated(given, first=1, second=1))
        same = {"query": torch.allclose(query, plain, atol=1e-3), "answer": torch.allclose(answer, plain, atol=1e-3)}
        assert same == {"query": hidden == "query", "answer": hidden == "answer"}


def test_closed_gates_leave_the_attended_input_with_residuals_and_nothing_without():
    block, given = block_and_inputs()
    with torch.no_grad():
        block.cross[0].proj.weight.zero_()
        block.cross[0].proj.bias.zero_()
    assert torch.equal(block(*gated(given, first=0, second=0)), given[0])
    block, given = block_and_inputs(residual=False)
    assert not block(*gated(given, first=1, second=0)).any()


def test_without_a_perceptron_the_last_sub_layer_adds_its_normalised_input():
    block, given = block_and_inputs(mlp=False)
    before = block(*gated(given, first=1, second=0))
    added = block(*gated(given, first=1, second=1)) - before
    assert torch.allclose(added, F.layer_norm(before, (32,), eps=1e-6), atol=1e-5)


def test_gates_start_at_zero_with_residuals_and_at_one_without():
    for residual, gate in [(True, 0.0), (False, 1.0)]:
        block = Block(config(residual=residual), 32, 1)
        block.start()
        values = block.modulation(torch.randn(1, 32)).view(6, 32)
        assert (values[[2, 5]] == gate).all() and not values[[0, 1, 3, 4]].any()


def test_positions_of_grids_over_one_frame_line_up():
    fine, coarse = grid_positions((8, 12), (8, 12), 32), grid_positions((4, 6), (8, 12), 32)
    nearest = torch.cdist(coarse, fine).topk(4, largest=False).indices.sort(1).values
    assert nearest[0].tolist() == [0, 1, 12, 13] and nearest[-1].tolist() == [82, 83, 94, 95]


def test_with_a_tied_start_a_place_attends_to_itself():
    net = build(config(cross_start="tied", align_scale=4.0, position_base=100.0))
    cross = net.blocks[0].cross[0]
    places = net.places
    keys, _ = cross.prepare(torch.zeros(1, len(places), 32), places)
    queries = cross.query(places).unflatten(-1, (2, -1)).transpose(0, 1)
    assert torch.equal((queries @ keys[0].transpose(1, 2)).sum(0).argmax(1), torch.arange(len(places)))


def test_with_a_tied_start_a_place_of_the_unet_attends_to_itself():
    torch.manual_seed(0)
    c = config(kind="unet", cross_start="tied", align_scale=4.0, position_base=100.0, unet_channels=(4, 4, 24, 24))
    attend, places = UNet(c, SIZE).attend["down3"], grid_positions((4, 6), (4, 6), 32, 100.0)
    keys, _ = attend.cross[0].prepare(torch.zeros(1, len(places), 32), places)
    queries = attend.cross[0].query(attend.place(4 * places)).unflatten(-1, (2, -1)).transpose(0, 1)
    assert torch.equal((queries @ keys[0].transpose(1, 2)).sum(0).argmax(1), torch.arange(len(places)))


def test_in_the_sequence_with_a_tied_start_a_place_attends_to_itself_and_to_its_condition():
    net = build(config(kind="dit, in-context", heads=4, cross_start="tied", align_scale=4.0, position_base=100.0))
    given = over_the_frame((1, *GRID), base=100.0)
    places = net.prepare(given).places[0]
    patches, cells, sound = (places @ places.T)[:24].split([24, 24, 3], 1)
    assert torch.allclose(patches, cells, rtol=1e-4) and not sound.any()
    assert torch.equal(cells.argmax(1), torch.arange(24))
    assert [bool(head.any()) for head in places.chunk(4, 1)] == [True, True, True, False]  # the last is left to sound


def test_with_per_patch_modulation_a_patch_is_told_of_its_own_place_alone_from_the_start():
    """What the tied start gives attention holds here by construction."""
    net, given = MapTransformer(config(kind="dit"), SIZE), over_the_frame((1, *GRID), sound=0)
    given.segments = (24,)
    told = net.prepare(given).mixed
    assert torch.allclose(told, net.condition(given.tokens), atol=1e-5)


def test_positions_reach_keys_and_not_values():
    cross = build(config()).blocks[0].cross[0]
    tokens, positions = torch.randn(1, 4, 32), torch.randn(4, 32)
    keys, values = cross.prepare(tokens, positions)
    plain_keys, plain_values = cross.prepare(tokens, None)
    assert torch.equal(values, plain_values) and not torch.allclose(keys, plain_keys)


def test_the_embedding_of_noise_can_start_small():
    large, small = build(config()), build(config(embed_scale=0.1))
    assert torch.allclose(small.embed.weight, large.embed.weight * 0.1)
