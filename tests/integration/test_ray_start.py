"""A local Ray starts with what a run uses, lends its workers their environment, and a start that fails says so."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import ray
from ray._private.node import Node

from data_specs.errors import StageError
from pipelines.execution.ray_start import start_local_ray

pytestmark = pytest.mark.ray
#: A word in the command line of each daemon that serves a cluster with people looking at it.
DAEMONS = {"autoscaler": "monitor.py", "dashboard": "dashboard.py", "logs": "log_monitor.py"}
METHODS = ("start_monitor", "start_api_server", "start_log_monitor")


def running_daemons() -> set[str]:
    lines = [
        {part.rpartition("/")[2] for part in process.cmdline()}
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE
    ]
    return {name for name, script in DAEMONS.items() if any(script in parts for parts in lines)}


def worker_facts() -> tuple[int, dict[str, str]]:
    def look() -> tuple[int, dict[str, str]]:
        return os.getpid(), dict(os.environ)

    return ray.get(ray.remote(look).remote())


def workers() -> set[int]:
    """Process ids of workers: idle, or named after their task."""
    titles = {process.pid: " ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)}
    return {pid for pid, title in titles.items() if title.startswith(("ray::IDLE", "ray::worker_facts"))}


def test_workers_started_ahead_take_the_first_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that asked for another environment than that of the waiting workers would bring one of its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    before = dict(os.environ)
    with start_local_ray(2, kernel_folder=tmp_path):
        assert os.environ["OMP_NUM_THREADS"] == "8", "what the workers get is not for the driver"
        seen = [worker_facts() for _ in range(4)]
        assert {pid for pid, _ in seen} <= workers()
        assert len(workers()) == 2
    for pid, environment in seen:
        assert pid != os.getpid()
        assert (environment["OMP_NUM_THREADS"], environment["NUMBA_CACHE_DIR"]) == ("1", str(tmp_path))
    assert {key: os.environ.get(key) for key in before} == before


@pytest.mark.parametrize(("quiet", "expected"), [(True, set()), (False, {"logs"})])
def test_only_daemons_with_a_use_are_started(quiet: bool, expected: set[str]) -> None:
    with start_local_ray(1, quiet_workers=quiet):
        assert running_daemons() == expected
    assert running_daemons() == set()


@pytest.mark.parametrize("raised", [KeyboardInterrupt, OSError])
def test_nothing_stays_changed_when_the_start_ends_early(
    monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    methods, before = [getattr(Node, name) for name in METHODS], dict(os.environ)

    def fail(**_: object) -> None:
        assert [getattr(Node, name) for name in METHODS] != methods
        raise raised("no port is free")

    monkeypatch.setattr(ray, "init", fail)
    # Ctrl-C stays Ctrl-C: the command line tells it apart
    expected = StageError if raised is OSError else raised
    with pytest.raises(expected, match="no port is free"), start_local_ray(1):
        pytest.fail("it did not start")
    assert [getattr(Node, name) for name in METHODS] == methods
    assert {key: os.environ.get(key) for key in before} == before
    assert not ray.is_initialized()


def test_a_ray_that_cannot_start_is_one_clear_message() -> None:
    wanted = r"a local Ray could not be started: .*\n.*cluster=inline"
    with pytest.raises(StageError, match=wanted), start_local_ray(1, object_store_bytes=1):
        pytest.fail("it did not start")
    with start_local_ray(1):  # and the next one does
        assert ray.is_initialized()
        with pytest.raises(StageError, match="has a Ray already"), start_local_ray(1):
            pytest.fail("it took over somebody's Ray")
        assert ray.is_initialized(), "and it is left as it was"
