"""Follow one document along the line of a run: raw record, edits, every decision, tokens, rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape

from data_specs import cuts
from data_specs.document import DOCUMENTS
from data_specs.errors import SpecError
from data_specs.manifest import Artifact
from pipelines.inspect.lookup import run_artifacts
from pipelines.store.row_index import find_rows, rows_at, text_key
from pipelines.store.store import Store

_EXCERPT_CHARACTERS = 300
_HEX_ID = 32
#: Characters shown around the first edit.
_EDIT_BEFORE, _EDIT_AFTER = 10, 30


@dataclass(frozen=True, slots=True)
class Found:
    """Where a document stands in a documents artifact."""

    key: str  # base shard
    row: int
    document: dict[str, Any]


def explain_document(console: Console, store: Store, run: dict[str, Any], name: str) -> None:
    """Print every step; raise when no node of the run knows the document."""
    steps = list(follow_document(store, run, name))
    if not steps:
        raise SpecError(
            f"run {run['id']} has no document {name!r}: give the 32 hex digits of a doc_id or the exact URL. Records "
            f"that could not be read have no document; look for them with `kaitian show {run['id']}:ingest`"
        )
    for node, line in steps:
        console.print(f"[bold]{escape(node):<14}[/] {escape(line)}", highlight=False, soft_wrap=True)


def follow_document(store: Store, run: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """(node, sentence) of every step that touched the document, in line order."""
    artifacts = run_artifacts(store, run)
    doc_ids: set[bytes] = set()
    places: dict[tuple[str, int], dict[str, Any]] = {}
    texts: dict[bytes, str] = {}
    for node, artifact in artifacts.items():
        if artifact.kind == "documents":
            for found in find_document(store, artifact, name):
                doc_ids.add(found.document["doc_id"])
                places[(found.key, found.row)] = found.document
                yield node, _describe(found.document, store, run, node)
                before = texts.get(found.document["doc_id"])
                if before is not None:
                    yield node, describe_edit(before, found.document["text"])
                texts[found.document["doc_id"]] = found.document["text"]
        elif artifact.kind in ("decisions", "signals", "split"):
            for (key, row), document in places.items():
                label = f"{document['doc_id'].hex()[:8]} " if len(doc_ids) > 1 else ""
                for line in sidecar_lines(artifact, key, row, document["text"]):
                    yield node, label + line
        elif doc_ids and artifact.kind in ("tokens", "pools"):
            for line in _table_lines(artifact, doc_ids):
                yield node, line


def find_document(store: Store, artifact: Artifact, name: str) -> Iterator[Found]:
    """Rows of a documents artifact whose doc_id (hex) or URL is ``name``, by its index."""
    is_id = _is_hex_id(name)
    column, key = ("doc_id", bytes.fromhex(name)) if is_id else ("url", text_key(name))
    shards = artifact.shards("documents")
    paths = [artifact.shard_path(shard) for shard in shards]
    for shard, row in find_rows(store, artifact, paths, column, key):
        (document,) = rows_at(paths[shard], [row], DOCUMENTS.names)
        if is_id or document["url"] == name:  # two URLs may share a hash
            yield Found(artifact.shard_key(shards[shard]), row, document)


def describe_edit(before: str, after: str) -> str:
    """What a node changed, by the first place where the texts part."""
    if before == after:
        return f"text unchanged, {len(after):,} characters"
    pairs = enumerate(zip(before, after, strict=False))
    place = next((i for i, (old, new) in pairs if old != new), min(len(before), len(after)))
    old, new = (text[max(0, place - _EDIT_BEFORE) : place + _EDIT_AFTER] for text in (before, after))
    return f"edited: {len(before):,} -> {len(after):,} characters; first at {place:,}: {old!r} -> {new!r}"


def _is_hex_id(name: str) -> bool:
    return len(name) == _HEX_ID and all(character in "0123456789abcdef" for character in name.lower())


def _describe(document: dict[str, Any], store: Store, run: dict[str, Any], node: str) -> str:
    origin = ""
    for digests in run["nodes"][node]["payload"]["inputs"].values():
        for digest in digests:
            record = store.source_record(str(digest))
            if record is not None and record["card"]["name"] == document["source"]:
                raw = record["files"][document["file_index"]]["path"]
                origin = f" record {document['record_index']} of {raw}"
                if document["record_offset"] >= 0:
                    origin += f" (byte {document['record_offset']})"
    text = document["text"]
    excerpt = " ".join(text[:_EXCERPT_CHARACTERS].split())
    return (
        f"doc_id {document['doc_id'].hex()} source {document['source']} domain {document['domain']} language "
        f"{document['language']} url {document['url']}{origin}; {len(text):,} characters: {excerpt!r}"
    )


def sidecar_lines(artifact: Artifact, key: str, row: int, text: str) -> Iterator[str]:
    """What a sidecar says about a row, then every span that it cuts from the base ``text``; nothing when the artifact
    is about other shards."""
    values = _sidecar_row(artifact, artifact.kind, key, row)
    if values is None:
        return
    if artifact.kind == "decisions":
        yield _decision(values)
    elif artifact.kind == "split":
        if values["is_validation"] is None:
            yield "not in the view any more"
        else:
            yield "validation" if values["is_validation"] else "train"
    else:
        shown = {name: value for name, value in values.items() if value is not None}
        yield "; ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
        )
    spans = _sidecar_row(artifact, cuts.PORT, key, row) or {}
    data = text.encode()
    for start, end, detail in zip(*(spans.get(name) or () for name in ("start", "end", "detail")), strict=True):
        first = len(data[:start].decode())
        span = data[start:end].decode()
        shown_part = " ".join(span[:_EXCERPT_CHARACTERS].split())
        yield f"CUT characters {first:,}-{first + len(span):,}: {shown_part!r}; {detail}"


def _sidecar_row(artifact: Artifact, port: str, key: str, row: int) -> dict[str, Any] | None:
    shard = next((s for s in artifact.shards(port) if s.of == key), None)
    if shard is None:
        return None
    return dict(pq.read_table(artifact.shard_path(shard)).slice(row, 1).to_pylist()[0])


def _decision(values: dict[str, Any]) -> str:
    if values["keep"] is None:
        return "not looked at: an earlier node had dropped it"
    if values["keep"]:
        return "kept"
    parts = [f"DROPPED: {values['reason']}"]
    if values["value"] is not None:
        parts.append(f"value {values['value']:.4g}")
    if values["limit"] is not None:
        parts.append(f"limit {values['limit']:.4g}")
    if values["detail"]:
        parts.append(f"kept instead: {values['detail']}" if _is_hex_id(values["detail"]) else values["detail"])
    return ", ".join(parts)


def _table_lines(artifact: Artifact, doc_ids: set[bytes]) -> Iterator[str]:
    """Where the tokens of the documents went."""
    port = "index" if artifact.kind == "tokens" else "segments"
    for shard in artifact.shards(port):
        table = pq.read_table(artifact.shard_path(shard))
        inside = pc.is_in(
            table.column("doc_id"), value_set=pa.array(sorted(doc_ids), type=table.schema.field("doc_id").type)
        )
        for values in table.filter(inside).to_pylist():
            values["doc_id"] = values["doc_id"].hex()
            where = json.dumps(values, ensure_ascii=False, default=str)
            yield f"{port}/{shard.name}: {where}"
