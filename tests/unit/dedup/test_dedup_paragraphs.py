"""Paragraphs across documents: what is the same, what is cut, what stays, the sidecars and the books."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.view import resolve_view
from stages.dedup import paragraph_stage
from stages.dedup.paragraph_kernel import find_paragraphs
from stages.dedup.paragraph_stage import DedupParagraphsConfig
from stages.text.arrow_text import text_buffers
from stages.text.characters import HAN, character_class
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed, sidecar


def paragraphs(texts: list[str], line_feeds: int = 1, min_tokens: int = 1) -> list[tuple[int, str]]:
    """(row, text) of every paragraph found."""
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    found = find_paragraphs(data, offsets, np.ones(len(texts), dtype=bool), line_feeds, min_tokens)
    return [(one["row"], texts[one["row"]].encode()[one["start"] : one["end"]].decode()) for one in found]


def hashes(*texts: str) -> list[tuple[int, int]]:
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    found = find_paragraphs(data, offsets, np.ones(len(texts), dtype=bool), 2, 1)
    assert found["row"].tolist() == list(range(len(texts)))
    return list(zip(found["high"].tolist(), found["low"].tolist(), strict=True))


def test_a_line_ends_at_a_line_feed_and_takes_the_blank_ones_behind_it():
    assert paragraphs(["one\n \n  two\n", "", "\n三\n四"]) == [
        (0, "one\n \n"),
        (0, "  two\n"),
        (1 + 1, "\n三\n"),
        (2, "四"),
    ]


def test_a_paragraph_ends_at_a_blank_line():
    assert paragraphs(["one\ntwo\n \nthree\n"], line_feeds=2) == [(0, "one\ntwo\n \n"), (0, "three\n")]


def test_short_ones_are_not_looked_at():
    assert paragraphs(["a b c\n汉字\n----\n汉字 d"], min_tokens=3) == [(0, "a b c\n"), (0, "汉字 d")]


def test_case_width_punctuation_and_spacing_do_not_count_and_words_do():
    one, *others = hashes("Don't stop 中国", "don t  STOP, 中 国!", "ｄｏｎ－ｔ\nstop 中国。")
    assert others == [one, one]
    assert len(set(hashes("ab c", "a bc", "abc", "a b c", "中国", "国中", "中", "1 2", "12"))) == 9


def corpus(bench: Bench, *shards: list[Text]) -> Artifact:
    return documents(bench, list(shards), batch_rows=3)


def seen(bench: Bench, *artifacts: Artifact) -> list[str]:
    shards = resolve_view(artifacts, bench.open).shards()
    return [text for s in shards for batch in s.kept_batches(["text"]) for text in batch.column("text").to_pylist()]


MENU = "Home | About us | All the news of the day | Contact"
BODY = "The text of {} is long enough to stay and to be read by somebody who wants to know what stands here."
SETTINGS = {"max_documents": 2, "min_tokens": 5, "min_left_characters": 20}


def test_what_is_too_frequent_goes_and_the_first_copy_stays(tmp_path: Path):
    bench = Bench(tmp_path)
    texts = [
        Text("a", f"{MENU}\n{BODY.format('a')}"),
        Text("b", f"{BODY.format('b')}\n{MENU}\nEnd."),
        Text("c", f"{BODY.format('c')}\n\n{MENU.upper()}", "books"),
        Text("d", f"{MENU}\n{BODY.format('c')}\n{MENU}"),  # c's body is in two documents: not too many
        Text("e", MENU),
    ]
    base = corpus(bench, texts[:3], [], texts[3:])
    made = bench.run("dedup_paragraphs", SETTINGS, {"documents": [base]})
    # d is the longest document with the line, so its first copy stays; of e nothing is left
    assert seen(bench, made) == [
        BODY.format("a"),
        f"{BODY.format('b')}\nEnd.",
        BODY.format("c"),
        f"{MENU}\n{BODY.format('c')}",
    ]
    gone = removed(made, base)
    assert gone == {
        texts[4].doc_id: {
            "keep": False, "reason": "little_left", "value": 0.0, "limit": 20.0,
            "detail": f"{len(MENU)} of {len(MENU)} characters are cut",
        }
    }  # fmt: skip
    why = f"in 5 documents, kept in {texts[3].doc_id.hex()}"
    size = len(MENU)
    assert sidecar(made, "cuts") == [
        {"start": [0], "end": [size + 1], "detail": [why]},
        {"start": [len(BODY.format("b")) + 1], "end": [len(BODY.format("b")) + size + 2], "detail": [why]},
        {"start": [len(BODY.format("c"))], "end": [len(BODY.format("c")) + size + 2], "detail": [why]},
        {"start": [size + len(BODY.format("c")) + 1], "end": [2 * size + len(BODY.format("c")) + 2], "detail": [why]},
        {"start": [0], "end": [size], "detail": [why]},
    ]
    assert made.facts["edits"] == {
        "books": {"documents": 1, "dropped": 0, "paragraphs": 1, "characters": size + 2},
        "web": {"documents": 3, "dropped": 1, "paragraphs": 4, "characters": 4 * size + 3},
    }
    assert made.facts["num_repeated_paragraphs"] == 1
    ledger = made.manifest.ledger
    assert ledger.by_source("document", DROPPED) == {"web": 1}
    assert ledger.total("character", IN) == sum(len(text.text) for text in texts)
    assert ledger.total("character", KEPT) == sum(map(len, seen(bench, made)))
    (shard,) = made.shards("boilerplate")
    first, second = pq.read_table(made.shard_path(shard)).to_pylist()
    assert (first["documents"], json.loads(first["sources"])) == (5, {"web": 4, "books": 1})
    assert (first["is_cut"], first["doc_id"], first["text"]) == (True, texts[3].doc_id, MENU)
    assert (second["documents"], second["is_cut"], second["text"]) == (2, False, BODY.format("c"))


def test_priority_chooses_the_copy_and_none_keeps_no_copy(tmp_path: Path):
    bench = Bench(tmp_path)
    texts = [Text("a", f"{MENU}\n{BODY}"), Text("b", f"{MENU}\n{BODY[1:]}", "books"), Text("c", f"{MENU}\n{BODY[2:]}")]
    base = corpus(bench, texts)
    books = bench.run("dedup_paragraphs", SETTINGS | {"source_priority": ["books"]}, {"documents": [base]})
    assert seen(bench, books) == [BODY, f"{MENU}\n{BODY[1:]}", BODY[2:]]
    nobody = bench.run("dedup_paragraphs", SETTINGS | {"keep": "none"}, {"documents": [base]})
    assert seen(bench, nobody) == [BODY, BODY[1:], BODY[2:]]
    assert sidecar(nobody, "cuts")[0]["detail"] == ["in 3 documents, kept in none"]
    only_report = bench.run("dedup_paragraphs", SETTINGS | {"max_documents": None}, {"documents": [base]})
    assert seen(bench, only_report) == [text.text for text in texts]
    assert [row["start"] for row in sidecar(only_report, "cuts")] == [None] * 3
    (shard,) = only_report.shards("boilerplate")
    assert shard.rows == 1  # the menu; every other line is in one document


def test_code_and_pairs_are_left_alone_and_dropped_documents_do_not_count(tmp_path: Path):
    bench = Bench(tmp_path)
    code = [Text(f"{n}", f"{MENU}\n{BODY}{n}", "git", "code") for n in range(5)]
    prose = [Text("p1", f"{MENU}\n{BODY}1"), Text("p2", f"{MENU}\n{BODY}2"), Text("p3", f"{MENU} \n{BODY}2 ")]
    base = corpus(bench, code, prose)
    made = bench.run("dedup_paragraphs", SETTINGS, {"documents": [base]})
    assert seen(bench, made)[:5] == [text.text for text in code]
    assert made.facts["num_cut_paragraphs"] == 2
    once = bench.run("dedup_exact", {}, {"documents": [base]})  # takes p2 or p3
    twice = bench.run("dedup_paragraphs", SETTINGS, {"documents": [once]})
    assert twice.facts["num_cut_paragraphs"] == 0
    assert removed(twice, base) == {}


LINES = [
    "the first line of all",
    "One MORE line, quite long",
    "短的一行字",
    "short",
    "",
    "  ",
    "中文的第二行内容",
    "x y z w v u",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.sampled_from(LINES), max_size=6), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from(["line", "paragraph"]),
    st.booleans(),
)
def test_it_equals_the_slow_definition(
    tmp_path: Path, drawn: list[list[str]], limit: int, min_tokens: int, unit: str, first: bool
):
    """Slow: split, fold, count documents in dictionaries, cut, compare what is left paragraph by paragraph."""
    bench = Bench(tmp_path)
    texts = [Text(f"{n}", "\n".join(lines), "web" if n % 3 else "books") for n, lines in enumerate(drawn)]
    base = corpus(bench, texts[:5], texts[5:])
    config = {
        "max_documents": limit, "min_tokens": min_tokens, "unit": unit, "min_left_characters": 1,
        "keep": "first" if first else "none", "source_priority": ["books"],  # the first text is one of theirs
    }  # fmt: skip
    made = bench.run("dedup_paragraphs", config, {"documents": [base]})

    splitter = r"\n\s*" if unit == "line" else r"\n[^\S\n]*\n\s*"
    holders: dict[str, list[Text]] = defaultdict(list)
    for text in texts:
        for form in {form_of(part) for part in re.split(splitter, text.text)}:
            holders[form].append(text)
    order = sorted(texts, key=lambda text: (text.source != "books", -len(text.text), text.doc_id))
    expected = []
    for text in texts:
        left, had = [], set()
        for part in re.split(splitter, text.text):
            form = form_of(part)
            too_many = len(form.split()) >= min_tokens and len(holders[form]) > limit
            own = first and form not in had and next(t for t in order if t in holders[form]) is text
            if part.strip() and (not too_many or own):
                left.append(part.strip())
            had.add(form)
        was_cut = len(left) < len([part for part in re.split(splitter, text.text) if part.strip()])
        if left or not was_cut:
            expected.append(left)
    assert [[part.strip() for part in re.split(splitter, t) if part.strip()] for t in seen(bench, made)] == expected


def form_of(part: str) -> str:
    """Tokens of a paragraph, parted by blanks."""
    runs = re.findall(r"\w+", part.lower())
    return " ".join(token for run in runs for token in (list(run) if character_class(run[0]) == HAN else [run]))


def test_many_partitions_shards_and_orders_cut_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(3)
    texts = [
        Text(
            f"{n}", "\n".join(f"this is line number {rng.integers(30)} of some text" for _ in range(rng.integers(1, 9)))
        )
        for n in range(60)
    ]
    results = []
    for size, cut, order in ((1 << 30, 30, 1), (64, 7, 1), (512, 50, -1)):
        monkeypatch.setattr(paragraph_stage, "_TEXT_PER_PARTITION", size)
        bench = Bench(tmp_path / f"{size}")
        given_ = texts[::order]
        base = corpus(bench, given_[:cut], given_[cut:])
        made = bench.run("dedup_paragraphs", SETTINGS, {"documents": [base]})
        spans = [(row["start"], row["end"], row["detail"]) for row in sidecar(made, "cuts")]
        (shard,) = made.shards("boilerplate")
        table = pq.read_table(made.shard_path(shard)).to_pylist()
        results.append(
            (dict(zip([t.doc_id for t in given_], spans, strict=True)), table, made.facts, removed(made, base))
        )
    assert results[0] == results[1] == results[2]
    assert results[0][2]["num_cut_paragraphs"] > 100


@pytest.mark.parametrize("shards", [[], [[]], [[], [Text("a", "")]]])
def test_empty_input(tmp_path: Path, shards: list[list[Text]]):
    bench = Bench(tmp_path)
    made = bench.run("dedup_paragraphs", {}, {"documents": [documents(bench, shards)]})
    assert made.facts["num_paragraphs"] == 0
    assert len(made.shards("decisions")) == len(made.shards("cuts")) == len(shards)


def test_a_second_cut_stands_in_the_base_text(tmp_path: Path):
    """The second node sees texts without the first node's cuts and still names places in the base."""
    bench = Bench(tmp_path)
    other = "And here is another line that stands everywhere"
    texts = [Text(f"{n}", f"{MENU}\n{BODY.format(n)}\n{other}\n{BODY.format(-n - 1)}") for n in range(4)]
    base = corpus(bench, texts)
    one = bench.run("dedup_paragraphs", SETTINGS | {"keep": "none"}, {"documents": [base]})
    assert seen(bench, one) == [f"{BODY.format(n)}\n{BODY.format(-n - 1)}" for n in range(4)]
    half = bench.run("dedup_paragraphs", SETTINGS | {"keep": "none", "min_tokens": 10}, {"documents": [base]})
    assert seen(bench, half) == [f"{BODY.format(n)}\n{other}\n{BODY.format(-n - 1)}" for n in range(4)]
    rest = bench.run("dedup_paragraphs", SETTINGS | {"keep": "none"}, {"documents": [half]})
    assert seen(bench, rest) == seen(bench, one)
    assert sidecar(rest, "cuts")[0]["start"] == [len(MENU) + len(BODY.format(0)) + 2]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"unit": "lines"}, r"unit 'lines' is unknown\. Did you mean 'line'"),
        ({"keep": "fist"}, r"keep 'fist' is unknown\. Did you mean 'first'"),
        ({"max_documents": 0}, r"max_documents \(0\) must be at least 1, or null"),
        ({"min_tokens": 0}, r"min_tokens \(0\) must be at least 1"),
        ({"num_reported": -1}, r"num_reported \(-1\) must not be negative"),
        ({"source_priority": ("a", "a")}, "names a source twice: a, a"),
    ],
)
def test_wrong_settings_are_refused(config: dict, message: str):
    with pytest.raises(ValueError, match=message):
        DedupParagraphsConfig(**config)
