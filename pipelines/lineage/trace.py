"""`kaitian trace`: print the way of a training token back to its raw record, or of a document forward to its steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_specs.token_store import SPLITS
from pipelines.inspect.explain import describe_edit, sidecar_lines
from pipelines.lineage.ancestry import Ancestry
from pipelines.lineage.backward import BatchRow, TokenOrigin, batch_row, rows_of_step, token_origin
from pipelines.lineage.forward import find_everywhere, first_document, horizon, segments_of_document, visits
from pipelines.lineage.raw_record import read_raw_record

#: Bytes of a raw record and characters of a text that are shown.
_SHOWN = 1200
_MAX_LISTED = 40
_AROUND_BYTES = 60


def print_step(console: Console, ancestry: Ancestry, step: int) -> None:
    """Components and pool rows of one step."""
    table = Table(title=f"step {step}{_when(ancestry, step)}", box=None)
    for column in ("row", "component", "pool row"):
        table.add_column(column, justify="left" if column == "component" else "right")
    for place, (component, row, first) in enumerate(rows_of_step(ancestry, step)):
        table.add_row(str(place), component, f"{row:,}" + (f" from id {first}" if first else ""))
    console.print(table)


def print_row(console: Console, ancestry: Ancestry, row: BatchRow) -> None:
    """The documents that one row is made of."""
    table = Table(
        title=f"step {row.step}{_when(ancestry, row.step)} row {row.place}: {row.component} pool row {row.pool_row:,}",
        box=None,
    )
    for column in ("ids", "doc_id", "tokens shard", "from token"):
        table.add_column(column, no_wrap=True)
    for segment in row.segments:
        ids = f"{segment.start}..{segment.start + segment.length - 1}"
        table.add_row(ids, segment.doc_id.hex(), segment.tokens_shard, f"{segment.token_offset:,}")
    console.print(table)


def print_token(console: Console, ancestry: Ancestry, origin: TokenOrigin) -> None:
    """Token, document, source card, edits, decisions, raw record."""
    index = origin.index
    shown = "end of document or padding" if origin.token is None else _spelled(origin.token)
    _line(
        console,
        "token",
        f"id {origin.token_id} {shown}, token {origin.token_in_document} of {index['length']} of document "
        f"{origin.segment.doc_id.hex()}",
    )
    if index["renderer"] not in ("plain", ""):
        spans = zip(index["masked_spans"][::2], index["masked_spans"][1::2], strict=True)
        learned = not any(first <= origin.token_in_document < stop for first, stop in spans)
        said = "a target of the loss" if learned else "no target of the loss"
        _line(console, "laid out", f"by {index['renderer']}, sequence {index['part']} of the document; {said}")
    if origin.text_bytes is not None:
        before = ""
        if origin.base_bytes is not None and origin.base_bytes != origin.text_bytes:
            before = f" ({origin.base_bytes[0]}..{origin.base_bytes[1]} before anything was cut from it)"
        _line(console, "text", f"bytes {origin.text_bytes[0]}..{origin.text_bytes[1]}{before}: {_around(origin)}")
    print_document(console, ancestry, origin.segment.doc_id)


def print_document(console: Console, ancestry: Ancestry, doc_id: bytes) -> None:
    """Source card, every step of the line, raw record."""
    document = first_document(ancestry, doc_id.hex())
    source = ancestry.source_of(document)
    card = source["card"]
    _line(
        console,
        "source",
        f"{card['name']} ({card['format']}), domain {card['domain']}, languages {', '.join(card['languages'])}, "
        f"licence {card['licence']}, origin {card['origin']}" + (f"; {card['notes'].strip()}" if card["notes"] else ""),
    )
    for node, sentence in history(ancestry, doc_id):
        _line(console, node, sentence)
    raw = read_raw_record(source, document, ancestry.ingest_config(source))
    same = raw.doc_id == doc_id and raw.text == document["text"]
    proof = "it gives this document again" if same else "IT GIVES ANOTHER DOCUMENT NOW: dump or reader has changed"
    _line(console, "raw record", f"{raw.path}: {raw.place}, {len(raw.data):,} bytes; {proof}")
    more = f"\n... {len(raw.data) - _SHOWN:,} bytes more" if len(raw.data) > _SHOWN else ""
    console.print(escape(raw.data[:_SHOWN].decode("utf-8", "replace")) + more, highlight=False, soft_wrap=True)


def history(ancestry: Ancestry, doc_id: bytes) -> Iterator[tuple[str, str]]:
    """(node, sentence) of what happened to a document before it became tokens: edits, signals, decisions, its side."""
    before: str | None = None
    places: set[tuple[str, int]] = set()
    found = {(node, place.key): place for node, place in find_everywhere(ancestry, doc_id.hex())}
    for short, artifact in ancestry.artifacts.items():
        node = ancestry.names[short]
        if artifact.kind == "documents":
            for (name, key), place in found.items():
                if name == node and key.startswith(short):
                    text = place.document["text"]
                    yield node, _found(place.document) if before is None else describe_edit(before, text)
                    before = text
                    places.add((key, place.row))
        elif artifact.kind in ("signals", "decisions", "split"):
            for key, row in sorted(places):
                for line in sidecar_lines(artifact, key, row, before or ""):
                    yield node, line


def print_forward(console: Console, ancestry: Ancestry, name: str, until: int | None) -> None:
    """In which steps a document was seen or will be."""
    num_steps = horizon(ancestry, until)
    doc_ids = {place.document["doc_id"] for _, place in find_everywhere(ancestry, name)}
    if not doc_ids:
        first_document(ancestry, name)  # says what to give instead
    for doc_id in sorted(doc_ids):
        print_document(console, ancestry, doc_id)
        made = visits(ancestry, doc_id, num_steps)
        if not made:
            _line(console, "steps", _why_never(ancestry, doc_id, num_steps))
            continue
        trained = ancestry.num_trained or 0
        steps = sorted({visit.step for visit in made})
        seen = [step for step in steps if step <= trained]
        _line(
            console,
            "steps",
            f"seen in {len(seen)} of the {trained:,} steps trained, to be seen in {len(steps) - len(seen)} of the "
            f"{max(0, num_steps - trained):,} after them",
        )
        for visit in made[:_MAX_LISTED]:
            part = visit.segment
            console.print(
                f"  step {visit.step:>7,}{_when(ancestry, visit.step)} row {visit.place} ids {part.start}.."
                f"{part.start + part.length - 1} ({visit.component} pool row {part.row:,})",
                highlight=False,
            )
        if len(made) > _MAX_LISTED:
            console.print(f"  ... {len(made) - _MAX_LISTED} rows more; narrow them with --until", highlight=False)


def _why_never(ancestry: Ancestry, doc_id: bytes, num_steps: int) -> str:
    for split in SPLITS:
        for component, segment in segments_of_document(ancestry, doc_id, split):
            if split == "validation":
                return f"never: it is held out (validation rows of {component}, from row {segment.row})"
            return f"in none of the first {num_steps:,}; component {component} row {segment.row} comes later"
    return "never: no pool holds it (see the decisions above)"


def trace_step(console: Console, ancestry: Ancestry, step: int, row: int | None, token: int | None) -> None:
    """A step, one row of it, or one token of that row."""
    if row is None:
        print_step(console, ancestry, step)
        return
    found = batch_row(ancestry, step, row)
    print_row(console, ancestry, found)
    if token is not None:
        print_token(console, ancestry, token_origin(ancestry, found, token))


def _when(ancestry: Ancestry, step: int) -> str:
    if ancestry.num_trained is None:
        return ""
    return " (seen)" if step <= ancestry.num_trained else " (to come)"


def _line(console: Console, label: str, text: str) -> None:
    console.print(f"[bold]{escape(label):<14}[/] {escape(text)}", highlight=False, soft_wrap=True)


def _spelled(token: bytes) -> str:
    """As text, or as bytes where the token is part of a character."""
    try:
        return repr(token.decode())
    except UnicodeDecodeError:
        return repr(token)


def _around(origin: TokenOrigin) -> str:
    """The characters that the token spells, or is part of, in their text, between brackets."""
    assert origin.text_bytes is not None
    first, last = origin.text_bytes
    data = origin.document["text"].encode()
    while first and data[first] & 0xC0 == 0x80:  # inside a character
        first -= 1
    while last < len(data) and data[last] & 0xC0 == 0x80:
        last += 1
    parts = data[max(0, first - _AROUND_BYTES) : first], data[first:last], data[last : last + _AROUND_BYTES]
    left, middle, right = (" ".join(part.decode("utf-8", "ignore").split("\n")) for part in parts)
    return f"{left}⟦{middle}⟧{right}"


def _found(document: dict[str, Any]) -> str:
    text = document["text"]
    where = f"record {document['record_index']} of file {document['file_index']}"
    return f"url {document['url']} {where}; {len(text):,} characters: {' '.join(text[:200].split())!r}"
