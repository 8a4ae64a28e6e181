"""The node on small corpora: what is found, what is not, evidence, books, and that cuts and orders never show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from opencc import OpenCC

from data_specs.errors import SpecError, StageError
from data_specs.manifest import Artifact
from data_specs.view import resolve_view
from stages.decontaminate import item_index, kernel, scan
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed, sidecar

#: 61 characters, 55 of them Han.
LONG = (
    "春天到来之后，山谷里的桃花慢慢开放，农民在田地工作，老师带领学生参观博物馆，"
    "研究人员发现一种新材料能够降低成本、提高效率。"
)
#: 20 Han characters.
SHORT = "河流两岸的居民喜欢晚上散步吗为什么是这样"
WORDS = (
    "the river market engine and the garden letter of a winter history teacher council measure every farmer in the "
    "library on a journey"
)
CLEAN = "音乐会吸引很多观众，历史告诉我们和平来之不易，工厂引进设备生产零件，海上风力发电项目开始运行。"


def evaluation(bench: Bench, *texts: str) -> Artifact:
    return documents(bench, [[Text(f"item{n}", text, "exam", "zh") for n, text in enumerate(texts)]])


def evidence(made: Artifact) -> list[dict[str, Any]]:
    return [row for shard in made.shards("evidence") for row in pq.read_table(made.shard_path(shard)).to_pylist()]


def run(
    bench: Bench, texts: Sequence[Text], items: Sequence[str], config: Mapping[str, Any] | None = None
) -> tuple[Artifact, set[str]]:
    """(artifact, names of the removed documents)."""
    base = documents(bench, [texts])
    made = bench.run("decontaminate", config or {}, {"documents": [base], "evaluation": [evaluation(bench, *items)]})
    names = {text.doc_id: text.name for text in texts}
    return made, {names[doc_id] for doc_id in removed(made, base)}


def test_leaks_in_every_form_are_found_and_a_clean_document_is_not(tmp_path: Path) -> None:
    wide = LONG.replace("，", ",") + "ＡＢＣ１２３"
    texts = [
        Text("exact", CLEAN + LONG + CLEAN),
        Text("alone", LONG),
        Text("taiwan", CLEAN + OpenCC("s2tw").convert(LONG)),
        Text("hong_kong", OpenCC("s2hk").convert(CLEAN + LONG)),
        Text("wide", CLEAN + wide),
        Text("spaced", " ".join(LONG)),
        Text("edited", CLEAN + LONG.replace("慢慢", "渐渐").replace("老师", "教师") + CLEAN),
        Text("half", CLEAN + LONG[:36] + CLEAN),
        Text("clean", CLEAN),
        Text("quarter", CLEAN + LONG[:24] + CLEAN),
    ]
    made, gone = run(Bench(tmp_path), texts, [LONG, "ABC123" + LONG])
    assert gone == {"exact", "alone", "taiwan", "hong_kong", "wide", "spaced", "edited", "half"}
    rows = {row["doc_id"]: row for row in evidence(made) if row["item_doc_id"] == Text("item0", "", "exam").doc_id}
    exact = rows[texts[0].doc_id]
    assert (texts[0].text[exact["start"] : exact["end"]]) == LONG
    assert (exact["item_start"], exact["item_end"], exact["needed"]) == (0, 55, 30)


def test_a_short_item_matches_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    texts = [
        Text("whole", CLEAN + SHORT + CLEAN),
        Text("one_missing", CLEAN + SHORT[:-1] + CLEAN),
        Text("one_changed", CLEAN + SHORT.replace("晚", "早") + CLEAN),
        Text("one_between", CLEAN + SHORT.replace("晚上", "晚间上") + CLEAN),
    ]
    made, gone = run(Bench(tmp_path), texts, [SHORT])
    assert gone == {"whole"}
    assert evidence(made)[0]["covered"] == 20


def test_an_item_below_the_shortest_is_counted_and_not_searched(tmp_path: Path) -> None:
    made, gone = run(Bench(tmp_path), [Text("holds", CLEAN + SHORT)], [SHORT[:12], SHORT[:13] + "好"])
    assert gone == set()
    assert made.facts["num_items"] == {"exam": {"overlap": 0, "whole": 1, "too_short": 1}}


def test_thirteen_words_are_a_leak_and_twelve_are_none(tmp_path: Path) -> None:
    cut = WORDS.split()
    texts = [
        Text("thirteen", "Before it: " + " ".join(cut[3:16]).upper() + "! And after."),
        Text("twelve", "Before it: " + " ".join(cut[3:15]) + " And after."),
        Text("short_whole", "He said: " + "what is the name of the seventh letter here?"),
        Text("short_part", "He said: " + "what is the name of the seventh letter"),
    ]
    _, gone = run(Bench(tmp_path), texts, [WORDS, "What is the name of the seventh letter here"])
    assert gone == {"thirteen", "short_whole"}


def test_every_part_between_blank_lines_is_an_item(tmp_path: Path) -> None:
    question = "请问一种新材料能够降低成本还是提高效率呢"
    items = [f"{SHORT}\n \n{question}"]
    made, gone = run(Bench(tmp_path), [Text("a", CLEAN + question), Text("b", SHORT), Text("c", CLEAN)], items)
    assert gone == {"a", "b"}
    table = pq.read_table(made.file("items")).to_pylist()
    assert [(row["part"], row["num_tokens"], row["unit"], row["match"]) for row in table] == [
        (0, 20, "characters", "whole"), (1, 20, "characters", "whole"),
    ]  # fmt: skip


def test_a_report_keeps_the_documents_and_writes_the_same_evidence(tmp_path: Path) -> None:
    texts = [Text("leak", CLEAN + LONG), Text("clean", CLEAN)]
    dropped, gone = run(Bench(tmp_path), texts, [LONG])
    reported, kept_all = run(Bench(tmp_path), texts, [LONG], {"policy": "report"})
    assert (gone, kept_all) == ({"leak"}, set())
    assert evidence(dropped) == evidence(reported) != []
    assert dropped.facts["num_flagged"] == reported.facts["num_flagged"] == 1
    assert dropped.facts["flagged"] == {"exam": {"web": 1}}
    assert dropped.facts["num_items_found"] == {"exam": 1}
    leak, clean = sidecar(dropped, "decisions")
    assert (leak["reason"], leak["value"], leak["limit"]) == ("evaluation_overlap", 55, 30)
    assert leak["detail"].startswith(f"evaluation item exam {Text('item0', '', 'exam').doc_id.hex()} part 0, char")
    assert clean == {"keep": True, "reason": None, "value": None, "limit": None, "detail": None}


def test_equal_items_are_all_reported(tmp_path: Path) -> None:
    made, _ = run(Bench(tmp_path), [Text("leak", LONG)], [LONG, LONG.replace("，", " "), SHORT])
    assert len(evidence(made)) == 2
    assert made.facts["num_items_found"] == {"exam": 2}


def test_a_passage_that_more_items_share_than_are_kept_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_index, "MAX_POSTINGS", 3)
    items = [f"{SHORT[n:]}{LONG}{SHORT[:n]}" for n in range(12)]
    made, gone = run(Bench(tmp_path), [Text("leak", CLEAN + LONG), Text("clean", CLEAN)], items)
    assert gone == {"leak"}
    assert made.facts["num_capped_shingles"] > 0
    assert len(evidence(made)) == 3


def test_a_text_that_repeats_an_item_reports_a_bounded_number_of_spans(tmp_path: Path) -> None:
    made, _ = run(Bench(tmp_path), [Text("spam", (LONG + "。") * 100)], [LONG])
    assert len(evidence(made)) == kernel.MAX_SPANS


def test_cuts_orders_and_small_buffers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        Text(f"d{n}", CLEAN * (n % 3) + (LONG if n % 4 == 0 else "") + (SHORT if n % 5 == 0 else "")) for n in range(40)
    ]
    items = [LONG, SHORT, LONG + SHORT, WORDS]

    def found(shards: list[list[Text]], batch_rows: int | None, order: list[str]) -> list[tuple[Any, ...]]:
        bench = Bench(tmp_path)
        base = documents(bench, shards, batch_rows)
        sets = documents(bench, [[Text(name, items[int(name[4:])], "exam", "zh")] for name in order])
        made = bench.run("decontaminate", {}, {"documents": [base], "evaluation": [sets]})
        keys = ("doc_id", "item", "item_doc_id", "start", "end", "item_start", "item_end", "covered")
        return sorted(tuple(row[key] for key in keys) for row in evidence(made))

    names = [f"item{n}" for n in range(4)]
    expected = found([texts], None, names)
    assert len(expected) > 20
    assert found([texts[:7], [], texts[7:]], 3, names[::-1]) == expected
    monkeypatch.setattr(scan, "_HITS", 8)
    assert found([texts[::-1]], 5, names[2:] + names[:2]) == expected


def test_only_documents_of_the_view_are_searched_and_booked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents(bench, [[Text("a", LONG), Text("b", LONG), Text("c", CLEAN)]])
    exact = bench.run("dedup_exact", {}, {"documents": [base]})
    made = bench.run("decontaminate", {}, {"documents": [exact], "evaluation": [evaluation(bench, LONG)]})
    assert sorted(str(row["keep"]) for row in sidecar(made, "decisions")) == ["False", "None", "True"]
    assert made.manifest.ledger.total("document", "in") == 2
    assert len(evidence(made)) == 1


def test_evaluation_sets_without_searchable_items_flag_nothing(tmp_path: Path) -> None:
    made, gone = run(Bench(tmp_path), [Text("a", LONG), Text("b", "")], ["短", "。。"])
    assert gone == set()
    assert made.facts["num_shingles"] == 0


def test_sets_too_large_for_one_index_stop_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_index, "MAX_TOKENS", 50)
    with pytest.raises(StageError, match="several decontaminate nodes"):
        run(Bench(tmp_path), [Text("a", CLEAN)], [LONG])


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="drop, cut, report"):
        run(Bench(tmp_path), [Text("a", CLEAN)], [LONG], {"policy": "cutt"})


FAR = "".join(chr(0x5000 + n) for n in range(400))


def test_a_cut_takes_the_span_with_its_margin_and_keeps_the_rest(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    texts = [
        Text("middle", FAR[:300] + LONG + FAR[100:], domain="zh"),
        Text("little", FAR[:20] + LONG + FAR[:40], domain="zh"),
        Text("clean", FAR, domain="zh"),
    ]
    config = {"policy": "cut", "cut_margin": 10, "min_left_characters": 100}
    made, gone = run(bench, texts, [LONG], config)
    dropped, whole = run(bench, texts, [LONG])
    assert evidence(made) == evidence(dropped)
    assert whole == {"middle", "little"}
    assert gone == {"little"}
    kept = [text for batch in resolve_view([made], bench.open).shards()[0].kept_batches(["text"])
            for text in batch.column("text").to_pylist()]  # fmt: skip
    assert kept == [FAR[:290] + FAR[110:], FAR]
    (first, second, third) = sidecar(made, "cuts")
    assert (first["start"], first["end"]) == ([3 * 290], [3 * (300 + len(LONG) + 10)])
    assert "evaluation item exam" in first["detail"][0]  # type: ignore[index]
    assert third["start"] is None
    (row,) = (row for row in sidecar(made, "decisions") if row["keep"] is False)
    assert (row["reason"], row["value"], row["limit"]) == ("little_left", 60 - 10 - 10, 100)
    assert second["start"] == [3 * 10]
    lost = 10 + len(LONG) + 10
    assert made.facts["edits"] == {"web": {"documents": 1, "dropped": 1, "spans": 2, "characters": 2 * lost}}
    ledger = made.manifest.ledger
    assert ledger.total("character", "kept") == sum(map(len, kept))
    assert ledger.total("character", "in") == sum(len(text.text) for text in texts)
    assert ledger.total("document", "dropped") == 1


def test_a_cut_in_a_text_that_was_cut_before_stands_in_the_base(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    menu = "首页 新闻 体育 财经 科技 军事 娱乐"
    texts = [Text(f"{n}", f"{menu}\n{FAR}{n}" + (LONG if n == 2 else "")) for n in range(3)]
    base = documents(bench, [texts])
    one = bench.run(
        "dedup_paragraphs", {"max_documents": 2, "keep": "none", "min_left_characters": 1}, {"documents": [base]}
    )
    config = {"policy": "cut", "cut_margin": 0}
    two = bench.run("decontaminate", config, {"documents": [one], "evaluation": [evaluation(bench, LONG)]})
    (text,) = (t for batch in resolve_view([two], bench.open).shards()[0].kept_batches(["text"])
               for t in batch.column("text").to_pylist() if "2" in t)  # fmt: skip
    assert text == f"{FAR}2"
    assert sidecar(two, "cuts")[2]["start"] == [len(f"{menu}\n{FAR}2".encode())]


@pytest.mark.parametrize(
    ("config", "message"), [({"cut_margin": -1}, "cut_margin"), ({"min_left_characters": 0}, "at least 1")]
)
def test_wrong_cuts_are_refused(tmp_path: Path, config: dict[str, int], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run(Bench(tmp_path), [], [], config)
