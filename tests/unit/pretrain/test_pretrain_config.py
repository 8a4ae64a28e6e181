"""Checks of the training config, and the learning rate by hand."""

from __future__ import annotations

import pytest

from data_specs.config import identity, parse_config
from data_specs.errors import SpecError
from stages.pretrain.config import PretrainConfig
from stages.pretrain.schedule import learning_rate


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"precision": "fp16"}, "precision"),
        ({"device": "tpu"}, "device"),
        ({"end_learning_rate": 0.1}, r"end_learning_rate \(0.1\) must lie in \[0, peak_learning_rate"),
        ({"warmup_steps": 10, "decay_steps": 10}, r"warmup_steps \(10\)"),
        ({"beta2": 1.0}, "beta2"),
        ({"schedule": "step"}, r"schedule \('step'\) must be one of cosine, linear, constant_decay"),
        ({"decay_share": 0.0}, "decay_share"),
        ({"spike_window_steps": 8}, r"spike_window_steps \(8\) must be at least 16"),
        ({"spike_score": 0.0}, "spike_score"),
        ({"peak_flops_per_second": 0.0}, "peak_flops_per_second"),
        ({"rre_epsilon": 0.0}, "rre_epsilon"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"num_steps": 0}, "num_steps"),
        ({"keep_last": 0}, "keep_last"),
        ({"keep_every_steps": 0}, "keep_every_steps"),
    ],
)
def test_wrong_values_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        PretrainConfig(**changed)


def test_the_nested_model_is_parsed_strictly():
    config = parse_config(PretrainConfig, {"model": {"d_model": 64}}, "pretrain")
    assert config.model.d_model == 64
    with pytest.raises(SpecError, match=r"pretrain\.model\.d_modle: unknown key\. Did you mean 'd_model'"):
        parse_config(PretrainConfig, {"model": {"d_modle": 64}}, "pretrain")


def test_length_layout_and_saving_are_not_identity():
    other = PretrainConfig(
        num_steps=7, micro_batch_rows=3, num_threads_per_worker=2, device="cpu", checkpoint_every_steps=1,
        keep_last=9, keep_every_steps=5, tensorboard=False, peak_flops_per_second=1e12, spike_window_steps=20,
        spike_score=3.0,
    )  # fmt: skip
    assert identity(other) == identity(PretrainConfig())
    assert identity(PretrainConfig(seed=1)) != identity(PretrainConfig())
    assert identity(PretrainConfig(clip_norm=None)) != identity(PretrainConfig(clip_norm=1.0))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_its_end():
    config = PretrainConfig(peak_learning_rate=1.0, end_learning_rate=0.2, warmup_steps=4, decay_steps=12)
    rates = [learning_rate(config, step) for step in range(1, 5)]
    assert rates == [0.25, 0.5, 0.75, 1.0]
    assert learning_rate(config, 8) == pytest.approx(0.6)  # half of the cosine: halfway between 1.0 and 0.2
    assert learning_rate(config, 12) == pytest.approx(0.2)
    assert learning_rate(config, 1000) == pytest.approx(0.2)


def test_a_line_falls_evenly_and_constant_decay_at_the_very_end():
    def rates(schedule: str, *steps: int) -> list[float]:
        config = PretrainConfig(
            peak_learning_rate=1.0, end_learning_rate=0.2, warmup_steps=4, decay_steps=24, schedule=schedule,
            decay_share=0.25,
        )  # fmt: skip
        return [learning_rate(config, step) for step in steps]

    assert rates("linear", 2, 4, 9, 14, 24, 99) == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.2, 0.2])
    # 20 steps after the warmup, the last 5 of them decay: 19 is where the line begins
    assert rates("constant_decay", 2, 4, 14, 19, 20, 24, 99) == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.84, 0.2, 0.2])


def test_no_warmup_starts_near_the_peak():
    config = PretrainConfig(peak_learning_rate=1.0, end_learning_rate=0.0, warmup_steps=0, decay_steps=100)
    assert 0.999 < learning_rate(config, 1) < 1.0
