"""Exact duplicates: the normal form, the keeper, the sidecar and the books."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import SpecError
from data_specs.ledger import DROPPED, KEPT
from stages.dedup import exact_stage
from stages.dedup.exact_phases import normal_form_hashes
from stages.dedup.exact_stage import DedupExactConfig
from stages.text.arrow_text import text_buffers
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed, sidecar


def hashes(*texts: str) -> list[tuple[int, int]]:
    return [tuple(row) for row in normal_form_hashes(*text_buffers(pa.array(texts, pa.string()))).tolist()]


def test_the_normal_form_collapses_white_space_and_composes() -> None:
    one, *others = hashes("café au lait", "  cafe\u0301 \n au　lait\t", "café\u2003au\u00a0lait")
    assert others == [one, one]


def test_the_normal_form_keeps_case_punctuation_and_width() -> None:
    assert len(set(hashes("a b", "A b", "a b.", "ab", "ａ b", ""))) == 6


def test_the_hash_is_xxh3_of_the_normal_form() -> None:
    digest = xxhash.xxh3_128_digest("汉字 and words".encode())
    assert hashes(" 汉字\n\nand words ") == [tuple(int.from_bytes(part, "big") for part in (digest[:8], digest[8:]))]


WHITE = " \t\n\u3000\u2003"


@given(
    st.lists(
        st.text(
            alphabet=st.one_of(
                st.sampled_from(WHITE + "a\u0301\u3099か한\u1112\u1161\u2126"), st.characters(exclude_categories=["Cs"])
            )
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_normal_form_equals_its_definition(texts: list[str]) -> None:
    from stages.text.characters import SPACE, character_class

    def slow(text: str) -> tuple[int, int]:
        shown = "".join(" " if character_class(c) == SPACE else c for c in text)
        form = unicodedata.normalize("NFC", " ".join(part for part in shown.split(" ") if part))
        digest = xxhash.xxh3_128_digest(form.encode())
        return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")

    assert hashes(*texts) == [slow(text) for text in texts]


def test_copies_go_and_one_stays_across_shards_and_sources(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    texts = [Text("a", "same  text"), Text("b", "other"), Text("c", "same text", "books"), Text("d", "same text")]
    base = documents(bench, [texts[:2], [], texts[2:]])
    made = bench.run("dedup_exact", {}, {"documents": [base]})
    gone = removed(made, base)
    assert set(gone) == {texts[2].doc_id, texts[3].doc_id}  # the longest stays
    for row in gone.values():
        expected = {"reason": "exact_duplicate", "value": 1.0, "limit": None, "detail": texts[0].doc_id.hex()}
        assert row == {"keep": False, **expected}
    kept = [row for row in sidecar(made, "decisions") if row["keep"]]
    assert kept == [{"keep": True, "reason": None, "value": None, "limit": None, "detail": None}] * 2
    assert made.facts == {"num_groups": 1, "num_removed": 2, "removals": {"books": {"web": 1}, "web": {"web": 1}}}
    assert made.manifest.ledger.by_source("document", DROPPED) == {"books": 1, "web": 1}
    assert made.manifest.ledger.total("document", KEPT, characters=True) == len("same  text") + len("other")


def test_source_priority_comes_before_length(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    long, short = Text("a", "same   text"), Text("c", "same text", "books")
    base = documents(bench, [[long, short]])
    made = bench.run("dedup_exact", {"source_priority": ["books"]}, {"documents": [base]})
    assert set(removed(made, base)) == {long.doc_id}
    with pytest.raises(SpecError, match=r"source_priority: 'boks' is no source of the input\. Did you mean 'books'"):
        bench.run("dedup_exact", {"source_priority": ["boks"]}, {"documents": [base]})


def test_of_equals_the_smallest_doc_id_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    texts = [Text(f"{number}", "the same") for number in range(20)]
    base = documents(bench, [texts[:7], texts[7:]])
    made = bench.run("dedup_exact", {}, {"documents": [base]})
    smallest = min(text.doc_id for text in texts)
    gone = removed(made, base)
    assert set(gone) == {text.doc_id for text in texts} - {smallest}
    assert {row["detail"] for row in gone.values()} == {smallest.hex()}


def test_rows_that_an_earlier_decision_dropped_are_null_and_keep_nobody_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    texts = [Text("a", "same  text"), Text("b", "same text"), Text("c", "more")]
    base = documents(bench, [texts])
    first = bench.run("dedup_exact", {}, {"documents": [base]})
    second = bench.run("dedup_exact", {"source_priority": ["web"]}, {"documents": [first]})
    assert [row["keep"] for row in sidecar(second, "decisions")] == [True, None, True]
    assert second.facts["num_removed"] == 0


@pytest.mark.parametrize("shards", [[], [[]], [[], []], [[Text("a", "")]]])
def test_empty_input_and_a_single_document(tmp_path: Path, shards: list[list[Text]]) -> None:
    bench = Bench(tmp_path)
    base = documents(bench, shards)
    made = bench.run("dedup_exact", {}, {"documents": [base]})
    assert removed(made, base) == {}
    assert len(made.shards("decisions")) == len(shards)


def test_many_partitions_remove_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    texts = [Text(f"{number}", f"text {rng.integers(40)}") for number in range(100)]
    sets = []
    for limit, cut in ((1_000_000, 50), (7, 13)):
        monkeypatch.setattr(exact_stage, "_HASHES_PER_PARTITION", limit)
        bench = Bench(tmp_path / f"{limit}")
        base = documents(bench, [texts[:cut], texts[cut:]], batch_rows=9)
        sets.append(removed(bench.run("dedup_exact", {}, {"documents": [base]}), base))
    assert sets[0] == sets[1]
    assert len(sets[0]) == 100 - len({text.text for text in texts})


def test_a_source_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="names a source twice: web, web"):
        DedupExactConfig(source_priority=("web", "web"))
