"""WARC files record by record (ISO 28500:2017), with every byte accounted for.

Why not the FastWARC iterator: it ends without a word at garbage, hands out cut records as whole ones, and stops at the
first broken gzip member. Here each lost region becomes one :class:`Failed`, reading goes on at the next record, and
what a record really is can be checked against what follows it. Against real pages the cost does not show: framing and
inflating run at over ten times the speed of text extraction. FastWARC is the reference in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stages.ingest.byte_stream import ByteStream
from stages.ingest.http_message import MAX_HEADER_BYTES
from stages.ingest.record import RAW_HEAD_BYTES, Failed

#: Record types whose content is read: answers of servers, and the text that Common Crawl made of them (WET files).
WANTED_TYPES = ("response", "conversion")
_VERSION = b"WARC/"
_SEPARATORS = b"\r\n"
_MAX_SEPARATOR_BYTES = 64
#: A record start inside content that was taken too long. What was cut may have ended anywhere in a line.
_INNER_RECORD = re.compile(rb"WARC/[01]\.\d{1,2}[ \t]*\r?\n(?=WARC-|Content-)", re.I)
_RUN_ON = re.compile(rb"WARC/[01]\.\d{1,2}[ \t]*\r?\n\Z", re.I)
#: Records up to this size are always read, so that a wrong length shows whatever their type.
_ALWAYS_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """One framed record."""

    record_index: int
    record_offset: int
    headers: dict[str, str]  # names in lower case
    content: bytes  # the block; only its first 64 KiB when ``too_large``, empty when nobody wants it
    content_length: int
    too_large: bool

    @property
    def type(self) -> str:
        return self.headers.get("warc-type", "").lower()

    @property
    def url(self) -> str:
        return self.headers.get("warc-target-uri", "").strip("<> \t")


def read_warc(stream: ByteStream, max_record_bytes: int) -> Iterator[WarcRecord | Failed]:
    """Every record of a file, and one :class:`Failed` for every region that holds none."""
    index = 0
    while True:
        stream.skip_bytes_in(_SEPARATORS)
        offset = stream.seekable_offset()
        start = stream.peek(len(_VERSION))
        if not start and stream.damage is None:
            return
        if start.upper() == _VERSION:
            item = _read_record(stream, index, offset, max_record_bytes)
        else:
            item = _read_garbage(stream, index, offset)
        yield item
        index += 1
        if stream.damage is not None:
            if not isinstance(item, Failed):
                continue  # the record was whole; what is lost behind it is booked on its own
            if not stream.recover(_VERSION):
                return


def _read_record(stream: ByteStream, index: int, offset: int, max_record_bytes: int) -> WarcRecord | Failed:
    header, headers = _read_headers(stream)
    length_text = headers.get("content-length", "")
    if not (length_text.isascii() and length_text.isdigit()):
        if not stream.peek(1) and not header.endswith((b"\n\r\n", b"\n\n")):
            error = f"{stream.damage or 'the file ends'} in the headers; fetch the file again"
            return Failed(index, offset, "truncated_record", error, header)
        garbage = header + _skip_to_record(stream)
        error = f"the record has no valid Content-Length ({length_text!r}); it was skipped"
        return Failed(index, offset, "bad_warc_header", error, garbage)
    length = int(length_text)
    if length > stream.most_remaining():
        garbage = header + _skip_to_record(stream)
        error = f"Content-Length {length} is more than the file holds; the file is cut here, or the length is wrong"
        return Failed(index, offset, "truncated_record", error, garbage)
    too_large = length > max_record_bytes
    is_wanted = headers.get("warc-type", "").lower() in WANTED_TYPES
    if too_large or (length > _ALWAYS_READ_BYTES and not is_wanted):
        content = stream.read(min(length, MAX_HEADER_BYTES)) if is_wanted else b""
        skipped = stream.skip(length - len(content))
        num_read = len(content) + skipped
    else:
        content = stream.read(length)
        num_read = len(content)
    if num_read < length:
        return _truncated(stream, index, offset, header, content, num_read, length)
    if not _is_delimited(stream):
        # followed by text that is no record: the length is wrong, so where the record ends is unknown
        is_near = _resume_inside(stream, content) or len(_skip_to_record(stream)) < RAW_HEAD_BYTES
        if is_wanted or not is_near:
            error = f"Content-Length {length} does not end where the record does; the record cannot be trusted"
            return Failed(index, offset, "wrong_length", error, header + content)
        # nobody reads a record of this type, and the next one is at hand: nothing is lost
    return WarcRecord(index, offset, headers, content if is_wanted else b"", length, too_large)


def _read_headers(stream: ByteStream) -> tuple[bytes, dict[str, str]]:
    """Raw header lines with the empty line that ends them, and the fields."""
    lines = []
    total = 0
    headers: dict[str, str] = {}
    name = ""
    while total < MAX_HEADER_BYTES:
        line = stream.read_line(MAX_HEADER_BYTES)
        if lines and (start := _run_on(line, stream)) is not None:
            # the header was cut, and the next record begins in the middle of its line
            stream.unread(line[start:])
            headers.pop("content-length", None)
            lines.append(line[:start])
            break
        total += len(line)
        lines.append(line)
        if not line.strip(_SEPARATORS):  # of two carriage returns, too: pywb/missing-status-text.warc
            break
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[:1] in (" ", "\t") and name:
            headers[name] = f"{headers[name]} {text.strip()}".strip()
            continue
        name, colon, value = text.partition(":")
        name = name.strip().lower() if colon else ""  # a line that is no field cannot be gone on with
        if name:
            headers.setdefault(name, value.strip())  # the first of a repeated field counts
    return b"".join(lines), headers


def _is_delimited(stream: ByteStream) -> bool:
    """Whether the separator, a record (perhaps cut in its first bytes) or the end of the file follows."""
    following = stream.peek(_MAX_SEPARATOR_BYTES)
    if following.startswith(b"\r\n\r\n"):
        return True
    following = following.lstrip(_SEPARATORS)
    return _VERSION.startswith(following[: len(_VERSION)].upper())


def _resume_inside(stream: ByteStream, content: bytes) -> bool:
    """Go on at a record that begins inside ``content``, which was taken too long; False when there is none."""
    inner = _INNER_RECORD.search(content + stream.peek(_MAX_SEPARATOR_BYTES))
    if inner is None or inner.start() >= len(content):
        return False
    stream.unread(content[inner.start() :])
    return True


def _truncated(
    stream: ByteStream, index: int, offset: int, header: bytes, content: bytes, num_read: int, length: int
) -> Failed:
    """The file ends, or is damaged, inside the record. A length far too long may have swallowed sound records."""
    raw = header + content
    cause = stream.damage or "the file ends"
    _resume_inside(stream, content)
    error = f"{cause} after {num_read} of {length} bytes of the record; fetch the file again"
    return Failed(index, offset, "truncated_record", error, raw)


def _read_garbage(stream: ByteStream, index: int, offset: int) -> Failed:
    """A region that belongs to no record, up to the next record or damage."""
    damage = stream.damage
    raw = _skip_to_record(stream)
    if damage is not None:
        return Failed(index, offset, "broken_compression", f"{damage}; fetch the file again", raw)
    return Failed(index, offset, "not_a_record", "no WARC record begins here; skipped to the next record", raw)


def _skip_to_record(stream: ByteStream) -> bytes:
    """Pass over lines until one starts a record; returns the first bytes passed."""
    head = b""
    at_line_start = True
    while not (at_line_start and stream.peek(len(_VERSION)) == _VERSION):
        line = stream.read_line(MAX_HEADER_BYTES)
        if not line:
            break
        if (start := _run_on(line, stream)) is not None:
            stream.unread(line[start:])
            return head + line[: max(0, min(start, RAW_HEAD_BYTES - len(head)))]
        if len(head) < RAW_HEAD_BYTES:
            head += line[:RAW_HEAD_BYTES]
        at_line_start = line.endswith(b"\n")
    return head


def _run_on(line: bytes, stream: ByteStream) -> int | None:
    """Where in ``line``, which was just taken, a record begins behind something else; None where none does."""
    found = _RUN_ON.search(line)
    follows = stream.peek(8).lower() if found is not None else b""
    return found.start() if found is not None and follows.startswith((b"warc-", b"content-")) else None
