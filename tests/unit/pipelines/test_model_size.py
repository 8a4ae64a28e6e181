"""`kaitian model-size`: reads presets and overrides, refuses what it does not know, prints counted numbers."""

from __future__ import annotations

import pytest

from data_specs.errors import SpecError
from pipelines.cli import main
from pipelines.model_size import read_request
from stages.model.config import ModelConfig
from stages.model.cost import Layout


def test_the_trillion_of_sigma_on_its_machine(capsys):
    overrides = ["model=pangu_sigma_1t", "num_domains=40", "num_workers=512", "expert_parallel=64", "is_sharded=true"]
    assert main(["model-size", *overrides]) == 0
    printed = capsys.readouterr().out
    assert "1.085T" in printed
    assert "37.97B" in printed  # the sub-model of one domain
    assert "of each of 512 workers" in printed


def test_a_pipeline_tells_of_its_fullest_worker_and_the_help_what_goes_together(capsys):
    overrides = ["model=pangu_alpha_13b", "num_workers=4", "pipeline_parallel=2", "step_rows=8"]
    assert main(["model-size", *overrides]) == 0
    printed = capsys.readouterr().out
    assert "of the one of 4 workers that needs most" in printed
    assert "buffers of the pipeline" in printed
    with pytest.raises(SystemExit):
        main(["model-size", "--help"])
    assert "blocks are either cut or shared out" in capsys.readouterr().out


def test_overrides_reach_shape_data_and_layout():
    shape, layout = read_request(
        ["model=pangu_ultra_moe_like", "router.top_k=4", "num_dense_layers=1", "vocab_size=100", "micro_batch_rows=2"],
        [],
    )
    assert shape.config.router.top_k == 4
    assert shape.config.router.num_experts == 256
    assert (shape.config.num_dense_layers, shape.vocab_size, shape.num_domains) == (1, 100, 4)
    assert layout == Layout(micro_batch_rows=2)


def test_without_a_preset_the_default_model_is_meant():
    assert read_request([], [])[0].config == ModelConfig()


def test_a_preset_of_ones_own(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("d_model: 64\n")
    assert read_request(["model=mine"], [tmp_path])[0].config.d_model == 64


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=pangu_alpha_31b"], "model=pangu_alpha_31b: no such preset. Did you mean 'pangu_alpha_13b'"),
        (["d_modle=64"], "model.d_modle: unknown key. Did you mean 'd_model'"),
        (["d_model"], "write key=value"),
        (["d_model=wide"], "model.d_model"),
        (["num_workers=6", "expert_parallel=4", "is_sharded=true"], r"num_workers \(6\) must be a multiple"),
        (["num_workers=8", "pipeline_parallel=8"], r"entries .* cannot be cut into 8 parts"),
        (["vocab_size=0"], r"vocab_size \(0\) must be at least 1"),
    ],
)
def test_what_it_does_not_know_is_refused(overrides, message):
    with pytest.raises(SpecError, match=message):
        read_request(overrides, [])
