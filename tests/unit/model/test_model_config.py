"""Shapes that are refused, and how many parameters the published ones have."""

from __future__ import annotations

import pytest
import torch

from stages.model.config import ModelConfig, ModelShape
from stages.model.decoder import Decoder
from stages.model.initial import build_model
from stages.model.parameters import num_active_parameters, num_parameters, num_sub_model_parameters
from tests.unit.model.batches import small_shape

BILLION = 1e9


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"d_model": 130, "num_heads": 13}, r"d_model \(130\) must be a multiple of 8"),
        ({"d_feed_forward": 516}, r"d_feed_forward \(516\) must be a multiple of 8"),
        ({"d_model": 128, "num_heads": 3}, r"d_model \(128\) must be a multiple of num_heads \(3\)"),
        ({"num_rre_layers": -1}, r"num_rre_layers \(-1\) must not be negative"),
        ({"experts_per_domain": 0}, r"experts_per_domain \(0\) must be at least 1"),
        ({"final_norm": "nowhere"}, r"final_norm \('nowhere'\)"),
        ({"norm_eps": 0.0}, r"norm_eps \(0.0\) must be positive"),
        ({"num_dense_layers": 0, "num_rre_layers": 0, "query_layer": False}, "leave no layer"),
    ],
)
def test_wrong_shapes_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**changed)


def test_a_single_layer_of_any_kind_is_enough():
    for kind in ({"num_dense_layers": 1}, {"num_rre_layers": 1}, {"query_layer": True}):
        config = ModelConfig(**{"num_dense_layers": 0, "num_rre_layers": 0, "query_layer": False, **kind})
        assert config.num_layers == 1


def test_shape_survives_json():
    shape = small_shape()
    assert ModelShape.from_json(shape.to_json()) == shape


@pytest.mark.parametrize("query_layer", [True, False])
@pytest.mark.parametrize("num_rre_layers", [0, 2])
def test_the_formula_counts_what_is_built(query_layer, num_rre_layers):
    shape = small_shape(query_layer=query_layer, num_rre_layers=num_rre_layers)
    model = build_model(shape, seed=0)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(shape)
    expert_parameters = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    dense = num_parameters(shape) - expert_parameters
    assert num_active_parameters(shape) == dense + expert_parameters // shape.num_experts
    assert num_sub_model_parameters(shape) == dense + expert_parameters // shape.num_domains


def _alpha(num_layers: int, d_model: int, num_heads: int) -> ModelShape:
    """PanGu-alpha's L counts the query layer."""
    config = ModelConfig(
        d_model=d_model,
        num_dense_layers=num_layers - 1,
        num_rre_layers=0,
        num_heads=num_heads,
        d_feed_forward=4 * d_model,
        context_length=1024,
    )
    return ModelShape(config=config, vocab_size=40_000, num_domains=1)


@pytest.mark.parametrize(
    ("shape", "billions"),
    [(_alpha(32, 2560, 32), 2.62), (_alpha(40, 5120, 40), 12.80), (_alpha(64, 16384, 128), 206.8)],
    ids=["2.6B", "13B", "200B"],
)
def test_pangu_alpha_sizes(shape, billions):
    with torch.device("meta"):
        built = sum(p.numel() for p in Decoder(shape).parameters())
    assert built == num_parameters(shape)
    assert built / BILLION == pytest.approx(billions, abs=0.005 * billions)


def test_pangu_sigma_has_a_trillion_parameters_and_a_sub_model_of_38_billion():
    config = ModelConfig(
        d_model=5120,
        num_dense_layers=32,
        num_rre_layers=8,
        num_heads=40,
        d_feed_forward=20480,
        experts_per_domain=16,
        context_length=1024,
    )
    shape = ModelShape(config=config, vocab_size=40_000, num_domains=40)
    with torch.device("meta"):
        built = sum(p.numel() for p in Decoder(shape).parameters())
    assert built == num_parameters(shape)
    assert shape.num_experts == 640
    assert built / 1e12 == pytest.approx(1.085, abs=0.001)
    # 38.4 in the derivation without query layer; one more dense block is 0.3
    assert num_sub_model_parameters(shape) / BILLION == pytest.approx(38.4, abs=0.35)
    assert num_active_parameters(shape) / BILLION == pytest.approx(12.6 + 0.5, abs=0.2)  # blocks + tables, query layer
