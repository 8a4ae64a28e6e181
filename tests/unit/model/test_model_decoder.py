"""The whole decoder: documents stay apart, domains own their experts, weights start as described."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from stages.model.attention import document_mask
from stages.model.batch import MicroBatch
from stages.model.block import QueryBlock
from stages.model.decoder import Decoder
from stages.model.initial import build_model
from stages.model.loss import row_losses
from tests.unit.model.batches import EOD, PAD, batch_of, small_shape, table_of

FIRST = [5, 9, 3, 7]
SECOND = [8, 2, 11, 6, 4]


def _model(shape=None, seed: int = 0) -> Decoder:
    return build_model(shape or small_shape(), seed)


def test_the_mask_is_causal_and_stops_at_documents():
    segments = torch.tensor([[0, 0, 1, 1, 1]])
    mask = document_mask(segments)[0, 0]
    for query in range(5):
        for key in range(5):
            assert mask[query, key] == (key <= query and segments[0, key] == segments[0, query])


@pytest.mark.parametrize("final_norm", ["before_query", "after_query"])
def test_a_packed_row_gives_the_logits_of_its_documents_alone(final_norm):
    shape = small_shape(final_norm=final_norm)
    model, table = _model(shape), table_of(shape)
    packed = model(batch_of(shape, [[*FIRST, EOD, *SECOND, EOD, PAD]], [1], table))[0]
    first = model(batch_of(shape, [[*FIRST, EOD, PAD]], [1], table))[0]
    second = model(batch_of(shape, [[*SECOND, EOD, PAD]], [1], table))[0]
    torch.testing.assert_close(packed[:5], first[:5], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(packed[5:11], second[:6], rtol=1e-5, atol=1e-6)


def test_later_tokens_change_nothing_before_them():
    shape = small_shape()
    model, table = _model(shape), table_of(shape)
    one = model(batch_of(shape, [[5, 9, 3, 7, 8, 2]], [0], table))[0]
    other = model(batch_of(shape, [[5, 9, 3, 4, 6, 2]], [0], table))[0]
    torch.testing.assert_close(one[:3], other[:3])
    assert not torch.allclose(one[3], other[3])


def test_tokens_of_a_domain_touch_only_its_experts():
    shape = small_shape(num_domains=3)
    model, table = _model(shape), table_of(shape)
    batch = batch_of(shape, [[*FIRST, *SECOND], [*SECOND, *FIRST]], [1, 1], table)
    row_losses(model(batch), batch.targets_BT, batch.valid_BT).sum().backward()
    own = range(shape.config.experts_per_domain, 2 * shape.config.experts_per_domain)
    for block in model.routed_blocks:
        for name, parameter in block.experts.named_parameters():
            for expert in range(shape.num_experts):
                touched = bool(parameter.grad[expert].any())
                assert not touched or expert in own, f"{name} of expert {expert} belongs to another domain"
        assert block.experts.down_bias.grad[list(own)].any()


def test_the_domain_decides_which_experts_answer():
    shape = small_shape()
    model, table = _model(shape), table_of(shape)
    zh, en = (model(batch_of(shape, [FIRST], [domain], table)) for domain in (0, 1))
    assert not torch.allclose(zh, en)


def test_without_routed_layers_the_dense_twin_starts_from_the_same_weights():
    sparse, dense = _model(small_shape()), _model(small_shape(num_rre_layers=0))
    ours = dict(sparse.named_parameters())
    scaled = ("attention.output.weight", "feed_forward.down.weight")  # 0.02 / sqrt(2 L): L differs
    for name, parameter in dense.named_parameters():
        ratio = math.sqrt(sparse.shape.config.num_layers / dense.shape.config.num_layers)
        expected = ours[name] * ratio if name.endswith(scaled) else ours[name]
        torch.testing.assert_close(parameter, expected)


def test_experts_that_copy_a_dense_network_compute_what_it_does():
    """PanGu-Sigma's inheritance: one dense network copied into all experts changes no output."""
    sparse_shape = small_shape(num_dense_layers=0, num_rre_layers=1)
    dense_shape = small_shape(num_dense_layers=1, num_rre_layers=0)
    sparse, dense = _model(sparse_shape), _model(dense_shape, seed=7)
    routed, block = sparse.routed_blocks[0], dense.dense_blocks[0]
    with torch.no_grad():
        for name, parameter in dense.named_parameters():
            if "feed_forward.up" not in name and "feed_forward.down" not in name:
                place = name.replace("dense_blocks", "routed_blocks")
                sparse.get_parameter(place).copy_(parameter)
        sparse.query_block.load_state_dict(dense.query_block.state_dict())
        experts = routed.experts
        experts.up_weight.copy_(block.feed_forward.up.weight.t().expand_as(experts.up_weight))
        experts.up_bias.copy_(block.feed_forward.up.bias.expand_as(experts.up_bias))
        experts.down_weight.copy_(block.feed_forward.down.weight.t().expand_as(experts.down_weight))
        experts.down_bias.copy_(block.feed_forward.down.bias.expand_as(experts.down_bias))
    rows = [[*FIRST, EOD, *SECOND], [*SECOND, EOD, *FIRST]]
    ours = sparse(batch_of(sparse_shape, rows, [0, 1], table_of(sparse_shape)))
    theirs = dense(batch_of(dense_shape, rows, [0, 1], table_of(dense_shape)))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_query_layer_asks_by_position_and_adds_to_the_stream():
    shape = small_shape(num_heads=1)
    block = QueryBlock(shape)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    x = torch.randn(1, 3, 16, generator=generator)
    positions = torch.tensor([[0, 1, 2]])
    mask = document_mask(torch.zeros(1, 3, dtype=torch.int64))

    normed = block.attention_norm(x)[0]
    query = block.attention.query(block.query_table.weight[:3])  # the table itself, neither normed nor added to x
    key, value = block.attention.key(normed), block.attention.value(normed)
    scores = query @ key.t() / math.sqrt(16)
    weights = scores.masked_fill(~mask[0, 0], -math.inf).softmax(-1)
    expected = x[0] + block.attention.output(weights @ value)
    expected = expected + block.feed_forward(block.feed_forward_norm(expected))
    torch.testing.assert_close(block(x, positions, mask)[0], expected, rtol=1e-5, atol=1e-5)


def test_the_two_places_of_the_final_norm_differ():
    before, after = (small_shape(final_norm=place) for place in ("before_query", "after_query"))
    rows, table = [[*FIRST, *SECOND]], table_of(before)
    logits = [_model(shape)(batch_of(shape, rows, [0], table)) for shape in (before, after)]
    assert not torch.allclose(*logits)


def test_output_is_tied_to_the_token_table():
    names = [name for name, _ in _model().named_parameters()]
    assert not [name for name in names if "output" in name and "attention" not in name]
    assert "token_table.weight" in names


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("token_table.weight", 0.02),
        ("dense_blocks.0.feed_forward.up.weight", 0.02),
        ("dense_blocks.0.feed_forward.down.weight", 0.02 / math.sqrt(8)),
        ("dense_blocks.0.attention.output.weight", 0.02 / math.sqrt(8)),
        ("dense_blocks.0.attention.query.weight", 0.01),
        ("routed_blocks.1.experts.up_weight", 0.02),
        ("routed_blocks.1.experts.down_weight", 0.02 / math.sqrt(8)),
    ],
)
def test_first_weights(name, std):
    shape = small_shape(d_model=64, d_feed_forward=256)  # L = 1 dense + 2 routed + query layer = 4
    weight = _model(shape).get_parameter(name).detach()
    assert float(weight.std()) == pytest.approx(std, rel=0.1)
    assert abs(float(weight.mean())) < 0.1 * std


def test_position_tables_are_cut_at_two_standard_deviations_and_norms_start_as_identity():
    model = _model(small_shape(d_model=64, context_length=256))
    for table in (model.position_table, model.query_block.query_table):
        assert 0.035 < float(table.weight.detach().abs().max()) <= 0.04
    norms = {name: p for name, p in model.named_parameters() if "norm" in name}
    assert all(bool((p == (1.0 if name.endswith("weight") else 0.0)).all()) for name, p in norms.items())
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias") and "norm" not in name)


def test_equal_seeds_give_equal_weights_and_others_do_not():
    one, same, other = (_model(seed=seed).token_table.weight for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_losses_are_sums_over_counted_targets():
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 4, 0], [2, 2, 3]])
    valid = torch.tensor([[True, False, True], [False, False, False]])
    losses = row_losses(logits, targets, valid)
    expected = F.cross_entropy(logits[0, [0, 2]], targets[0, [0, 2]], reduction="sum")
    torch.testing.assert_close(losses, torch.stack([expected, torch.zeros(())]))


def test_bf16_stays_near_fp32():
    shape = small_shape()
    model, table = _model(shape), table_of(shape)
    batch: MicroBatch = batch_of(shape, [[*FIRST, EOD, *SECOND]], [1], table)
    exact = model(batch)
    rounded = _model(shape).to(torch.bfloat16)(batch)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.02)
