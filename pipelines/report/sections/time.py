"""Where the time went: seconds and rates by node and phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.report.charts import bars, plain_bar
from pipelines.report.html import Child, Html, el, fold, percent, seconds, section, table
from pipelines.report.summary import RunSummary


def time(run: RunSummary) -> Html | None:
    """Bars by node that ran, slowest phase named; a table of all phases."""
    ran = [node for node in run.nodes if node.seconds > 0]
    if not ran:
        return None
    longest = max(node.seconds for node in ran)
    outside = run.wall_seconds - sum(node.seconds for node in ran)
    rows = [
        (
            node.name,
            plain_bar(node.seconds, longest),
            f"{seconds(node.seconds)} ({percent(node.seconds, run.wall_seconds)})",
        )
        for node in ran
    ]
    if outside > 0.01 * run.wall_seconds:
        share = percent(outside, run.wall_seconds)
        rows.append(
            ("start and end", plain_bar(outside, longest, paint="var(--soft)"), f"{seconds(outside)} ({share})")
        )
    body: list[Sequence[Child]] = [
        (
            node.name,
            phase["phase"],
            phase.get("num_units", ""),
            phase.get("num_reused", ""),
            seconds(phase["seconds"]),
            _rate(phase),
        )
        for node in ran
        for phase in node.phases
    ]
    phases = fold("Phases", table(("node", "phase", "units", "reused", "time", "rate"), body, left=2)) if body else None
    return section(
        "time", "Where the time went", bars(rows), el("p"), phases, lead=f"Wall time {seconds(run.wall_seconds)}."
    )


def _rate(phase: dict[str, Any]) -> str:
    """MB of input per second; nothing where a phase names no bytes."""
    amount = phase.get("size_bytes") or 0
    return f"{amount / 1e6 / phase['seconds']:.1f} MB/s" if amount and phase["seconds"] > 0 else ""
