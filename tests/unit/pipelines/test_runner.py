"""Planner and runner on toy stages: caching, reasons, long nodes, forced reruns, loss refused, garbage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_specs.errors import DataError, LedgerError, SpecError, StageError, StoreError
from pipelines import runner
from pipelines.execution.context import LocalContext
from pipelines.planner import EXTEND, REUSE, RUN
from pipelines.runner import Run
from pipelines.store.collect import find_garbage, remove_garbage
from pipelines.store.store import Store
from stages.base import Resources, Unit
from tests.toys.runs import digests, run_nodes, run_plan, toy_nodes, toy_plan
from tests.toys.stages import make_failing

pytestmark = pytest.mark.usefixtures("toy_catalog")


def states(store: Store, nodes: dict) -> dict[str, str]:
    return {planned.name: planned.state for planned in toy_plan(store, nodes).nodes}


def test_the_same_command_again_runs_nothing(tmp_path: Path) -> None:
    run_nodes(tmp_path, toy_nodes())
    again = run_nodes(tmp_path, toy_nodes())
    assert {name: outcome.state for name, outcome in again.outcomes.items()} == {"count": REUSE, "shorter": REUSE}


def test_a_run_with_nothing_to_do_starts_no_engine(tmp_path: Path) -> None:
    first = run_nodes(tmp_path, toy_nodes())
    store = Store.create(tmp_path)
    again = Run(store=store, plan=toy_plan(store, toy_nodes()), overrides=[])
    again.execute(lambda: pytest.fail("an engine was started"))
    assert again.status == "finished"
    assert digests(again) == digests(first)


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
    with store.in_use(), pytest.raises(StoreError, match="in use by another"), store.collecting():
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


def interrupt_at(owner: object, name: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the toy nodes until they first call ``owner.name``, which is as far as they come."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stop)
        with pytest.raises(KeyboardInterrupt):
            run_plan(store, toy_plan(store, toy_nodes()))


def test_an_interrupted_node_takes_over_finished_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before the manifest, lose one unit's record: just that unit is redone, and the digest is the same."""
    whole = run_nodes(tmp_path / "whole", toy_nodes())
    store = Store.create(tmp_path / "broken")
    interrupt_at(runner, "build_manifest", store, monkeypatch)
    records = sorted((store.root / "building" / "count").glob("*/units/count/*.json"))
    assert [path.stem for path in records] == ["00000", "00001", "00002", "00003"]
    records[1].unlink()
    finished = run_plan(store, toy_plan(store, toy_nodes()))
    assert finished.outcomes["count"].phases[0]["num_reused"] == 3
    assert digests(finished) == digests(whole)


def test_killed_between_manifest_and_rename_nothing_is_redone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_nodes(tmp_path / "whole", toy_nodes())
    store = Store.create(tmp_path / "broken")
    interrupt_at(Store, "publish", store, monkeypatch)
    finished = run_plan(store, toy_plan(store, toy_nodes()))
    assert finished.outcomes["count"].phases == []
    assert digests(finished) == digests(whole)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    run = run_nodes(tmp_path, toy_nodes())
    path = run.outcomes["count"].artifact.path / "manifest.json"
    body = json.loads(path.read_text())
    body["shards"][0]["rows"] += 1
    path.write_text(json.dumps(body))
    with pytest.raises(Exception, match="was edited"):
        toy_plan(Store.create(tmp_path), toy_nodes())


def long_nodes(num_steps: int) -> dict:
    return {
        **toy_nodes(),
        "climb": {"stage": "climb", "inputs": {"documents": "shorter"}, "config": {"num_steps": num_steps}},
        "look": {"stage": "look", "inputs": {"checkpoint": "climb"}},
    }


def test_a_consumer_of_a_long_node_follows_how_far_it_went(tmp_path: Path) -> None:
    first = run_nodes(tmp_path, long_nodes(5))
    second = run_nodes(tmp_path, long_nodes(8))
    looked = [run.outcomes["look"].artifact for run in (first, second)]
    assert [artifact.facts["num_steps"] for artifact in looked] == [5, 8]
    assert looked[0].fingerprint != looked[1].fingerprint
    # back to 5: the old look is still there, and nothing runs
    assert set(states(Store.create(tmp_path), long_nodes(5)).values()) == {REUSE}
    # a new consumer of step 5 is refused: the model has gone on
    nodes = {**long_nodes(5), "look": {**long_nodes(5)["look"], "config": {"salt": 1}}}
    with pytest.raises(StageError, match=r"needs 'climb' at .*5.*, but it has gone on to .*8"):
        run_nodes(tmp_path, nodes)


def test_a_pinned_long_node_counts_as_far_as_it_has_gone(tmp_path: Path) -> None:
    store = Store.create(tmp_path)
    store.pin("top", run_nodes(tmp_path, long_nodes(5)).outcomes["climb"].artifact)
    nodes = {"look": {"stage": "look", "inputs": {"checkpoint": "pin:top"}}}
    assert toy_plan(store, nodes).nodes[0].state == REUSE
    run_nodes(tmp_path, long_nodes(8))
    assert toy_plan(store, nodes).nodes[0].state == REUSE  # as `look` above has seen step 8 already
    other = {"look": {"stage": "look", "inputs": {"checkpoint": "pin:top"}, "config": {"salt": 1}}}
    assert run_plan(store, toy_plan(store, other)).outcomes["look"].artifact.facts["num_steps"] == 8


def test_a_long_node_is_rerun_only_as_far_as_it_went(tmp_path: Path) -> None:
    run_nodes(tmp_path, long_nodes(8))
    store = Store.create(tmp_path)
    with pytest.raises(StageError, match="a rerun must ask for exactly that"):
        run_plan(store, toy_plan(store, long_nodes(5), force=["climb"]), force=True)
    forced = run_plan(store, toy_plan(store, long_nodes(8), force=["climb"]), force=True)
    # the toy's facts say from where it started: 0 again, so it is repeatable
    assert forced.warnings == []


@pytest.mark.parametrize("name", ["../format", "a/b", "", ".hidden"])
def test_a_pin_is_a_plain_name(tmp_path: Path, name: str) -> None:
    artifact = run_nodes(tmp_path, toy_nodes()).outcomes["count"].artifact
    with pytest.raises(SpecError, match="a name is letters"):
        Store.create(tmp_path).pin(name, artifact)


def test_gc_finds_abandoned_and_damaged_folders(tmp_path: Path) -> None:
    run_nodes(tmp_path, toy_nodes())
    store = Store.create(tmp_path)
    (store.root / "building" / "count" / ("0" * 16) / "documents").mkdir(parents=True)
    (store.root / "artifacts" / "count" / ("1" * 16)).mkdir()
    damaged = store.root / "artifacts" / "shorter" / ("2" * 16)
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{")
    assert sorted(item.path.name[0] for item in find_garbage(store)) == ["0", "1", "2"]


def test_a_shard_that_is_gone_is_told_at_planning(tmp_path: Path) -> None:
    artifact = run_nodes(tmp_path, toy_nodes()).outcomes["count"].artifact
    artifact.shard_path(artifact.manifest.shards[0]).unlink()
    with pytest.raises(DataError, match=r"lists documents/00000-000.parquet, which is gone \(1 of 4"):
        toy_plan(Store.create(tmp_path), toy_nodes())


def test_two_decisions_over_one_base_make_one_view(tmp_path: Path) -> None:
    """A row stays when both kept it: limits 100 and 60 together are limit 60."""
    nodes = {
        **toy_nodes(),
        "strict": {"stage": "shorter", "inputs": {"documents": "count"}, "config": {"max_chars": 60}},
        "both": {"stage": "shorter", "inputs": {"documents": ["shorter", "strict"]}, "config": {"max_chars": 10**6}},
    }
    run = run_nodes(tmp_path, nodes)
    kept = {name: run.outcomes[name].artifact.manifest.ledger.total("document", "kept") for name in nodes}
    assert kept["both"] == kept["strict"] < kept["shorter"]


def test_the_failure_rate_is_judged_over_the_whole_phase(tmp_path: Path) -> None:
    """40 of 100 in the first unit, 40 of 500 in all: under a limit of 20 %, whatever finishes first."""
    ctx = LocalContext(folder=tmp_path, inputs={}, resources=Resources(), open_artifact=lambda digest: None)
    units = [Unit(key=str(i), payload=40 if i == 0 else 0) for i in range(5)]
    ctx.run_units("read", units, make_failing)
    ctx = LocalContext(folder=tmp_path / "all", inputs={}, resources=Resources(), open_artifact=lambda digest: None)
    with pytest.raises(StageError, match="200 of 500 records failed"):
        ctx.run_units("read", [Unit(key=str(i), payload=40) for i in range(5)], make_failing)
