"""What a dump may hold that is wrong: each ends in a quarantine row that names file, record and cause, or in one clear
message; the sound records beside it arrive, and the books balance (the harness checks them as a run does)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from data_specs.errors import DataError, SpecError
from data_specs.source import DigestCache, SourceCard, open_source
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

GOOD = b'{"text": "a sound line"}\n'
SMALL = {"max_record_bytes": 1 << 20, "max_json_bytes": 1 << 20}


def tar(*members: tuple[str, bytes], link: str | None = None) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link is not None:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return target.getvalue()


def tar_head(name: str, num_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = num_bytes
    return info.tobuf()


def packed_zeros(num_bytes: int) -> bytes:
    """A gzip file of zeros, made without holding them."""
    pack = zlib.compressobj(9, wbits=31)
    return b"".join(pack.compress(bytes(1 << 20)) for _ in range(num_bytes >> 20)) + pack.flush()


def wiki(text: str, head: str = "") -> bytes:
    page = "<page><title>{}</title><ns>0</ns><id>{}</id><revision><id>1</id><text>{}</text></revision></page>"
    pages = page.format("Bad", 1, text) + page.format("Good", 2, "a sound page")
    return f"{head}<mediawiki xml:lang='en'>{pages}</mediawiki>".encode()


def two_pages(bad: bytes) -> bytes:
    return gzip_members([page_record(1), warc_record(http_response(bad), url="http://a.example/bad"), page_record(2)])


LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
)
BOMB = packed_zeros(100 << 20)
CASES: dict[str, tuple[str, str, bytes, dict[str, Any], str, int]] = {
    # case: (format, file name, bytes, fields of the card, reason, documents that arrive)
    "truncated gzip": ("warc", "a.warc.gz", two_pages(html_page())[:-40], {}, "truncated_record", 2),
    "cut mid-record": ("warc", "a.warc", page_record(1) + page_record(2)[:-200], {}, "truncated_record", 1),
    "wrong Content-Length": (
        "warc", "a.warc", warc_record(http_response(html_page()), length=60) + page_record(1), {}, "wrong_length", 1),
    "non-JSON line": ("jsonl", "a.jsonl", GOOD + b"what is this\n" + GOOD, {}, "bad_json", 2),
    "a long line": ("jsonl", "a.jsonl", GOOD + b'{"text": "' + b"x" * (2 << 20) + b'"}\n' + GOOD, {},
                    "record_too_large", 2),
    "missing column": ("csv", "a.csv", b"body,id\nx,1\n", {}, "missing_column", 0),
    "invalid UTF-8": ("jsonl", "a.jsonl", GOOD + b'{"text": "\xff\xfe\xfa"}\n' + GOOD,
                      {"encoding": "utf-8"}, "bad_encoding", 2),
    "mixed encodings": (
        "csv", "a.csv", "text\n港口的早晨\n".encode() + b"\x81\xff\xff\xfe\xff\n" + "渔船\n".encode(), {},
        "bad_encoding", 2),
    "unlike parts of a pair": ("po", "a.po", b'msgid "a"\nmsgstr "b\n\nmsgid "c"\nmsgstr "d"\n', {}, "bad_message", 1),
    "absolute member": ("files", "a.tar", tar(("/etc/x", b"evil"), ("good", b"good")), {}, "unsafe_member", 1),
    "member above": ("files", "a.zip", zip_file({"../../x": b"evil", "good": b"good"}), {}, "unsafe_member", 1),
    "link in an archive": ("files", "a.tar", tar(("good", b"good"), link="/etc/passwd"), {}, "unsafe_member", 1),
    "gzip bomb in lines": ("jsonl", "a.jsonl.gz", gzip.compress(GOOD) + BOMB, {}, "record_too_large", 1),
    "gzip bomb in a tar": ("files", "a.tar.gz", gzip.compress(tar_head("big", 100 << 20)) + BOMB, {},
                           "archive_bomb", 0),
    "zstd bomb": (
        "jsonl", "a.jsonl.zst",
        zstandard.ZstdCompressor().compress(GOOD + bytes(100 << 20)), {}, "record_too_large", 1),
    "zip bomb": (
        "files", "a.zip", zip_file({"good": b"good"} | {f"{n}": bytes(30 << 20) for n in range(3)}), {},
        "archive_bomb record_too_large", 1),
    "nested bomb": ("files", "a.zip", zip_file({"in.zip": zip_file({"x": bytes(50 << 20)}), "good": b"good"}), {},
                    "bad_encoding", 1),
    "bomb in a page": (
        "warc", "a.warc.gz", gzip_members([warc_record(http_response(BOMB, headers={"Content-Encoding": "gzip"})),
                                           page_record(1)]), {}, "record_too_large", 1),
    "entity bomb in a dump": ("mediawiki", "a.xml", wiki("&j;", LAUGHS + "]>"), {}, "bad_page", 1),
    "deep page": ("warc", "a.warc.gz", two_pages(b"<div>" * 100_000), {}, "html_too_complex", 2),
    "wide tag": ("warc", "a.warc.gz", two_pages(b"<p " + b"a=1 " * 50_000 + b">"), {}, "html_too_complex", 2),
    "large page": (
        "warc", "a.warc.gz", two_pages(b"<p>" + b"word " * 180_000), {}, "html_too_complex", 2),
    "another kind of file": ("mediawiki", "a.xml", b"\x89PNG\r\n" + bytes(200), {}, "not_a_dump", 0),
    "broken Parquet": ("parquet", "a.parquet", b"PAR1" + bytes(50) + b"PAR1", {}, "broken_table", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_record_is_put_aside_and_the_rest_goes_on(tmp_path: Path, case: str) -> None:
    format, name, data, fields, reason, num_documents = CASES[case]
    source = make_source(tmp_path, {name: data, "zz-" + name: data}, format=format, fields=fields)
    limits = SMALL | ({"max_html_bytes": 800_000} if format == "warc" else {"max_archive_ratio": 1})
    artifact = ingest(tmp_path, source, **limits)
    bad = rows(artifact, "quarantine")
    assert len(rows(artifact)) == 2 * num_documents
    assert {row["reason"] for row in bad} == set(reason.split())
    assert {row["file"] for row in bad} == ({name, "zz-" + name} if reason else set())
    counts = books(artifact)
    assert counts["in"] == sum(count for outcome, count in counts.items() if outcome != "in")
    for row in bad:
        assert row["record_index"] >= 0
        assert len(row["error"]) > 20
        assert "\n" not in row["error"]


def test_entities_of_a_book_do_not_grow(tmp_path: Path) -> None:
    book = LAUGHS + "]><html><body><p>One word &j; and more</p></body></html>"
    source = make_source(tmp_path, {"a.xhtml": book.encode()}, format="files", fields={"content": "xhtml"})
    (row,) = rows(ingest(tmp_path, source))
    assert "One word" in row["text"]
    assert len(row["text"]) < len(book)


def test_an_empty_file_is_no_failure(tmp_path: Path) -> None:
    for format, name in (
        ("warc", "a.warc.gz"),
        ("jsonl", "a.jsonl"),
        ("csv", "a.csv"),
        ("files", "a.txt"),
        ("po", "a.po"),
    ):
        artifact = ingest(
            tmp_path / name, make_source(tmp_path / name, {name: b"", "b" + name[1:]: b""}, format=format)
        )
        assert not rows(artifact)
        assert not rows(artifact, "quarantine"), name


def card(path: str) -> SourceCard:
    return SourceCard(
        name="s", origin="o", licence="l", languages=("en",), domain="en", format="jsonl", paths=(path,)
    )  # fmt: skip


def vanish(path: Path) -> None:
    path.unlink()


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [vanish, become_a_folder])
def test_a_file_that_cannot_be_read_is_one_clear_message(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD)
    source = open_source(card("a.jsonl"), tmp_path, DigestCache(tmp_path / "digests.json"))
    harm(path)
    with pytest.raises(DataError, match=r"source 's': .*a\.jsonl"):
        ingest(tmp_path, source)


def test_a_pattern_that_matches_nothing_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"source 's': pattern 'b\*\.jsonl' matches no file under .*; set data_root"):
        open_source(card("b*.jsonl"), tmp_path, DigestCache(tmp_path / "digests.json"))
