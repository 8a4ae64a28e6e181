"""The table of an acceptance: demand, wanted, seen, holds; every row is printed and written when it is known."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.measure import versions

YES, NO, NOT_RUN = "yes", "NO", "not run"


@dataclass(frozen=True)
class Row:
    """One demand."""

    demand: str
    wanted: str
    seen: str
    holds: str  # YES, NO or NOT_RUN


class Table:
    """Rows as they come, so that an interrupted run leaves what it had seen; ``out`` takes them as JSON lines.

    What the figures depend on (hardware, commit, libraries) is told first.
    """

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self.rows: list[Row] = []
        found = versions()
        print(found, flush=True)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
        self._write({"versions": found})

    def check(self, demand: str, wanted: str, seen: str, holds: bool) -> None:
        """Add what was seen of one demand."""
        self._add(demand, wanted, seen, YES if holds else NO)

    def skip(self, demand: str, wanted: str, why: str) -> None:
        """Add a demand that could not be looked at here."""
        self._add(demand, wanted, why, NOT_RUN)

    def part(self, name: str, work: Callable[[], None]) -> None:
        """Run a part; when it breaks, its row says why and the others go on."""
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            self.check(name, "runs", f"could not run: {type(error).__name__}: {error}"[:400], False)

    def close(self) -> int:
        """Print the whole table; returns the exit status: 1 when a demand does not hold."""
        print("\n| demand | wanted | seen | holds |\n|---|---|---|---|")
        for row in self.rows:
            print(_line(row))
        return int(any(row.holds == NO for row in self.rows))

    def _add(self, demand: str, wanted: str, seen: str, holds: str) -> None:
        row = Row(demand, wanted, " ".join(seen.split()).replace("|", "/"), holds)
        self.rows.append(row)
        print(_line(row), flush=True)
        self._write(asdict(row))

    def _write(self, record: object) -> None:
        if self._out is not None:
            with self._out.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(record, ensure_ascii=False) + "\n")


def _line(row: Row) -> str:
    return f"| {row.demand} | {row.wanted} | {row.seen} | {row.holds} |"
