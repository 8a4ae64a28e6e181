"""Whatever the engine, the number of workers or the order of completion: equal logical digests."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from data_specs.errors import StageError
from pipelines.execution.ray_context import RayContext
from pipelines.execution.ray_start import start_local_ray
from stages.base import Unit
from tests.toys.runs import digests, run_nodes, toy_nodes
from tests.toys.stages import INSTRUCTIONS

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("toy_catalog")]
NODES = toy_nodes(count={"num_shards": 12, "uneven": 7})


@pytest.mark.parametrize("num_workers", [1, 2, 4, 7])
def test_any_number_of_workers_and_any_order_gives_equal_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    """Seeded random delays per unit shuffle the order of completion; submission runs backwards, too."""
    expected = digests(run_nodes(tmp_path / "inline", NODES))
    (tmp_path / "delay").write_text(f"0.15 {num_workers}")
    monkeypatch.setenv(INSTRUCTIONS, str(tmp_path))
    with start_local_ray(num_workers):
        forward = run_nodes(tmp_path / "forward", NODES, context=RayContext)
        backward = run_nodes(tmp_path / "backward", NODES, context=partial(RayContext, reverse_order=True))
    assert digests(forward) == expected
    assert digests(backward) == expected


def test_a_worker_that_is_killed_is_replaced_and_its_unit_redone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = digests(run_nodes(tmp_path / "inline", NODES))
    (tmp_path / "kill-shard-5").touch()
    monkeypatch.setenv(INSTRUCTIONS, str(tmp_path))
    with start_local_ray(2):
        made = run_nodes(tmp_path / "store", NODES, context=RayContext)
    assert digests(made) == expected
    log = (tmp_path / "log").read_text().split()
    assert log.count("shard-5") == 2
    # the killed worker's process held no other finished unit: nothing else ran twice
    assert sum(log.count(f"shard-{i}") for i in range(12)) == 13


def _make_failing() -> object:
    def work(payload: object, out: object) -> None:
        raise ValueError("no such luck")

    return work


def test_an_exception_names_the_unit_and_is_not_retried(tmp_path: Path, ray_local: None) -> None:
    ctx = RayContext(folder=tmp_path, inputs={}, resources=_resources(), open_artifact=lambda digest: None)
    with pytest.raises(Exception, match="no such luck"):
        ctx.run_units("fail", [Unit(key="only", payload=None)], _make_failing)


def _make_sleeper() -> object:
    import time

    def work(payload: object, out: object) -> None:
        time.sleep(60)

    return work


def test_a_unit_that_never_ends_hits_the_deadline(tmp_path: Path, ray_local: None) -> None:
    ctx = RayContext(
        folder=tmp_path, inputs={}, resources=_resources(deadline_seconds=1.0), open_artifact=lambda digest: None
    )
    with pytest.raises(StageError, match=r"within deadline_seconds \(1\); still running: only"):
        ctx.run_units("sleep", [Unit(key="only", payload=None)], _make_sleeper)


def _resources(**values: float) -> object:
    from stages.base import Resources

    return Resources(**values)
