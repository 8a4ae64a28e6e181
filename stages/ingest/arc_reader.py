"""ARC files, the web archives before WARC (Internet Archive, 1996): versions 1.0 and 1.1, record by record.

A record is one line of blank-separated fields, ``Archive-length`` bytes and a line feed. There is no mark at which a
record begins, so a line counts as a header when it has an address, an IP number and a date in their places. Addresses
may hold blanks (``warcio/example-space-in-url.arc``), hence the fields are found by what they look like. Records are
handed on as WARC responses; for the 2008 crawl that exists in both forms they give the same pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stages.ingest.byte_stream import ByteStream
from stages.ingest.http_message import MAX_HEADER_BYTES, HttpError, parse_head
from stages.ingest.record import RAW_HEAD_BYTES, Failed
from stages.ingest.warc_reader import WarcRecord

ARC_MAGIC = b"filedesc:"
#: Address, IP number, date, then the media type first and the length last; version 2 puts five more fields between.
_HEADER = re.compile(rb"(\S.*) ([0-9.]{7,15}|[0-9a-fA-F:]{2,45}|-) (\d{8,20}) (\S.*?)?[ \t]*(\S+)[ \t]*\r?\n?\Z")


def read_arc(stream: ByteStream, max_record_bytes: int) -> Iterator[WarcRecord | Failed]:
    """Every record of a file, and one :class:`Failed` for every region that holds none."""
    index = 0
    while True:
        stream.skip_bytes_in(b"\r\n")
        offset = stream.seekable_offset()
        if not stream.peek(1) and stream.damage is None:
            return
        item = _read_record(stream, index, offset, max_record_bytes)
        yield item
        index += 1
        if stream.damage is not None:
            if not isinstance(item, Failed):
                continue  # the record was whole; what is lost behind it is booked on its own
            if not stream.recover(b""):
                return


def _read_record(stream: ByteStream, index: int, offset: int, max_record_bytes: int) -> WarcRecord | Failed:
    if stream.damage is not None:
        return Failed(index, offset, "broken_compression", f"{stream.damage}; fetch the file again", b"")
    line = stream.read_line(MAX_HEADER_BYTES)
    found = _HEADER.match(line)
    if found is None:
        raw = line[:RAW_HEAD_BYTES] + _skip_to_header(stream)
        return Failed(index, offset, "not_a_record", "no ARC record begins here; skipped to the next record", raw)
    url, _, date, media_type, length_text = (part.decode("utf-8", "replace") for part in found.groups(b""))
    if not (length_text.isascii() and length_text.isdigit()):
        raw = line + _skip_to_header(stream)
        error = f"{url}: the record has no valid length ({length_text!r}); it was skipped"
        return Failed(index, offset, "bad_arc_header", error, raw)
    length = int(length_text)
    if length > stream.most_remaining():
        content = _skip_to_header(stream, max_record_bytes)
        if not _is_whole_answer(content):
            error = f"{url}: length {length} is more than the file holds; the file is cut here, or the length is wrong"
            return Failed(index, offset, "truncated_record", error, (line + content)[:RAW_HEAD_BYTES])
        return WarcRecord(index, offset, _warc_headers(url, date, media_type), content, len(content), False)
    too_large = length > max_record_bytes
    content = stream.read(min(length, MAX_HEADER_BYTES) if too_large else length)
    num_read = len(content) + (stream.skip(length - len(content)) if too_large else 0)
    if num_read < length:
        cause = stream.damage or "the file ends"
        error = f"{url}: {cause} after {num_read} of {length} bytes of the record; fetch the file again"
        return Failed(index, offset, "truncated_record", error, line + content)
    if not _is_delimited(stream):
        _skip_to_header(stream)
        error = f"{url}: length {length} does not end where the record does; the record cannot be trusted"
        return Failed(index, offset, "wrong_length", error, line + content)
    return WarcRecord(index, offset, _warc_headers(url, date, media_type), content, length, too_large)


def _warc_headers(url: str, date: str, media_type: str) -> dict[str, str]:
    return {
        "warc-type": "warcinfo" if url.startswith("filedesc:") else "response",
        "warc-target-uri": url,
        "warc-date": date,
        "warc-identified-payload-type": media_type.partition(" ")[0].partition(";")[0].lower(),
    }


def _is_whole_answer(content: bytes) -> bool:
    """Whether all of an answer is here by its own ``Content-Length``, so that the length of the record is wrong and
    nothing is cut; as in files whose line ends a tool has changed (``warcio/example-space-in-url.arc``)."""
    try:
        head = parse_head(content)
    except HttpError:
        return False
    length = head.headers.get("content-length", "")
    return length.isascii() and length.isdigit() and 0 < int(length[:18]) <= len(content) - head.body_start


def _is_delimited(stream: ByteStream) -> bool:
    """Whether the line feed behind a record, the end of the file, or a line that looks like a header, follows."""
    following = stream.peek(MAX_HEADER_BYTES)
    return following[:1] in (b"", b"\n", b"\r") or _HEADER.match(following.partition(b"\n")[0]) is not None


def _skip_to_header(stream: ByteStream, max_bytes: int = RAW_HEAD_BYTES) -> bytes:
    """Pass over lines until one looks like a header; returns the first ``max_bytes`` (to the end of a line) passed."""
    head: list[bytes] = []
    num_bytes = 0
    while line := stream.read_line(MAX_HEADER_BYTES):
        if _HEADER.match(line):
            stream.unread(line)
            break
        if num_bytes < max_bytes:
            head.append(line)
            num_bytes += len(line)
    return b"".join(head)
