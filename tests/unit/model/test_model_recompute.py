"""Blocks whose activations are made again in the backward pass: the same bits, less kept, nothing told twice."""

from __future__ import annotations

import pytest
import torch

from stages.model.config import RECOMPUTE_EVERY, RouterConfig
from stages.model.initial import build_model
from stages.model.loss import row_losses
from stages.model.router import RoutingRecord
from tests.unit.model.batches import EOD, PAD, batch_of, small_shape, table_of

ROWS = [[5, 9, 3, 7, EOD, 8, 2], [8, 2, 11, EOD, PAD, PAD, PAD]]
SHAPES = {
    "rre": {},
    "learned": {"num_learned_layers": 2, "router": RouterConfig(num_experts=4, top_k=2, d_expert=16)},
    "rotary": {"query_layer": False, "positions": "rotary", "feed_forward": "swiglu", "block_norm": "sandwich"},
}


def _backward(kind: str, policy: str) -> tuple[list[torch.Tensor], int, RoutingRecord]:
    """(gradients, bytes kept by the forward pass, what routers told)."""
    shape = small_shape(num_dense_layers=2, **SHAPES[kind])
    model = build_model(shape, 5)
    model.recompute_every = RECOMPUTE_EVERY[policy]
    batch, record = batch_of(shape, ROWS, [0, 1], table_of(shape)), RoutingRecord()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = row_losses(model(batch, record), batch.targets_BT, batch.valid_BT).sum()
    loss.backward()
    return [p.grad for p in model.parameters() if p.grad is not None], sum(kept.values()), record


@pytest.mark.parametrize("kind", SHAPES)
def test_gradients_are_the_same_to_the_bit_and_less_is_kept(kind: str) -> None:
    wanted, all_bytes, told = _backward(kind, "none")
    sizes = [all_bytes]
    for policy in ("alternate", "all"):
        gradients, num_bytes, again = _backward(kind, policy)
        sizes.append(num_bytes)
        assert len(gradients) == len(wanted)
        for ours, theirs in zip(gradients, wanted, strict=True):
            assert torch.equal(ours, theirs)
        assert [load.tolist() for load in again.load_E] == [load.tolist() for load in told.load_E]
        assert len(again.balance) == len(told.balance) == (2 if kind == "learned" else 0)
    assert sizes[0] > sizes[1] > sizes[2]


def test_without_gradients_nothing_is_made_twice() -> None:
    shape = small_shape()
    model = build_model(shape, 5)
    model.recompute_every = 1
    calls: list[int] = []
    model.dense_blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    batch = batch_of(shape, ROWS, [0, 1], table_of(shape))
    with torch.no_grad():
        model(batch)
    assert len(calls) == 1
    row_losses(model(batch), batch.targets_BT, batch.valid_BT).sum().backward()
    assert len(calls) == 3
