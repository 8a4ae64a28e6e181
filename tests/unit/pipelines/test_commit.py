"""The checks between a finished stage and its manifest: a lossy stage is refused, and the message says what is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_specs.document import DECISIONS, DOCUMENTS, make_doc_id
from data_specs.errors import LedgerError, StageError
from data_specs.ledger import DROPPED, FAILED, IN, KEPT
from data_specs.manifest import Artifact
from pipelines.execution.context import LocalContext
from pipelines.store.commit import build_manifest
from stages.base import VIEW, Resources, Stage, StageContext, Unit, UnitOutput

Write = Callable[[UnitOutput], None]


class Texts(Stage[None]):
    """Writes whatever the test says."""

    output = "documents"

    def run(self, ctx: StageContext) -> dict[str, Any]:
        return {}


class Decide(Texts):
    """Decides over a view."""

    output = "decisions"
    inputs = {"documents": VIEW}
    counts = {"documents": "document"}


class Measure(Texts):
    """Measures a view."""

    output = "signals"
    inputs = {"documents": VIEW}


def documents(num_rows: int, source: str = "web") -> pa.Table:
    rows = [
        {
            "doc_id": make_doc_id(source, str(n)), "source": source, "domain": "zh", "language": "zh", "file_index": 0,
            "record_index": n, "record_offset": -1, "text": "春" * (n + 1),
        }
        for n in range(num_rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, DOCUMENTS)


def book(out: UnitOutput, outcome: str, count: int, reason: str = "", *, unit: str = "document") -> None:
    out.ledger.add(unit, "web", "zh", outcome, count, reason=reason)


def commit(folder: Path, stage: type[Stage[Any]], write: Write, *upstream: Artifact) -> Artifact:
    """Run ``write`` as the one unit of ``stage`` and put the manifest through the checks."""
    made = {artifact.fingerprint: artifact for artifact in upstream}
    ctx = LocalContext(
        folder=folder,
        inputs={"documents": upstream} if upstream else {},
        resources=Resources(),
        open_artifact=made.__getitem__,
    )
    ctx.run_units("only", [Unit(key="one", payload=None)], lambda: lambda payload, out: write(out))
    payload = {"stage": stage.__name__, "folder": folder.name}
    return Artifact(folder, build_manifest(stage.__name__, stage, payload, ctx, {}))


@pytest.fixture
def base(tmp_path: Path) -> Artifact:
    """Three documents of one source."""

    def write(out: UnitOutput) -> None:
        book(out, IN, 3)
        book(out, KEPT, 3)
        out.write("documents", documents(3))

    return commit(tmp_path / "base", Texts, write)


def decide(keeps: list[bool | None], of: str, **amounts: int) -> Write:
    def write(out: UnitOutput) -> None:
        rows = [{"keep": k, "reason": "short" if k is False else None} for k in keeps]
        out.write("decisions", pa.Table.from_pylist(rows, DECISIONS), of=of)
        book(out, IN, amounts.get("entered", len(keeps)))
        book(out, KEPT, amounts.get("kept", keeps.count(True)))
        book(out, DROPPED, amounts.get("dropped", keeps.count(False)), "short")

    return write


def key(base: Artifact) -> str:
    return base.shard_key(base.shards("documents")[0])


def test_an_honest_decision_is_committed(tmp_path: Path, base: Artifact):
    made = commit(tmp_path / "d", Decide, decide([True, False, True], key(base)), base)
    assert made.manifest.view == {"bases": [base.fingerprint], "decisions": []}
    assert made.manifest.ledger.by_source("document", "kept") == {"web": 2}


def test_a_lossy_stage_is_refused(tmp_path: Path, base: Artifact):
    with pytest.raises(LedgerError, match=r"'Decide' is refused: documents of source 'web' do not balance: in 3"):
        commit(tmp_path / "d", Decide, decide([True, False, True], key(base), dropped=0), base)


def test_a_stage_that_did_not_look_at_all_that_stands_upstream_is_refused(tmp_path: Path, base: Artifact):
    with pytest.raises(LedgerError, match="source 'web' in 2, upstream 3"):
        commit(tmp_path / "d", Decide, decide([True, False, None], key(base), entered=2), base)


def test_books_that_balance_but_do_not_match_the_shards_are_refused(tmp_path: Path, base: Artifact):
    with pytest.raises(LedgerError, match="the ledger keeps 3 documents, the shards hold 2"):
        commit(tmp_path / "d", Decide, decide([True, False, True], key(base), kept=3, dropped=0), base)


def test_documents_that_were_not_written_are_missed(tmp_path: Path):
    def write(out: UnitOutput) -> None:
        book(out, IN, 3)
        book(out, KEPT, 3)
        out.write("documents", documents(2))

    with pytest.raises(LedgerError, match="keeps 3 documents, the shards hold 2"):
        commit(tmp_path / "d", Texts, write)


def quarantined(num_booked: int, num_put_aside: int, port: str, table: pa.Table, of: str | None) -> Write:
    def write(out: UnitOutput) -> None:
        book(out, IN, num_booked, unit="record")
        book(out, FAILED, num_booked, "decode", unit="record")
        for n in range(num_put_aside):
            out.quarantine(
                source="web", file="f", record_index=n, record_offset=n, reason="decode", error="why", raw=b""
            )
        out.write(port, table, of=of)

    return write


@pytest.mark.parametrize("num_put_aside", [1, 3])
def test_failures_must_stand_in_the_quarantine(tmp_path: Path, base: Artifact, num_put_aside: int):
    with pytest.raises(LedgerError, match=f"counts 2 failures, the quarantine holds {num_put_aside} records"):
        commit(tmp_path / "d", Texts, quarantined(2, num_put_aside, "documents", documents(0), None))
    with pytest.raises(LedgerError, match=f"counts 2 failures, the quarantine holds {num_put_aside} records"):
        commit(
            tmp_path / "s",
            Measure,
            quarantined(2, num_put_aside, "signals", pa.table({"n": [1, 2, 3]}), key(base)),
            base,
        )


def test_failures_in_the_quarantine_are_committed(tmp_path: Path):
    assert (
        commit(tmp_path / "d", Texts, quarantined(2, 2, "documents", documents(0), None)).shards("quarantine")[0].rows
        == 2
    )


def test_a_sidecar_must_have_one_row_per_base_row(tmp_path: Path, base: Artifact):
    def write(out: UnitOutput) -> None:
        out.write("signals", pa.table({"n": [1, 2]}), of=key(base))

    with pytest.raises(StageError, match="has 3 documents and a sidecar of 2 rows"):
        commit(tmp_path / "s", Measure, write, base)


def test_every_base_shard_needs_its_sidecar(tmp_path: Path, base: Artifact):
    with pytest.raises(StageError, match="has 3 documents and no sidecar"):
        commit(tmp_path / "s", Measure, lambda out: None, base)


def test_two_sidecars_of_one_base_shard_are_refused(tmp_path: Path, base: Artifact):
    """A reader would take one of them and never know of the other."""
    folder, made = tmp_path / "s", {base.fingerprint: base}
    ctx = LocalContext(
        folder=folder, inputs={"documents": (base,)}, resources=Resources(), open_artifact=made.__getitem__
    )

    def work(payload: Any, out: UnitOutput) -> None:
        out.write("signals", pa.table({"n": [1, 2, 3]}), of=key(base))

    ctx.run_units("only", [Unit(key=k, payload=None) for k in "ab"], lambda: work)
    with pytest.raises(StageError, match="two sidecars of one base shard"):
        build_manifest("measure", Measure, {}, ctx, {})


def test_a_sidecar_of_an_unknown_base_is_refused(tmp_path: Path, base: Artifact):
    def write(out: UnitOutput) -> None:
        out.write("signals", pa.table({"n": [1, 2, 3]}), of=key(base))
        out.write("signals", pa.table({"n": [1]}), of="elsewhere/documents/0")

    with pytest.raises(StageError, match="sidecars of unknown base shards: elsewhere/documents/0"):
        commit(tmp_path / "s", Measure, write, base)
