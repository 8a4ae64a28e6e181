"""The table of an acceptance: demand, wanted, seen, holds; every row is printed and written when it is known."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.measure import versions


@dataclass(frozen=True)
class Row:
    """One demand."""

    demand: str
    wanted: str
    seen: str
    holds: bool


@dataclass
class AcceptanceTable:
    """Rows as they come, so that an interrupted run leaves what it had seen."""

    out: Path | None  # JSON lines
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = versions()
        print(f"{found}\n\n| demand | wanted | seen | holds |\n|---|---|---|---|", flush=True)
        self._write({"versions": found})

    def check(self, demand: str, wanted: str, seen: str, holds: bool) -> None:
        """Add a row."""
        row = Row(demand, wanted, " ".join(str(seen).split()).replace("|", "/"), bool(holds))
        self.rows.append(row)
        print(f"| {row.demand} | {row.wanted} | {row.seen} | {'yes' if row.holds else 'NO'} |", flush=True)
        self._write(asdict(row))

    def part(self, name: str, work: Callable[[], None]) -> None:
        """Run a part; when it cannot run, its row says why and the others go on."""
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            self.check(name, "runs", f"could not run: {type(error).__name__}: {error}"[:400], False)

    @property
    def all_hold(self) -> bool:
        return all(row.holds for row in self.rows)

    def _write(self, record: object) -> None:
        if self.out is not None:
            with self.out.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(record, ensure_ascii=False) + "\n")
