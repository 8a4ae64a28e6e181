"""The whole stage on dumps whose truth is known: the books balance, the bad records stand in quarantine."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import orjson
import pytest

from data_specs.document import DOCUMENTS, make_doc_id
from data_specs.errors import DataError, SpecError
from tests.stage_harness import Bench
from tests.unit.ingest.dump_files import (
    PARAGRAPH,
    books,
    gzip_members,
    html_page,
    http_response,
    ingest,
    make_source,
    page_record,
    rows,
    warc_record,
)


def test_every_record_of_a_crawl_is_booked(tmp_path: Path) -> None:
    plain = http_response(b"Just a plain text file, long enough to read.", media_type="text/plain; charset=utf-8")
    records = [
        warc_record(b"software: test\r\n", type="warcinfo"),
        warc_record(b"GET / HTTP/1.1\r\n\r\n", type="request"),
        page_record(1),
        warc_record(plain, url="https://a.example/robots.txt"),
        page_record(2, status="404 Not Found"),
        page_record(3, media_type="image/png"),
        page_record(4, media_type=None),
        warc_record(http_response(b""), type="revisit"),
        warc_record(b"20080430 dns answer", url="dns:a.example"),
        warc_record(http_response(b"<html><body></body></html>")),
        warc_record(b"not http at all"),
        warc_record(http_response(html_page(), headers={"Content-Encoding": "gzip"})),  # stored already decoded
        warc_record(http_response(b"\x1f\x8b broken", headers={"Content-Encoding": "gzip"})),
        warc_record(http_response(b"<div>" * 3000)),
        warc_record(http_response(bytes(range(128, 256)) * 50, media_type="text/html; charset=utf-8")),
    ]
    artifact = ingest(tmp_path, make_source(tmp_path, {"a.warc.gz": gzip_members(records)}, format="warc"))
    assert books(artifact) == {
        "in": 15, "kept": 3, "dropped(not_response)": 2, "dropped(not_200)": 1, "dropped(not_text)": 2,
        "dropped(revisit)": 1, "dropped(not_http)": 1, "dropped(empty_text)": 1, "failed(bad_http_header)": 1,
        "failed(bad_content_encoding)": 1, "failed(html_too_complex)": 1, "failed(bad_encoding)": 1,
    }  # fmt: skip
    assert books(artifact, "document") == {"expanded": 3, "kept": 3}
    found = rows(artifact)
    assert [row["url"] for row in found] == ["http://a.example/1", "https://a.example/robots.txt", "http://a.example/"]
    assert found[0]["title"] == "Page 1"
    assert found[0]["language"] == "en"
    assert found[1]["language"] == "en"  # the card's only language
    assert json.loads(found[0]["metadata"]) == {
        "date": "2024-05-06T07:08:09Z", "media_type": "text/html", "charset": "utf-8",
            "extractor": "blocks",
    }  # fmt: skip
    bad = {row["reason"]: row for row in rows(artifact, "quarantine")}
    assert len(bad) == 4
    assert bad["bad_http_header"]["record_index"] == 10
    assert bad["bad_http_header"]["file"] == "a.warc.gz"
    assert bad["bad_http_header"]["excerpt"] == "not http at all"


def test_one_page_gets_one_id_whatever_the_file_and_the_place(tmp_path: Path) -> None:
    one = ingest(
        tmp_path / "1", make_source(tmp_path / "1", {"a.warc": page_record(1) + page_record(2)}, format="warc")
    )
    two = ingest(
        tmp_path / "2",
        make_source(tmp_path / "2", {"b.warc.gz": gzip_members([page_record(2), page_record(1)])}, format="warc"),
    )
    ids_one, ids_two = ([row["doc_id"] for row in rows(artifact)] for artifact in (one, two))
    assert ids_one == ids_two[::-1]
    assert len(set(ids_one)) == 2


def test_the_same_capture_twice_breaks_nothing(tmp_path: Path) -> None:
    artifact = ingest(tmp_path, make_source(tmp_path, {"a.warc": page_record(1) * 3}, format="warc"))
    assert len(rows(artifact)) == 3
    assert len({row["doc_id"] for row in rows(artifact)}) == 1


def test_language_comes_from_the_page_then_the_card_then_nowhere(tmp_path: Path) -> None:
    pages = [warc_record(http_response(html_page(language=tag))) for tag in ("zh-TW", "", "ru")]
    for name, languages, expected in (("one", ("zh",), ["zh", "zh", "ru"]), ("two", ("zh", "en"), ["zh", "und", "ru"])):
        source = make_source(tmp_path, {"a.warc": b"".join(pages)}, format="warc", name=name, languages=languages)
        assert [row["language"] for row in rows(ingest(tmp_path, source))] == expected


def test_units_of_any_cut_give_the_same_documents(tmp_path: Path) -> None:
    records = [{"text": f"记录 {number} " + "x" * (number * 37 % 900), "id": number} for number in range(300)]
    data = b"".join(orjson.dumps(record) + b"\n" for record in records)
    source = make_source(tmp_path, {"a.jsonl": data, "b.jsonl": data[:0]}, format="jsonl", fields={"id": "id"})
    whole = rows(ingest(tmp_path, source))
    cut = rows(ingest(tmp_path, source, split_bytes=10_000, group_bytes=10_000))
    assert [row["text"] for row in whole] == [record["text"] for record in records]
    assert [{**row, "record_index": 0} for row in cut] == [{**row, "record_index": 0} for row in whole]
    for row in (whole[7], cut[250]):
        line = data[row["record_offset"] :].split(b"\n", 1)[0]
        assert orjson.loads(line)["text"] == row["text"]
    assert whole[7]["doc_id"] == make_doc_id("src", "7")


def test_several_sources_keep_their_labels_and_books(tmp_path: Path) -> None:
    zh = make_source(
        tmp_path, {"a.jsonl": b'{"t": "\xe4\xb8\xad\xe6\x96\x87"}\n{"x": 1}\n'}, format="jsonl", name="zh_lines",
        domain="zh", languages=("zh",), fields={"text": "t"},
    )  # fmt: skip
    code = make_source(
        tmp_path, {"a.py": b"x = 1\n"}, format="files", name="code", domain="code", languages=("en", "zh")
    )
    artifact = ingest(tmp_path, zh, code)
    assert [(row["source"], row["domain"], row["language"]) for row in rows(artifact)] == [
        ("zh_lines", "zh", "zh"), ("code", "code", "und")
    ]  # fmt: skip
    assert artifact.manifest.ledger.by_source("record", "in") == {"code": 1, "zh_lines": 2}
    assert artifact.manifest.ledger.by_source("record", "failed") == {"zh_lines": 1}
    assert artifact.facts["num_files"] == {"zh_lines": 1, "code": 1}


def test_characters_that_no_file_can_hold_are_repaired_and_counted(tmp_path: Path) -> None:
    data = b'{"text": "a\\u0000b\\ud800c", "m": "\\udfff"}\n'
    source = make_source(tmp_path, {"a.jsonl": data}, format="jsonl", fields={"metadata": ["m"]})
    artifact = ingest(tmp_path, source)
    (row,) = rows(artifact)
    assert row["text"] == "ab\ufffdc"
    assert json.loads(row["metadata"]) == {"m": "\ufffd"}
    assert artifact.facts["num_repaired_characters"] == {"src": 3}


def test_a_source_without_documents_is_a_case(tmp_path: Path) -> None:
    artifact = ingest(tmp_path, make_source(tmp_path, {"a.jsonl": b""}, format="jsonl"))
    assert books(artifact) == {}
    assert rows(artifact) == []


def test_a_file_that_changed_after_listing_is_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path, {"a.jsonl": b'{"text": "a"}\n'}, format="jsonl")
    Path(source.files[0].path).write_bytes(b"other size")
    with pytest.raises(DataError, match="changed since it was listed"):
        ingest(tmp_path, source)
    Path(source.files[0].path).unlink()
    with pytest.raises(DataError, match="cannot read"):
        ingest(tmp_path, source)


def test_a_compressed_file_under_a_plain_name_is_refused_when_cut(tmp_path: Path) -> None:
    data = gzip.compress(b'{"text": "%s"}\n' % PARAGRAPH.encode() * 50, compresslevel=0)
    source = make_source(tmp_path, {"a.jsonl": data}, format="jsonl")
    assert len(rows(ingest(tmp_path, source))) == 50
    with pytest.raises(DataError, match=r"name it \.jsonl\.gz"):
        ingest(tmp_path, source, split_bytes=2048)


def test_a_wrong_card_stops_before_any_work(tmp_path: Path) -> None:
    source = make_source(tmp_path, {"a.warc": page_record(1)}, format="warc", fields={"text": "body"})
    with pytest.raises(SpecError, match=r"source 'src': fields\.text: unknown key"):
        ingest(tmp_path, source)
    with pytest.raises(SpecError, match="Did you mean 'extractor'"):
        Bench(tmp_path / "b").run("ingest", {"extracter": "resiliparse"}, {"sources": [source]})


def test_two_runs_are_equal_to_the_last_digest(tmp_path: Path) -> None:
    source = make_source(tmp_path, {"a.warc": b"".join(page_record(n) for n in range(20))}, format="warc")
    one, two = ingest(tmp_path / "1", source), ingest(tmp_path / "2", source)
    assert one.manifest.logical_digest == two.manifest.logical_digest
    assert sum(shard.rows for shard in one.shards("documents")) == 20
    assert list(rows(one)[0]) == DOCUMENTS.names
