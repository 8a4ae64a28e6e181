"""MFU by hand, and the peak that is measured where none is given."""

from __future__ import annotations

import pytest
import torch

from stages.model.config import ModelConfig, ModelShape
from stages.model.cost import flops_per_token
from stages.pretrain.config import PretrainConfig
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from stages.pretrain.utilisation import peak_flops, peak_memory_bytes
from tests.unit.pretrain.inputs import payload_for, training_inputs


def test_one_expert_of_a_layer_counts_however_many_there_are():
    def flops(experts: int) -> float:
        config = ModelConfig(
            d_model=16, num_dense_layers=0, num_rre_layers=1, num_heads=2, d_feed_forward=32,
            experts_per_domain=experts, context_length=8, query_layer=False, attention_biases=False,
            positions="rotary",
        )  # fmt: skip
        return flops_per_token(ModelShape(config=config, vocab_size=24, num_domains=2))

    # 4 d^2 in attention, 2 d f + f + d in the expert, two norms and a last one of 2 d, V d for the logits
    parameters = 4 * 16 * 16 + (2 * 16 * 32 + 32 + 16) + 3 * 32 + 24 * 16
    assert flops(1) == flops(64) == 6 * parameters + 12 * 16 * 8 / 2


def test_a_line_holds_what_the_formula_gives(tmp_path):
    payload = payload_for(
        training_inputs(tmp_path / "inputs"), tmp_path / "run", num_steps=2, peak_flops_per_second=1e9
    )
    train(payload)
    config = ModelConfig(**payload["config"]["model"])
    flops = flops_per_token(ModelShape(config=config, vocab_size=40, num_domains=2))
    for line in read_metrics(tmp_path / "run", 2):
        assert line["mfu"] == pytest.approx(flops * 96 / (line["step_seconds"] * 1e9), rel=1e-3)
        assert line["peak_memory_bytes"] > 50e6  # an interpreter with torch


def test_the_measured_peak_is_that_of_a_product():
    assert peak_flops(PretrainConfig(peak_flops_per_second=5.0), torch.device("cpu")) == 5.0
    assert 1e8 < peak_flops(PretrainConfig(), torch.device("cpu")) < 1e14
    assert peak_memory_bytes(torch.device("cpu")) > 0
