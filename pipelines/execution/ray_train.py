"""Training workers by Ray Train: a group of processes that is started again when one of them dies.

The train function knows no Ray. It finds its newest whole checkpoint through the journal in its own folder, so nothing
depends on which checkpoints Ray has registered (a worker killed right after ``report`` loses that registration; see the
Ray Train documentation on fault tolerance). For the same reason every call is a fresh Ray Train run, and ``report`` is
never called: the result goes through a small file.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_specs import errors
from data_specs.errors import KaitianError, StageError
from data_specs.manifest import write_json

_RESULT, _REFUSED = "result.json", "refused.json"

#: Times that Ray may fail to form the group; its default is without end.
_CONTROLLER_FAILURES = 3


def launch_training(
    train: Callable[[dict[str, Any]], Any],
    payload: dict[str, Any],
    *,
    num_workers: int,
    folder: Path,
    max_failures: int,
) -> Any:
    """Run ``train(payload)`` on ``num_workers`` workers of one CPU each and return the first worker's JSON value.

    ``folder`` must be visible to all workers. A dead worker ends the group, which starts again at most ``max_failures``
    times. A :class:`KaitianError` raised by ``train`` is raised here. ``payload["num_threads_per_worker"]`` sets the
    threads of the workers' numerical libraries.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    for name in ("ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    storage, name = folder / "ray_train", f"run-{secrets.token_hex(4)}"
    exchange = storage / name
    exchange.mkdir(parents=True)
    threads = str(payload.get("num_threads_per_worker", 1))
    environment = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "CUDA_VISIBLE_DEVICES": "",  # these workers hold CPUs only; a GPU that they do not hold must not tempt them
    }
    trainer = TorchTrainer(
        _run_worker,
        train_loop_config={"train": train, "payload": payload, "exchange": str(exchange)},
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(num_workers=num_workers, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(
            name=name,
            storage_path=str(storage.resolve()),
            failure_config=FailureConfig(max_failures=max_failures, controller_failure_limit=_CONTROLLER_FAILURES),
            worker_runtime_env={"env_vars": environment},
        ),
    )
    try:
        trainer.fit()
        _raise_refusal(exchange)
        return json.loads((exchange / _RESULT).read_text("utf-8"))
    except TrainingFailedError as error:
        _raise_refusal(exchange)
        raise StageError(
            f"training failed {max_failures + 1} times; its checkpoints stay in {folder}. Last cause: {error}"
        ) from error
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _run_worker(config: dict[str, Any]) -> None:
    """What every worker of the group runs.

    Ray starts a group again after any exception. One of ours would only come back, so it is written down, and the next
    group ends at once when it finds it.
    """
    exchange = Path(config["exchange"])
    if (exchange / _REFUSED).exists():
        return
    try:
        value = config["train"](config["payload"])
    except KaitianError as error:
        write_json(exchange / _REFUSED, {"type": type(error).__name__, "message": str(error)})
        raise
    if os.environ.get("RANK", "0") == "0":
        write_json(exchange / _RESULT, value)


def _raise_refusal(exchange: Path) -> None:
    """Raise the error that a worker wrote down, if one did."""
    if (exchange / _REFUSED).exists():
        body = json.loads((exchange / _REFUSED).read_text("utf-8"))
        raise getattr(errors, body["type"])(body["message"])
