"""Two files that say the same in two languages become pair documents: line by line, as wholes, or by segment ids."""

from __future__ import annotations

from collections.abc import Iterator

from data_specs.pair import Side, join_pair
from stages.ingest.byte_stream import ByteStream, open_stream
from stages.ingest.charset import UndecodableError, decode_file
from stages.ingest.line_charset import decode_line, sampled_charset
from stages.ingest.line_reader import Line, read_lines
from stages.ingest.options import IngestConfig, PairFields
from stages.ingest.record import RAW_HEAD_BYTES, Draft, Dropped, Failed, Outcome
from stages.ingest.segment_reader import read_segment_pair


def read_file_pair(
    paths: tuple[str, str], names: tuple[str, str], fields: PairFields, config: IngestConfig
) -> Iterator[Outcome]:
    """Pairs of two files. ``record_index`` counts lines, ``record_offset`` is the place in the first file.

    Line by line, files of unequal length are one failure: which of their pairs are shifted nobody can tell.
    """
    if fields.split == "segments":
        yield from read_segment_pair(paths, names, fields, config)
        return
    if fields.split == "lines" and (error := _unequal(paths, names, config)):
        yield Failed(0, -1, "not_aligned", error, b"")
        return
    with open_stream(paths[0]) as (_, first), open_stream(paths[1]) as (_, second):
        reader = _PairReader((first, second), names, fields, config)
        yield from reader.lines() if fields.split == "lines" else reader.whole()


def _unequal(paths: tuple[str, str], names: tuple[str, str], config: IngestConfig) -> str | None:
    """Why the lines of two files are no pairs, or None. Damaged files are compared as far as they can be read."""
    counts = []
    for path in paths:
        with open_stream(path) as (_, stream):
            counts.append(sum(1 for _ in read_lines(stream, start=0, end=None, max_bytes=config.max_record_bytes)))
            if stream.damage is not None:
                return None  # the reader says so where it happens
    if counts[0] == counts[1]:
        return None
    return f"{names[0]} has {counts[0]} lines and {names[1]} {counts[1]}; align them, or say split: none"


class _PairReader:
    """Reads both sides in step."""

    def __init__(
        self, streams: tuple[ByteStream, ByteStream], names: tuple[str, str], fields: PairFields, config: IngestConfig
    ) -> None:
        self.streams, self.names, self.fields, self.config = streams, names, fields, config

    def whole(self) -> Iterator[Outcome]:
        """The two files as one document."""
        texts = []
        for stream, name in zip(self.streams, self.names, strict=True):
            data = stream.read(self.config.max_record_bytes + 1)
            if stream.damage is not None:
                yield self._failed(0, 0, "broken_compression", f"{name}: {stream.damage}; fetch the file again", data)
                return
            if len(data) > self.config.max_record_bytes:
                error = f"{name}: the file has more than {self.config.max_record_bytes} bytes (limit max_record_bytes)"
                yield self._failed(0, 0, "record_too_large", error, data)
                return
            try:
                texts.append(decode_file(data, self.fields.encoding, self.config.max_bad_characters).text)
            except UndecodableError as error:
                yield self._failed(0, 0, "bad_encoding", f"{name}: {error}", data)
                return
        yield self._pair(self.names[0], 0, 0, texts)

    def lines(self) -> Iterator[Outcome]:
        """The n-th lines of both files as documents."""
        charsets = [self.fields.encoding or sampled_charset(stream, self.config) for stream in self.streams]
        first, second = (
            read_lines(stream, start=0, end=None, max_bytes=self.config.max_record_bytes) for stream in self.streams
        )
        index = 0
        for lines in zip(first, second, strict=False):  # a damaged file may end before the other
            yield self._line_pair(index, lines, charsets)
            index += 1
        for stream, name in zip(self.streams, self.names, strict=True):
            if stream.damage is not None:
                error = f"{name}: {stream.damage}; what follows is lost, fetch the file again"
                yield self._failed(index, -1, "broken_compression", error, b"")

    def _line_pair(self, index: int, lines: tuple[Line, Line], charsets: list[str]) -> Outcome:
        offset = -1 if self.streams[0].compressed else lines[0].position
        texts = []
        for line, name, charset in zip(lines, self.names, charsets, strict=True):
            if line.num_bytes > self.config.max_record_bytes:
                error = f"the line has {line.num_bytes} bytes (limit max_record_bytes {self.config.max_record_bytes})"
                return self._failed(index, offset, "record_too_large", f"{name}: {error}", line.data)
            try:
                texts.append(decode_line(line.data, charset, self.fields.encoding is not None, self.config))
            except UndecodableError as error:
                return self._failed(index, offset, "bad_encoding", f"{name}: line {index + 1}: {error}", line.data)
        return self._pair(f"{self.names[0]}#{index}", index, offset, texts)

    def _pair(self, key: str, index: int, offset: int, texts: list[str]) -> Outcome:
        if not any(text.strip() for text in texts):
            return Dropped("empty_text")
        try:
            text, pair = join_pair([Side(lang, side) for lang, side in zip(self.fields.pair, texts, strict=True)])
        except ValueError:
            return Dropped("one_sided")
        metadata = {"pair": pair, "path": self.names[0], "partner": self.names[1]}
        return Draft(key, index, offset, text, url=key, metadata=metadata)

    def _failed(self, index: int, offset: int, reason: str, error: str, raw: bytes) -> Failed:
        return Failed(index, offset, reason, error, raw[:RAW_HEAD_BYTES])
