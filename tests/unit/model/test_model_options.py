"""Each option of the model against a few lines that say what it is."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from stages.model.attention import Attention, document_mask
from stages.model.config import ModelConfig, ModelShape, RouterConfig
from stages.model.feed_forward import GatedFeedForward
from stages.model.initial import build_model
from stages.model.measure import measure_output_deviations
from stages.model.norm import make_norm
from stages.model.rotary import rotate, rotation_of
from stages.pretrain.state import is_decayed
from tests.unit.model.batches import EOD, PAD, batch_of, small_shape, table_of

FIRST, SECOND = [5, 9, 3, 7], [8, 2, 11, 6, 4]
ULTRA = {
    "query_layer": False,
    "norm": "rms",
    "block_norm": "sandwich",
    "feed_forward": "swiglu",
    "positions": "rotary",
    "attention_biases": False,
    "tied_output": False,
    "initial": "tiny",
    "num_key_value_heads": 1,
}


def _random(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return module


def test_rms_norm_divides_by_the_root_mean_square():
    norm = make_norm(ModelConfig(d_model=8, norm="rms", norm_eps=1e-6))
    x = torch.tensor([[3.0, -4.0, 0, 0, 0, 0, 0, 0]])
    torch.testing.assert_close(norm(x), x / math.sqrt(25 / 8))  # no mean is taken off, no shift is added


def test_the_gated_network():
    network = _random(GatedFeedForward(8, 16))
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    gate, up = x @ network.gate.weight.t(), x @ network.up.weight.t()
    torch.testing.assert_close(network(x), (gate * gate.sigmoid() * up) @ network.down.weight.t())


def test_rotation_by_hand():
    cos, sin = rotation_of(torch.tensor([[0, 1, 5]]), head_width=4, base=100.0)
    assert cos.shape == (1, 1, 3, 2)
    torch.testing.assert_close(sin[0, 0, 2], torch.tensor([5.0, 5.0 / 10]).sin())  # base^(-2/4) = 1/10
    turned = rotate(torch.tensor([1.0, 2.0, 0.0, 0.0]).expand(1, 1, 3, 4), (cos, sin))[0, 0]
    assert turned[0].tolist() == [1, 2, 0, 0]  # position 0 stays
    expected = [math.cos(1), 2 * math.cos(0.1), math.sin(1), 2 * math.sin(0.1)]
    torch.testing.assert_close(turned[1], torch.tensor(expected))


def test_scores_of_rotated_tokens_depend_on_their_distance_only():
    generator = torch.Generator().manual_seed(3)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator)
    scores = []
    for start in (0, 7, 300):
        at = [rotation_of(torch.tensor([[start + offset]]), 8, 1e4) for offset in (3, 0)]
        scores.append(float((rotate(query, at[0]) * rotate(key, at[1])).sum()))
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-5)
    assert rotate(query.bfloat16(), at[0]).dtype == torch.bfloat16


def test_grouped_heads_share_keys_and_values():
    """Equal to full attention whose key and value projections repeat each group's rows."""
    grouped = _random(Attention(ModelConfig(d_model=16, num_heads=4, num_key_value_heads=2)))
    full = Attention(ModelConfig(d_model=16, num_heads=4))
    with torch.no_grad():
        for name, parameter in grouped.named_parameters():
            if name.split(".")[0] in ("key", "value"):
                heads = parameter.unflatten(0, (2, 4)).repeat_interleave(2, dim=0)
                parameter = heads.flatten(0, 1)
            full.get_parameter(name).copy_(parameter)
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(2))
    mask = document_mask(torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]))
    torch.testing.assert_close(grouped(x, x, mask), full(x, x, mask))


def test_attention_without_biases_has_none():
    names = [name for name, _ in Attention(ModelConfig(attention_biases=False)).named_parameters()]
    assert names == ["query.weight", "key.weight", "value.weight", "output.weight"]


def test_a_sandwich_block_by_hand():
    shape = small_shape(num_rre_layers=0, **ULTRA)
    block = _random(build_model(shape, 0).dense_blocks[0])
    x = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(2))
    mask = document_mask(torch.zeros(1, 4, dtype=torch.int64))

    def norm(y, module):
        return y / y.pow(2).mean(-1, keepdim=True).add(1e-5).sqrt() * module.weight

    rotation = rotation_of(torch.arange(4).unsqueeze(0), 8, 1e4)
    normed = norm(x, block.attention_norm)
    expected = x + norm(block.attention(normed, normed, mask, rotation), block.attention_output_norm)
    inner = block.feed_forward(norm(expected, block.feed_forward_norm))
    expected = expected + norm(inner, block.feed_forward_output_norm)
    torch.testing.assert_close(block(x, mask, rotation), expected, rtol=1e-4, atol=1e-5)


def test_depth_scaled_norms_and_tiny_matrices_start_as_published():
    """Pangu Ultra: gamma = c / sqrt(L), sigma = sqrt(1 / (2 d L)), token table 0.5."""
    shape = small_shape(d_model=64, d_feed_forward=128, num_dense_layers=4, num_rre_layers=0, **ULTRA)
    model = build_model(shape, seed=0)
    for block in model.dense_blocks:
        assert block.attention_output_norm.weight.tolist() == pytest.approx([0.283 / 2] * 64)
        assert block.feed_forward_output_norm.weight.tolist() == pytest.approx([0.432 / 2] * 64)
        assert block.attention_norm.weight.tolist() == [1.0] * 64
    tiny = math.sqrt(1 / (2 * 64 * 4))
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            wanted = 0.5 if name == "token_table.weight" else tiny
            assert float(parameter.detach().std()) == pytest.approx(wanted, rel=0.1), name


def test_outer_norms_of_a_sandwich_decay_and_inner_ones_do_not():
    assert is_decayed("dense_blocks.0.attention_output_norm.weight")
    assert is_decayed("dense_blocks.0.attention.output.weight")
    assert not is_decayed("dense_blocks.0.attention_norm.weight")
    assert not is_decayed("dense_blocks.0.attention.output.bias")


def test_measured_deviations_are_those_of_the_first_weights():
    """A single token attends to itself: value and output matrix after a unit-size stream, 2 x sqrt(d) sigma."""
    config = ModelConfig(
        **{**ULTRA, "num_key_value_heads": None}, d_model=256, num_heads=4, d_feed_forward=512, num_dense_layers=2,
        num_rre_layers=0, context_length=64,
    )  # fmt: skip
    shape = ModelShape(config=config, vocab_size=500, num_domains=1)
    attention, feed_forward = measure_output_deviations(shape, seed=0, num_rows=256, num_tokens=1)
    sigma = math.sqrt(1 / (2 * 256 * 2))
    assert attention == pytest.approx(256 * sigma**2, rel=0.1)  # 1 / (2 L)
    assert 0 < feed_forward < attention
    again = measure_output_deviations(shape, seed=0, num_rows=256, num_tokens=1)
    assert again == (attention, feed_forward)


def test_a_model_without_dense_blocks_has_nothing_to_measure():
    with pytest.raises(ValueError, match="no dense block"):
        measure_output_deviations(small_shape(num_dense_layers=0), seed=0)


@pytest.mark.parametrize("score", ["sigmoid", "softmax"])
def test_an_ultra_shaped_packed_row_gives_the_logits_of_its_documents_alone(score):
    router = RouterConfig(num_experts=4, top_k=2, d_expert=16, score=score)
    shape = small_shape(**ULTRA, num_learned_layers=2, router=router)
    model, table = build_model(shape, 0), table_of(shape)
    packed = model(batch_of(shape, [[*FIRST, EOD, *SECOND, EOD, PAD]], [1], table))[0]
    first = model(batch_of(shape, [[*FIRST, EOD, PAD]], [1], table))[0]
    second = model(batch_of(shape, [[*SECOND, EOD, PAD]], [1], table))[0]
    torch.testing.assert_close(packed[:5], first[:5], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(packed[5:11], second[:6], rtol=1e-4, atol=1e-5)


def test_an_output_of_its_own_makes_the_logits():
    shape = small_shape(tied_output=False)
    model, table = build_model(shape, 0), table_of(shape)
    batch = batch_of(shape, [[*FIRST, EOD]], [0], table)
    before = model(batch)
    with torch.no_grad():
        model.output_table.weight.mul_(2)
    torch.testing.assert_close(model(batch), 2 * before)
    assert F.cosine_similarity(model.output_table.weight[0], model.token_table.weight[0], dim=0).abs() < 0.9
