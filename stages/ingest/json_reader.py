"""JSON Lines (plain, gzip, zstd) and ``.json`` files that hold one array, mapped to documents by the card's fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from data_specs.pair import Side, join_pair
from stages.ingest.byte_stream import ByteStream
from stages.ingest.charset import UndecodableError, decode_file
from stages.ingest.extract import normal_language
from stages.ingest.line_reader import broken_compression, read_lines
from stages.ingest.options import IngestConfig, JsonFields
from stages.ingest.record import RAW_HEAD_BYTES, Draft, Dropped, Failed, Outcome

_MISSING = object()
_ARRAY_NAMES = (".json", ".json.gz", ".json.zst")


def read_json(
    stream: ByteStream, name: str, start: int, end: int | None, fields: JsonFields, config: IngestConfig
) -> Iterator[Outcome]:
    """Records of one file, or of the byte range [start, end) of one.

    ``record_index`` counts from the start of the range; ``record_offset`` is exact in a plain file and -1 in a
    compressed one and inside an array.
    """
    if name.lower().endswith(_ARRAY_NAMES):
        stream.skip_bytes_in(b" \t\r\n\xef\xbb\xbf")
        if fields.records is not None or stream.peek(1) == b"[":
            yield from _read_array(stream, name, fields, config)
            return
    yield from _read_lines(stream, name, start, end, fields, config)


def _read_lines(
    stream: ByteStream, name: str, start: int, end: int | None, fields: JsonFields, config: IngestConfig
) -> Iterator[Outcome]:
    index = 0
    while True:
        for line in read_lines(stream, start=start, end=end, max_bytes=config.max_record_bytes):
            if not line.data.strip():
                continue  # an empty line is no record
            offset = -1 if stream.compressed else line.position
            if line.num_bytes > config.max_record_bytes:
                error = f"the line has {line.num_bytes} bytes (limit max_record_bytes {config.max_record_bytes})"
                yield Failed(index, offset, "record_too_large", f"{name}: {error}", line.data)
            else:
                yield _line_draft(line.data, index, offset, f"{name}#{line.position}", name, fields, config)
            index += 1
        if stream.damage is None:
            return
        yield broken_compression(stream, name, index)
        index += 1
        # what is left of a cut line is no JSON and fails on its own; where members end with lines nothing is cut
        if not stream.recover(b""):
            return


def _line_draft(
    data: bytes, index: int, offset: int, place: str, name: str, fields: JsonFields, config: IngestConfig
) -> Outcome:
    try:
        record = _parse(data, fields.encoding, config)
    except UndecodableError as error:
        return Failed(index, offset, "bad_encoding", f"{name}: record {index}: {error}", data)
    except ValueError as error:
        return Failed(index, offset, "bad_json", f"{name}: record {index} is no JSON: {error}", data)
    return to_draft(record, index, offset, place, name, fields)


def _parse(data: bytes, encoding: str | None, config: IngestConfig) -> Any:
    """JSON value of ``data``. orjson does nearly all; what it refuses and Python reads (NaN, lone surrogates, other
    charsets) gets a second look."""
    if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            problem = error
    else:
        problem = None
    text = decode_file(data, encoding, config.max_bad_characters).text
    try:
        value = json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise (problem or error) from None
    return value


def _read_array(stream: ByteStream, name: str, fields: JsonFields, config: IngestConfig) -> Iterator[Outcome]:
    data = stream.read(config.max_json_bytes + 1)
    head = data[:RAW_HEAD_BYTES]
    if len(data) > config.max_json_bytes:
        error = f"the file has more than {config.max_json_bytes} bytes (limit max_json_bytes); convert it to JSON Lines"
        yield Failed(0, 0, "record_too_large", f"{name}: {error}", head)
        return
    if stream.damage is not None:
        yield Failed(0, 0, "broken_compression", f"{name}: {stream.damage}; fetch the file again", head)
        return
    try:
        value = _parse(data, fields.encoding, config)
    except UndecodableError as error:
        yield Failed(0, 0, "bad_encoding", f"{name}: {error}", head)
        return
    except ValueError as error:
        yield Failed(0, 0, "bad_json", f"{name} is no JSON: {error}", head)
        return
    del data
    records = [value] if fields.records is None else walk(value, fields.records)
    if records is None:
        error = f"{name}: nothing at records path {fields.records!r}; {_fields_there(value)}"
        yield Failed(0, 0, "missing_field", error, head)
        return
    index = 0
    for group in records:
        for record in group if isinstance(group, list) else [group]:
            yield to_draft(record, index, -1, f"{name}#{index}", name, fields)
            index += 1


def to_draft(record: Any, index: int, offset: int, place: str, name: str, fields: JsonFields) -> Outcome:
    """Document of a parsed record; ``place`` is its key where it has none of its own."""
    texts = []
    for path in fields.text_paths:
        value = pick(record, path)
        if value is _MISSING:
            error = f"{name}: record {index} has no field {path!r}; {_fields_there(record)}; correct fields.text"
            return Failed(index, offset, "missing_field", error, _raw(record))
        text = _as_text(value)
        if text is None:
            error = (
                f"{name}: record {index}: field {path!r} holds a {type(value).__name__}, not text; correct fields.text"
            )
            return Failed(index, offset, "wrong_type", error, _raw(record))
        texts.append(text)
    if not any(texts):
        return Dropped("empty_text")
    own_key = _scalar(pick(record, fields.id)) if fields.id else None
    metadata = {path: value for path in fields.metadata if (value := pick(record, path)) is not _MISSING}
    if fields.pair:
        try:
            sides = [Side(language, text) for language, text in zip(fields.pair, texts, strict=True)]
            joined, metadata["pair"] = join_pair(sides)
        except ValueError:
            return Dropped("one_sided")
    else:
        joined = "\n\n".join(filter(None, texts))
    return Draft(
        key=own_key or place,
        record_index=index,
        record_offset=offset,
        text=joined,
        url=_scalar(pick(record, fields.url)) if fields.url else place,
        title=_scalar(pick(record, fields.title)) if fields.title else None,
        language=normal_language(_scalar(pick(record, fields.language))) if fields.language else None,
        metadata=metadata,
    )


def pick(record: Any, path: str) -> Any:
    """Value at a dotted path, or a marker that nothing is there. A key that holds dots itself is found first."""
    if isinstance(record, dict) and path in record:
        return record[path]
    for step in path.split("."):
        if isinstance(record, dict) and step in record:
            record = record[step]
        elif isinstance(record, list) and step.isdigit() and int(step) < len(record):
            record = record[int(step)]
        else:
            return _MISSING
    return record


def walk(value: Any, path: str) -> list[Any] | None:
    """All values at a path in which ``*`` stands for every element of a list or object; None when there are none."""
    found = [value]
    for step in path.split("."):
        following: list[Any] = []
        for item in found:
            if step == "*":
                following.extend(item if isinstance(item, list) else item.values() if isinstance(item, dict) else ())
            elif (part := pick(item, step)) is not _MISSING:
                following.append(part)
        found = following
    return found or None


def _as_text(value: Any) -> str | None:
    """Text of a field: a string, or a list of strings (the lines of a poem); None for anything else."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return None


def _scalar(value: Any) -> str | None:
    if value is _MISSING or value is None or isinstance(value, dict | list):
        return None
    return str(value) or None


def _fields_there(record: Any) -> str:
    if isinstance(record, dict):
        return f"it has {', '.join(map(repr, list(record)[:30]))}"
    if isinstance(record, list):
        return f"it is a list of {len(record)} elements (a number picks one)"
    return f"it is a {type(record).__name__}"


def _raw(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=True, default=str)[:RAW_HEAD_BYTES].encode()
