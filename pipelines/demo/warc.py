"""Write WARC/1.1 files (ISO 28500:2017), one gzip member per record, with bytes that follow from the input alone.

Dates, record ids and addresses are fixed functions of the record, so the same seed gives the same file.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(2024, 3, 1, tzinfo=UTC)
_NAMESPACE = uuid.UUID("6b61-6974-6961-6e00-0000-64656d6f0000".replace("-", ""))
_BREAK = b"\r\n"


def _sha1(data: bytes) -> str:
    """Digest as crawlers write it: base 32, for identification only."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


class WarcFile:
    """Collects the records of one ``.warc.gz`` and writes them at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._members: list[bytes] = []
        self.num_records: dict[str, int] = {}
        fields = "software: kaitian demo\r\nformat: WARC File Format 1.1\r\nrobots: classic\r\n"
        self.add("warcinfo", "", "application/warc-fields", fields.encode(), [("WARC-Filename", name)])

    def add(self, kind: str, url: str, content_type: str, block: bytes, more: Sequence[tuple[str, str]] = ()) -> str:
        """Append a record; returns its id."""
        serial = len(self._members)
        record_id = f"<urn:uuid:{uuid.uuid5(_NAMESPACE, f'{self._name} {serial} {kind} {url}')}>"
        date = (_EPOCH + timedelta(seconds=serial)).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = [("WARC-Type", kind), ("WARC-Record-ID", record_id), ("WARC-Date", date)]
        if url:
            fields.append(("WARC-Target-URI", url))
        fields += [*more, ("WARC-Block-Digest", _sha1(block)), ("Content-Type", content_type)]
        fields.append(("Content-Length", str(len(block))))
        head = _BREAK.join(f"{name}: {value}".encode() for name, value in fields)
        record = b"WARC/1.1\r\n" + head + _BREAK + _BREAK + block + _BREAK + _BREAK
        self._members.append(_gzip(record))
        self.num_records[kind] = self.num_records.get(kind, 0) + 1
        return record_id

    def add_response(self, url: str, body: bytes, *, status: str, content_type: str, encoding: str = "") -> None:
        """Append an HTTP response; ``encoding`` is "", "gzip" (content) or "chunked" (transfer)."""
        fields = [f"HTTP/1.1 {status}", "Server: demo", f"Content-Type: {content_type}"]
        if status.startswith("301"):
            fields.append(f"Location: {url}/")
        sent = body
        if encoding == "gzip":
            sent = _gzip(body)
            fields.append("Content-Encoding: gzip")
        if encoding == "chunked":
            sent = _chunked(body)
            fields.append("Transfer-Encoding: chunked")
        else:
            fields.append(f"Content-Length: {len(sent)}")
        block = _BREAK.join(field.encode() for field in fields) + _BREAK + _BREAK + sent
        more = [("WARC-IP-Address", "192.0.2.17"), ("WARC-Payload-Digest", _sha1(sent))]
        self.add("response", url, "application/http; msgtype=response", block, more)

    def add_request(self, url: str) -> None:
        """Append the request that a crawler would have sent."""
        host, _, path = url.removeprefix("https://").partition("/")
        block = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: demo\r\nAccept: text/html\r\n\r\n".encode()
        self.add("request", url, "application/http; msgtype=request", block)

    def add_metadata(self, url: str) -> None:
        """Append a metadata record as crawlers attach them to a page."""
        self.add("metadata", url, "application/warc-fields", b"fetchTimeMs: 42\r\nhopsFromSeed: L\r\n")

    def add_revisit(self, url: str) -> None:
        """Append a revisit: the server said that the page has not changed."""
        more = [("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/server-not-modified")]
        block = b"HTTP/1.1 304 Not Modified\r\nServer: demo\r\n\r\n"
        self.add("revisit", url, "application/http; msgtype=response", block, more)

    def write(self, folder: Path, *, cut_last_member: bool = False) -> None:
        """Write the file; ``cut_last_member`` ends it in the middle of the last record, as an aborted copy does."""
        members = self._members
        if cut_last_member:
            members = [*members[:-1], members[-1][: len(members[-1]) // 2]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self._name).write_bytes(b"".join(members))


def _gzip(data: bytes) -> bytes:
    """One gzip member without name or time."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as handle:
        handle.write(data)
    return buffer.getvalue()


def _chunked(body: bytes, size: int = 1000) -> bytes:
    """HTTP/1.1 chunked transfer coding (RFC 9112 section 7.1)."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(chunk):x}\r\n".encode() + chunk + _BREAK for chunk in chunks) + b"0\r\n\r\n"
