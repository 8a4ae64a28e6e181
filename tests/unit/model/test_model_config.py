"""Shapes that are refused, and how many parameters shapes have; published ones in test_model_presets."""

from __future__ import annotations

import json

import pytest
import torch

from stages.model.config import ModelConfig, ModelShape, RouterConfig
from stages.model.decoder import Decoder
from stages.model.initial import build_model
from stages.model.parameters import (
    expert_parameters,
    num_active_parameters,
    num_parameters,
    num_sub_model_parameters,
)
from tests.unit.model.batches import small_shape


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


_SWIGLU_EXPERTS = {"num_learned_layers": 1, "router": RouterConfig(num_experts=4, top_k=2, d_expert=8)}
_PLAIN = {"query_layer": False}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"norm": "batch"}, r"norm \('batch'\) must be one of layer, rms"),
        ({"block_norm": "post"}, r"block_norm \('post'\)"),
        ({"feed_forward": "relu"}, r"feed_forward \('relu'\)"),
        ({"positions": "alibi"}, r"positions \('alibi'\)"),
        ({"initial": "zero"}, r"initial \('zero'\)"),
        ({"sandwich_attention": 0.0}, r"sandwich_attention \(0.0\) must be positive"),
        ({"rotary_base": -1.0}, r"rotary_base \(-1.0\) must be positive"),
        ({"num_key_value_heads": 3}, r"num_key_value_heads \(3\) must divide num_heads \(4\)"),
        ({"num_key_value_heads": 8}, r"num_key_value_heads \(8\) must divide"),
        ({**_PLAIN, "positions": "rotary", "d_model": 24, "num_heads": 8}, r"d_model / num_heads \(3\) must be even"),
        ({"positions": "rotary"}, r"query_layer \(true\) asks by learned position"),
        ({"block_norm": "sandwich"}, r"query_layer \(true\) has no sandwich norm"),
        ({"initial": "tiny"}, "tied_output must be false"),
        ({"num_learned_layers": 1}, r"num_learned_layers \(1\) and router \(null\) go together"),
        ({"router": RouterConfig()}, r"num_learned_layers \(0\) and router \(given\) go together"),
        ({"num_learned_layers": -1}, r"num_learned_layers \(-1\) must not be negative"),
    ],
)
def test_options_that_do_not_fit_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"top_k": 9}, r"top_k \(9\) must lie in \[1, num_experts \(8\)\]"),
        ({"top_k": 0}, r"top_k \(0\)"),
        ({"d_expert": 12}, r"d_expert \(12\) must be a multiple of 8"),
        ({"score": "tanh"}, r"score \('tanh'\)"),
        ({"scale": 0.0}, r"scale \(0.0\) must be positive"),
        ({"num_shared_experts": -1}, r"num_shared_experts \(-1\) must not be negative"),
        ({"auxiliary_weight": -0.1}, r"auxiliary_weight \(-0.1\) must not be negative"),
    ],
)
def test_routers_that_do_not_fit_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        RouterConfig(**changed)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "rms", "tied_output": False},
        {"feed_forward": "swiglu", "attention_biases": False},
        {"num_key_value_heads": 1},
        {**_PLAIN, "positions": "rotary", "block_norm": "sandwich", "initial": "tiny", "tied_output": False},
        _SWIGLU_EXPERTS,
        {**_SWIGLU_EXPERTS, "feed_forward": "swiglu", "num_rre_layers": 0},
    ],
    ids=["rms", "swiglu", "grouped", "ultra", "learned", "learned_swiglu"],
)
def test_every_option_is_counted_and_survives_json(options):
    shape = small_shape(**options)
    with torch.device("meta"):
        built = {name: p.numel() for name, p in Decoder(shape).named_parameters()}
    assert sum(built.values()) == num_parameters(shape)
    assert sum(n for name, n in built.items() if ".experts." in name) == expert_parameters(shape)
    assert ModelShape.from_json(json.loads(json.dumps(shape.to_json()))) == shape


def test_a_card_names_options_only_where_they_are_chosen():
    """Cards of models without them stay what they were before the options came."""
    assert set(small_shape().to_json()["config"]) == {
        "d_model",
        "num_dense_layers",
        "num_rre_layers",
        "num_heads",
        "d_feed_forward",
        "experts_per_domain",
        "context_length",
        "query_layer",
        "final_norm",
        "norm_eps",
    }
    assert small_shape(norm="rms").to_json()["config"]["norm"] == "rms"
