"""The top of the page: what ran, the numbers to remember, and the line as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_specs.ledger import IN, KEPT
from data_specs.manifest import Manifest
from pipelines.report.html import Child, Html, chip, count, el, number, percent, seconds, section, size
from pipelines.report.summary import REUSED_STATE, NodeSummary, RunSummary

_COMMIT_DIGITS = 12
#: Units from the one that says most about a node to the one that says least.
_UNITS = ("document", "row", "token", "record")


def header(run: RunSummary, anchors: Sequence[tuple[str, str]]) -> Html:
    """Title, run, commit and the way to every section."""
    facts = run.provenance
    commit = str(facts.get("commit", ""))
    dirty = "-dirty" if commit.endswith("-dirty") else ""
    meta: list[Child] = [
        el("span", "run ", el("code", run.run_id)),
        el("span", run.started) if run.started else None,
        el("span", "commit ", el("code", commit.removesuffix("-dirty")[:_COMMIT_DIGITS] + dirty)) if commit else None,
        el("span", f"Python {facts['python']}") if facts.get("python") else None,
        el("span", f"{facts['num_cpus']} CPUs") if facts.get("num_cpus") else None,
    ]
    links = el("nav", (el("a", title, href=f"#{key}") for key, title in anchors))
    return el(
        "header", el("div", el("h1", run.pipeline, el("small", "开天 Kaitian")), el("div", meta, class_="meta"), links)
    )


def tiles(run: RunSummary) -> Html:
    """The handful of numbers that a person wants first."""
    found: list[tuple[str, str]] = []
    documents = [node for node in run.nodes if node.artifact.kind in ("documents", "decisions")]
    if documents:
        first, last = documents[0].manifest, documents[-1].manifest
        entered = first.ledger.total("record", IN) or first.ledger.total("document", IN)
        kept = last.ledger.total("document", KEPT)
        found.append((count(entered), "records read"))
        found.append((count(kept), f"documents kept, {percent(kept, entered)}"))
        characters = last.ledger.total("document", KEPT, characters=True)
        if characters:
            found.append((count(characters), "characters kept"))
    for node in run.of_kind("tokens")[-1:]:
        found.append((count(node.manifest.ledger.total("token", KEPT)), "tokens in the store"))
    for node in run.of_kind("checkpoints")[-1:]:
        facts = node.artifact.facts
        found.append((count(facts.get("num_tokens", 0)), f"tokens trained, {facts.get('num_steps', 0):,} steps"))
        if facts.get("num_parameters"):
            active = facts.get("num_active_parameters")
            note = f"parameters, {count(active)} active" if active else "parameters"
            found.append((count(facts["num_parameters"]), note))
    found.append((seconds(run.wall_seconds), "wall time"))
    return el(
        "div", (el("div", el("b", value), el("span", label), class_="tile") for value, label in found), class_="tiles"
    )


def warnings(run: RunSummary) -> Html | None:
    """What the runner wants to be heard."""
    if not run.warnings:
        return None
    return el(
        "section",
        el("h2", "Warnings"),
        el("ul", (el("li", text) for text in run.warnings)),
        class_="warnings",
        id="warnings",
    )


def line(run: RunSummary) -> Html:
    """Every node as a box in line order, with what came out of it."""
    num_reused = sum(node.state == REUSED_STATE for node in run.nodes)
    lead = (
        f"{len(run.nodes) - num_reused} nodes run, {num_reused} reused. "
        "A solid edge ran in this run, a dashed one was taken from the store."
    )
    previous: str | None = None
    boxes = []
    for node in run.nodes:
        boxes.append(_box(node, previous))
        previous = node.name
    return section("line", "The line", el("div", boxes, class_="line"), lead=lead)


def _box(node: NodeSummary, previous: str | None) -> Html:
    sources = [name for name in node.upstream if name != previous] if node.upstream != [previous] else []
    return el(
        "div",
        el("b", node.name),
        el("div", node.stage, class_="what") if node.stage != node.name else None,
        el("div", output_size(node.manifest), class_="what"),
        el("div", chip(node.state, node.state), f" {seconds(node.seconds)}" if node.seconds else None, class_="what"),
        el("div", "from " + ", ".join(node.upstream), class_="from") if sources else None,
        class_=f"box {node.state}",
        title="; ".join(node.reasons) or None,
    )


def output_size(manifest: Manifest) -> str:
    """Rows of the most telling unit, and bytes on disk."""
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    for unit in _UNITS:
        kept = manifest.ledger.total(unit, KEPT)
        if kept:
            return f"{count(kept)} {unit}{'s' if kept != 1 else ''}, {size(num_bytes)}"
    return size(num_bytes)


def fact_table(facts: dict[str, Any]) -> Html:
    """Plain facts as two columns; nested ones are left to their own sections."""
    rows = [(key, number(value)) for key, value in facts.items() if not isinstance(value, dict | list)]
    return el("table", el("tbody", (el("tr", el("td", key), el("td", value, class_="number")) for key, value in rows)))
