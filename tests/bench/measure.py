"""Measuring for the benchmarks: wall and CPU time, peak memory of a process tree, and one JSON line per figure.

Memory is PSS (proportional set size): pages that several processes share are split between them, so the sum over a
tree is what the tree really takes. It is sampled four times a second; what lives shorter may be missed. Figures
without idle Ray leave out Ray's own daemons and the workers that hold no task, which cost the same in any run.

Every benchmark is a script with the arguments of :func:`arguments` and hands its figures to :class:`Results`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.25
#: Words in the command line of Ray's daemons and of its workers without a task.
_RAY_AT_REST = ("raylet", "gcs_server", "ray::IDLE", "log_monitor", "dashboard", "runtime_env", "default_worker.py")
_DISTRIBUTIONS = ("kaitian", "torch", "ray", "pyarrow", "numpy", "numba", "tokenizers", "datasketch", "resiliparse")


@dataclass(frozen=True)
class Usage:
    """What one measured stretch cost."""

    wall_seconds: float
    cpu_seconds: float  # user and system, all processes of the tree
    peak_pss_bytes: int  # all processes together
    peak_pss_without_idle_ray_bytes: int
    peak_process_pss_bytes: int  # the largest single process


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process; 0 when it is gone or not ours to read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as handle:
            for line in handle:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def is_ray_at_rest(command: Sequence[str]) -> bool:
    """Whether a command line is one of Ray's daemons or a worker without a task."""
    return any(word in part for part in command[:3] for word in _RAY_AT_REST)


class Sampler:
    """Watches a process and its descendants from a thread of this process."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="measure", daemon=True)
        self._first_cpu: dict[tuple[int, float], float] = {}
        self._last_cpu: dict[tuple[int, float], float] = {}
        self.num_samples = 0
        self.peak = self.peak_without_ray = self.peak_process = 0

    def __enter__(self) -> Sampler:
        self.sample()
        self._first_cpu = dict(self._last_cpu)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()

    @property
    def cpu_seconds(self) -> float:
        """CPU time since the start, over all processes that were seen."""
        return sum(seen - self._first_cpu.get(key, 0.0) for key, seen in self._last_cpu.items())

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.sample()

    def sample(self) -> None:
        """Look once at every process of the tree."""
        total = without_ray = 0
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                command, times, key = process.cmdline(), process.cpu_times(), (process.pid, process.create_time())
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            self._last_cpu[key] = times.user + times.system
            size = pss_bytes(process.pid)
            total += size
            if not is_ray_at_rest(command):
                without_ray += size
                self.peak_process = max(self.peak_process, size)
        self.peak = max(self.peak, total)
        self.peak_without_ray = max(self.peak_without_ray, without_ray)
        self.num_samples += 1


def _waited_cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@contextlib.contextmanager
def measured() -> Iterator[list[Usage]]:
    """Measure a block of this process and its children; the one :class:`Usage` is in the list afterwards."""
    found: list[Usage] = []
    waited, started = _waited_cpu_seconds(), time.perf_counter()
    own = time.process_time()
    with Sampler(os.getpid()) as sampler:
        yield found
        wall = time.perf_counter() - started
    # short-lived children are missed by samples, living ones by the kernel's account of children: take the larger
    known = time.process_time() - own + _waited_cpu_seconds() - waited
    found.append(_usage(sampler, wall, max(known, sampler.cpu_seconds)))


def measure_command(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> Usage:
    """Run a command to its end and measure its tree; a failing command raises with the end of its output."""
    waited, started = _waited_cpu_seconds(), time.perf_counter()
    process = subprocess.Popen(
        list(command), cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with Sampler(process.pid) as sampler:
        output, _ = process.communicate()
        wall = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}:\n{output[-4000:].decode(errors='replace')}"
        )
    # the first sample is taken after the start: count that CPU too
    return _usage(sampler, wall, max(_waited_cpu_seconds() - waited, sampler.cpu_seconds))


def _usage(sampler: Sampler, wall_seconds: float, cpu_seconds: float) -> Usage:
    return Usage(
        wall_seconds=wall_seconds,
        cpu_seconds=cpu_seconds,
        peak_pss_bytes=sampler.peak,
        peak_pss_without_idle_ray_bytes=sampler.peak_without_ray,
        peak_process_pss_bytes=sampler.peak_process,
    )


def median_seconds(work: Callable[[], Any], repeat: int) -> float:
    """Median wall time of ``repeat`` calls."""
    spent = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def versions() -> dict[str, Any]:
    """What a figure depends on: hardware, commit and libraries. Nothing that names the machine or its user."""
    found: dict[str, Any] = {
        "commit": _commit(),
        "python": platform.python_version(),
        "cpu": _cpu_model(),
        "num_cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
    }
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


class Results:
    """Figures as JSON lines {metric, value, unit, n, versions}: appended to a file, and printed for people."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._versions = versions()
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)

    def add(self, metric: str, value: float, unit: str, n: int = 1) -> None:
        """Record one figure; ``n`` is over how many items or repeats it was taken."""
        line = {"metric": metric, "value": value, "unit": unit, "n": n, "versions": self._versions}
        if self._out is not None:
            with self._out.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.write(f"{metric:<56} {value:>14.6g} {unit} (n={n})\n")
        sys.stdout.flush()

    def add_usage(self, prefix: str, usage: Usage, n: int = 1) -> None:
        """Record all figures of a :class:`Usage`."""
        self.add(f"{prefix}.wall", usage.wall_seconds, "s", n)
        self.add(f"{prefix}.cpu", usage.cpu_seconds, "s", n)
        self.add(f"{prefix}.peak_pss", usage.peak_pss_bytes / 2**20, "MiB", n)
        self.add(f"{prefix}.peak_pss_without_idle_ray", usage.peak_pss_without_idle_ray_bytes / 2**20, "MiB", n)
        self.add(f"{prefix}.peak_process_pss", usage.peak_process_pss_bytes / 2**20, "MiB", n)


def arguments(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--input", type=Path, help="file or folder to measure on; default: a small input made here")
    parser.add_argument("--out", type=Path, help="append the figures to this file as JSON lines")
    parser.add_argument("--repeat", type=int, default=3, help="times each measurement is taken (the median counts)")
    return parser.parse_args(argv)
