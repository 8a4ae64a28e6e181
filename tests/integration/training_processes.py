"""Start real training workers as processes, and kill them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_DEADLINE_SECONDS = 120.0


def start_workers(
    payload: Mapping[str, Any], num_workers: int, folder: Path, module: str = "stages.pretrain.train"
) -> list[subprocess.Popen[bytes]]:
    """What torchrun does: one process per worker, told its place by environment variables."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "payload.json"
    path.write_text(json.dumps(payload))
    port = _free_port()
    workers = []
    for rank in range(num_workers):
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "RANK": str(rank),
            "WORLD_SIZE": str(num_workers),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": str(payload["num_threads_per_worker"]),
        }
        with (folder / f"worker-{rank}.log").open("ab") as log:
            command = [sys.executable, "-m", module, str(path)]
            workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=REPOSITORY))
    return workers


def finish(workers: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until all workers ended well."""
    for rank, worker in enumerate(workers):
        code = worker.wait(timeout=_DEADLINE_SECONDS)
        assert code == 0, (folder / f"worker-{rank}.log").read_text()


def run_workers(payload: Mapping[str, Any], num_workers: int, folder: Path) -> None:
    """Start workers and wait for them."""
    finish(start_workers(payload, num_workers, folder), folder)


def kill_after(
    workers: list[subprocess.Popen[bytes]], victim: int, metrics: Path, num_lines: int, delay: float
) -> bool:
    """SIGKILL one worker some time after ``num_lines`` steps were written; the others end by themselves or are ended.
    Returns whether the victim was still running when it was hit."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while workers[victim].poll() is None and count_lines(metrics) < num_lines:
        assert time.monotonic() < deadline, "training never reached the step at which it was to be killed"
        time.sleep(0.002)
    time.sleep(delay)
    hit = workers[victim].poll() is None
    workers[victim].send_signal(signal.SIGKILL)
    for worker in workers:
        try:
            worker.wait(timeout=20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    return hit


def count_lines(metrics: Path) -> int:
    """Steps written so far."""
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
