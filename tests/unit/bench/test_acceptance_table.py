"""Rows are written when they are known, and a part that cannot run leaves a row that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.acceptance_table import Table


def test_rows_come_one_by_one_and_a_failing_part_stops_nobody(tmp_path: Path, capsys) -> None:
    out = tmp_path / "rows.jsonl"
    table = Table(out)
    seen_by_then: list[int] = []

    def good() -> None:
        table.check("speed", ">= 2 x", "3 x", True)
        seen_by_then.append(len(out.read_text("utf-8").splitlines()))

    def bad() -> None:
        raise ValueError("no | such\npeer")

    table.part("first", good)
    table.skip("peer", "2 x", "not installed")
    assert table.close() == 0
    table.part("second", bad)
    table.part("third", lambda: table.check("order", "kept", "kept", True))
    assert seen_by_then == [2]  # what the figures depend on, and the row
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()[1:]]
    assert [(row["demand"], row["holds"]) for row in rows] == [
        ("speed", "yes"), ("peer", "not run"), ("second", "NO"), ("order", "yes")]  # fmt: skip
    assert rows[2]["seen"] == "could not run: ValueError: no / such peer"
    assert table.close() == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert lines[0] == "| speed | >= 2 x | 3 x | yes |"
    assert len({line.count("|") for line in lines}) == 1


def test_without_a_file_rows_are_only_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Table(None).check("demand", "wanted", "seen", False)
    assert "| demand | wanted | seen | NO |" in capsys.readouterr().out
