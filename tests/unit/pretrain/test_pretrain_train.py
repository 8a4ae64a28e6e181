"""Training in this process: it learns, repeats to the bit, continues to the bit, and refuses what does not belong."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_specs.errors import DataError, StageError
from data_specs.plan import PlanStage
from stages.model import products
from stages.model.initial import build_model
from stages.pretrain import record as record_module
from stages.pretrain import train as train_module
from stages.pretrain.journal import Journal
from stages.pretrain.metrics import read_metrics
from stages.pretrain.one_writer import one_writer
from stages.pretrain.state import make_optimizer
from stages.pretrain.train import train
from tests.stage_harness import Bench
from tests.unit.model.batches import small_shape
from tests.unit.pretrain.inputs import (
    CONTEXT,
    final_digests,
    final_weights,
    payload_for,
    run_pretrain,
    training_inputs,
)


@pytest.fixture
def inputs(tmp_path: Path):
    return training_inputs(tmp_path / "inputs")


def _steps_in(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_loss_falls_in_every_domain(tmp_path, inputs, precision):
    assert train(payload_for(inputs, tmp_path / "run", num_steps=40, precision=precision)) == {
        "step": 40,
        "finished": True,
        "resumed_from": 0,
    }
    lines = read_metrics(tmp_path / "run", 40)
    for domain in ("code", "zh"):
        assert lines[0]["loss_by_domain"][domain] == pytest.approx(3.69, abs=0.02)  # ln 40: all ids equally likely
        assert lines[-1]["loss_by_domain"][domain] < 1.0
    assert all(tensor.dtype == torch.float32 for tensor in final_weights(tmp_path / "run").values())


def test_a_line_adds_up(tmp_path, inputs):
    train(payload_for(inputs, tmp_path / "run", num_steps=3))
    for line in read_metrics(tmp_path / "run", 3):
        assert sum(line["rows_by_component"].values()) == 6
        assert line["num_tokens"] == 6 * 16
        targets = line["targets_by_domain"]
        mean = sum(line["loss_by_domain"][d] * n for d, n in targets.items()) / sum(targets.values())
        assert line["loss"] == pytest.approx(mean)
        assert line["expert_load"] == line["expert_load_forecast"]
        assert [sum(layer) for layer in line["expert_load"]] == [96, 96]
        assert set(line["seconds"]) == {"data_wait", "forward_backward", "all_reduce", "optimizer", "checkpoint"}


def test_the_same_run_twice_is_equal_to_the_bit(tmp_path, inputs):
    for name in ("one", "two"):
        train(payload_for(inputs, tmp_path / name, num_steps=5))
    assert final_digests(tmp_path / "one") == final_digests(tmp_path / "two")
    train(payload_for(inputs, tmp_path / "other", num_steps=5, seed=1))
    assert final_digests(tmp_path / "other") != final_digests(tmp_path / "one")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_continuing_equals_never_having_stopped(tmp_path, inputs, precision):
    train(payload_for(inputs, tmp_path / "whole", num_steps=9, precision=precision))
    for target, started_at in ((4, 0), (9, 4)):
        value = train(payload_for(inputs, tmp_path / "parts", num_steps=target, precision=precision))
        assert value["resumed_from"] == started_at
    assert final_digests(tmp_path / "parts") == final_digests(tmp_path / "whole")
    assert _steps_in(tmp_path / "parts") == list(range(1, 10))


def test_activations_made_again_change_no_bit_where_bf16_products_are_made_in_fp32(tmp_path, inputs, monkeypatch):
    """On any CPU: what is forced here is the way of CPUs without bf16 products."""
    monkeypatch.setattr(products, "cpu_multiplies_bf16", lambda: False)
    for recompute in ("none", "all"):
        given = {"num_steps": 4, "precision": "bf16", "recompute": recompute}
        train(payload_for(inputs, tmp_path / recompute, **given))
    ours, theirs = (final_weights(tmp_path / recompute) for recompute in ("all", "none"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_finished_run_does_nothing(tmp_path, inputs):
    payload = payload_for(inputs, tmp_path / "run", num_steps=3)
    train(payload)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes(), Journal(tmp_path / "run").entries()
    assert train(payload) == {"step": 3, "finished": True, "resumed_from": 3}
    assert ((tmp_path / "run" / "metrics.jsonl").read_bytes(), Journal(tmp_path / "run").entries()) == before


def test_a_damaged_checkpoint_is_skipped_and_the_end_is_the_same(tmp_path, inputs, caplog):
    train(payload_for(inputs, tmp_path / "whole", num_steps=8))
    train(payload_for(inputs, tmp_path / "run", num_steps=6, checkpoint_every_steps=2))
    journal = Journal(tmp_path / "run")
    newest = journal.path(journal.entries()[-1]) / "optimizer-00000-of-00001.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        value = train(payload_for(inputs, tmp_path / "run", num_steps=8, checkpoint_every_steps=2))
    assert value["resumed_from"] == 4
    assert "checkpoint of step 6 is skipped" in caplog.text
    assert final_digests(tmp_path / "run") == final_digests(tmp_path / "whole")
    assert _steps_in(tmp_path / "run") == list(range(1, 9))


def test_a_torn_journal_is_rebuilt(tmp_path, inputs):
    train(payload_for(inputs, tmp_path / "run", num_steps=4, checkpoint_every_steps=2))
    path = tmp_path / "run" / "journal.json"
    path.write_text(path.read_text()[:100])
    assert train(payload_for(inputs, tmp_path / "run", num_steps=6))["resumed_from"] == 4


def test_a_shorter_target_goes_back_and_ends_where_it_would_have(tmp_path, inputs):
    train(payload_for(inputs, tmp_path / "short", num_steps=5))
    train(payload_for(inputs, tmp_path / "run", num_steps=8, checkpoint_every_steps=4))
    assert train(payload_for(inputs, tmp_path / "run", num_steps=5))["resumed_from"] == 4
    assert final_digests(tmp_path / "run") == final_digests(tmp_path / "short")
    assert _steps_in(tmp_path / "run") == [1, 2, 3, 4, 5]


def test_checkpoints_hold_tensors_and_json_only(tmp_path, inputs):
    train(payload_for(inputs, tmp_path / "run", num_steps=4, checkpoint_every_steps=1, keep_last=2))
    folders = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [folder.name.split(".")[0] for folder in folders] == ["step-00000003", "step-00000004"]
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir())
        stems = [f"{part}-00000-of-00001.{kind}" for part in ("model", "optimizer") for kind in ("json", "safetensors")]
        assert names == ["entry.json", *stems, "state.json"]
        for path in folder.glob("*.json"):
            json.loads(path.read_text())


@pytest.mark.parametrize("micro_batch_rows", [1, 4, 6])
def test_how_the_batch_is_cut_changes_rounding_only(tmp_path, inputs, micro_batch_rows):
    train(payload_for(inputs, tmp_path / "reference", num_steps=4, micro_batch_rows=2))
    train(payload_for(inputs, tmp_path / "other", num_steps=4, micro_batch_rows=micro_batch_rows))
    ours, theirs = final_weights(tmp_path / "other"), final_weights(tmp_path / "reference")
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", ["tokenizer", "routing", "pools", "config", "plan"])
def test_a_checkpoint_of_other_inputs_is_refused(tmp_path, inputs, name):
    train(payload_for(inputs, tmp_path / "run", num_steps=2))
    path = tmp_path / "run" / "journal.json"
    body = json.loads(path.read_text())
    body["checkpoints"][-1]["pinned"][name] = "another"
    path.write_text(json.dumps(body))
    with pytest.raises(DataError, match=f"was trained with {name} another, this run has"):
        train(payload_for(inputs, tmp_path / "run", num_steps=4))
    assert len(Journal(tmp_path / "run").entries()) == 1  # refusing removes nothing


def test_another_routing_table_is_refused(tmp_path, inputs):
    train(payload_for(inputs, tmp_path / "run", num_steps=2))
    other = training_inputs(tmp_path / "other", seed=9)
    with pytest.raises(DataError, match="was trained with routing"):
        train(payload_for({**inputs, "routing": other["routing"]}, tmp_path / "run", num_steps=4))


def test_a_wrong_forecast_stops_training(tmp_path, inputs, monkeypatch):
    real = record_module.check_load

    def planted(step, counted, forecast):
        forecast = forecast.copy()
        forecast[1, 3] += step == 2
        real(step, counted, forecast)

    monkeypatch.setattr(record_module, "check_load", planted)
    with pytest.raises(StageError, match="step 2: expert 3 of RRE layer 1"):
        train(payload_for(inputs, tmp_path / "run", num_steps=3))


def test_sigterm_saves_and_the_same_command_continues(tmp_path, inputs):
    train(payload_for(inputs, tmp_path / "whole", num_steps=60))
    metrics = tmp_path / "run" / "metrics.jsonl"

    def ask_to_stop() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 3):
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=ask_to_stop)
    thread.start()
    stopped = train(payload_for(inputs, tmp_path / "run", num_steps=60))
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert not stopped["finished"]
    assert 3 <= stopped["step"] < 60
    assert train(payload_for(inputs, tmp_path / "run", num_steps=60))["resumed_from"] == stopped["step"]
    assert final_digests(tmp_path / "run") == final_digests(tmp_path / "whole")


def test_two_groups_never_write_in_one_folder(tmp_path, inputs, monkeypatch):
    monkeypatch.setattr(train_module, "_WAIT_SECONDS", 0.2)
    payload = payload_for(inputs, tmp_path / "run", num_steps=2)
    with (
        one_writer(tmp_path / "run", 1.0),
        pytest.raises(StageError, match="another training process has been writing here"),
    ):
        train(payload)
    assert train(payload)["finished"]  # released with the one who held it


def test_torch_is_left_as_it_was_found(tmp_path, inputs):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train(payload_for(inputs, tmp_path / "run", num_steps=1, num_threads_per_worker=2))
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_experts_have_their_own_epsilon_and_norms_and_biases_no_decay():
    from stages.pretrain.config import PretrainConfig

    model = build_model(small_shape(), 0)
    optimizer = make_optimizer(dict(model.named_parameters()), PretrainConfig())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {names[id(p)]: (g["eps"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert len(found) == len(names)
    assert found["routed_blocks.0.experts.up_weight"] == (1e-20, 0.1)
    assert found["routed_blocks.0.experts.up_bias"] == (1e-20, 0.0)
    assert found["routed_blocks.0.attention.query.weight"] == (1e-8, 0.1)
    assert found["dense_blocks.0.feed_forward_norm.weight"] == (1e-8, 0.0)
    assert found["token_table.weight"] == (1e-8, 0.1)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.95)


def test_the_stage_registers_weights_losses_and_rows(tmp_path, inputs):
    bench = Bench(tmp_path / "bench")
    made = run_pretrain(bench, inputs, num_steps=12)
    assert sorted((s.port, s.name) for s in made.manifest.shards) == [
        ("losses", "losses-00000012.jsonl"),
        ("model", "card-00000012.json"),
        ("model", "weights-00000012.safetensors"),
    ]
    facts = made.facts
    assert facts["num_tokens"] == 12 * 96
    assert facts["num_rows"] == {"python": 36, "web": 18, "wiki": 18}  # weights 2 : 1 : 1 of 72 rows
    assert made.manifest.ledger.by_source("row", "kept") == facts["num_rows"]
    assert sum(facts["expert_load"][0]) == facts["num_tokens"]
    assert facts["loss_last"]["zh"] < facts["loss_first"]["zh"]
    assert facts["weights_sha256"] == made.shards("model")[1].file_digest
    saved = load_file(made.file("model", "weights-00000012.safetensors"))
    assert sum(tensor.numel() for tensor in saved.values()) == facts["num_parameters"]


def test_more_steps_continue_the_same_artifact(tmp_path, inputs):
    bench = Bench(tmp_path / "bench")
    short = run_pretrain(bench, inputs, num_steps=4)
    longer = run_pretrain(bench, inputs, num_steps=7)
    assert longer.path == short.path
    assert longer.facts["num_steps"] == 7
    whole = run_pretrain(Bench(tmp_path / "other"), inputs, num_steps=7)
    assert longer.manifest.logical_digest == whole.manifest.logical_digest


def test_a_loss_that_is_not_finite_stops_and_names_the_way_out(tmp_path, inputs):
    """An absurd rate makes the weights overflow; nothing of that step is saved."""
    with pytest.raises(StageError, match=r"not finite.*peak_learning_rate \(1e\+30\)"):
        run_pretrain(Bench(tmp_path / "bench"), inputs, num_steps=12, peak_learning_rate=1e30, clip_norm=None)


def test_a_batch_that_grows_is_forecast_counted_and_resumed_to_the_bit(tmp_path):
    """Three steps of 2 rows, then 6 rows a step; the run is broken inside the first stage and inside the second."""
    weights = (2, 1, 1)
    stages = (
        PlanStage(name="small", num_steps=3, weights=weights, batch_rows=2),
        PlanStage(name="whole", num_steps=None, weights=weights),
    )
    inputs = training_inputs(tmp_path / "inputs", batch_rows=6, stages=stages)
    train(payload_for(inputs, tmp_path / "straight", num_steps=6))
    lines = read_metrics(tmp_path / "straight", 6)
    assert [line["num_tokens"] for line in lines] == [2 * CONTEXT] * 3 + [6 * CONTEXT] * 3
    assert [sum(line["rows_by_component"].values()) for line in lines] == [2] * 3 + [6] * 3
    for line in lines:
        assert line["expert_load"] == line["expert_load_forecast"]
    for num_steps in (2, 5, 6):
        value = train(payload_for(inputs, tmp_path / "broken", num_steps=num_steps))
    assert value == {"step": 6, "finished": True, "resumed_from": 5}
    assert final_digests(tmp_path / "broken") == final_digests(tmp_path / "straight")
