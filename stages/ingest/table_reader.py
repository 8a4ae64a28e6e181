"""Tables as documents: CSV and TSV (RFC 4180) row by row, and Parquet batch by batch.

A row becomes a record whose fields are the columns' names; from there on the card's ``fields`` work as for JSON. Rows
of a text table are framed here rather than by Python's ``csv`` reader: that one swallows everything behind a quote
that is never closed. Here such a row fails alone, and the next line begins a new row.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

from stages.ingest.byte_stream import ByteStream
from stages.ingest.charset import UndecodableError
from stages.ingest.json_reader import to_draft
from stages.ingest.line_charset import decode_line, sampled_charset
from stages.ingest.line_reader import Line, broken_compression, read_lines, resume_lines
from stages.ingest.options import CsvFields, IngestConfig, JsonFields, ParquetFields
from stages.ingest.record import RAW_HEAD_BYTES, Failed, Outcome

_QUOTE = b'"'
#: Lines that one quoted cell may hold.
_MAX_ROW_LINES = 2000
#: Rows of a Parquet file that become Python objects at once.
_BATCH_ROWS = 256


def read_csv(stream: ByteStream, name: str, fields: CsvFields, config: IngestConfig) -> Iterator[Outcome]:
    """Records of a CSV or TSV file. ``record_index`` counts rows under the header, which is no record itself."""
    charset = fields.encoding or sampled_charset(stream, config)
    if charset.startswith(("utf-16", "utf-32")):
        error = f"{name}: lines cannot be told apart in {charset}; convert the file to UTF-8"
        yield Failed(0, 0, "bad_encoding", error, stream.peek(RAW_HEAD_BYTES))
        return
    delimiter = fields.delimiter or ("\t" if ".tsv" in name.lower() else ",")
    columns = list(fields.columns) if fields.columns is not None else None
    index = 0
    while True:
        rows = _Rows(stream, delimiter, fields.quote, config.max_record_bytes)
        rows.num_columns = None if columns is None else len(columns)
        for line in rows:
            offset = -1 if stream.compressed else line.position
            cells = _line_cells(line, index, offset, name, rows, charset, fields, config)
            if isinstance(cells, Failed):
                yield cells
                index += 1
            elif columns is None:
                columns = [column.strip() for column in cells]
                if missing := _missing(fields.text_paths, columns):
                    yield _no_column(missing, columns, name, line.data)
                    return
                rows.num_columns = len(columns)
            elif len(cells) != len(columns):
                cause = f"row {index} has {len(cells)} cells and the table {len(columns)} columns"
                remedy = f"quote cells that hold {delimiter!r}"
                yield Failed(index, offset, "wrong_columns", f"{name}: {cause}; {remedy}", line.data)
                index += 1
            else:
                record = dict(zip(columns, cells, strict=True))
                yield to_draft(record, index, offset, f"{name}#{line.position}", name, fields)
                index += 1
        if stream.damage is None:
            return
        yield broken_compression(stream, name, index)
        index += 1
        if not resume_lines(stream):
            return


def _line_cells(
    line: Line, index: int, offset: int, name: str, rows: _Rows, charset: str, fields: CsvFields, config: IngestConfig
) -> list[str] | Failed:
    """Cells of one framed row, or why there are none."""
    if line.num_bytes > config.max_record_bytes:
        error = f"the row has {line.num_bytes} bytes (limit max_record_bytes {config.max_record_bytes})"
        return Failed(index, offset, "record_too_large", f"{name}: {error}", line.data)
    try:
        return rows.cells(decode_line(line.data.removesuffix(b"\r"), charset, fields.encoding is not None, config))
    except UndecodableError as error:
        return Failed(index, offset, "bad_encoding", f"{name}: row {index}: {error}", line.data)
    except csv.Error as error:
        cause = f"{name}: row {index}: {error}; correct its quotes"
        return Failed(index, offset, "bad_row", cause, line.data[:RAW_HEAD_BYTES])


def read_parquet(handle: BinaryIO, name: str, fields: ParquetFields, config: IngestConfig) -> Iterator[Outcome]:
    """Records of a Parquet file; only the columns that the card names are read. ``record_index`` is the row.

    A damaged row group costs its own rows, from the damage on, as one failure.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    broken = (pa.ArrowException, OSError, UnicodeDecodeError)
    index = 0
    try:
        with pq.ParquetFile(handle, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            if missing := _missing(fields.text_paths, names):
                yield _no_column(missing, names, name, b"")
                return
            wanted = [column for column in names if column in _columns(fields)]
            first = 0
            for group in range(file.num_row_groups):
                index, first = first, first + file.metadata.row_group(group).num_rows
                try:
                    for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=wanted):
                        for record in batch.to_pylist():
                            yield _bounded_draft(record, index, name, fields, config)
                            index += 1
                except broken as error:
                    cause = (
                        f"{name}: rows {index} to {first - 1} (row group {group}) cannot be read ({_one_line(error)})"
                    )
                    yield Failed(index, -1, "broken_table", f"{cause}; fetch the file again", b"")
    except broken as error:
        cause = (
            f"{name}: the Parquet file is broken at or behind row {index} ({_one_line(error)}); fetch the file again"
        )
        yield Failed(index, -1, "broken_table", cause, b"")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _bounded_draft(record: Any, index: int, name: str, fields: JsonFields, config: IngestConfig) -> Outcome:
    num_characters = sum(len(value) for value in record.values() if isinstance(value, str))
    if num_characters > config.max_record_bytes:
        error = f"row {index} has {num_characters} characters (limit max_record_bytes {config.max_record_bytes})"
        return Failed(index, -1, "record_too_large", f"{name}: {error}", b"")
    return to_draft(record, index, -1, f"{name}#{index}", name, fields)


def _columns(fields: JsonFields) -> set[str]:
    """Columns in which the card's paths begin; a column may hold dots in its own name."""
    paths = [*fields.text_paths, fields.id, fields.url, fields.title, fields.language, *fields.metadata]
    return {root for path in paths if path for root in (path, path.partition(".")[0])}


def _missing(paths: tuple[str, ...], columns: list[str]) -> list[str]:
    return [path for path in paths if path not in columns and path.partition(".")[0] not in columns]


def _no_column(missing: list[str], columns: list[str], name: str, raw: bytes) -> Failed:
    error = f"{name} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, columns[:30]))}"
    return Failed(0, 0, "missing_column", f"{error}; correct fields.text, or give fields.columns", raw)


def _cells(row: str, delimiter: str, strict: bool = False) -> list[str]:
    """Cells of one framed row; a line feed inside is part of a quoted cell."""
    limit = csv.field_size_limit()
    if len(row) <= limit:
        return next(csv.reader([row], delimiter=delimiter, strict=strict), [])
    csv.field_size_limit(len(row))  # of the whole process, hence put back
    try:
        return next(csv.reader([row], delimiter=delimiter, strict=strict), [])
    finally:
        csv.field_size_limit(limit)


class _Rows:
    """Whole rows: a line, and those that follow while a quoted cell is open.

    A quote was a stray one, and its line is a row of its own, when the limit, :data:`_MAX_ROW_LINES` or the end of the
    file comes before it is closed, or when the row would not have as many cells as the table has columns.
    """

    def __init__(self, stream: ByteStream, delimiter: str, quote: str, max_bytes: int) -> None:
        self.num_columns: int | None = None  # of the table, once known
        self._lines = read_lines(stream, start=0, end=None, max_bytes=max_bytes)
        self._waiting: deque[Line] = deque()  # read ahead in vain
        self._delimiter = delimiter
        self._quote = quote
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[Line]:
        while (line := self._next()) is not None:
            if line.data.strip():  # an empty line is no row
                yield self._row(line)

    def cells(self, row: str) -> list[str]:
        """Cells of a framed row. Quotes that do not stand around a cell are characters, where the row then has its
        cells: ``"No" he said`` keeps them."""
        if not self._quote:
            return row.split(self._delimiter)
        try:
            return _cells(row, self._delimiter, strict=True)
        except csv.Error:
            literal = row.split(self._delimiter)
            return literal if len(literal) == self.num_columns else _cells(row, self._delimiter)

    def _next(self) -> Line | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)

    def _row(self, line: Line) -> Line:
        delimiter = self._delimiter.encode()
        if not self._quote or line.num_bytes > self._max_bytes or not _is_open(line.data, False, delimiter):
            return line
        joined, num_bytes, is_open = [line], line.num_bytes, True
        while is_open and len(joined) < _MAX_ROW_LINES and (following := self._next()) is not None:
            joined.append(following)
            num_bytes += following.num_bytes + 1
            if num_bytes > self._max_bytes:
                break
            is_open = _is_open(following.data, True, delimiter)
        row = b"\n".join(part.data for part in joined)
        if is_open or not self._is_sound(row):
            self._waiting.extendleft(reversed(joined[1:]))
            return line
        return Line(line.position, row, num_bytes)

    def _is_sound(self, row: bytes) -> bool:
        """Whether quotes end where cells do, and there are as many cells as columns."""
        try:
            # delimiters and quotes are single bytes in every charset that rows can be told apart in
            num_cells = len(_cells(row.decode("latin-1"), self._delimiter, strict=True))
        except csv.Error:
            return False
        return self.num_columns in (None, num_cells)


def _is_open(line: bytes, is_open: bool, delimiter: bytes) -> bool:
    """Whether a quoted cell is open at the end of ``line``, which began inside one or not.

    A quote opens a cell at its very beginning only; inside an unquoted cell it is a character.
    """
    at = 0
    if not is_open and _QUOTE not in line:
        return False
    while True:
        if not is_open:
            if not line.startswith(_QUOTE, at):
                at = line.find(delimiter, at)
                if at < 0:
                    return False
                at += 1
                continue
            at += 1
        end = line.find(_QUOTE, at)
        while end >= 0 and line.startswith(_QUOTE, end + 1):  # a doubled quote is a quote
            end = line.find(_QUOTE, end + 2)
        if end < 0:
            return True
        is_open = False
        at = line.find(delimiter, end + 1)
        if at < 0:
            return False
        at += 1
