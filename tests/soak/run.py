"""Runs damaged inputs in child processes, so that a hang or a crash of a library is seen and the rest goes on."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from tests.soak.check import problem
from tests.soak.targets import Target

#: Address space of a child beyond what it has at its start.
_MEMORY_BYTES = 3 << 30
_MAX_REAL_FILE_BYTES = 6 << 20
#: A busy machine may take so many seconds for one of the child's own.
_CLOCK_PER_CPU = 6
_LOOK_SECONDS = 0.5


@dataclass
class Soaked:
    """What came of the damaged inputs of one reader."""

    num_inputs: int = 0
    slowest_seconds: float = 0.0  # CPU of the child
    problems: list[tuple[int, str]] = field(default_factory=list)  # number of the input, what was wrong


def soak(target: Target, seeds: Sequence[int], data: Path | None, deadline_seconds: float) -> Soaked:
    """Read all inputs; a child that dies or hangs is replaced by one that goes on behind the input."""
    found = Soaked()
    waiting = list(seeds)
    files = _real_files(target, data)
    context = multiprocessing.get_context("fork")
    while waiting:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(theirs, target, waiting, files), daemon=True)
        child.start()
        theirs.close()
        waiting = _follow(child, ours, waiting, deadline_seconds, found)
        ours.close()
    return found


def _real_files(target: Target, data: Path | None) -> list[Path]:
    if data is None:
        return []
    found = {path for pattern in target.real for path in data.glob(pattern)}
    return sorted(path for path in found if path.is_file() and 0 < path.stat().st_size <= _MAX_REAL_FILE_BYTES)


def _work(pipe: Connection, target: Target, seeds: Sequence[int], files: Sequence[Path]) -> None:
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY_BYTES, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            real = files[seed // 2 % len(files)] if files and seed % 2 else None
            pipe.send(("started", seed, ""))
            began = time.process_time()
            try:
                wrong = problem(target, seed, real, Path(folder))
            except Exception:
                wrong = "raised: " + traceback.format_exc(limit=-3)
            if wrong and real is not None:
                wrong = f"{real.name}: {wrong}"
            pipe.send(("read", time.process_time() - began, wrong or ""))


def _follow(
    child: multiprocessing.process.BaseProcess, pipe: Connection, seeds: list[int], deadline: float, found: Soaked
) -> list[int]:
    """Note what the child says; returns the inputs that are still to be read."""
    position = 0
    process = psutil.Process(child.pid)
    began, spent = time.monotonic(), 0.0
    while position < len(seeds):
        try:
            if pipe.poll(_LOOK_SECONDS):
                kind, value, text = pipe.recv()
                if kind == "started":
                    began, spent = time.monotonic(), _cpu(process)
                    continue
                found.num_inputs += 1
                found.slowest_seconds = max(found.slowest_seconds, value)
                if text:
                    found.problems.append((seeds[position], text))
                position += 1
                continue
        except EOFError:
            child.join()
            code = child.exitcode or 0
            what = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return _lost(found, seeds, position, f"the process died ({what})")
        if _cpu(process) - spent > deadline or time.monotonic() - began > _CLOCK_PER_CPU * deadline:
            child.kill()
            child.join()
            return _lost(found, seeds, position, f"no answer within {deadline:g} s")
    child.join()
    return []


def _lost(found: Soaked, seeds: list[int], position: int, what: str) -> list[int]:
    found.num_inputs += 1
    found.problems.append((seeds[position], what))
    return seeds[position + 1 :]


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
