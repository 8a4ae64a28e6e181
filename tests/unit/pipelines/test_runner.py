"""Planner and runner on toy stages: caching, reasons, long nodes, forced reruns, loss refused, garbage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_specs.errors import LedgerError, SpecError, StoreError
from pipelines.planner import EXTEND, REUSE, RUN
from pipelines.store.collect import find_garbage, remove_garbage
from pipelines.store.store import Store
from tests.toys.runs import digests, run_nodes, run_plan, toy_nodes, toy_plan

pytestmark = pytest.mark.usefixtures("toy_catalog")


def states(store: Store, nodes: dict) -> dict[str, str]:
    return {planned.name: planned.state for planned in toy_plan(store, nodes).nodes}


def test_the_same_command_again_runs_nothing(tmp_path: Path) -> None:
    run_nodes(tmp_path, toy_nodes())
    again = run_nodes(tmp_path, toy_nodes())
    assert {name: outcome.state for name, outcome in again.outcomes.items()} == {"count": REUSE, "shorter": REUSE}


def test_a_changed_threshold_runs_that_node_only_and_back_runs_nothing(tmp_path: Path) -> None:
    run_nodes(tmp_path, toy_nodes())
    store = Store.create(tmp_path)
    changed = toy_plan(store, toy_nodes(shorter={"max_chars": 200}))
    assert [(p.name, p.state) for p in changed.nodes] == [("count", REUSE), ("shorter", RUN)]
    assert changed.nodes[1].reasons == ("shorter.config.max_chars 100 -> 200",)
    run_plan(store, changed)
    assert states(store, toy_nodes()) == {"count": REUSE, "shorter": REUSE}


def test_an_upstream_change_names_the_input(tmp_path: Path) -> None:
    run_nodes(tmp_path, toy_nodes())
    plan = toy_plan(Store.create(tmp_path), toy_nodes(count={"seed": 1}))
    assert [p.reasons for p in plan.nodes] == [("count.config.seed 0 -> 1",), ("input count changed",)]


def test_decisions_and_ledger_can_be_checked_by_hand(tmp_path: Path) -> None:
    """Shard i has 10 + 3i documents; row r repeats a text of about 35 characters 1 + r % 5 times."""
    run = run_nodes(tmp_path, toy_nodes())
    books = run.outcomes["shorter"].artifact.manifest.ledger
    assert books.total("document", "in") == 10 + 13 + 16 + 19
    # two repetitions (at most 2 x 40 characters) stay under 100, three (at least 3 x 34) do not
    short_rows = sum(sum(row % 5 < 2 for row in range(rows)) for rows in (10, 13, 16, 19))
    assert books.total("document", "kept") == short_rows
    assert books.total("document", "dropped") == 58 - short_rows


def test_a_lossy_stage_is_refused_and_nothing_is_committed(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="do not balance: in 58"):
        run_nodes(tmp_path, toy_nodes(shorter={"is_lossy": True}))
    assert not list((tmp_path / "artifacts").glob("shorter/*/manifest.json"))


def test_targets_run_just_what_they_need(tmp_path: Path) -> None:
    store = Store.create(tmp_path)
    assert [p.name for p in toy_plan(store, toy_nodes(), targets=("count",)).nodes] == ["count"]
    with pytest.raises(SpecError, match=r"no node 'shortr'.* Did you mean 'shorter'"):
        toy_plan(store, toy_nodes(), targets=("shortr",))


def test_a_repeatable_node_survives_rerun_and_keeps_its_artifact(tmp_path: Path) -> None:
    first = run_nodes(tmp_path, toy_nodes())
    store = Store.create(tmp_path)
    forced = run_plan(store, toy_plan(store, toy_nodes(), force=["count"]), force=True)
    assert {n: o.state for n, o in forced.outcomes.items()} == {"count": RUN, "shorter": RUN}
    assert forced.warnings == []
    assert digests(forced) == digests(first)


def test_a_node_that_is_not_repeatable_is_named_loudly(tmp_path: Path) -> None:
    nodes = {"drift": {"stage": "drift"}}
    run_nodes(tmp_path, nodes)
    store = Store.create(tmp_path)
    forced = run_plan(store, toy_plan(store, nodes, force=["drift"]), force=True)
    assert "NOT REPEATABLE" in forced.warnings[0]
    assert "1 of 1 shards differ" in forced.warnings[0]
    assert len(list((tmp_path / "artifacts" / "drift").glob("*.replaced"))) == 1


def test_a_long_node_continues_and_its_consumers_follow(tmp_path: Path) -> None:
    def nodes(num_steps: int) -> dict:
        return {
            **toy_nodes(),
            "climb": {"stage": "climb", "inputs": {"documents": "shorter"}, "config": {"num_steps": num_steps}},
        }

    first = run_nodes(tmp_path, nodes(5))
    store = Store.create(tmp_path)
    plan = toy_plan(store, nodes(8))
    assert plan.nodes[2].state == EXTEND
    assert plan.nodes[2].reasons == ("climb.config.num_steps 5 -> 8",)
    second = run_plan(store, plan)
    assert second.outcomes["climb"].artifact.facts["started_from"] == 5
    assert second.outcomes["climb"].artifact.path == first.outcomes["climb"].artifact.path
    assert [s.name for s in second.outcomes["climb"].artifact.manifest.shards] == ["model-00000008.txt"]
    # asking for less than the journal holds is done already
    assert states(store, nodes(5))["climb"] == REUSE


def test_two_nodes_in_a_circle_are_refused(tmp_path: Path) -> None:
    nodes = {
        "a": {"stage": "shorter", "inputs": {"documents": "b"}},
        "b": {"stage": "shorter", "inputs": {"documents": "a"}},
    }
    with pytest.raises(SpecError, match="circle"):
        toy_plan(Store.create(tmp_path), nodes)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"a": {"stage": "cuont"}}, "unknown stage 'cuont'. Did you mean 'count'"),
        ({"a": {"stage": "count", "config": {"num_shard": 3}}}, "num_shard: unknown key. Did you mean 'num_shards'"),
        ({"a": {"stage": "count", "config": {"seed": "x"}}}, "nodes.a.config.seed: .*given: 'x'"),
        ({"a": {"stage": "shorter"}}, "nodes.a.inputs.documents: missing"),
        ({"a": {"stage": "shorter", "inputs": {"documents": "b"}}}, "no node 'b'"),
        ({"a": {"stage": "count"}, "b": {"config": {}}}, "nodes.b: no such node"),
        ({"a": {"stage": "count", "resources": {"num_cpus": 0}}}, "num_cpus .0.* must be positive"),
    ],
)  # fmt: skip
def test_mistakes_name_the_key_and_the_way_out(tmp_path: Path, nodes: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        toy_plan(Store.create(tmp_path), nodes)


def test_gc_removes_only_what_no_run_refers_to(tmp_path: Path) -> None:
    run_nodes(tmp_path, toy_nodes())
    run_nodes(tmp_path, toy_nodes(shorter={"max_chars": 50}))
    store = Store.create(tmp_path)
    assert find_garbage(store) == []
    garbage = find_garbage(store, keep_runs=1)
    assert sorted(item.path.parent.name for item in garbage) == ["runs", "shorter"]
    with store.collecting():
        remove_garbage(garbage)
    assert states(store, toy_nodes(shorter={"max_chars": 50})) == {"count": REUSE, "shorter": REUSE}
    assert states(store, toy_nodes()) == {"count": REUSE, "shorter": RUN}


def test_gc_waits_for_no_run(tmp_path: Path) -> None:
    store = Store.create(tmp_path)
    with store.in_use(), pytest.raises(StoreError, match="is held by"), store.collecting():
        pass


def test_a_pin_keeps_its_artifact_and_cannot_move(tmp_path: Path) -> None:
    run = run_nodes(tmp_path, toy_nodes())
    other = run_nodes(tmp_path, toy_nodes(count={"seed": 3}))
    store = Store.create(tmp_path)
    store.pin("base", run.outcomes["count"].artifact)
    with pytest.raises(SpecError, match="already names"):
        store.pin("base", other.outcomes["count"].artifact)
    nodes = {"late": {"stage": "shorter", "inputs": {"documents": "pin:base"}}}
    made = run_plan(store, toy_plan(store, nodes))
    assert digests(made)["late"] == digests(run)["shorter"]


def test_an_interrupted_node_takes_over_finished_units(tmp_path: Path) -> None:
    """Remove one unit's record from a build folder: only that unit is redone, and the digest is the same."""
    whole = run_nodes(tmp_path / "whole", toy_nodes())
    store = Store.create(tmp_path / "broken")
    with pytest.raises(LedgerError):
        run_plan(store, toy_plan(store, toy_nodes(shorter={"is_lossy": True})))
    building = next((store.root / "building" / "shorter").iterdir())
    assert sorted(p.stem for p in (building / "units" / "decide").iterdir()) == ["00000", "00001", "00002", "00003"]
    finished = run_plan(store, toy_plan(store, toy_nodes()))
    assert digests(finished) == digests(whole)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    run = run_nodes(tmp_path, toy_nodes())
    path = run.outcomes["count"].artifact.path / "manifest.json"
    body = json.loads(path.read_text())
    body["shards"][0]["rows"] += 1
    path.write_text(json.dumps(body))
    with pytest.raises(Exception, match="was edited"):
        toy_plan(Store.create(tmp_path), toy_nodes())
