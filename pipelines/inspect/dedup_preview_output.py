"""How a preview of near-duplicates is shown: tables, and the pairs at the threshold side by side."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.inspect.dedup_preview import BorderPair, DedupPreview
from pipelines.inspect.places import ReadDocument
from pipelines.inspect.preview_output import bare_page
from pipelines.inspect.side_by_side import compare_texts, shorten
from pipelines.report.html import Html, el, fold, join, section, table

_HEAD = ("source", "documents", "removed before", "removed after", "stay again", "newly removed")


def _sides(preview: DedupPreview) -> tuple[tuple[str, str, list[BorderPair]], ...]:
    return (
        ("above", "just above the threshold: removed", preview.above),
        ("below", "just below the threshold: both stay", preview.below),
    )


def _total(preview: DedupPreview) -> list[tuple[str, ...]]:
    rows = [(name, *(f"{n:,}" for n in counts)) for name, counts in preview.sources]
    sums = [sum(counts) for counts in zip(*(counts for _, counts in preview.sources), strict=True)]
    return [*rows, ("all", *(f"{n:,}" for n in sums))]


def _notes(preview: DedupPreview) -> list[str]:
    notes = [f"clusters: {preview.clusters[0]:,} before, {preview.clusters[1]:,} after"]
    if preview.other_bands is not None:
        notes.append(
            f"a run at this threshold would change the bands from {preview.bands[0]} x {preview.bands[1]} to "
            f"{preview.other_bands[0]} x {preview.other_bands[1]} and propose other pairs; give num_bands and "
            f"rows_per_band as well to keep those that are counted here"
        )
    if preview.num_compared:
        notes.append(
            f"{preview.num_compared:,} pairs of large buckets, which the run had left out, were compared now; "
            f"{preview.num_found:,} are at the threshold"
        )
    if preview.num_differing:
        notes.append(
            f"the stored pairs give {preview.num_differing:,} removals more or fewer than the run had: documents that "
            f"share a doc_id cannot be told apart"
        )
    return notes


def print_dedup_preview(console: Console, preview: DedupPreview) -> None:
    """Changes, counts by source, then the pairs beside the threshold with what differs in bold."""
    console.print(
        f"[bold]{escape(preview.node)}[/] of run {preview.run_id}, from its stored similarities", highlight=False
    )
    for name, old, new in preview.changes:
        console.print(escape(f"  {name}: {old} -> {new}"), highlight=False)
    if not preview.changes:
        console.print("  nothing is changed: give changes as for `kaitian run`", highlight=False)
    shown = Table(title="documents", box=None)
    for position, column in enumerate(_HEAD):
        shown.add_column(column, justify="left" if position == 0 else "right")
    for row in _total(preview):
        shown.add_row(*(escape(cell) for cell in row))
    console.print(shown)
    for note in _notes(preview):
        console.print(note, highlight=False)
    for _, title, pairs in _sides(preview):
        for pair in pairs:
            beside = Table(title=f"{title}, similarity {pair.similarity:.4f}", show_lines=False, expand=True)
            for document in (pair.left, pair.right):
                beside.add_column(escape(_name(document)), ratio=1, overflow="fold")
            parts = shorten(compare_texts(pair.left.text, pair.right.text))
            beside.add_row(
                "".join(_rich(part.left, part.is_equal) for part in parts),
                "".join(_rich(part.right, part.is_equal) for part in parts),
            )
            console.print(beside)


def _name(document: ReadDocument) -> str:
    return f"{document.source}  {document.title or document.url}  {document.doc_id}"


def _rich(text: str, is_equal: bool) -> str:
    return escape(text) if is_equal or not text else f"[bold red]{escape(text)}[/]"


def dedup_preview_page(preview: DedupPreview) -> str:
    """The whole page as text."""
    changes = [el("li", f"{name}: {old} → {new}") for name, old, new in preview.changes]
    borders = [
        section(key, title.capitalize(), [_pair(pair) for pair in pairs])
        for key, title, pairs in _sides(preview)
        if pairs
    ]
    return bare_page(
        f"preview of {preview.node}, run {preview.run_id}",
        section("changes", "Changes", el("ul", changes) if changes else el("p", "None.")),
        section("documents", "Documents", table(_HEAD, _total(preview)), [el("p", note) for note in _notes(preview)]),
        *borders,
    )


def _pair(pair: BorderPair) -> Html:
    parts = shorten(compare_texts(pair.left.text, pair.right.text))
    sides = [[(part.left, part.is_equal) for part in parts], [(part.right, part.is_equal) for part in parts]]
    columns = [
        el("td", (_marked(*one) for one in side), style="vertical-align:top;width:50%;white-space:pre-wrap")
        for side in sides
    ]
    names = el("tr", (el("th", _name(document)) for document in (pair.left, pair.right)))
    body = el("table", el("thead", names), el("tbody", el("tr", columns)))
    return fold(join(el("b", f"{pair.similarity:.4f}"), f"  {_name(pair.left)}"), body, open_=True)


def _marked(text: str, is_equal: bool) -> Html | str:
    return text if is_equal or not text else el("mark", text)
