"""Rows are written when they are known, and a part that cannot run leaves a row that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.acceptance_table import AcceptanceTable


def test_rows_come_one_by_one_and_a_failing_part_stops_nobody(tmp_path: Path, capsys) -> None:
    out = tmp_path / "rows.jsonl"
    table = AcceptanceTable(out)
    seen_by_then: list[int] = []

    def good() -> None:
        table.check("speed", ">= 2 x", "3 x", True)
        seen_by_then.append(len(out.read_text("utf-8").splitlines()))

    def bad() -> None:
        raise ValueError("no | such\npeer")

    table.part("first", good)
    assert table.all_hold
    table.part("second", bad)
    table.part("third", lambda: table.check("order", "kept", "kept", True))
    assert seen_by_then == [2]  # what the figures depend on, and the row
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()[1:]]
    assert [(row["demand"], row["holds"]) for row in rows] == [("speed", True), ("second", False), ("order", True)]
    assert rows[1]["seen"] == "could not run: ValueError: no / such peer"
    assert not table.all_hold
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert lines[2] == "| speed | >= 2 x | 3 x | yes |"
    assert len({line.count("|") for line in lines}) == 1


def test_without_a_file_rows_are_only_printed(capsys: pytest.CaptureFixture[str]) -> None:
    AcceptanceTable(None).check("demand", "wanted", "seen", False)
    assert "| demand | wanted | seen | NO |" in capsys.readouterr().out
