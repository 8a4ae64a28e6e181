"""An archived HTTP response: status, headers, and the body as the server meant it.

Bodies are stored as they were sent: in chunks (RFC 9112, 7.1) and compressed (RFC 9110, 8.4), or already decoded while
the headers still claim otherwise, as some crawlers do. Decoding is bounded, so a page that inflates to gigabytes is a
failed record and not a dead worker.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from stages.ingest.zstd_decoder import ZstdDecoder

#: Bytes in which the headers of a response must end.
MAX_HEADER_BYTES = 64 << 10
#: Proxies and test servers call their protocol HTTPX and the like; the answer is one all the same.
_STATUS = re.compile(rb"[A-Z]{2,16}/\d(?:\.\d)?[ \t]+(\d{3})")
#: A tool that turns line feeds into CRLF once too often leaves two carriage returns.
_END_OF_HEADERS = re.compile(rb"\r{0,2}\n\r{0,2}\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.I)
_COPY_BYTES = 256 << 10


class HttpError(ValueError):
    """A response that does not obey HTTP; ``reason`` is the ledger's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status line and headers of a response."""

    status: int
    headers: dict[str, str]  # names in lower case; repeated headers joined by ", "
    body_start: int

    @property
    def media_type(self) -> str:
        """Lower case, without parameters; empty when the response does not say."""
        return self.headers.get("content-type", "").split(";")[0].split(",")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        found = _CHARSET.search(self.headers.get("content-type", ""))
        return found.group(1) if found else None


def parse_head(message: bytes) -> ResponseHead:
    """Parse the head of an HTTP response; raises :class:`HttpError` when it is none."""
    status = _STATUS.match(message)
    if status is None:
        raise HttpError("bad_http_header", "the record does not begin with an HTTP status line")
    end = _END_OF_HEADERS.search(message, 0, MAX_HEADER_BYTES)
    # a response without a body may end with its last header
    head = message[: end.start()] if end else message
    if end is None and len(message) >= MAX_HEADER_BYTES:
        raise HttpError("bad_http_header", f"the HTTP headers do not end within {MAX_HEADER_BYTES} bytes")
    headers: dict[str, str] = {}
    name = ""
    for line in head.split(b"\n")[1:]:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if text[:1] in (" ", "\t") and name:
            headers[name] += " " + text.strip()  # folded, as RFC 2616 allowed
            continue
        name, colon, value = text.partition(":")
        name = name.strip().lower() if colon else ""  # a line that is no field cannot be gone on with
        if name:
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return ResponseHead(int(status.group(1)), headers, end.end() if end else len(message))


def decode_body(head: ResponseHead, message: bytes, max_bytes: int) -> bytes:
    """Body with transfer and content coding undone, at most ``max_bytes``; raises :class:`HttpError`."""
    body = message[head.body_start :]
    if "chunked" in head.headers.get("transfer-encoding", "").lower():
        body = _join_chunks(body)
    codings = [name.strip().lower() for name in head.headers.get("content-encoding", "").split(",")]
    for coding in reversed(codings):
        body = _decompress(coding, body, max_bytes)
    if len(body) > max_bytes:
        raise HttpError("record_too_large", f"the page has {len(body)} bytes (limit {max_bytes})")
    return body


def _join_chunks(body: bytes) -> bytes:
    """Undo chunked transfer; a body that does not begin with a chunk was stored already joined."""
    parts: list[bytes] = []
    at = 0
    while (size_line := _CHUNK_SIZE.match(body, at)) is not None:
        size = int(size_line.group(1), 16)
        if size == 0:
            return b"".join(parts)
        start = size_line.end()
        chunk = body[start : start + size]
        parts.append(chunk)
        if len(chunk) < size:
            if len(parts) == 1:
                return body  # a page that happens to begin with a hexadecimal number
            raise HttpError("bad_chunked_body", f"chunk {len(parts)} promises {size} bytes, {len(chunk)} are there")
        at = start + size
        at += 2 if body.startswith(b"\r\n", at) else 1 if body.startswith(b"\n", at) else 0
    if not parts or at >= len(body):
        return b"".join(parts) if parts else body
    raise HttpError("bad_chunked_body", f"no chunk size at byte {at} of the body, behind {len(parts)} chunks")


def _decompress(coding: str, body: bytes, max_bytes: int) -> bytes:
    if not body or coding in ("", "identity", "none", "utf-8"):
        return body
    try:
        if coding in ("gzip", "x-gzip"):
            # without its magic the body was stored already inflated
            return _inflate(body, 31, max_bytes) if body.startswith(b"\x1f\x8b") else body
        if coding == "deflate":
            return _inflate_any(body, max_bytes)
        if coding == "br":
            from fastwarc.stream_io import BrotliReader

            reader = BrotliReader(io.BytesIO(body))
            return _collect(iter(lambda: reader.read(_COPY_BYTES), b""), max_bytes)
        if coding == "zstd":
            return _read_zstd(body, max_bytes)
    except HttpError:
        raise
    except Exception as error:
        if _looks_like_text(body):
            return body  # stored already decoded
        raise HttpError("bad_content_encoding", f"the body is no sound {coding}: {error}") from None
    raise HttpError("bad_content_encoding", f"unknown content encoding {coding!r}")


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    inflate = zlib.decompressobj(wbits=window_bits)
    text = inflate.decompress(body, max_bytes + 1)
    if len(text) > max_bytes:
        raise HttpError("record_too_large", f"the page inflates to more than {max_bytes} bytes")
    if not inflate.eof:
        raise zlib.error("it ends early")
    return text


def _inflate_any(body: bytes, max_bytes: int) -> bytes:
    """``deflate`` means a zlib stream; old servers send the bare stream (RFC 9110, 8.4.1.2)."""
    try:
        return _inflate(body, 15, max_bytes)
    except zlib.error:
        return _inflate(body, -15, max_bytes)


def _read_zstd(body: bytes, max_bytes: int) -> bytes:
    decoder = ZstdDecoder(io.BytesIO(body))
    text = _collect(iter(decoder.read_block, b""), max_bytes)
    if decoder.damage is not None:
        raise ValueError(decoder.damage)
    return text


def _collect(blocks: Iterable[bytes], max_bytes: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    for part in blocks:
        parts.append(part)
        total += len(part)
        if total > max_bytes:
            raise HttpError("record_too_large", f"the page inflates to more than {max_bytes} bytes")
    return b"".join(parts)


def _looks_like_text(body: bytes) -> bool:
    head = body[:256].lstrip()
    return head[:1] in (b"<", b"{") or (head.isascii() and head.decode("ascii").isprintable())
