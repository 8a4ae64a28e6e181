"""Documents to look at: some that stayed, and some of every reason that went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from data_specs.errors import DataError
from data_specs.view import resolve_view
from pipelines.report.documents import SampleDocument, sample_dropped, sample_kept
from pipelines.report.html import Html, el, fold, join, number, section
from pipelines.report.summary import NodeSummary, RunSummary

_NUM_KEPT = 6
_NUM_DROPPED = 4
_LINKS = ("http://", "https://")


def samples(run: RunSummary) -> Html | None:
    """Kept documents of the last view, then dropped ones by node and reason."""
    decisions = run.of_kind("decisions")
    last = run.of_kind("documents", "decisions")[-1:]
    parts = [_kept(run, node) for node in last] + [_dropped(run, node) for node in decisions]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    lead = "Drawn by the hash of the document, so the same corpus always shows the same ones."
    return section("samples", "Documents", found, lead=lead)


def _kept(run: RunSummary, node: NodeSummary) -> Html | None:
    try:
        view = resolve_view([node.artifact], run.open_artifact)
    except DataError:
        return None  # a base entered from outside the pipeline: its text is not ours to show
    documents = sample_kept(view, _NUM_KEPT)
    if not documents:
        return None
    return fold(join("kept after ", el("b", node.name)), (document(one) for one in documents), open_=True)


def _dropped(run: RunSummary, node: NodeSummary) -> Html | None:
    try:
        documents = sample_dropped(node.artifact, run.open_artifact, _NUM_DROPPED)
    except DataError:
        return None
    if not documents:
        return None
    groups: list[tuple[str, Sequence[SampleDocument]]] = [
        (reason, list(members)) for reason, members in groupby(documents, key=lambda one: one.reason)
    ]
    parts = (fold(reason, (document(one) for one in members)) for reason, members in groups)
    return fold(join("dropped by ", el("b", node.name), f"  {len(groups)} reasons"), parts)


def document(one: SampleDocument) -> Html:
    """One document as a small card."""
    address = one.url or one.doc_id
    link = el("a", address, href=address, rel="noreferrer") if address.startswith(_LINKS) else address
    return el(
        "div",
        el(
            "div",
            el("b", one.title or address.rstrip("/").rpartition("/")[2]),
            f"{one.source} / {one.domain}, {one.num_characters:,} characters",
            class_="head",
        ),
        el("div", link, class_="url"),
        el("div", _why(one), class_="why") if one.reason else None,
        el("p", one.excerpt),
        class_=f"doc {'dropped' if one.reason else 'kept'}",
    )


def _why(one: SampleDocument) -> str:
    parts = [one.reason]
    if one.value is not None:
        parts.append(f"value {number(one.value)}" + (f", limit {number(one.limit)}" if one.limit is not None else ""))
    if one.detail:
        parts.append(one.detail)
    return "; ".join(parts)
