"""SIGKILL of the driver at seeded moments: the same command redoes at most unfinished shards, with equal digests."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.toys.runs import digests, run_nodes, toy_nodes
from tests.toys.stages import INSTRUCTIONS

pytestmark = pytest.mark.usefixtures("toy_catalog")
REPOSITORY = Path(__file__).resolve().parents[2]


def start(folder: Path, nodes: dict[str, Any], *options: str) -> subprocess.Popen[str]:
    """Start a driver on the store in ``folder``; its units log to and obey ``folder``."""
    environment = {**os.environ, INSTRUCTIONS: str(folder)}
    command = [sys.executable, "-m", "tests.toys.drive", str(folder / "store"), json.dumps(nodes), *options]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(driver: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err[-2000:]
    return dict(json.loads(out.strip().splitlines()[-1]))


def started_units(folder: Path) -> list[str]:
    return (folder / "log").read_text().split() if (folder / "log").is_file() else []


def num_records(folder: Path) -> int:
    return len(list((folder / "store" / "building").glob("*/*/units/*/*.json")))


def done_units(folder: Path) -> set[str]:
    """Names of the units that are done: those with a record, and all of a node that is committed."""
    records = (folder / "store" / "building").glob("*/*/units/*/*.json")
    done = {json.loads(path.read_text())["key"].rpartition("/")[2] for path in records}
    for manifest in (folder / "store" / "artifacts").glob("*/*/manifest.json"):
        names = {"count": "shard-{}", "shorter": "{:05d}-000.parquet"}[manifest.parts[-3]]
        done |= {names.format(number) for number in range(26)}
    return done


def wait_until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the driver made no progress"
        time.sleep(0.02)


def kill(driver: subprocess.Popen[str]) -> None:
    driver.send_signal(signal.SIGKILL)
    driver.communicate()


def test_killed_between_the_last_shard_and_the_manifest(tmp_path: Path) -> None:
    nodes = toy_nodes(count={"num_shards": 6})
    driver = start(tmp_path, nodes, "--kill-before-manifest")
    driver.communicate(timeout=60)
    assert driver.returncode == -signal.SIGKILL
    assert not list((tmp_path / "store" / "artifacts").glob("*/*/manifest.json"))
    done_before = started_units(tmp_path)
    assert len(done_before) == 6
    result = finish(start(tmp_path, nodes))
    redone = started_units(tmp_path)[6:]
    assert not [key for key in redone if key.startswith("shard-")], "finished shards were redone"
    assert result["digests"] == digests(run_nodes(tmp_path / "undisturbed", nodes))


def test_a_killed_driver_on_ray_leaves_work_that_is_taken_over(tmp_path: Path) -> None:
    nodes = toy_nodes(count={"num_shards": 10})
    (tmp_path / "delay").write_text("0.5 1")
    driver = start(tmp_path, nodes, "--num-cpus", "2")
    wait_until(lambda: num_records(tmp_path) >= 3)
    kill(driver)
    done, before = done_units(tmp_path), len(started_units(tmp_path))
    result = finish(start(tmp_path, nodes, "--num-cpus", "2"))
    assert len(done) >= 3
    assert not done & set(started_units(tmp_path)[before:]), "a finished unit ran again"
    assert result["digests"] == digests(run_nodes(tmp_path / "undisturbed", nodes))


def test_two_drivers_on_one_store_share_the_work(tmp_path: Path) -> None:
    nodes = toy_nodes(count={"num_shards": 8})
    (tmp_path / "delay").write_text("0.3 1")
    both = [start(tmp_path, nodes), start(tmp_path, nodes)]
    results = [finish(driver) for driver in both]
    log = started_units(tmp_path)
    assert len(log) == len(set(log)) == 16, "a unit ran twice"
    assert results[0]["digests"] == results[1]["digests"] == digests(run_nodes(tmp_path / "undisturbed", nodes))
    # each node was built by exactly one of the two
    assert sorted(state for r in results for state in r["states"].values()) == ["reuse", "reuse", "run", "run"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_seeded_moments_of_a_long_job(tmp_path: Path, seed: int) -> None:
    """26 uneven shards, more than 30 s of work, several kills at random moments, drivers on Ray with 2 CPUs."""
    nodes = toy_nodes(count={"num_shards": 26, "num_documents": 50, "uneven": 40})
    (tmp_path / "delay").write_text(f"5.0 {seed}")
    draw = random.Random(seed)
    for _ in range(2):
        driver = start(tmp_path, nodes, "--num-cpus", "2")
        time.sleep(draw.uniform(3.0, 18.0))
        if driver.poll() is None:
            kill(driver)
    done, before = done_units(tmp_path), len(started_units(tmp_path))
    result = finish(start(tmp_path, nodes, "--num-cpus", "2"))
    # by name, not by number: a worker of the killed driver may still begin or end the unit it was handed
    assert not done & set(started_units(tmp_path)[before:]), "a finished unit ran again"
    assert result["digests"] == digests(run_nodes(tmp_path / "undisturbed", nodes))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_data_workers_killed_at_seeded_units_of_a_long_job(tmp_path: Path, seed: int) -> None:
    """Three of 26 uneven shards kill the worker that holds them, in the first pass and in the sidecars."""
    nodes = toy_nodes(count={"num_shards": 26, "num_documents": 50, "uneven": 40})
    (tmp_path / "delay").write_text(f"3.0 {seed}")
    draw = random.Random(seed)
    victims = [f"shard-{i}" for i in draw.sample(range(26), 2)] + [f"{draw.randrange(26):05d}-000.parquet"]
    for key in victims:
        (tmp_path / f"kill-{key}").touch()
    result = finish(start(tmp_path, nodes, "--num-cpus", "2"))
    log = started_units(tmp_path)
    assert {key: log.count(key) for key in victims} == dict.fromkeys(victims, 2)
    assert len(log) == 52 + len(victims), "a finished unit ran twice"
    assert result["digests"] == digests(run_nodes(tmp_path / "undisturbed", nodes))
