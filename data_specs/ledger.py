"""The conservation ledger: ``in + expanded = kept + dropped(reason) + failed(reason)``, per unit and source.

A stage books every record, document, row or token that it touches. The runner refuses to commit a node whose books
do not balance, or whose ``in`` differs from what stands upstream, so nothing can vanish without a row that says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_specs.errors import LedgerError

IN, EXPANDED, KEPT, DROPPED, FAILED = "in", "expanded", "kept", "dropped", "failed"
OUTCOMES = (IN, EXPANDED, KEPT, DROPPED, FAILED)


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One account: what is counted (``unit``), whose (``source``, ``domain``), and what became of it."""

    unit: str  # "record", "document", "row", "token"
    source: str
    domain: str
    outcome: str
    reason: str = ""


class Ledger:
    """Counts and characters per :class:`Entry`; addition is commutative, so the order of work never shows."""

    def __init__(self) -> None:
        self._amounts: dict[Entry, list[int]] = defaultdict(lambda: [0, 0])

    def add(
        self, unit: str, source: str, domain: str, outcome: str, count: int, *, reason: str = "", characters: int = 0
    ) -> None:
        """Book ``count`` units and their ``characters``; ``reason`` is required for dropped and failed only."""
        if outcome not in OUTCOMES:
            raise LedgerError(f"unknown outcome {outcome!r}; one of {', '.join(OUTCOMES)}")
        if bool(reason) != (outcome in (DROPPED, FAILED)):
            raise LedgerError(f"outcome {outcome!r} with reason {reason!r}: exactly dropped and failed carry a reason")
        if count < 0 or characters < 0:
            raise LedgerError(f"{outcome} {count} {unit}s of {characters} characters: negative amounts hide losses")
        if count:
            amount = self._amounts[Entry(unit, source, domain, outcome, reason)]
            amount[0] += int(count)
            amount[1] += int(characters)

    def merge(self, other: Ledger) -> None:
        """Add all accounts of ``other``."""
        for entry, (count, characters) in other.items():
            amount = self._amounts[entry]
            amount[0] += count
            amount[1] += characters

    def items(self) -> Iterator[tuple[Entry, tuple[int, int]]]:
        """Accounts in canonical order as (entry, (count, characters))."""
        for entry in sorted(self._amounts):
            count, characters = self._amounts[entry]
            yield entry, (count, characters)

    def units(self) -> list[str]:
        """The units that have accounts, sorted."""
        return sorted({entry.unit for entry in self._amounts})

    def total(self, unit: str, outcome: str, *, source: str | None = None, characters: bool = False) -> int:
        """Sum of one outcome of one unit, for one source or all."""
        return sum(
            amount[1 if characters else 0]
            for entry, amount in self._amounts.items()
            if entry.unit == unit and entry.outcome == outcome and source in (None, entry.source)
        )

    def by_source(self, unit: str, outcome: str) -> dict[str, int]:
        """Counts of one outcome per source, zero accounts left out."""
        sums: dict[str, int] = defaultdict(int)
        for entry, amount in self._amounts.items():
            if entry.unit == unit and entry.outcome == outcome:
                sums[entry.source] += amount[0]
        return {source: count for source, count in sorted(sums.items()) if count}

    def check_balance(self) -> None:
        """Raise :class:`LedgerError` naming the first unit and source whose two sides differ."""
        for unit in self.units():
            sources = sorted({entry.source for entry in self._amounts if entry.unit == unit})
            for source in sources:
                entered, expanded, kept, dropped, failed = (self.total(unit, o, source=source) for o in OUTCOMES)
                if entered + expanded != kept + dropped + failed:
                    raise LedgerError(
                        f"{unit}s of source {source!r} do not balance: in {entered} + expanded {expanded} != "
                        f"kept {kept} + dropped {dropped} + failed {failed}"
                    )

    def check_upstream(self, unit: str, upstream: Mapping[str, int]) -> None:
        """Raise when what came in differs, for any source, from what stands upstream."""
        entered = self.by_source(unit, IN)
        expected = {source: count for source, count in upstream.items() if count}
        if entered != expected:
            wrong = sorted(s for s in {*entered, *expected} if entered.get(s, 0) != expected.get(s, 0))
            raise LedgerError(
                f"{unit}s that came in differ from those upstream: "
                + "; ".join(f"source {s!r} in {entered.get(s, 0)}, upstream {expected.get(s, 0)}" for s in wrong)
            )

    def to_rows(self) -> list[list[object]]:
        """JSON rows ``[unit, source, domain, outcome, reason, count, characters]`` in canonical order."""
        return [[e.unit, e.source, e.domain, e.outcome, e.reason, n, c] for e, (n, c) in self.items()]

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[object]]) -> Ledger:
        """Inverse of :meth:`to_rows`."""
        ledger = cls()
        for unit, source, domain, outcome, reason, count, characters in rows:
            ledger.add(
                str(unit),
                str(source),
                str(domain),
                str(outcome),
                int(str(count)),
                reason=str(reason),
                characters=int(str(characters)),
            )
        return ledger
