"""Containers of web records: ARC beside WARC, WET text, WACZ packages, lz4 and bzip2 compression."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from fastwarc.stream_io import Lz4Writer

from stages.ingest.byte_stream import open_stream
from stages.ingest.options import IngestConfig
from stages.ingest.record import Draft, Failed
from stages.ingest.warc_reader import WarcRecord
from stages.ingest.web_archive import read_web_archive
from stages.ingest.web_page import page_draft
from tests.unit.ingest.dump_files import (
    books,
    gzip_members,
    html_page,
    http_response,
    ingest,
    make_source,
    page_record,
    rows,
    warc_record,
    zip_file,
)

CONFIG = IngestConfig()
VERSION_BLOCK = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"


def arc_record(content: bytes, *, url: str = "http://a.example/", length: int | str | None = None) -> bytes:
    """One ARC 1.0 record with the line feed behind it; ``length`` overrides the true one."""
    number = len(content) if length is None else length
    return f"{url} 10.0.0.1 20240506070809 text/html {number}\n".encode() + content + b"\n"


def arc_file(*records: bytes) -> bytes:
    return arc_record(VERSION_BLOCK, url="filedesc://test.arc") + b"".join(records)


def lz4_file(data: bytes) -> bytes:
    target = io.BytesIO()
    writer = Lz4Writer(target)
    writer.write(data)
    writer.close()
    return target.getvalue()


def read(tmp_path: Path, data: bytes, config: IngestConfig = CONFIG) -> list[WarcRecord | Failed]:
    path = tmp_path / "dump"
    path.write_bytes(data)
    with open_stream(path) as (handle, stream):
        return list(read_web_archive(handle, stream, len(data), config))


def summary(records: list[WarcRecord | Failed]) -> list[str]:
    return [record.reason if isinstance(record, Failed) else record.url for record in records]


def test_arc_records_are_framed_by_their_length(tmp_path: Path) -> None:
    page = http_response(html_page())
    data = arc_file(
        arc_record(b"1.2.3.4 A", url="dns:a.example"), arc_record(page), arc_record(page, url="http://b.b/")
    )
    for packed in (data, gzip.compress(data), lz4_file(data), bz2.compress(data)):
        records = read(tmp_path, packed)
        assert summary(records) == ["filedesc://test.arc", "dns:a.example", "http://a.example/", "http://b.b/"]
        assert records[2].content == page
        assert [record.type for record in records] == ["warcinfo", "response", "response", "response"]
    assert [data[r.record_offset : r.record_offset + 11] for r in read(tmp_path, data)][2] == b"http://a.ex"


def test_an_arc_and_a_warc_copy_of_a_page_are_one_document(tmp_path: Path) -> None:
    page = http_response(html_page())
    (_, arc) = read(tmp_path, arc_file(arc_record(page)))
    (warc,) = read(tmp_path, warc_record(page))
    drafts = [page_draft(record, CONFIG) for record in (arc, warc)]
    assert all(isinstance(draft, Draft) for draft in drafts)
    assert drafts[0].key == drafts[1].key
    assert drafts[0].text == drafts[1].text


def test_addresses_with_blanks_and_version_2_headers_are_read(tmp_path: Path) -> None:
    blank = arc_record(b"x", url="http://a.example/?title=from the live web&pop=no")
    long = b"http://b.example/ 10.0.0.1 20240506070809 text/html 200 - - 0 name.arc 1\ny\n"
    assert summary(read(tmp_path, arc_file(blank, long)))[1:] == [
        "http://a.example/?title=from the live web&pop=no",
        "http://b.example/",
    ]


@pytest.mark.parametrize(
    ("length", "reason"),
    [(-1, "bad_arc_header"), ("abc", "bad_arc_header"), (3, "wrong_length"), (10**9, "truncated_record")],
)
def test_a_wrong_arc_length_costs_one_record(tmp_path: Path, length: int | str, reason: str) -> None:
    page = http_response(html_page())
    data = arc_file(arc_record(page, length=length, url="http://bad.example/"), arc_record(page))
    assert summary(read(tmp_path, data)) == ["filedesc://test.arc", reason, "http://a.example/"]


def test_an_answer_that_is_whole_by_its_own_length_is_read_under_a_wrong_one(tmp_path: Path) -> None:
    """As when a tool took the carriage returns out of an archive."""
    page = http_response(html_page(), headers={"Content-Length": str(len(html_page()))})
    for length in (len(page) + 12, 10**9):
        data = arc_file(arc_record(page, length=length, url="http://b.example/"))
        record = read(tmp_path, data)[-1]
        assert isinstance(record, WarcRecord)
        assert record.content == page + b"\n"
    cut = arc_file(arc_record(page, length=len(page) + 12, url="http://b.example/"))[:-2]
    assert summary(read(tmp_path, cut)) == ["filedesc://test.arc", "truncated_record"]


def test_a_cut_arc_file_ends_in_one_failure(tmp_path: Path) -> None:
    data = arc_file(arc_record(b"first"), arc_record(b"x" * 4000))
    assert summary(read(tmp_path, data[:-100])) == ["filedesc://test.arc", "http://a.example/", "truncated_record"]
    members = gzip_members([arc_record(VERSION_BLOCK, url="filedesc://t"), arc_record(b"one"), arc_record(b"two")])
    damaged = bytearray(members)
    damaged[len(damaged) // 2] ^= 0xFF
    assert summary(read(tmp_path, bytes(damaged)))[-1] == "http://a.example/"


def test_garbage_in_an_arc_file_is_one_failure(tmp_path: Path) -> None:
    data = arc_file() + b"what is this\nand this\n" + arc_record(b"good")
    assert summary(read(tmp_path, data)) == ["filedesc://test.arc", "not_a_record", "http://a.example/"]


def test_wet_text_is_a_document_with_the_language_that_was_found(tmp_path: Path) -> None:
    text = "港口的早晨非常安静。\n" * 20
    head = (
        "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a.example/\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n"
        "WARC-Identified-Content-Language: zho,eng\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(text.encode())}\r\n\r\n"
    )
    (row,) = rows(
        ingest(tmp_path, make_source(tmp_path, {"a.warc.wet": (head + text + "\r\n\r\n").encode()}, format="warc"))
    )
    assert (row["text"], row["language"], row["url"]) == (text, "zh", "http://a.example/")


def test_a_wacz_package_gives_the_records_of_all_its_archives(tmp_path: Path) -> None:
    package = zip_file(
        {
            "archive/one.warc.gz": gzip_members([page_record(1), page_record(2)]),
            "archive/two.warc": page_record(3),
            "pages/pages.jsonl": b"{}",
        }
    )
    artifact = ingest(tmp_path, make_source(tmp_path, {"a.wacz": package}, format="warc"))
    assert [(row["url"], row["record_index"], row["record_offset"]) for row in rows(artifact)] == [
        (f"http://a.example/{number}", number - 1, -1) for number in (1, 2, 3)
    ]
    assert books(artifact) == {"in": 3, "kept": 3}


def test_a_broken_wacz_member_leaves_its_neighbour(tmp_path: Path) -> None:
    package = bytearray(zip_file({"archive/one.warc": page_record(1) * 50, "archive/two.warc": page_record(3)}))
    package[60] ^= 0xFF
    found = summary(read(tmp_path, bytes(package)))
    assert found[-2:] == ["broken_member", "http://a.example/3"]
    assert summary(read(tmp_path, zip_file({"a.txt": b"text"}))) == ["not_a_record"]
    assert summary(read(tmp_path, bytes(package[: len(package) // 2]))) == ["broken_archive"]


def test_a_bomb_in_a_wacz_package_is_refused(tmp_path: Path) -> None:
    package = zip_file({"archive/one.warc": bytes(20 << 20), "archive/two.warc.gz": gzip_members([page_record(1)])})
    assert summary(read(tmp_path, package)) == ["archive_bomb", "http://a.example/1"]


@pytest.mark.parametrize("pack", [bz2.compress, lz4_file])
def test_cut_bzip2_and_lz4_files_keep_what_came_before(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = b"".join(pack(page_record(number)) for number in range(5))  # a stream or frame for each record
    whole = read(tmp_path, packed)
    assert summary(whole) == [f"http://a.example/{number}" for number in range(5)]
    cut = read(tmp_path, packed[:-20])
    assert cut[:4] == whole[:4]
    assert len(cut) == 5
    assert isinstance(cut[4], Failed)


def test_a_damaged_lz4_frame_leaves_its_neighbours(tmp_path: Path) -> None:
    frames = [lz4_file(page_record(number)) for number in range(4)]
    damaged = bytearray(b"".join(frames))
    damaged[len(frames[0]) + 30] ^= 0xFF
    damaged[len(frames[0]) + 4] = 0xFF
    found = read(tmp_path, bytes(damaged))
    assert summary(found) == ["http://a.example/0", "broken_compression", "http://a.example/2", "http://a.example/3"]
    assert [record.record_offset for record in found][2:] == [sum(map(len, frames[:2])), sum(map(len, frames[:3]))]
