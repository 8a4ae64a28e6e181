"""The funnel: what entered each node, what became of it and why, from the ledgers of manifests alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT
from data_specs.manifest import Manifest

#: Label of the sum over all sources or domains.
ALL = ""
_TOKEN = "token"
#: Units in the order in which a node meets them; others follow by name.
_UNITS = ("record", "document", "character", "row", "token")
_NAMED_REASONS = 4
#: Kinds of artifacts that look at a part of the corpus and take nothing away from it.
SIDE_KINDS = ("tokenizer", "evaluation")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """One account: a node's books for one unit, source and domain (or the sum of several)."""

    node: str
    unit: str  # "record", "document", "row", "token"
    source: str
    domain: str
    entered: int = 0
    expanded: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> count
    failed: Mapping[str, int] = field(default_factory=dict)
    characters_in: int = 0
    characters: int = 0  # of what was kept
    tokens: int = 0  # of what was kept, where the node counts tokens beside its unit

    @property
    def num_dropped(self) -> int:
        return sum(self.dropped.values())

    @property
    def num_failed(self) -> int:
        return sum(self.failed.values())


def funnel_rows(manifests: Mapping[str, Manifest]) -> list[FunnelRow]:
    """Rows of every node in the given order, then by unit, source and domain.

    Tokens get rows of their own only where a node books nothing else; otherwise they stand in the ``tokens`` of the
    unit that they belong to.
    """
    rows = []
    for node, manifest in manifests.items():
        accounts: dict[tuple[str, str, str], dict[str, Counter[str]]] = {}
        characters: dict[tuple[str, str, str], Counter[str]] = {}
        for entry, (count, size) in manifest.ledger.items():
            key = (entry.unit, entry.source, entry.domain)
            accounts.setdefault(key, {}).setdefault(entry.outcome, Counter())[entry.reason] += count
            characters.setdefault(key, Counter())[entry.outcome] += size
        only_tokens = {unit for unit, _, _ in accounts} == {_TOKEN}
        for key, outcomes in sorted(accounts.items(), key=lambda item: (_unit_rank(item[0][0]), item[0])):
            unit, source, domain = key
            if unit == _TOKEN and not only_tokens:
                continue
            tokens = accounts.get((_TOKEN, source, domain), {})
            rows.append(
                FunnelRow(
                    node=node,
                    unit=unit,
                    source=source,
                    domain=domain,
                    entered=outcomes.get(IN, Counter()).total(),
                    expanded=outcomes.get(EXPANDED, Counter()).total(),
                    kept=outcomes.get(KEPT, Counter()).total(),
                    dropped=_descending(outcomes.get(DROPPED, Counter())),
                    failed=_descending(outcomes.get(FAILED, Counter())),
                    characters_in=characters[key][IN] + characters[key][EXPANDED],
                    characters=characters[key][KEPT],
                    tokens=tokens.get(KEPT, Counter()).total(),
                )
            )
    return rows


def _unit_rank(unit: str) -> int:
    return _UNITS.index(unit) if unit in _UNITS else len(_UNITS)


def _descending(counts: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count}


def node_totals(rows: Iterable[FunnelRow]) -> list[FunnelRow]:
    """Sums over sources and domains: one row per node and unit, in order of appearance."""
    return _sum_by(rows, lambda row: (row.node, row.unit, ALL, ALL))


def source_totals(rows: Iterable[FunnelRow]) -> list[FunnelRow]:
    """Sums over domains: one row per node, unit and source."""
    return _sum_by(rows, lambda row: (row.node, row.unit, row.source, ALL))


def _sum_by(rows: Iterable[FunnelRow], key_of: Callable[[FunnelRow], tuple[str, str, str, str]]) -> list[FunnelRow]:
    groups: dict[tuple[str, str, str, str], list[FunnelRow]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return [_add(key, members) for key, members in groups.items()]


def _add(key: tuple[str, str, str, str], members: list[FunnelRow]) -> FunnelRow:
    dropped: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for row in members:
        dropped.update(row.dropped)
        failed.update(row.failed)
    node, unit, source, domain = key
    return FunnelRow(
        node=node,
        unit=unit,
        source=source,
        domain=domain,
        entered=sum(row.entered for row in members),
        expanded=sum(row.expanded for row in members),
        kept=sum(row.kept for row in members),
        dropped=_descending(dropped),
        failed=_descending(failed),
        characters_in=sum(row.characters_in for row in members),
        characters=sum(row.characters for row in members),
        tokens=sum(row.tokens for row in members),
    )


def print_funnel(console: Console, manifests: Mapping[str, Manifest]) -> None:
    """Print the totals of every node, then source by source the nodes where something was lost. Nodes that only look
    at a sample are left out."""
    rows = funnel_rows({name: manifest for name, manifest in manifests.items() if manifest.kind not in SIDE_KINDS})
    console.print(_totals_table(node_totals(rows)))
    lost = [row for row in rows if row.dropped or row.failed]
    if lost:
        console.print(_losses_table(lost))


def _totals_table(rows: Iterable[FunnelRow]) -> Table:
    table = Table(title="funnel", box=None)
    for column in ("node", "unit", "in", "expanded", "kept", "kept %", "dropped", "failed", "characters", "tokens"):
        table.add_column(column, justify="left" if column in ("node", "unit") else "right")
    for row in rows:
        entered = row.entered + row.expanded
        table.add_row(
            escape(row.node),
            row.unit,
            f"{row.entered:,}",
            f"{row.expanded:,}" if row.expanded else "",
            f"{row.kept:,}",
            f"{row.kept / entered:.1%}" if entered else "",
            f"{row.num_dropped:,}" if row.dropped else "",
            f"[red]{row.num_failed:,}[/]" if row.failed else "",
            f"{row.characters:,}" if row.characters else "",
            f"{row.tokens:,}" if row.tokens else "",
        )
    return table


def _losses_table(rows: Iterable[FunnelRow]) -> Table:
    table = Table(title="dropped and failed by source and domain", box=None)
    for column in ("node", "unit", "source", "domain", "in", "kept", "reasons"):
        table.add_column(column, justify="right" if column in ("in", "kept") else "left")
    for row in rows:
        table.add_row(
            escape(row.node),
            row.unit,
            escape(row.source),
            escape(row.domain),
            f"{row.entered + row.expanded:,}",
            f"{row.kept:,}",
            escape(name_reasons(row)),
        )
    return table


def name_reasons(row: FunnelRow, most: int = _NAMED_REASONS) -> str:
    """The commonest reasons with counts; failures are marked with an exclamation mark."""
    named = [(f"{reason}!", count) for reason, count in row.failed.items()] + list(row.dropped.items())
    named.sort(key=lambda item: -item[1])
    rest = sum(count for _, count in named[most:])
    parts = [f"{reason} {count:,}" for reason, count in named[:most]]
    return ", ".join(parts + ([f"{len(named) - most} more {rest:,}"] if rest else []))
