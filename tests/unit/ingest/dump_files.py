"""Builds small dumps byte by byte, so that a test can say exactly what is wrong with one."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.manifest import Artifact
from data_specs.source import Source, SourceCard, SourceFile
from tests.stage_harness import Bench

PARAGRAPH = "The harbour town wakes early, and the boats leave before the sun has cleared the hills. " * 4


def html_page(body: str = PARAGRAPH, title: str = "A page", head: str = "", language: str = "en") -> bytes:
    """A page whose main text is ``body``."""
    return (
        f'<!doctype html><html lang="{language}"><head><title>{title}</title>{head}</head>'
        f"<body><article><h1>{title}</h1><p>{body}</p></article></body></html>"
    ).encode()


def http_response(
    body: bytes,
    *,
    status: str = "200 OK",
    headers: Mapping[str, str] | None = None,
    media_type: str | None = "text/html",
) -> bytes:
    """An HTTP/1.1 message."""
    lines = [f"HTTP/1.1 {status}"]
    if media_type is not None:
        lines.append(f"Content-Type: {media_type}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def warc_record(
    content: bytes, *, url: str = "http://a.example/", type: str = "response", length: int | str | None = None
) -> bytes:
    """One record with the separator behind it; ``length`` overrides the true Content-Length."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {type}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n"
        f"Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n\r\n"


def page_record(number: int, **response: Any) -> bytes:
    """A response record with a page that says its number."""
    body = html_page(f"This is page number {number}. {PARAGRAPH}", title=f"Page {number}")
    return warc_record(http_response(body, **response), url=f"http://a.example/{number}")


def gzip_members(records: Iterable[bytes]) -> bytes:
    """Each record as a gzip member of its own, as the standard recommends."""
    return b"".join(gzip.compress(record, mtime=0) for record in records)


def make_source(folder: Path, files: Mapping[str, bytes], *, format: str, name: str = "src", **card: Any) -> Source:
    """Write ``files`` and list them as a source."""
    values: dict[str, Any] = {
        "origin": "made by a test",
        "licence": "none",
        "languages": ("en",),
        "domain": "web",
        "paths": ("*",),
        **card,
    }
    listed = []
    for file_name, data in sorted(files.items()):
        path = folder / name / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        listed.append(SourceFile(file_name, str(path), len(data), hashlib.sha256(data).hexdigest()))
    return Source(SourceCard(name=name, format=format, **values), tuple(listed))


def ingest(folder: Path, *sources: Source, **config: Any) -> Artifact:
    """Run the stage with all checks of the runner."""
    return Bench(folder / "bench").run("ingest", config, {"sources": sources})


def rows(artifact: Artifact, port: str = "documents") -> list[dict[str, Any]]:
    """All rows of a port, in order."""
    tables = [pq.read_table(artifact.shard_path(shard)) for shard in artifact.shards(port)]
    return pa.concat_tables(tables).to_pylist() if tables else []


def books(artifact: Artifact, unit: str = "record") -> dict[str, int]:
    """Counts of one unit as {"in": 3, "dropped(not_200)": 1, ...}."""
    return {
        f"{entry.outcome}({entry.reason})" if entry.reason else entry.outcome: count
        for entry, (count, _) in artifact.manifest.ledger.items()
        if entry.unit == unit
    }


def zip_file(members: Mapping[str, bytes]) -> bytes:
    """A zip archive, which is what a WACZ package is, too."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()
