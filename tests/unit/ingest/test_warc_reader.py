"""Framing: every byte of a WARC file is a record or one counted failure."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator

from stages.ingest.byte_stream import open_stream
from stages.ingest.record import Failed
from stages.ingest.warc_reader import WarcRecord, read_warc
from tests.unit.ingest.dump_files import gzip_members, page_record, warc_record

MAX = 32 << 20


def read(tmp_path: Path, data: bytes, max_record_bytes: int = MAX) -> list[WarcRecord | Failed]:
    path = tmp_path / "x.warc"
    path.write_bytes(data)
    with open_stream(path) as (_, stream):
        return list(read_warc(stream, max_record_bytes))


def outline(items: list[WarcRecord | Failed]) -> list[str]:
    """URL of each record, reason of each failure."""
    return [item.reason if isinstance(item, Failed) else item.url.rpartition("/")[2] for item in items]


RECORDS = [page_record(number) for number in range(5)]


@pytest.mark.parametrize("is_gzip", [False, True])
def test_sound_files_give_every_record_with_a_seekable_offset(tmp_path: Path, is_gzip: bool) -> None:
    data = gzip_members(RECORDS) if is_gzip else b"".join(RECORDS)
    items = read(tmp_path, data)
    assert outline(items) == ["0", "1", "2", "3", "4"]
    assert [item.record_index for item in items] == [0, 1, 2, 3, 4]
    for item in items:
        rest = data[item.record_offset :]
        (first, *_) = read(tmp_path, rest)
        assert first.headers == item.headers


@pytest.mark.parametrize("is_gzip", [False, True])
def test_framing_equals_fastwarc_on_sound_files(tmp_path: Path, is_gzip: bool) -> None:
    data = gzip_members(RECORDS) if is_gzip else b"".join(RECORDS)
    path = tmp_path / "y.warc"
    path.write_bytes(data)
    with path.open("rb") as handle:
        expected = [(r.stream_pos, r.reader.read()) for r in ArchiveIterator(handle, parse_http=False)]
    assert [(item.record_offset, item.content) for item in read(tmp_path, data)] == expected


def test_a_whole_file_in_one_gzip_member_is_read_without_offsets(tmp_path: Path) -> None:
    items = read(tmp_path, gzip.compress(b"".join(RECORDS)))
    assert outline(items) == ["0", "1", "2", "3", "4"]
    assert [item.record_offset for item in items] == [0, -1, -1, -1, -1]


def test_an_empty_file_holds_no_record(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == []
    assert read(tmp_path, gzip.compress(b"")) == []


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("size", [1, 3, 30, 100, 200])
def test_a_file_cut_inside_its_last_record_loses_only_that_one(tmp_path: Path, is_gzip: bool, size: int) -> None:
    whole, last = (
        (gzip_members(RECORDS[:4]), gzip_members(RECORDS[4:])) if is_gzip else (b"".join(RECORDS[:4]), RECORDS[4])
    )
    items = read(tmp_path, whole + last[:size])
    assert outline(items)[:4] == ["0", "1", "2", "3"]
    assert len(items) == 5
    assert isinstance(items[4], Failed)
    assert items[4].reason in ("truncated_record", "broken_compression", "not_a_record")


def test_a_member_without_its_checksum_gives_its_record_and_a_warning(tmp_path: Path) -> None:
    items = read(tmp_path, gzip_members(RECORDS)[:-4])
    assert outline(items) == ["0", "1", "2", "3", "4", "broken_compression"]


def test_a_damaged_member_costs_one_record(tmp_path: Path) -> None:
    members = [gzip_members([record]) for record in RECORDS]
    for position in (12, len(members[2]) // 2, len(members[2]) - 6):  # header, deflate stream, checksum
        broken = bytearray(members[2])
        broken[position] ^= 0xFF
        items = read(tmp_path, b"".join([*members[:2], bytes(broken), *members[3:]]))
        names = outline(items)
        assert names[:2] == ["0", "1"]
        assert names[-2:] == ["3", "4"]
        assert sum(isinstance(item, Failed) for item in items) == 1


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("length", [5, 20, 100_000, 10**15, "many", "-5"])
def test_a_wrong_length_costs_the_record_and_not_its_neighbours(
    tmp_path: Path, is_gzip: bool, length: int | str
) -> None:
    wrong = warc_record(b"HTTP/1.1 200 OK\r\n\r\n" + b"some words in a body. " * 20, length=length)
    records = [RECORDS[0], wrong, *RECORDS[1:]]
    items = read(tmp_path, gzip_members(records) if is_gzip else b"".join(records))
    assert [name for name in outline(items) if name.isdigit()] == ["0", "1", "2", "3", "4"]
    assert sum(isinstance(item, Failed) for item in items) == 1


def test_a_length_that_swallows_the_next_record_is_undone(tmp_path: Path) -> None:
    body = b"HTTP/1.1 200 OK\r\n\r\nshort"
    wrong = warc_record(body, length=len(body) + 300)
    assert outline(read(tmp_path, RECORDS[0] + wrong + b"".join(RECORDS[1:]))) == [
        "0",
        "wrong_length",
        "1",
        "2",
        "3",
        "4",
    ]


def test_a_wrong_length_of_a_record_that_nobody_reads_costs_nothing(tmp_path: Path) -> None:
    request = warc_record(
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", type="request", url="http://a.example/ask", length=12
    )
    assert outline(read(tmp_path, RECORDS[0] + request + RECORDS[1])) == ["0", "ask", "1"]


def test_doubled_carriage_returns_are_one_line_end(tmp_path: Path) -> None:
    record = page_record(1)
    header, _, content = record.partition(b"\r\n\r\n")
    (item,) = read(tmp_path, (header + b"\r\n\r\n").replace(b"\r\n", b"\r\r\n") + content)
    assert isinstance(item, WarcRecord)
    assert item.content + b"\r\n\r\n" == content


def test_garbage_between_records_is_one_failure(tmp_path: Path) -> None:
    data = RECORDS[0] + b"<html>no record\nat all\n" * 1000 + RECORDS[1]
    items = read(tmp_path, data)
    assert outline(items) == ["0", "not_a_record", "1"]
    assert items[1].record_offset == len(RECORDS[0])


def test_a_file_of_another_kind_is_one_failure(tmp_path: Path) -> None:
    assert outline(read(tmp_path, b"hello world\n" * 1000)) == ["not_a_record"]
    (item,) = read(tmp_path, b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 X\n")
    assert isinstance(item, Failed)
    assert "ARC" in item.error


def test_missing_separators_are_forgiven(tmp_path: Path) -> None:
    assert outline(read(tmp_path, b"".join(record[:-4] for record in RECORDS))) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("extra", [0, 1])
def test_the_limit_of_a_record_holds_on_both_sides(tmp_path: Path, extra: int) -> None:
    content = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    content += b"x" * (100_000 + extra - len(content))
    (item,) = read(tmp_path, warc_record(content), max_record_bytes=100_000)
    assert isinstance(item, WarcRecord)
    assert item.too_large == bool(extra)
    assert len(item.content) == (100_000 if not extra else 64 << 10)  # its head is enough to say what it is
