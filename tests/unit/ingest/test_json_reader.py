"""Field maps over JSON Lines and arrays, and what becomes of records that do not obey them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from data_specs.errors import SpecError
from data_specs.source import SourceCard
from stages.ingest.byte_stream import open_stream
from stages.ingest.json_reader import read_json, walk
from stages.ingest.options import IngestConfig, JsonFields, card_fields
from stages.ingest.record import Draft, Dropped, Failed, Outcome

CONFIG = IngestConfig()


def read(tmp_path: Path, name: str, data: bytes, config: IngestConfig = CONFIG, **fields: Any) -> list[Outcome]:
    path = tmp_path / name
    path.write_bytes(data)
    with open_stream(path) as (_, stream):
        return list(read_json(stream, name, 0, None, JsonFields(**fields), config))


def lines(*records: object) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def test_a_field_map_names_every_part(tmp_path: Path) -> None:
    record = {
        "body": {"zh": "中文", "en": ["line one", "line two"]}, "key": 7, "where": "http://a", "head": ["t0", "t1"],
        "lang": "zh-CN", "year": 2020, "tags": ["a"],
    }  # fmt: skip
    (draft,) = read(
        tmp_path, "x.jsonl", lines(record), text=("body.zh", "body.en"), id="key", url="where", title="head.1",
        language="lang", metadata=("year", "tags", "absent"),
    )  # fmt: skip
    assert draft == Draft(
        "7", 0, 0, "中文\n\nline one\nline two", "http://a", "t1", "zh", {"year": 2020, "tags": ["a"]}
    )


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"])
def test_offsets_are_exact_in_plain_files_and_keys_do_not_depend_on_compression(tmp_path: Path, name: str) -> None:
    data = lines({"text": "first"}, {"text": "第二"}, {"text": "third"})
    packed = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(name.rpartition(".")[2], bytes)(data)
    drafts = read(tmp_path, name, packed)
    starts = [0, 17, 35]
    assert [draft.record_offset for draft in drafts] == (starts if name == "x.jsonl" else [-1, -1, -1])
    assert [draft.key for draft in drafts] == [f"{name}#{start}" for start in starts]
    assert data[17:35] == '{"text":"第二"}\n'.encode()


def test_a_missing_field_names_what_is_there(tmp_path: Path) -> None:
    good, bad = read(tmp_path, "x.jsonl", lines({"body": "text"}, {"content": "text", "id": 1}), text="body")
    assert isinstance(good, Draft)
    assert isinstance(bad, Failed)
    assert bad.reason == "missing_field"
    assert bad.error == "x.jsonl: record 1 has no field 'body'; it has 'content', 'id'; correct fields.text"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{not json}", "bad_json"), (b'{"text": "cut', "bad_json"), (b"[" * 100_000, "bad_json"),
        (b'"a string"', "missing_field"),
        (b'{"text": 5}', "wrong_type"), (b'{"text": {"a": 1}}', "wrong_type"), (b'{"text": ["a", 1]}', "wrong_type"),
        (b'{"text": "\xff\xfe\xfd\x80\x81"}', "bad_encoding"),
    ],
)  # fmt: skip
def test_bad_lines_fail_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    outcomes = read(tmp_path, "x.jsonl", b'{"text": "before"}\n' + line + b'\n{"text": "behind"}')
    assert [type(outcome) for outcome in outcomes] == [Draft, Failed, Draft]
    assert outcomes[1].reason == reason
    assert outcomes[1].record_offset == 19


def test_empty_text_is_dropped_and_blank_lines_are_no_records(tmp_path: Path) -> None:
    outcomes = read(tmp_path, "x.jsonl", b'\n{"text": ""}\n\n{"text": null}\n  \n{"text": []}\n')
    assert outcomes == [Dropped("empty_text")] * 3


def test_json_that_only_python_reads_gets_a_second_look(tmp_path: Path) -> None:
    drafts = read(tmp_path, "x.jsonl", b'{"text": "a\\ud800b", "n": NaN}\n{"text": "a\tb"}\n')
    assert [draft.text for draft in drafts] == ["a\ud800b", "a\tb"]  # the table writer repairs the surrogate


@pytest.mark.parametrize("encoding", ["gb18030", None])
def test_other_charsets_are_declared_or_detected(tmp_path: Path, encoding: str | None) -> None:
    text = "港口的早晨非常安静，渔船在日出之前离开。" * 3
    data = json.dumps({"text": text}, ensure_ascii=False).encode("gb18030") + b"\n"
    (draft,) = read(tmp_path, "x.jsonl", data, encoding=encoding)
    assert draft.text == text


@pytest.mark.parametrize("extra", [0, 1])
def test_the_record_limit_holds_on_both_sides(tmp_path: Path, extra: int) -> None:
    line = b'{"text": "' + b"x" * (2048 - 12 + extra) + b'"}'
    outcomes = read(tmp_path, "x.jsonl", line + b'\n{"text": "next"}\n', IngestConfig(max_record_bytes=2048))
    assert len(line) == 2048 + extra
    assert isinstance(outcomes[0], Failed if extra else Draft)
    assert outcomes[1].text == "next"


def test_a_damaged_file_keeps_its_sound_lines(tmp_path: Path) -> None:
    data = lines(*({"text": f"record {number}", "noise": str(number**40)} for number in range(5000)))
    outcomes = read(tmp_path, "x.jsonl.gz", gzip.compress(data)[:-2000])
    assert outcomes[0].text == "record 0"
    assert isinstance(outcomes[-1], Failed)
    assert outcomes[-1].reason == "broken_compression"
    assert all(isinstance(outcome, Draft) for outcome in outcomes[:-2])


def test_arrays_are_walked(tmp_path: Path) -> None:
    data = orjson.dumps(
        {"data": [{"paragraphs": [{"context": "a"}, {"context": "b"}]}, {"paragraphs": [{"context": "c"}]}]}
    )
    drafts = read(tmp_path, "x.json", data, records="data.*.paragraphs", text="context")
    assert [draft.text for draft in drafts] == ["a", "b", "c"]
    pairs = read(tmp_path, "y.json", b'\xef\xbb\xbf [["title", "text"], ["t2", "x2"]]', text="1", title="0")
    assert [(draft.title, draft.text, draft.key) for draft in pairs] == [
        ("title", "text", "y.json#0"),
        ("t2", "x2", "y.json#1"),
    ]


def test_json_named_files_may_hold_lines(tmp_path: Path) -> None:
    assert [draft.text for draft in read(tmp_path, "x.json", lines({"text": "a"}, {"text": "b"}))] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"[1, 2", "bad_json"), (b'[{"text": "a"}] extra', "bad_json"), (b"[" + b" " * 5000 + b"]", "record_too_large")],
)
def test_a_bad_array_is_one_failure(tmp_path: Path, data: bytes, reason: str) -> None:
    (failure,) = read(tmp_path, "x.json", data, IngestConfig(max_json_bytes=4096))
    assert isinstance(failure, Failed)
    assert failure.reason == reason


def test_a_records_path_that_leads_nowhere_says_so(tmp_path: Path) -> None:
    (failure,) = read(tmp_path, "x.json", b'{"items": []}', records="data.*")
    assert isinstance(failure, Failed)
    assert "'items'" in failure.error


def test_walk_follows_stars_through_lists_and_objects() -> None:
    value = {"a": {"x": [1, 2], "y": [3]}}
    assert walk(value, "a.*") == [[1, 2], [3]]
    assert walk(value, "a.*.*") == [1, 2, 3]
    assert walk(value, "b.*") is None


def test_wrong_cards_are_refused_with_the_nearest_name() -> None:
    def card(**fields: Any) -> SourceCard:
        return SourceCard(
            name="s",
            origin="o",
            licence="l",
            languages=("zh",),
            domain="zh",
            format="jsonl",
            paths=("*",),
            fields=fields,
        )

    with pytest.raises(SpecError, match="Did you mean 'text'"):
        card_fields(card(texts="body"))
    with pytest.raises(SpecError, match="lines cannot be told apart"):
        card_fields(card(encoding="utf-16"))
    with pytest.raises(SpecError, match="unknown to Python"):
        card_fields(card(encoding="gb2313"))
    assert card_fields(card(text=["a", "b"], metadata=["c"])) == JsonFields(text=("a", "b"), metadata=("c",))
