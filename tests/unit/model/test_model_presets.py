"""Published shapes: as many parameters as their references say; scaled twins that learn."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from stages.model.config import ModelShape
from stages.model.cost import Layout, flops_per_token, parts_under_way, worker_memory
from stages.model.decoder import Decoder
from stages.model.parameters import (
    dense_parameters,
    expert_parameters,
    num_active_parameters,
    num_parameters,
    num_sub_model_parameters,
)
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.unit.model.presets import PUBLISHED, preset, twin_of
from tests.unit.pretrain.inputs import payload_for, training_inputs

#: (vocabulary, domains, total and active parameters in billions, how near). Totals are the references' counts.
REFERENCES = {
    "pangu_alpha_350m": (40_000, 1, 0.345, 0.345, 0.001),
    "pangu_alpha_2b6": (40_000, 1, 2.62, 2.62, 0.01),
    "pangu_alpha_13b": (40_000, 1, 12.80, 12.80, 0.01),
    "pangu_alpha_200b": (40_000, 1, 206.8, 206.8, 0.1),
    "pangu_sigma_1t": (40_000, 40, 1085.0, 12.6 + 0.215, 0.1),  # blocks, and the tables
    "pangu_ultra_135b": (153_376, 1, 133.9, 133.9, 0.05),
    "pangu_ultra_moe_like": (153_600, 1, 714.7, 36.0, 0.05),
}


def _shape(name: str) -> ModelShape:
    vocab_size, num_domains, *_ = REFERENCES[name]
    return ModelShape(config=preset(name), vocab_size=vocab_size, num_domains=num_domains)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_parameters_of_its_reference(name):
    shape = _shape(name)
    with torch.device("meta"):
        model = Decoder(shape)
    built = {key: p.numel() for key, p in model.named_parameters()}
    assert sum(built.values()) == num_parameters(shape) == dense_parameters(shape) + expert_parameters(shape)
    assert sum(n for key, n in built.items() if ".experts." in key) == expert_parameters(shape)
    _, _, total, active, tolerance = REFERENCES[name]
    assert num_parameters(shape) / 1e9 == pytest.approx(total, abs=tolerance)
    assert num_active_parameters(shape) / 1e9 == pytest.approx(active, abs=tolerance)


def test_the_sub_model_of_one_sigma_domain_has_38_billion():
    shape = _shape("pangu_sigma_1t")
    assert shape.num_experts == 640
    assert num_sub_model_parameters(shape) / 1e9 == pytest.approx(37.97, abs=0.01)
    larger = ModelShape(config=shape.config, vocab_size=126_000, num_domains=40)
    assert num_sub_model_parameters(larger) / 1e9 == pytest.approx(38.4, abs=0.02)


def test_ultra_moe_differs_from_its_reference_by_its_attention_only():
    """719.1B and 40.4B active with MLA, whose projections are counted by hand here."""
    shape = _shape("pangu_ultra_moe_like")
    d, heads = 7680, 128
    mla = d * 1536 + 1536 * heads * (128 + 64) + d * (512 + 64) + 512 * heads * (128 + 128) + heads * 128 * d
    ours = 2 * d * d + 2 * d * 8 * 60
    for count, billions in ((num_parameters(shape), 719.1), (num_active_parameters(shape), 40.4)):
        assert (count + 61 * (mla - ours)) / 1e9 == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_twin_of_a_preset_learns_in_50_steps(tmp_path, name):
    config = twin_of(preset(name))
    inputs = training_inputs(tmp_path / "inputs", num_rre_layers=config.num_rre_layers)
    train(payload_for(inputs, tmp_path / "run", num_steps=50, model=asdict(config)))
    losses = [line["loss"] for line in read_metrics(tmp_path / "run", 50)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    if config.num_learned_layers:
        line = read_metrics(tmp_path / "run", 50)[-1]
        slots = 6 * 16 * config.router.top_k  # rows, tokens, experts of a token: nothing is dropped
        assert [sum(layer) for layer in line["learned_load"]] == [slots] * 2
        assert all(balance > 0 for balance in line["balance"])


def test_work_per_token_by_hand():
    shape = _shape("pangu_alpha_2b6")
    d, layers, context = 2560, 32, 1024
    products = num_parameters(shape) - 2 * context * d  # two position tables are only read
    assert flops_per_token(shape) == 6 * products + 12 * layers * d * context / 2
    assert flops_per_token(shape) == pytest.approx(6 * 2.62e9, rel=0.05)


def test_memory_of_a_worker():
    shape = _shape("pangu_sigma_1t")
    whole = worker_memory(shape, Layout())
    assert whole.state_bytes == 16 * num_parameters(shape)  # 17.4 TB: why its experts lived on hosts
    assert whole.copy_bytes == 2 * num_parameters(shape)
    spread = worker_memory(shape, Layout(num_workers=512, expert_parallel=64, is_sharded=True))
    assert spread.state_bytes == pytest.approx(whole.state_bytes / 512)
    assert spread.total_bytes < whole.total_bytes / 100


def test_memory_of_a_pipeline_is_that_of_its_fullest_worker():
    shape = _shape("pangu_alpha_200b")
    whole = worker_memory(shape, Layout())
    deep = worker_memory(shape, Layout(num_workers=16, pipeline_parallel=16))
    assert 1 / 16 < deep.state_bytes / whole.state_bytes < 1.2 / 16
    # 16 micro-batches of 1,024 tokens, each with a buffer for its stream and perhaps one for its gradient, bf16
    assert deep.message_bytes in (16 * 1024 * 16384 * 2, 2 * 16 * 1024 * 16384 * 2)
    long = worker_memory(shape, Layout(num_workers=16, pipeline_parallel=16, step_rows=512))
    assert long.message_bytes in (512 * 1024 * 16384 * 2, 2 * 512 * 1024 * 16384 * 2)
    # two parts a worker: the first worker receives two gradients and one stream, and keeps what it sends
    rounds = worker_memory(shape, Layout(num_workers=2, pipeline_parallel=2, pipeline_rounds=2))
    assert rounds.message_bytes == 2 * 3 * 2 * 1024 * 16384 * 2


def test_what_is_under_way_in_a_pipeline_by_hand():
    """As many forward passes as a worker makes before its first backward pass; the papers' pictures show them."""
    assert [parts_under_way(position, 4, 1, 8) for position in range(4)] == [4, 3, 2, 1]
    assert [parts_under_way(position, 4, 2, 8) for position in range(4)] == [11, 9, 7, 5]
    assert [parts_under_way(position, 4, 2, 4) for position in range(4)] == [8, 8, 7, 5]  # there are no more


def test_a_pipeline_keeps_as_much_as_one_worker_when_all_is_made_again():
    shape = _shape("pangu_alpha_13b")
    whole = worker_memory(shape, Layout(recompute="all"))
    deep = worker_memory(shape, Layout(num_workers=4, pipeline_parallel=4, recompute="all"))
    assert deep.activation_bytes <= whole.activation_bytes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_workers": 2, "pipeline_parallel": 2, "is_sharded": True}, "does not go with a sharded layout"),
        ({"num_workers": 3, "pipeline_parallel": 2}, r"num_workers \(3\) must be a multiple of pipeline_parallel"),
        ({"pipeline_rounds": 2}, "needs pipeline_parallel above 1"),
        ({"step_rows": 8}, r"step_rows \(8\) is for pipelines alone"),
        (
            {"num_workers": 4, "pipeline_parallel": 2, "step_rows": 5},
            r"a multiple of pipelines .* \(2\), and 4 or more",
        ),
        ({"num_workers": 4, "pipeline_parallel": 2, "step_rows": 2}, r"\(2\) must be .* and 4 or more"),
        (
            {"num_workers": 4, "pipeline_parallel": 2, "pipeline_rounds": 2, "step_rows": 6},
            r"and a multiple of 4",
        ),
        ({"num_workers": 6, "expert_parallel": 4, "is_sharded": True}, r"num_workers \(6\) must be a multiple"),
        ({"num_workers": 4, "expert_parallel": 2}, "needs a sharded layout"),
        ({"num_workers": 0}, r"num_workers \(0\)"),
        ({"precision": "fp8"}, "fp8"),
    ],
)
def test_layouts_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Layout(**values)
