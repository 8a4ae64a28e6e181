"""Ray Train around the train function: the same result as plain processes, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data_specs.errors import DataError, StageError
from pipelines.execution.ray_train import launch_training
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.integration.training_processes import count_lines, run_workers
from tests.unit.pretrain.inputs import final_digests, payload_for, training_inputs

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]
NUM_STEPS = 24


def _payload(tmp_path: Path, name: str, **config: Any) -> dict[str, Any]:
    inputs = training_inputs(tmp_path / "inputs" / name)
    return payload_for(inputs, tmp_path / name, **{"num_steps": NUM_STEPS, "checkpoint_every_steps": 3, **config})


def train_and_die(marker: str, at_line: int, payload: dict[str, Any]) -> Any:
    """The train function, in a worker of which rank 1 is killed once, some steps into the run."""
    if os.environ["RANK"] == "1" and not Path(marker).exists():
        metrics = Path(payload["folder"]) / "metrics.jsonl"

        def die() -> None:
            while count_lines(metrics) < at_line:
                time.sleep(0.002)
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=die, daemon=True).start()
    return train(payload)


def always_die(payload: dict[str, Any]) -> Any:
    """A worker that never gets anywhere."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(payload: dict[str, Any]) -> Any:
    """A train function that cannot work with its payload; counts how often it was asked."""
    with Path(payload["folder"], "asked").open("a") as handle:
        handle.write(os.environ["RANK"])
    raise DataError("the payload is no good")


def _launch(train_function: Any, payload: dict[str, Any], folder: Path, **changed: int) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return launch_training(train_function, payload, folder=folder, **{"num_workers": 2, "max_failures": 2, **changed})


def test_a_killed_worker_costs_time_and_not_a_bit(tmp_path: Path, ray_local: None):
    run_workers(_payload(tmp_path, "plain"), 2, tmp_path / "plain")
    payload, marker = _payload(tmp_path, "ray"), tmp_path / "died"
    value = _launch(partial(train_and_die, str(marker), 8), payload, tmp_path / "ray")
    assert marker.exists()
    assert value["finished"]
    assert value["resumed_from"] >= 3  # it went on from our journal, not from the start
    assert final_digests(tmp_path / "ray") == final_digests(tmp_path / "plain")
    plain, ray = (read_metrics(tmp_path / name, NUM_STEPS) for name in ("plain", "ray"))
    assert [line["loss"] for line in ray] == [line["loss"] for line in plain]
    assert not (tmp_path / "ray" / "ray_train").exists()


@pytest.mark.slow
def test_one_worker_runs_too(tmp_path: Path, ray_local: None):
    value = _launch(train, _payload(tmp_path, "ray", num_steps=2), tmp_path / "ray", num_workers=1)
    assert value == {"step": 2, "finished": True, "resumed_from": 0}


@pytest.mark.slow
def test_our_errors_come_back_as_themselves_and_are_not_retried(tmp_path: Path, ray_local: None):
    folder = tmp_path / "ray"
    with pytest.raises(DataError, match="the payload is no good"):
        _launch(refuse, {"folder": str(folder)}, folder)
    assert len((folder / "asked").read_text()) <= 2  # each worker once


@pytest.mark.slow
def test_workers_that_always_die_end_in_a_clear_error(tmp_path: Path, ray_local: None):
    with pytest.raises(StageError, match="training failed 1 times; its checkpoints stay in"):
        _launch(always_die, {}, tmp_path / "ray", max_failures=0)
