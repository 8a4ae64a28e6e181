"""What became of the documents: the funnel, the reasons, and the records that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from pipelines.report.charts import bars, heat, legend, stacked_bar
from pipelines.report.funnel import SIDE_KINDS, FunnelRow, funnel_rows, node_totals
from pipelines.report.html import Child, Html, count, el, fold, join, percent, section, table
from pipelines.report.summary import RunSummary

_MOST_QUARANTINE = 60
_LEGEND = (("kept", "var(--good)"), ("dropped", "var(--drop)"), ("failed", "var(--bad)"))


def funnel(run: RunSummary) -> Html | None:
    """Bars by node, then per source and domain."""
    passed_on = {node.name: node.manifest for node in run.nodes if node.artifact.kind not in SIDE_KINDS}
    rows = [row for row in funnel_rows(passed_on) if row.unit in ("record", "document")]
    if not rows:
        return None
    totals = node_totals(rows)
    widest = max(row.entered + row.expanded for row in totals)
    drawn = ((_label(row), _bar(row, widest), _outcome(row)) for row in totals if row.entered + row.expanded)
    return section(
        "funnel",
        "Funnel",
        legend(_LEGEND),
        bars(drawn),
        fold("By source and domain", _account_table(rows)),
        lead="What entered every node and what became of it. Each bar is as long as what came in.",
    )


def _label(row: FunnelRow) -> Html:
    return join(row.node, el("span", f" {row.unit}s", class_="value") if row.unit != "document" else None)


def _bar(row: FunnelRow, widest: int) -> Html:
    parts = {"kept": row.kept, "dropped": row.num_dropped, "failed": row.num_failed}
    title = (
        f"in {row.entered + row.expanded:,}; kept {row.kept:,}; dropped {row.num_dropped:,}; failed {row.num_failed:,}"
    )
    return stacked_bar(parts, widest, title)


def _outcome(row: FunnelRow) -> str:
    entered = row.entered + row.expanded
    lost = [f"−{count(row.num_dropped)}"] if row.dropped else []
    lost += [f"{count(row.num_failed)} failed"] if row.failed else []
    return f"{count(row.kept)} ({percent(row.kept, entered)})" + (f"  {', '.join(lost)}" if lost else "")


def _account_table(rows: Sequence[FunnelRow]) -> Html:
    head = (
        "node",
        "source",
        "domain",
        "unit",
        "in",
        "expanded",
        "kept",
        "kept %",
        "dropped",
        "failed",
        "characters",
        "tokens",
    )
    body: list[Sequence[Child]] = [
        (
            row.node,
            row.source,
            row.domain,
            row.unit,
            f"{row.entered:,}",
            f"{row.expanded:,}" if row.expanded else "",
            f"{row.kept:,}",
            percent(row.kept, row.entered + row.expanded),
            f"{row.num_dropped:,}" if row.dropped else "",
            f"{row.num_failed:,}" if row.failed else "",
            count(row.characters) if row.characters else "",
            count(row.tokens) if row.tokens else "",
        )
        for row in rows
    ]
    return table(head, body, left=4)


def reasons(run: RunSummary) -> Html | None:
    """Of every node that dropped or failed something: reason by source, shaded by share of what entered."""
    rows = [row for row in funnel_rows(run.manifests()) if row.dropped or row.failed]
    if not rows:
        return None
    parts: list[Html] = []
    for node, unit in dict.fromkeys((row.node, row.unit) for row in rows):
        mine = [row for row in funnel_rows({node: run.manifests()[node]}) if row.unit == unit]
        lost = [row for row in mine if row.dropped or row.failed]
        columns = [(row.source, row.domain, row) for row in lost]
        head: list[Child] = ["reason", "all", *(_column(source, domain) for source, domain, _ in columns)]
        parts.append(fold(_reason_title(node, unit, mine), table(head, _reason_rows(lost)), open_=len(parts) < 3))
    return section(
        "reasons",
        "Dropped, and why",
        parts,
        lead="Counts by reason, source and domain; the shade is the share of what entered.",
    )


def _column(source: str, domain: str) -> Html:
    return join(source, el("br"), el("span", domain, class_="value"))


def _reason_title(node: str, unit: str, rows: Sequence[FunnelRow]) -> Html:
    entered = sum(row.entered + row.expanded for row in rows)
    lost = sum(row.num_dropped + row.num_failed for row in rows)
    return join(el("b", node), f"  {lost:,} of {entered:,} {unit}s, {percent(lost, entered)}")


def _reason_rows(rows: Sequence[FunnelRow]) -> list[Sequence[Child]]:
    def amounts(row: FunnelRow) -> dict[tuple[str, bool], int]:
        return {**{(r, False): n for r, n in row.dropped.items()}, **{(r, True): n for r, n in row.failed.items()}}

    each = [amounts(row) for row in rows]
    names = {name for found in each for name in found}
    totals = {name: sum(found.get(name, 0) for found in each) for name in names}
    body: list[Sequence[Child]] = []
    for name in sorted(names, key=lambda n: (-totals[n], n)):
        reason, is_failure = name
        cells: list[Child] = [
            heat(f"{found[name]:,}", found[name] / max(1, row.entered + row.expanded)) if name in found else ""
            for found, row in zip(each, rows, strict=True)
        ]
        body.append(
            (
                join(reason, el("span", "failed", class_="chip bad") if is_failure else None),
                f"{totals[name]:,}",
                *cells,
            )
        )
    return body


def quarantine(run: RunSummary) -> Html | None:
    """Records that could not be read: where they stand, why, and how they begin."""
    rows: list[tuple[str, dict[str, Any]]] = []
    total = 0
    for node in run.nodes:
        for shard in node.artifact.shards("quarantine"):
            total += shard.rows
            if len(rows) < _MOST_QUARANTINE:
                found = pq.read_table(node.artifact.shard_path(shard)).to_pylist()
                rows += [(node.name, row) for row in found[: _MOST_QUARANTINE - len(rows)]]
    if not rows:
        return None
    body: list[Sequence[Child]] = [
        (
            node,
            row["source"],
            join(row["file"], el("br"), el("span", _place(row), class_="value")),
            row["reason"],
            join(row["error"], el("br"), el("code", row["excerpt"][:120])),
        )
        for node, row in rows
    ]
    lead = f"{total:,} records could not be read and were put aside" + (
        f"; the first {len(rows)} are listed." if total > len(rows) else "."
    )
    return section(
        "quarantine",
        "Quarantine",
        table(("node", "source", "file", "reason", "error and excerpt"), body, left=5),
        lead=lead,
    )


def _place(row: dict[str, Any]) -> str:
    offset = f", byte {row['record_offset']:,}" if row["record_offset"] >= 0 else ""
    return f"record {row['record_index']:,}{offset}"
