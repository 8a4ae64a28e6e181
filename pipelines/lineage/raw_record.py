"""Read a document's raw record from the dump again, by its locator (file, record number, byte offset).

A WARC record and a JSON line are sought by their offset; where a format allows no seeking (a gzip file that is one
member, a tar archive) the file is read up to the record. Ingest's own readers frame the record and make its draft
again, so a reader sees at once whether the bytes that lie there still give the document.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import orjson

from data_specs.config import parse_config
from data_specs.document import make_doc_id
from data_specs.errors import DataError
from data_specs.source import Source, SourceCard, SourceFile
from data_specs.storage import open_file, status
from stages.ingest.archive_members import archive_members
from stages.ingest.byte_stream import ByteStream
from stages.ingest.charset import decode_file
from stages.ingest.json_reader import to_draft, walk
from stages.ingest.line_reader import read_lines
from stages.ingest.options import IngestConfig, JsonFields, card_fields
from stages.ingest.record import Draft, Outcome
from stages.ingest.stage import read_piece
from stages.ingest.units import Piece, whole_piece
from stages.ingest.warc_reader import WarcRecord, read_warc
from stages.ingest.web_page import page_draft

#: What no text shard can hold; ingest writes U+FFFD for it, and nothing for NUL.
_SURROGATES = re.compile("[\ud800-\udfff]")
#: Web archives under ``format: warc`` that are not framed as plain or gzip WARC.
_OTHER_ARCHIVES = (".arc", ".arc.gz", ".wacz", ".lz4", ".bz2")
_LINES = 1 << 62  # no limit on a line that ingest accepted


@dataclass(frozen=True, slots=True)
class RawRecord:
    """The bytes of one record and what ingest makes of them now."""

    file: str  # name in the source's listing
    path: str  # where it lies
    place: str  # how the record was found, for people
    data: bytes  # decoded (not compressed) bytes; the value as JSON for an element of a JSON array
    doc_id: bytes | None  # identity that the bytes give today; None when they give no document any more
    text: str | None  # the document's text as ingest would store it


class _FromOffset(io.RawIOBase):
    """A file as if it began at ``offset``: readers that start at the beginning then start there."""

    def __init__(self, handle: BinaryIO, offset: int) -> None:
        self._handle, self._offset = handle, offset
        handle.seek(offset)

    def read(self, size: int = -1, /) -> bytes:
        return self._handle.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        start = self._offset if whence == os.SEEK_SET else 0
        return self._handle.seek(position + start, whence) - self._offset

    def tell(self) -> int:
        return self._handle.tell() - self._offset


def read_raw_record(source: Mapping[str, Any], document: Mapping[str, Any], config: IngestConfig) -> RawRecord:
    """The raw record of ``document`` (a row of DOCUMENTS); ``source`` is what the store remembers of its dump.

    Raises :class:`DataError` when the file is gone or changed, or the record is not where the locator says.
    """
    card = parse_config(SourceCard, source["card"], f"source {source['card']['name']}")
    listed = source["files"][document["file_index"]]
    path, name = str(listed["path"]), str(listed["name"])
    try:
        num_bytes = status(path).num_bytes
    except OSError as error:
        raise DataError(
            f"source {card.name!r}: cannot read {path}: {error.strerror}; if the dump moved, put a link there"
        ) from None
    if num_bytes != listed["num_bytes"]:
        raise DataError(
            f"source {card.name!r}: {path} has {num_bytes} bytes, {listed['num_bytes']} when it was ingested; the raw "
            f"record cannot be trusted"
        )
    files = tuple(SourceFile(**file) for file in source["files"])
    piece = whole_piece(Source(card, files), document["file_index"], config)
    with open_file(path) as handle:
        index, offset = int(document["record_index"]), int(document["record_offset"])
        if card.format == "warc" and not name.lower().endswith(_OTHER_ARCHIVES):
            place, data, outcome = _warc_record(handle, index, offset, config)
        elif card.format == "jsonl":
            place, data, outcome = _json_record(handle, piece, card, index, offset, config)
        elif card.format != "files":
            place, data, outcome = _framed_record(piece, card, index, config)
        else:
            place, data, outcome = _file_record(handle, piece, card, document, config)
    draft = outcome if isinstance(outcome, Draft) else None
    return RawRecord(
        file=name,
        path=path,
        place=place,
        data=data,
        doc_id=make_doc_id(card.name, draft.key) if draft else None,
        text=_SURROGATES.sub("\ufffd", draft.text.replace("\0", "")) if draft else None,
    )


_Read = tuple[str, bytes, Outcome | None]


def _warc_record(handle: BinaryIO, index: int, offset: int, config: IngestConfig) -> _Read:
    """Framed twice: once to learn where the record ends, once to take its bytes, headers included."""
    start, wanted = max(0, offset), 0 if offset >= 0 else index
    stream = ByteStream(cast(BinaryIO, _FromOffset(handle, start)))
    begin = num_records = 0
    for number, record in enumerate(read_warc(stream, config.max_record_bytes)):
        if number == wanted:
            if not isinstance(record, WarcRecord):
                raise DataError(f"record {index}: no sound WARC record at byte {offset} any more ({record.error})")
            end = stream.position
            again = ByteStream(cast(BinaryIO, _FromOffset(handle, start)))
            again.skip(begin)
            data = again.read(end - begin).lstrip(b"\r\n")
            place = f"record {index}, " + (f"sought at byte {offset}" if offset >= 0 else "found by reading up to it")
            return place, data, page_draft(record, config)
        begin, num_records = stream.position, number + 1
    raise DataError(f"record {index}: the file holds {num_records} records only")


def _json_record(
    handle: BinaryIO, piece: Piece, card: SourceCard, index: int, offset: int, config: IngestConfig
) -> _Read:
    fields = card_fields(card)
    assert isinstance(fields, JsonFields)
    if offset >= 0:
        stream = ByteStream(cast(BinaryIO, _FromOffset(handle, offset)))
        data = stream.read_line(_LINES).rstrip(b"\n")
        key = f"{piece.name}#{offset}"
        value = _json_value(data, fields.encoding, config)
        return f"line at byte {offset}", data, to_draft(value, index, offset, key, piece.name, fields)
    stream = ByteStream(handle)
    if piece.name.lower().endswith((".json", ".json.gz", ".json.zst")):
        stream.skip_bytes_in(b" \t\r\n\xef\xbb\xbf")
        if fields.records is not None or stream.peek(1) == b"[":
            whole = _json_value(stream.read(config.max_json_bytes), fields.encoding, config)
            groups = [whole] if fields.records is None else walk(whole, fields.records) or []
            records = [record for group in groups for record in (group if isinstance(group, list) else [group])]
            if index >= len(records):
                raise DataError(f"{piece.path}: element {index} is not among its {len(records)} records")
            data = json.dumps(records[index], ensure_ascii=False).encode("utf-8", "surrogatepass")
            outcome = to_draft(records[index], index, -1, f"{piece.name}#{index}", piece.name, fields)
            return f"element {index} of the array, written as one line", data, outcome
    lines = (line for line in read_lines(stream, start=0, end=None, max_bytes=_LINES) if line.data.strip())
    for number, line in enumerate(lines):
        if number == index:
            value = _json_value(line.data, fields.encoding, config)
            key = f"{piece.name}#{line.position}"
            outcome = to_draft(value, index, -1, key, piece.name, fields)
            return f"line {index} of the decompressed file, found by reading up to it", line.data, outcome
    raise DataError(f"{piece.path}: it has no record {index}")


def _json_value(data: bytes, encoding: str | None, config: IngestConfig) -> Any:
    """As ingest reads it: orjson, and Python's reader for what that refuses."""
    if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    try:
        return json.loads(decode_file(data, encoding, config.max_bad_characters).text, strict=False)
    except ValueError as error:
        raise DataError(f"the bytes at the locator are no JSON any more: {error}") from None


def _framed_record(piece: Piece, card: SourceCard, index: int, config: IngestConfig) -> _Read:
    """Tables, catalogues, pairs and packed archives: what their own reader takes from the record, not its bytes."""
    for outcome in read_piece(piece, card, config):
        if isinstance(outcome, Draft) and outcome.record_index == index:
            return f"record {index}, as the {card.format} reader takes it", outcome.text.encode(), outcome
    raise DataError(f"{piece.path}: record {index} gives no document any more")


def _file_record(
    handle: BinaryIO, piece: Piece, card: SourceCard, document: Mapping[str, Any], config: IngestConfig
) -> _Read:
    """Text files and members of archives; ``split`` pieces are told by their number."""
    index = int(document["record_index"])
    metadata = json.loads(document["metadata"] or "{}")
    member = metadata.get("path") if "archive" in metadata else None
    outcome = next(
        (o for o in read_piece(piece, card, config) if isinstance(o, Draft) and o.record_index == index), None
    )
    if member is not None:
        return f"record {index}, member {member}", _member_bytes(handle, piece, str(member)), outcome
    return f"record {index} of the file", ByteStream(handle).read(config.max_record_bytes), outcome


def _member_bytes(handle: BinaryIO, piece: Piece, name: str) -> bytes:
    handle.seek(0)
    for member in archive_members(piece.name, handle, ByteStream(handle)):
        if member.name == name and member.refusal is None:
            return member.open().read()
    raise DataError(f"{piece.path}: it has no member {name}")
