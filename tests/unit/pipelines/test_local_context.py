"""The in-process engine and the files of one unit: resume, roll-over, failure limits, and nothing half written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, StageError
from data_specs.ledger import FAILED, IN, KEPT
from data_specs.view import View
from pipelines.execution.context import LocalContext
from pipelines.execution.unit_output import SHARD_TEXT_BYTES, FolderOutput, record_path
from stages.base import Resources, Unit, UnitOutput

UNITS = [Unit(key=name, payload=name, size_bytes=size) for name, size in (("a", 3), ("b", 1), ("c", 2))]


def context(folder: Path, **changes: Any) -> LocalContext:
    def open_artifact(digest: str) -> Any:
        raise DataError(f"no artifact {digest}")

    return LocalContext(
        folder=folder, inputs=changes.pop("inputs", {}), resources=Resources(**changes), open_artifact=open_artifact
    )


class Recorder:
    """Makes work that writes one row per unit and remembers which units it did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def make(self) -> Callable[[str, UnitOutput], dict[str, Any]]:
        def work(payload: str, out: UnitOutput) -> dict[str, Any]:
            self.done.append(payload)
            out.write("documents", pa.table({"text": [payload * 3]}))
            out.ledger.add("document", "web", "zh", IN, 1)
            out.ledger.add("document", "web", "zh", KEPT, 1)
            return {"length": len(payload)}

        return work


def test_units_run_once_and_results_come_in_unit_order(tmp_path: Path):
    recorder, ctx = Recorder(), context(tmp_path)
    results = ctx.run_units("write", UNITS, recorder.make)
    assert recorder.done == ["a", "b", "c"]
    assert [(r.key, r.value, r.shards[0].name) for r in results] == [
        ("a", {"length": 1}, "00000-000.parquet"),
        ("b", {"length": 1}, "00001-000.parquet"),
        ("c", {"length": 1}, "00002-000.parquet"),
    ]
    assert [s.name for s in ctx.shards] == [r.shards[0].name for r in results]
    assert ctx.ledger.total("document", KEPT) == 3


def test_a_second_attempt_reuses_every_finished_unit(tmp_path: Path):
    first, again, recorder = context(tmp_path), context(tmp_path), Recorder()
    before = first.run_units("write", UNITS, Recorder().make)
    assert again.run_units("write", UNITS, recorder.make) == before
    assert recorder.done == []
    assert again.ledger.to_rows() == first.ledger.to_rows()
    assert again.timings[0].num_reused == 3


@pytest.mark.parametrize("damage", ["shard gone", "shard cut short", "record gone", "record cut short"])
def test_a_unit_whose_proof_is_damaged_is_done_again(tmp_path: Path, damage: str):
    before = context(tmp_path).run_units("write", UNITS, Recorder().make)
    shard, record = tmp_path / "documents" / "00001-000.parquet", record_path(tmp_path, "write", 1)
    if damage.endswith("gone"):
        (shard if "shard" in damage else record).unlink()
    else:
        path = shard if "shard" in damage else record
        path.write_bytes(path.read_bytes()[:10])
    recorder = Recorder()
    assert context(tmp_path).run_units("write", UNITS, recorder.make) == before
    assert recorder.done == ["b"]


def test_a_unit_of_another_cut_is_done_again_and_surplus_records_go(tmp_path: Path):
    """The upstream now has two shards instead of three: what stood at index 1 belongs to something else."""
    context(tmp_path).run_units("write", UNITS, Recorder().make)
    recorder = Recorder()
    context(tmp_path).run_units("write", [UNITS[0], UNITS[2]], recorder.make)
    assert recorder.done == ["c"]
    assert sorted(p.name for p in (tmp_path / "units" / "write").iterdir()) == ["00000.json", "00001.json"]


def test_an_exception_names_the_unit_and_leaves_nothing_of_it(tmp_path: Path):
    def make() -> Callable[[str, UnitOutput], None]:
        def work(payload: str, out: UnitOutput) -> None:
            out.write("documents", pa.table({"text": [payload]}))
            out.file("extra", "notes.txt").write_text("half")
            if payload == "b":
                raise DataError("record 7 is broken")

        return work

    units = [Unit(key=name, payload=name) for name in "ab"]
    with pytest.raises(DataError, match="record 7") as caught:
        context(tmp_path).run_units("write", [units[1]], make)
    assert caught.value.__notes__ == ["while working on unit b of phase write"]
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_finished_unit_survives_the_failure_of_the_next(tmp_path: Path):
    recorder = Recorder()

    def make() -> Callable[[str, UnitOutput], Any]:
        inner = recorder.make()

        def work(payload: str, out: UnitOutput) -> Any:
            if payload == "b" and recorder.done.count("a") == 1 and "b" not in recorder.done:
                recorder.done.append("b")
                raise StageError("stopped")
            return inner(payload, out)

        return work

    with pytest.raises(StageError):
        context(tmp_path).run_units("write", UNITS, make)
    context(tmp_path).run_units("write", UNITS, make)
    assert recorder.done == ["a", "b", "b", "c"]


def test_two_units_of_one_key_are_refused(tmp_path: Path):
    with pytest.raises(StageError, match="two units share a key"):
        context(tmp_path).run_units("write", [UNITS[0], UNITS[0]], Recorder().make)


def test_a_phase_that_writes_over_an_earlier_one_is_refused(tmp_path: Path):
    """File names carry the unit's index, not the phase: the second write would silently replace the first."""
    ctx = context(tmp_path)
    ctx.run_units("first", UNITS, Recorder().make)
    with pytest.raises(StageError, match=r"wrote documents/00000-000\.parquet over a shard of the same name"):
        ctx.run_units("second", UNITS, Recorder().make)


def test_a_phase_without_units_makes_no_work(tmp_path: Path):
    def make() -> Any:
        raise AssertionError("loading a model for nothing")

    assert context(tmp_path).run_units("none", [], make) == []


def fail(tmp_path: Path, num_failed: int, num_in: int, **resources: Any) -> None:
    def make() -> Callable[[Any, UnitOutput], None]:
        def work(payload: Any, out: UnitOutput) -> None:
            out.ledger.add("record", "web", "zh", IN, num_in)
            out.ledger.add("record", "web", "zh", FAILED, num_failed, reason="decode")

        return work

    context(tmp_path, **resources).run_units("read", [Unit(key="a", payload=None)], make)


def test_too_many_failures_by_rate_stop_the_stage_also_when_it_is_run_again(tmp_path: Path):
    for _ in range(2):  # the second attempt finds every unit finished and must not commit
        with pytest.raises(
            StageError, match=r"source 'web': 21 of 100 records failed \(21%, limit max_failed_ratio 20%"
        ):
            fail(tmp_path, 21, 100)


@pytest.mark.parametrize(
    ("num_failed", "num_in", "resources"),
    [(20, 100, {}), (19, 19, {}), (100, 100, {"max_failed_ratio": 1.0})],
    ids=["at the limit", "too few to tell", "limit raised"],
)
def test_failures_within_the_limit_go_on(tmp_path: Path, num_failed: int, num_in: int, resources: dict[str, float]):
    fail(tmp_path, num_failed, num_in, **resources)


def test_shards_roll_over_at_the_same_row_every_time(tmp_path: Path):
    part = pa.table({"text": ["x" * (SHARD_TEXT_BYTES // 4)]})
    made = []
    for attempt in ("one", "two"):
        out = FolderOutput(tmp_path / attempt, 7)
        for _ in range(6):
            out.write("documents", part)
        made.append([asdict(shard) for shard in out.finish()])
    assert [(s["name"], s["rows"]) for s in made[0]] == [("00007-000.parquet", 4), ("00007-001.parquet", 2)]
    assert made[0] == made[1]


def test_a_sidecar_never_rolls_over(tmp_path: Path):
    """It must have one row per row of its base, in one file."""
    out = FolderOutput(tmp_path, 0)
    for _ in range(3):
        out.write("notes", pa.table({"text": ["x" * (SHARD_TEXT_BYTES // 2)]}), of="base/documents/0")
    (shard,) = out.finish()
    assert (shard.rows, shard.of) == (3, "base/documents/0")


def test_files_appear_at_the_end_and_one_that_was_not_written_is_an_error(tmp_path: Path):
    out = FolderOutput(tmp_path, 0)
    out.file("tokens", "00000.bin").write_bytes(b"\x01\x02")
    assert not (tmp_path / "tokens" / "00000.bin").exists()
    (shard,) = out.finish()
    assert (tmp_path / "tokens" / "00000.bin").read_bytes() == b"\x01\x02"
    assert (shard.name, shard.num_bytes, shard.rows) == ("00000.bin", 2, 0)
    forgetful = FolderOutput(tmp_path, 1)
    forgetful.file("tokens", "00001.bin")
    with pytest.raises(StageError, match=r"asked for file tokens/00001\.bin and did not write it"):
        forgetful.finish()


def test_a_quarantined_record_keeps_its_place_and_a_short_excerpt(tmp_path: Path):
    out = FolderOutput(tmp_path, 0)
    out.quarantine(
        source="web",
        file="x.warc",
        record_index=3,
        record_offset=99,
        reason="decode",
        error="why",
        raw=b"\xff" + b"y" * 999,
    )
    (shard,) = out.finish()
    (row,) = pq.read_table(tmp_path / shard.port / shard.name).to_pylist()
    assert shard.port == "quarantine"
    assert (row["source"], row["file"], row["record_index"], row["record_offset"]) == ("web", "x.warc", 3, 99)
    assert row["excerpt"] == "\ufffd" + "y" * 199
    assert len(row["digest"]) == 32


def test_scratch_is_found_by_a_later_phase_and_swept(tmp_path: Path):
    ctx = context(tmp_path)

    def make_first() -> Callable[[str, UnitOutput], None]:
        def work(payload: str, out: UnitOutput) -> None:
            out.scratch(f"parts/{payload}").write_text(payload)

        return work

    def make_second() -> Callable[[str, UnitOutput], str]:
        return lambda payload, out: ctx.scratch(f"parts/{payload}").read_text()

    ctx.run_units("first", UNITS, make_first)
    assert [r.value for r in ctx.run_units("second", UNITS, make_second)] == ["a", "b", "c"]
    ctx.run_units("write", UNITS, Recorder().make)
    (tmp_path / "documents" / ".leftover.1.tmp").write_text("of a killed worker")
    ctx.sweep()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["documents"]
    assert sorted(p.name for p in (tmp_path / "documents").iterdir()) == [s.name for s in ctx.shards]


def test_a_record_says_what_the_unit_did(tmp_path: Path):
    context(tmp_path).run_units("write", UNITS[:1], Recorder().make)
    record = json.loads(record_path(tmp_path, "write", 0).read_text())
    assert record["key"] == "a"
    assert record["value"] == {"length": 1}
    assert [row[3] for row in record["ledger"]] == ["in", "kept"]


def test_progress_counts_bytes_and_starts_with_what_is_reused(tmp_path: Path):
    context(tmp_path).run_units("write", UNITS[:2], Recorder().make)
    seen: list[tuple[int, int, int, int]] = []
    ctx = context(tmp_path)
    ctx.progress = lambda phase, *numbers: seen.append(numbers)
    ctx.run_units("write", UNITS, Recorder().make)
    assert seen == [(2, 3, 4, 6), (3, 3, 6, 6)]


def test_an_empty_view_has_no_shards(tmp_path: Path):
    assert context(tmp_path, inputs={"documents": ()}).view("documents") == View((), ())
