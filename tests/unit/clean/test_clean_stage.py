"""The stage: books of documents and characters, and what the domain decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from data_specs.errors import SpecError
from data_specs.manifest import Artifact
from data_specs.pair import split_pair
from stages.clean.stage import may_be_simplified
from tests.stage_harness import Bench
from tests.unit.ingest.dump_files import books, make_source, rows

TEXTS = [
    "clean text",
    "two \r\nlines\u200b  ",
    "\ufeff \n",
    "caf\u00c3\u00a9",
    "\U0001d15e",
]  # the last grows under NFC


def run(tmp_path: Path, texts: list[str], domain: str = "zh", **config: Any) -> tuple[Artifact, Artifact]:
    data = b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts)
    source = make_source(tmp_path, {"a.jsonl": data}, format="jsonl", domain=domain, languages=("zh",))
    bench = Bench(tmp_path / "bench")
    raw = bench.run("ingest", {}, {"sources": [source]})
    return raw, bench.run("clean", config, {"documents": [raw]})


def test_documents_and_characters_are_booked(tmp_path: Path) -> None:
    raw, cleaned = run(tmp_path, TEXTS)
    assert [row["text"] for row in rows(cleaned)] == ["clean text", "two\nlines", "café", "\U0001d157\U0001d165"]
    assert books(cleaned, "document") == {"in": 5, "kept": 4, "dropped(empty_after_clean)": 1}
    assert books(cleaned, "character") == {
        "in": 10 + 14 + 3 + 5 + 1, "expanded": 1, "kept": 10 + 9 + 4 + 2, "dropped(mojibake)": 1,
        "dropped(line_endings)": 1, "dropped(controls)": 2, "dropped(whitespace)": 5,
    }  # fmt: skip
    assert cleaned.facts["rules"]["src"]["controls"] == {"documents": 2, "removed": 2, "added": 0}
    assert cleaned.facts["rules"]["src"]["unicode_form"] == {"documents": 1, "removed": 0, "added": 1}
    assert [row["doc_id"] for row in rows(cleaned)] == [row["doc_id"] for row in rows(raw) if row["text"] != TEXTS[2]]


def test_code_keeps_its_blanks_and_literals(tmp_path: Path) -> None:
    text = "\ufeff\tif x:  \r\n\t\treturn 'caf\u00c3\u00a9'\n\n\n\n\n\n"
    _, cleaned = run(tmp_path, [text, " \n\n"], domain="code")
    assert [row["text"] for row in rows(cleaned)] == ["\tif x:  \n\t\treturn 'caf\u00c3\u00a9'\n\n\n\n\n\n"]
    assert books(cleaned, "document")["kept"] == 1


def test_rules_are_chosen_by_config(tmp_path: Path) -> None:
    _, cleaned = run(tmp_path, ["a  \n\u200bb"], rules=["controls"], skip={})
    assert [row["text"] for row in rows(cleaned)] == ["a  \nb"]
    _, cleaned = run(tmp_path, ["a\n\n\nb"], max_blank_lines=0)
    assert [row["text"] for row in rows(cleaned)] == ["a\nb"]
    _, cleaned = run(tmp_path, ["ﬁ：ＡＢＣ"], unicode_form="NFKC")
    assert [row["text"] for row in rows(cleaned)] == ["fi:ABC"]


def test_wrong_configs_are_refused(tmp_path: Path) -> None:
    for config, message in (
        ({"rules": ["mojibak"]}, "Did you mean 'mojibake'"),
        ({"skip": {"code": ["white"]}}, "Known: "),
        ({"unicode_form": "NFD"}, "NFD"),
        ({"max_blank_lines": -1}, "must not be negative"),
        ({"min_paragraph_tokens": 0}, "at least 1"),
        ({"also": {"zh": ["simplify"]}}, "Did you mean .simplified"),
    ):
        with pytest.raises(SpecError, match=message):
            run(tmp_path, ["a"], **config)


def test_an_empty_source_stays_empty(tmp_path: Path) -> None:
    _, cleaned = run(tmp_path, [])
    assert rows(cleaned) == []
    _, cleaned = run(tmp_path, [" ", "\n"])
    assert rows(cleaned) == []


def test_every_input_shard_is_cleaned_on_its_own(tmp_path: Path) -> None:
    sources = [
        make_source(tmp_path, {"a.jsonl": b'{"text": "one  "}\n'}, format="jsonl", name=name, domain=domain)
        for name, domain in (("a", "zh"), ("b", "code"))
    ]
    bench = Bench(tmp_path / "bench")
    made = [bench.run("ingest", {}, {"sources": [source]}) for source in sources]
    cleaned = bench.run("clean", {}, {"documents": made})
    assert [(row["source"], row["text"]) for row in rows(cleaned)] == [("a", "one"), ("b", "one  ")]
    assert len(cleaned.shards("documents")) == 2
    assert cleaned.manifest.ledger.by_source("document", "in") == {"a": 1, "b": 1}


def test_domain_and_source_choose_rules(tmp_path: Path) -> None:
    text = "後來國家乾燥了。聯繫a@b.cn"
    _, cleaned = run(tmp_path, [text])
    assert [row["text"] for row in rows(cleaned)] == ["后来国家干燥了。联系<EMAIL>"]
    assert books(cleaned, "character") == {"in": 16, "expanded": 1, "kept": 17}
    _, cleaned = run(tmp_path, [text], domain="web")  # nothing is converted outside Chinese domains
    assert [row["text"] for row in rows(cleaned)] == ["後來國家乾燥了。聯繫<EMAIL>"]
    _, cleaned = run(tmp_path, [text], skip_sources={"src": ["email", "simplified"]})
    assert [row["text"] for row in rows(cleaned)] == [text]
    _, cleaned = run(tmp_path, [f"{text}或"], domain="web", also_sources={"src": ["simplified", "torn_sentence"]})
    assert [row["text"] for row in rows(cleaned)] == ["后来国家干燥了。"]
    _, cleaned = run(tmp_path, [text], domain="code")
    assert [row["text"] for row in rows(cleaned)] == ["後來國家乾燥了。聯繫<EMAIL>"]


@pytest.mark.parametrize(
    ("language", "expected"),
    [("zh", True), ("und", True), ("zh-Hans", True), ("zh_Hans_HK", True), ("zh-Hant", False), ("zh_hant", False),
     ("zh-TW", False), ("zh-HK", False), ("yue", False), ("zh-yue", False), ("ja", False), ("en", False)],
)  # fmt: skip
def test_a_declared_script_is_kept(language: str, expected: bool) -> None:
    assert may_be_simplified(language) is expected


def test_a_card_keeps_its_traditional_script(tmp_path: Path) -> None:
    source = make_source(
        tmp_path,
        {"a.jsonl": '{"text": "後來國家乾燥了。"}\n'.encode()},
        format="jsonl",
        domain="zh",
        languages=("zh-Hant",),
    )
    bench = Bench(tmp_path / "bench")
    cleaned = bench.run("clean", {}, {"documents": [bench.run("ingest", {}, {"sources": [source]})]})
    assert [row["text"] for row in rows(cleaned)] == ["後來國家乾燥了。"]


def test_a_pair_keeps_its_blocks(tmp_path: Path) -> None:
    """Sides are told apart by counting blocks, so no rule may take one out."""
    line = "字" * 60
    data = orjson.dumps({"en": f"───\n\n{line}\n\n{line}", "zh": "後來國家乾燥了。" * 4}) + b"\n"
    source = make_source(
        tmp_path, {"a.jsonl": data}, format="jsonl", domain="zh_en", languages=("zh", "en"),
        fields={"text": ["en", "zh"], "pair": ["en", "zh"]},
    )  # fmt: skip
    bench = Bench(tmp_path / "bench")
    cleaned = bench.run("clean", {}, {"documents": [bench.run("ingest", {}, {"sources": [source]})]})
    [row] = rows(cleaned)
    assert row["text"] == f"───\n\n{line}\n\n{line}\n\n{'后来国家干燥了。' * 4}"
    sides = split_pair(row["text"], row["metadata"])
    assert sides is not None
    assert sides[1].text == "后来国家干燥了。" * 4
