"""Workers as real processes: one equals two, and a kill at any moment changes no bit of the result."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.pretrain.journal import Journal
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.integration.training_processes import count_lines, kill_after, run_workers, start_workers
from tests.unit.pretrain.inputs import final_digests, final_weights, payload_for, training_inputs

NUM_STEPS = 30
#: (workers, how they share the work out)
LAYOUTS: list[tuple[int, dict[str, Any]]] = [
    (1, {}),
    (2, {}),
    (2, {"shard": True, "expert_parallel": 2}),
    (2, {"pipeline_parallel": 2}),
]


def _payload(tmp_path: Path, name: str, **config):
    inputs = tmp_path / "inputs"
    made = training_inputs(inputs / name)
    return payload_for(made, tmp_path / name, **{"num_steps": NUM_STEPS, "checkpoint_every_steps": 2, **config})


def _check_steps_once(folder: Path) -> None:
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, NUM_STEPS + 1))


def test_one_worker_equals_two(tmp_path: Path):
    train(_payload(tmp_path, "one", num_steps=6, clip_norm=0.5))
    run_workers(_payload(tmp_path, "two", num_steps=6, clip_norm=0.5), 2, tmp_path / "two")
    one, two = (read_metrics(tmp_path / name, 6) for name in ("one", "two"))
    for ours, theirs in zip(two, one, strict=True):
        assert theirs["gradient_norm"] > 0.5  # clipping is at work
        assert ours["loss_by_domain"] == pytest.approx(theirs["loss_by_domain"], abs=1e-5)
        assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-5)
        for exact in ("targets_by_domain", "rows_by_component", "expert_load", "expert_load_forecast"):
            assert ours[exact] == theirs[exact]
    weights = final_weights(tmp_path / "one")
    for name, tensor in final_weights(tmp_path / "two").items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=1e-5, msg=name)


def kill_until_done(tmp_path: Path, num_workers: int, num_kills: int, seed: int, **layout: Any) -> None:
    """Kill a run again and again, at moments drawn by ``seed``, and compare its end with an undisturbed one."""
    if num_workers == 1:
        train(_payload(tmp_path, "whole"))
    else:
        run_workers(_payload(tmp_path, "whole", **layout), num_workers, tmp_path / "whole")
    draw = random.Random(seed)
    folder, payload = tmp_path / "killed", _payload(tmp_path, "killed", **layout)
    num_hits = 0
    for _ in range(num_kills):
        workers = start_workers(payload, num_workers, folder)
        reached = count_lines(folder / "metrics.jsonl")
        more = draw.randint(1, max(1, NUM_STEPS // (num_kills + 2)))
        # half of all time goes into writing checkpoints here, so the delay often ends inside one
        victim, delay = draw.randrange(num_workers), draw.random() * 0.05
        num_hits += kill_after(workers, victim, folder / "metrics.jsonl", min(NUM_STEPS, reached + more), delay)
    assert num_hits >= 1
    run_workers(payload, num_workers, folder)
    assert final_digests(folder) == final_digests(tmp_path / "whole")
    _check_steps_once(folder)
    _check_steps_once(tmp_path / "whole")
    named = {entry.folder for entry in Journal(folder).entries()}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == named  # nothing is left of half-written ones


def test_a_kill_changes_no_bit(tmp_path: Path):
    kill_until_done(tmp_path, num_workers=1, num_kills=1, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("num_workers", "layout"), LAYOUTS)
def test_ten_kills_change_no_bit(tmp_path: Path, num_workers: int, layout: dict[str, Any]):
    kill_until_done(tmp_path, num_workers, num_kills=10, seed=10 + num_workers, **layout)
