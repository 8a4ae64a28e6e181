"""The measuring library on tiny processes whose cost is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.measure import Results, arguments, is_ray_at_rest, measure_command, measured, median_seconds, pss_bytes

#: Holds 64 MiB for a second, in a child of a child.
_NESTED = (
    "import subprocess, sys; "
    "subprocess.run([sys.executable, '-c', 'import time; x = bytearray(64 << 20); time.sleep(1)'], check=True)"
)


def test_a_child_of_the_child_is_counted():
    usage = measure_command([sys.executable, "-c", _NESTED])
    assert usage.wall_seconds >= 1.0
    assert usage.peak_process_pss_bytes >= 64 << 20
    assert usage.peak_pss_bytes > usage.peak_process_pss_bytes  # the parent is there as well
    assert usage.peak_pss_without_idle_ray_bytes == usage.peak_pss_bytes  # no Ray here


def test_cpu_time_of_children_is_counted():
    busy = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    assert measure_command([sys.executable, "-c", busy]).cpu_seconds >= 0.3


def test_a_block_of_this_process_is_measured():
    with measured() as found:
        block = bytearray(32 << 20)
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.3)"], check=True)
        assert len(block)
    (usage,) = found
    assert usage.wall_seconds >= 0.3
    assert usage.peak_pss_bytes >= 32 << 20


def test_a_failing_command_raises_with_its_output():
    with pytest.raises(RuntimeError, match="ended with 3:\nwhy"):
        measure_command([sys.executable, "-c", "print('why'); raise SystemExit(3)"])


def test_a_process_that_is_gone_takes_nothing():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert pss_bytes(child.pid) == 0
    assert pss_bytes(os.getpid()) > 1 << 20


@pytest.mark.parametrize(
    ("command", "at_rest"),
    [
        (["ray::IDLE"], True),
        (["/env/site-packages/ray/core/src/ray/raylet/raylet", "--raylet_socket_name=x"], True),
        (["/env/bin/python", "/env/site-packages/ray/_private/log_monitor.py"], True),
        (["ray::_run_remote()"], False),
        (["python", "-m", "pipelines.cli", "run"], False),
    ],
)
def test_only_ray_without_a_task_is_at_rest(command: list[str], at_rest: bool):
    assert is_ray_at_rest(command) is at_rest


def test_figures_are_appended_as_json_lines(tmp_path: Path):
    out = tmp_path / "deep" / "figures.jsonl"
    Results(out).add("ingest.rate", 12.5, "MB/s", 3)
    Results(out).add("clean.rate", 7, "MB/s")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(x["metric"], x["value"], x["unit"], x["n"]) for x in lines] == [
        ("ingest.rate", 12.5, "MB/s", 3),
        ("clean.rate", 7, "MB/s", 1),
    ]
    assert {"commit", "python", "cpu", "num_cpus", "memory_bytes", "numpy"} <= set(lines[0]["versions"])


def test_the_median_is_taken_over_all_calls():
    """Two of three calls take at least 0.1 s, so the median does."""
    waits = iter([0.1, 0.0, 0.1])

    def work() -> None:
        subprocess.run(["sleep", str(next(waits))], check=True)

    assert median_seconds(work, 3) >= 0.1
    assert next(waits, None) is None


def test_every_benchmark_takes_the_same_arguments():
    given = arguments("what", ["--input", "dump", "--out", "x.jsonl", "--repeat", "5"])
    assert (given.input, given.out, given.repeat) == (Path("dump"), Path("x.jsonl"), 5)
