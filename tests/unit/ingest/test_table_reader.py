"""CSV, TSV and Parquet: rows become documents, and a bad row costs itself."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import SpecError
from data_specs.source import SourceCard
from stages.ingest.byte_stream import open_stream
from stages.ingest.options import CsvFields, IngestConfig, ParquetFields, card_fields
from stages.ingest.record import Draft, Failed, Outcome
from stages.ingest.table_reader import read_csv, read_parquet
from tests.unit.ingest.dump_files import books, ingest, make_source, rows

CONFIG = IngestConfig()
CHINESE = "港口的早晨非常安静，渔船在日出之前离开。"


def read(path: Path, data: bytes, config: IngestConfig = CONFIG, **fields: Any) -> list[Outcome]:
    path.write_bytes(data)
    with open_stream(path) as (_, stream):
        return list(read_csv(stream, path.name, CsvFields(**fields), config))


def summary(outcomes: list[Outcome]) -> list[str]:
    return [outcome.text if isinstance(outcome, Draft) else outcome.reason for outcome in outcomes]


def parquet(table: pa.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def test_columns_become_fields(tmp_path: Path) -> None:
    data = b'id,title,ask,answer\r\n7,A,"one, two","three ""x""\nfour"\r\n\r\n8,B,five,\r\n'
    drafts = read(tmp_path / "a.csv", data, text=["ask", "answer"], id="id", title="title")
    assert summary(drafts) == ['one, two\n\nthree "x"\nfour', "five"]
    assert [(draft.key, draft.title, draft.record_index) for draft in drafts] == [("7", "A", 0), ("8", "B", 1)]
    assert [data[draft.record_offset :][:1] for draft in drafts] == [b"7", b"8"]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_tabs_part_the_cells_of_tsv_files(tmp_path: Path, name: str) -> None:
    data = b"text\tlang\none, two\ten\n"
    (draft,) = read(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data, language="lang")
    assert (draft.text, draft.language) == ("one, two", "en")


def test_a_table_without_names_gets_them_from_the_card(tmp_path: Path) -> None:
    drafts = read(tmp_path / "a.csv", b"1;one\n2;two\n", columns=["id", "text"], delimiter=";", id="id")
    assert [(draft.key, draft.text) for draft in drafts] == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "big5"])
def test_charsets_are_declared_or_detected(tmp_path: Path, encoding: str) -> None:
    text = CHINESE if encoding != "big5" else "港口的早晨非常安靜，漁船在日出之前離開。"
    data = ("text,n\n" + f"{text},1\n" * 20).encode(encoding)
    assert summary(read(tmp_path / "a.csv", data)) == [text] * 20
    assert summary(read(tmp_path / "a.csv", data, encoding=encoding.removesuffix("-sig"))) == [text] * 20


def test_a_row_in_another_charset_is_read_or_fails_alone(tmp_path: Path) -> None:
    good = f"{CHINESE * 3}\n".encode()
    data = b"text\n" + good * 3 + (CHINESE * 3).encode("gb18030") + b"\n" + b"\x81\xff\xfd\x80\n" + good
    assert summary(read(tmp_path / "a.csv", data)) == [CHINESE * 3] * 4 + ["bad_encoding", CHINESE * 3]
    strict = summary(read(tmp_path / "a.csv", data, encoding="utf-8"))
    assert strict[3:] == ["bad_encoding", "bad_encoding", CHINESE * 3]
    assert summary(read(tmp_path / "a.csv", f"text\n{CHINESE}\n".encode("utf-16"))) == ["bad_encoding"]


@pytest.mark.parametrize(
    "bad",
    ['9,"never closed\n', '9,"never closed\n8,"nor this\n', "9,too,many\n", "9\n", '9,"closed" then text,x\n'],
)
def test_a_bad_row_costs_itself(tmp_path: Path, bad: str) -> None:
    data = f'id,text\n1,one\n{bad}2,two\n3,"a\nb"\n4,four\n'.encode()
    found = summary(read(tmp_path / "a.csv", data))
    failures = [reason for reason in found if reason == "wrong_columns"]
    texts = [text for text in found if text not in failures and not text.lstrip('"').startswith(("never", "nor"))]
    assert texts == ["one", "two", "a\nb", "four"]
    assert len(found) == 4 + bad.count("\n")


def test_a_quote_inside_a_cell_is_a_character(tmp_path: Path) -> None:
    assert summary(read(tmp_path / "a.csv", b'text,n\na 5" disk,1\nnext,2\n')) == ['a 5" disk', "next"]


@pytest.mark.parametrize("extra", [0, 1])
def test_the_record_limit_holds_on_both_sides(tmp_path: Path, extra: int) -> None:
    data = b"text\n" + b"x" * (2000 + extra) + b"\ny\n"
    found = summary(read(tmp_path / "a.csv", data, IngestConfig(max_record_bytes=2000)))
    assert found == (["record_too_large", "y"] if extra else ["x" * 2000, "y"])


def test_cells_over_the_limit_of_the_csv_module_are_read(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    assert summary(read(tmp_path / "a.csv", b'n,text\n1,"' + b"x" * 300_000 + b'"\n')) == ["x" * 300_000]
    assert csv.field_size_limit() == limit


def test_a_missing_column_is_one_clear_message(tmp_path: Path) -> None:
    (failure,) = read(tmp_path / "a.csv", b"id,body\n1,one\n2,two\n")
    assert failure.reason == "missing_column"
    assert "no column 'text'; it has 'id', 'body'" in failure.error


def test_damage_ends_a_compressed_table_after_its_sound_rows(tmp_path: Path) -> None:
    data = gzip.compress(b"text\n" + b"".join(b"row %d\n" % number for number in range(5000)))
    found = summary(read(tmp_path / "a.csv.gz", data[:-50]))
    assert found[0] == "row 0"
    assert found[-1] == "broken_compression"
    assert len(found) > 1000


@given(st.lists(st.tuples(st.text(max_size=6), st.text('"\n,a', max_size=8)), min_size=1, max_size=6))
def test_what_the_csv_module_writes_is_read_back(table: list[tuple[str, str]]) -> None:
    table = [(a.encode("utf-8", "replace").decode().replace("\r", "?").replace("\0", "?"), b) for a, b in table]
    target = io.StringIO()
    csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("first", "text"), *table])
    with tempfile.TemporaryDirectory() as folder:
        outcomes = read(Path(folder) / "a.csv", target.getvalue().encode(), metadata=["first"])
    assert len(outcomes) == len(table)
    found = [(outcome.metadata["first"], outcome.text) for outcome in outcomes if isinstance(outcome, Draft)]
    assert found == [row for row in table if row[1]]


def test_parquet_rows_become_documents(tmp_path: Path) -> None:
    table = pa.table(
        {
            "page": [{"body": CHINESE, "address": "http://a.example/"}, {"body": "two", "address": None}],
            "unused": [b"\xff", b"\xfe"],
            "tags": [["x", "y"], []],
        }
    )
    fields = {"text": "page.body", "url": "page.address", "metadata": ["tags"]}
    source = make_source(tmp_path, {"a.parquet": parquet(table)}, format="parquet", fields=fields)
    artifact = ingest(tmp_path, source)
    found = rows(artifact)
    assert [(row["text"], row["url"], row["metadata"]) for row in found] == [
        (CHINESE, "http://a.example/", '{"tags":["x","y"]}'),
        ("two", None, '{"tags":[]}'),
    ]
    assert [(row["record_index"], row["record_offset"]) for row in found] == [(0, -1), (1, -1)]
    assert books(artifact) == {"in": 2, "kept": 2}


def test_bad_parquet_files_and_rows_end_in_failures(tmp_path: Path) -> None:
    config = IngestConfig(max_record_bytes=2000)

    def outcomes(data: bytes, **fields: Any) -> list[str]:
        path = tmp_path / "a.parquet"
        path.write_bytes(data)
        with path.open("rb") as handle:
            return summary(list(read_parquet(handle, "a.parquet", ParquetFields(**fields), config)))

    table = pa.table({"text": ["one", "x" * 2001, None], "number": [1, 2, 3]})
    assert outcomes(parquet(table)) == ["one", "record_too_large", "empty_text"]
    assert outcomes(parquet(table), text="number") == ["wrong_type"] * 3
    assert outcomes(parquet(table), text="body") == ["missing_column"]
    numbered = pa.table({"text": [f"row {number}" for number in range(3000)]})
    whole = parquet(numbered, row_group_size=1000, compression="none")
    assert outcomes(whole[:-10]) == ["broken_table"]
    assert outcomes(b"no parquet") == ["broken_table"]
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 400] = bytes(400)
    assert len(outcomes(bytes(damaged))) >= 1


def test_wrong_cards_are_refused() -> None:
    def card(format: str, **fields: Any) -> SourceCard:
        values: dict[str, Any] = {"name": "s", "origin": "o", "licence": "l", "languages": ("zh",), "domain": "zh"}
        return SourceCard(format=format, paths=("*",), fields=fields, **values)

    for format, fields, message in (
        ("csv", {"delimiter": "ab"}, "one ASCII character"),
        ("csv", {"records": "a"}, "a table has rows"),
        ("csv", {"encoding": "utf-16"}, "lines cannot be told apart"),
        ("parquet", {"encoding": "utf-8"}, "its text is UTF-8"),
        ("csv", {"txt": "a"}, "unknown key"),
    ):
        with pytest.raises(SpecError, match=message):
            card_fields(card(format, **fields))


def test_quotes_may_be_characters(tmp_path: Path) -> None:
    data = b'"No," he said\t"Nein', b'a "b\tc" d', b"one\ttwo\tthree"
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\n".join(data) + b"\n")
    with open_stream(path) as (_, stream):
        fields = CsvFields(text=("en", "de"), columns=("en", "de"), pair=("en", "de"), quote="")
        found = list(read_csv(stream, "a.tsv", fields, IngestConfig()))
    assert summary(found) == ['"No," he said\n\n"Nein', 'a "b\n\nc" d', "wrong_columns"]


def test_quotes_that_stand_around_no_cell_are_kept(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", b'id,text\n1,"No" he said\n2,"a, b"\n')
    assert summary(found) == ['"No" he said', "a, b"]


def test_a_damaged_row_group_leaves_the_others(tmp_path: Path) -> None:
    table = pa.table({"text": [f"row {number} " + "x" * 200 for number in range(300)]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[data.index(b"row 150 ") + 50] ^= 0xFF  # in the middle group
    path.write_bytes(bytes(data))
    with open_stream(path) as (handle, _):
        found = list(read_parquet(handle, "a.parquet", ParquetFields(), IngestConfig()))
    assert [outcome.record_index for outcome in found] == [*range(101), *range(200, 300)]
    assert isinstance(found[100], Failed)
    assert "rows 100 to 199 (row group 1)" in found[100].error
