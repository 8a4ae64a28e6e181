"""Where a decoder is cut: costs that add up, cuts as good as the best, parts that together are the whole."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.model.config import ModelShape, RouterConfig
from stages.model.cost import flops_per_token
from stages.model.initial import build_model
from stages.model.parameters import num_active_parameters, num_parameters, table_parameters
from stages.model.partition import cut_entries, entry_flops, entry_parameters
from stages.model.router import RoutingRecord
from tests.unit.model.batches import EOD, PAD, batch_of, small_shape, table_of

ROUTER = RouterConfig(num_experts=4, top_k=2, d_expert=16, num_shared_experts=1)
SHAPES = {
    "rre": small_shape(),
    "after_query": small_shape(final_norm="after_query", num_dense_layers=2),
    "learned": small_shape(num_learned_layers=2, router=ROUTER),
    "ultra": small_shape(
        query_layer=False, positions="rotary", feed_forward="swiglu", block_norm="sandwich", norm="rms",
        tied_output=False, num_learned_layers=1, router=ROUTER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_entries_add_up_to_the_model(kind: str):
    shape = SHAPES[kind]
    config, products = shape.config, num_active_parameters(shape) - table_parameters(shape)
    for row_tokens in (5, config.context_length):
        attention = 12 * config.num_layers * config.d_model * row_tokens / 2
        assert flops_per_token(shape, row_tokens) == pytest.approx(6 * products + attention, rel=1e-12)
    assert sum(entry_flops(shape)) == flops_per_token(shape, config.context_length)
    twice = shape.vocab_size * shape.config.d_model if shape.config.tied_output else 0
    assert sum(entry_parameters(shape)) == num_parameters(shape) + twice
    blocks = shape.config.num_dense_layers + shape.config.num_rre_layers + shape.config.num_learned_layers
    assert len(entry_flops(shape)) == len(entry_parameters(shape)) == blocks + 1


def test_cuts_by_hand():
    assert cut_entries([1.0, 1.0, 1.0, 1.0], 2) == [range(2), range(2, 4)]
    assert cut_entries([1.0, 1.0, 1.0, 5.0], 2) == [range(3), range(3, 4)]
    assert cut_entries([1.0, 2.0], 1) == [range(2)]
    assert cut_entries([3.0, 1.0, 1.0, 1.0], 3) == [range(1), range(1, 2), range(2, 4)]
    with pytest.raises(ValueError, match=r"2 entries .* cannot be cut into 3 parts"):
        cut_entries([1.0, 1.0], 3)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(1, 7))
def test_no_cut_is_better(costs: list[int], num_parts: int):
    num_parts = min(num_parts, len(costs))
    cuts = cut_entries([float(cost) for cost in costs], num_parts)
    assert [entry for cut in cuts for entry in cut] == list(range(len(costs)))
    assert len(cuts) == num_parts
    assert all(cuts)

    def dearest(borders: tuple[int, ...]) -> int:
        places = (0, *borders, len(costs))
        return max(sum(costs[one:other]) for one, other in pairwise(places))

    best = min(dearest(borders) for borders in combinations(range(1, len(costs)), num_parts - 1))
    assert dearest(tuple(cut.start for cut in cuts[1:])) == best


@pytest.mark.parametrize("kind", SHAPES)
def test_parts_hold_each_weight_and_make_the_same_logits(kind: str):
    """The token table of a tied output stands in two parts."""
    shape = SHAPES[kind]
    batch = batch_of(shape, [[5, 9, 3, 7, EOD, 8, 2], [8, 2, 11, EOD, PAD, PAD, PAD]], [0, 1], table_of(shape))
    whole = build_model(shape, 3)
    cuts = cut_entries(entry_flops(shape), 3)
    names: list[str] = []
    x_BTD = None
    for cut in cuts:
        part = build_model(shape, 3)
        part.keep(cut)
        names += [name for name, _ in part.named_parameters()]
        around = part.surroundings(batch)
        x_BTD = part.embed(batch) if x_BTD is None else x_BTD
        blocks = range(cut.start, min(cut.stop, whole.num_blocks))
        x_BTD = part.through(x_BTD, blocks, batch, around, RoutingRecord())
    assert torch.equal(part.logits(x_BTD, batch, around), whole(batch))
    twice = ["token_table.weight"] if shape.config.tied_output else []
    assert sorted(names) == sorted([name for name, _ in whole.named_parameters()] + twice)


def test_entries_that_go_apart_can_be_kept():
    """As the first of two workers with two parts each holds them."""
    shape: ModelShape = SHAPES["rre"]
    part = build_model(shape, 3)
    part.keep({0, 2})
    tables, blocks = ("token_table.", "position_table."), ("dense_blocks.0.", "routed_blocks.1.")
    names = [name for name, _ in part.named_parameters()]
    assert all(name.startswith((*tables, *blocks)) for name in names)
    assert all(any(name.startswith(place) for name in names) for place in (*tables, *blocks))
