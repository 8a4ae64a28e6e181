"""The cut_lines stage: what goes, what stays, the sidecars, the books and the facts; and C4's preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_specs.config import parse_config
from data_specs.document import DOCUMENTS
from data_specs.errors import SpecError
from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.pair import Side, join_pair
from data_specs.view import resolve_view
from pipelines.compose import CONF_FOLDER, compose_run
from pipelines.spec import build_nodes
from stages.filter.line_stage import CutLinesConfig
from stages.filter.rules import active_rules
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed, sidecar

C4: dict[str, Any] = yaml.safe_load((CONF_FOLDER / "lines" / "c4.yaml").read_text("utf-8"))
PROSE = "The river ran slowly past the old mill."
FEW = {"measure": "num_words", "cut_if": "<", "limit": 3, "order": 1}
MENU = {"measure": "phrases", "phrases": ["home", "阅读全文"], "cut_if": ">", "limit": 0, "order": 2}


def seen(bench: Bench, *artifacts: Artifact) -> list[str]:
    shards = resolve_view(artifacts, bench.open).shards()
    return [text for s in shards for batch in s.kept_batches(["text"]) for text in batch.column("text").to_pylist()]


def cut(tmp_path: Path, texts: list[str], rules: dict[str, Any], domain: str = "en") -> tuple[list[str], Artifact]:
    bench = Bench(tmp_path)
    base = documents(bench, [[Text(str(n), text, "web", domain) for n, text in enumerate(texts)]], batch_rows=2)
    made = bench.run("cut_lines", {"rules": {"en": rules}}, {"documents": [base]})
    return seen(bench, made), made


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"Home\n\n{PROSE}", PROSE),  # the blank line below goes with it
        (f"{PROSE}\n\nHome", PROSE),  # and at the end the one above
        (f"{PROSE}\n\nHome\n\n{PROSE}\n", f"{PROSE}\n\n{PROSE}\n"),
        (f"{PROSE}\nHome\nAbout us\n{PROSE}", f"{PROSE}\n{PROSE}"),
        (f"\n\n  Home\n{PROSE}\n \nHome\n\t\nAbout\n\n", PROSE),
        (f"{PROSE}\n点此阅读全文吧 a b c\n汉字 与 字", f"{PROSE}\n汉字 与 字"),
    ],
)
def test_a_line_goes_with_the_blank_ones_below_it(tmp_path: Path, text: str, left: str) -> None:
    assert cut(tmp_path, [text], {"few": FEW, "menu": MENU})[0] == [left]


def test_the_first_rule_that_takes_a_line_is_the_reason_and_the_books_balance(tmp_path: Path) -> None:
    texts = [f"Home\n{PROSE}", PROSE, f"go home now please\n{PROSE}\nBye", "Home\nBye now"]
    left, made = cut(tmp_path, texts, {"few": FEW, "menu": MENU, "never": {**MENU, "phrases": ["xyzzy"]}})
    assert left == [PROSE] * 3
    size = len(PROSE)
    assert sidecar(made, "cuts") == [
        {"start": [0], "end": [5], "detail": ["few"]},
        {"start": None, "end": None, "detail": None},
        {"start": [0, 19 + size], "end": [19, 23 + size], "detail": ["menu", "few"]},
        {"start": [0], "end": [12], "detail": ["few"]},
    ]
    decisions = sidecar(made, "decisions")
    assert [row["keep"] for row in decisions] == [True, True, True, False]
    assert (decisions[3]["reason"], decisions[3]["value"], decisions[3]["limit"]) == ("nothing_left", 0.0, 1.0)
    ledger = made.manifest.ledger
    assert [ledger.total("document", outcome) for outcome in (IN, KEPT, DROPPED)] == [4, 3, 1]
    whole = sum(map(len, texts))
    assert [ledger.total("character", outcome) for outcome in (IN, KEPT, DROPPED)] == [
        whole,
        3 * size,
        whole - 3 * size,
    ]
    assert made.facts["effects"] == {
        "en": {
            "few": {"cut": 4, "characters": 5 + 4 + 12, "dropped": 0},
            "menu": {"cut": 1, "characters": 19, "dropped": 0},
            "never": {"cut": 0, "characters": 0, "dropped": 0},
            "nothing_left": {"cut": 0, "characters": 0, "dropped": 1},
        }
    }
    assert made.facts["edits"] == {"web": {"documents": 2, "dropped": 1, "spans": 4, "characters": 40}}
    assert made.facts["num_lines"] == {"en": 8}
    assert made.facts["never_fired"] == ["en.never"]


def test_a_document_goes_for_one_line_or_for_what_is_left(tmp_path: Path) -> None:
    rules = {
        "few": FEW,
        "brace": {**MENU, "phrases": ["{"], "takes": "document", "order": 3},
        "short": {"measure": "characters_left", "cut_if": "<", "limit": 30, "takes": "document", "order": 4},
        "torn": {"measure": "sentences_left", "cut_if": "<", "limit": 2, "takes": "document", "order": 5},
    }
    texts = [f"{PROSE} {PROSE}", f"{PROSE}\nif (a) {{ b }}", f"{PROSE} {PROSE}\na {{", "Home\nOne. Two. Three.", PROSE]
    left, made = cut(tmp_path, texts, rules)
    # of the third, the line with the brace had gone as too short before
    assert left == [texts[0], f"{PROSE} {PROSE}"]
    rows = sidecar(made, "decisions")
    assert [row["reason"] for row in rows] == [None, "brace", None, "short", "torn"]
    assert [row["value"] for row in rows] == [None, 1.0, None, 16.0, 1.0]
    assert made.manifest.ledger.total("character", KEPT) == sum(map(len, left))


def test_only_the_match_goes(tmp_path: Path) -> None:
    rules = {
        "note": {"measure": "references", "cut_if": ">", "limit": 0, "takes": "match"},
        "more": {"measure": "phrases", "phrases": ["read more", "more"], "cut_if": ">", "limit": 0, "takes": "match"},
    }
    text = f"{PROSE}[1][22] Read more\nNothing[edit] [x]"
    left, made = cut(tmp_path, [text], rules)
    assert left == [f"{PROSE} \nNothing [x]"]
    assert made.facts["effects"]["en"]["more"] == {"cut": 1, "characters": 9, "dropped": 0}
    assert made.facts["effects"]["en"]["note"] == {"cut": 3, "characters": 3 + 4 + 6, "dropped": 0}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[1]\n[2]\n", None),  # nothing that shows is left
        (" [1][2] [3] ", None),
        ("[1]\u3000[2]", None),
        (f"Read more\n{PROSE}\n\nread MORE[1]", PROSE),  # an emptied line goes whole, with its line feed
        (f"[1] more\n{PROSE}", PROSE),
        (f"[1] x more\n{PROSE}", f" x \n{PROSE}"),
    ],
)
def test_a_line_that_matches_empty_goes_whole(tmp_path: Path, text: str, left: str | None) -> None:
    rules = {
        "note": {"measure": "references", "cut_if": ">", "limit": 0, "takes": "match"},
        "more": {"measure": "phrases", "phrases": ["read more", "more"], "cut_if": ">", "limit": 0, "takes": "match"},
    }
    found, made = cut(tmp_path, [text], rules)
    assert found == ([] if left is None else [left])
    assert sidecar(made, "decisions")[0]["reason"] == ("nothing_left" if left is None else None)


def test_sentences_of_an_emptied_line_do_not_count(tmp_path: Path) -> None:
    rules = {
        "more": {"measure": "phrases", "phrases": ["read more"], "cut_if": ">", "limit": 0, "takes": "match"},
        "torn": {"measure": "sentences_left", "cut_if": "<", "limit": 2, "takes": "document"},
    }
    _, made = cut(tmp_path, [f"Read more\n{PROSE}\nRead more"], rules)
    assert sidecar(made, "decisions")[0]["value"] == 1.0


def test_a_rule_may_look_at_short_lines_only(tmp_path: Path) -> None:
    rules = {"menu": {**MENU, "max_tokens": 4}}
    assert cut(tmp_path, ["Go home now!\nI am at home today, my friend."], rules)[0] == [
        "I am at home today, my friend."
    ]


def test_what_lacks_a_phrase_can_go_too(tmp_path: Path) -> None:
    rules = {"no_home": {**MENU, "cut_if": "<", "limit": 1}}
    assert cut(tmp_path, ["at home\naway\nhome"], rules)[0] == ["at home\nhome"]


def test_other_domains_and_pairs_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    text, pair = join_pair([Side("zh", "汉"), Side("en", "Home")])
    base = documents(bench, [[Text("a", "Home", domain="code"), Text("b", text)]])
    path = base.shard_path(base.shards("documents")[0])
    table = pq.read_table(path).to_pylist()
    table[1]["metadata"] = json.dumps({"pair": pair})
    pq.write_table(type(pq.read_table(path)).from_pylist(table, DOCUMENTS), path)
    made = bench.run("cut_lines", {"rules": {"en": {"few": FEW}}}, {"documents": [base]})
    assert seen(bench, made) == ["Home", text]
    assert made.facts["unruled"] == {"code": 1}


def test_domains_sources_and_dropped_documents_of_one_row_group_are_kept_apart(tmp_path: Path) -> None:
    """Two domains have a rule of one name with other limits; a document that went before is not decided again."""
    bench = Bench(tmp_path)
    texts = [
        Text("a", "one two\none two three", "web", "en"),
        Text("b", "one two\none two three", "web", "zh"),
        Text("c", "one two", "books", "en"),
        Text("d", "one\none two three", "books", "zh"),
        Text("e", "{ one two three four", "web", "en"),
    ]
    base = documents(bench, [texts])
    brace = {"*": {"brace": {**MENU, "phrases": ["{"], "takes": "document"}}}
    first = bench.run("cut_lines", {"rules": brace}, {"documents": [base]})
    rules = {"en": {"few": FEW}, "zh": {"few": {**FEW, "limit": 2}}}
    second = bench.run("cut_lines", {"rules": rules}, {"documents": [first]})
    assert seen(bench, first, second) == ["one two three", "one two\none two three", "one two three"]
    assert [row["keep"] for row in sidecar(second, "decisions")] == [True, True, False, True, None]
    assert second.facts["effects"]["en"]["few"] == {"cut": 2, "characters": 15, "dropped": 0}
    assert second.facts["effects"]["zh"]["few"] == {"cut": 1, "characters": 4, "dropped": 0}
    assert second.facts["edits"] == {
        "books": {"documents": 1, "dropped": 1, "spans": 2, "characters": 11},
        "web": {"documents": 1, "dropped": 0, "spans": 1, "characters": 8},
    }
    ledger = second.manifest.ledger
    assert ledger.by_source("character", IN) == {"books": 24, "web": 42}
    assert ledger.by_source("character", KEPT) == {"books": 13, "web": 13 + 21}


def test_cuts_stack_on_cuts(tmp_path: Path) -> None:
    """The second node sees what the first left, and its spans are those of the base."""
    bench = Bench(tmp_path)
    base = documents(bench, [[Text("a", f"Home\n{PROSE}\nThe home page is here.\nBye\n{PROSE}")]])
    first = bench.run("cut_lines", {"rules": {"*": {"few": FEW}}}, {"documents": [base]})
    second = bench.run("cut_lines", {"rules": {"*": {"menu": MENU}}}, {"documents": [first]})
    assert seen(bench, first, second) == [f"{PROSE}\n{PROSE}"]
    assert [row["detail"] for row in sidecar(second, "cuts")] == [["menu"]]


def test_an_empty_shard_has_sidecars(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    made = bench.run("cut_lines", {"rules": {"*": {"few": FEW}}}, {"documents": [documents(bench, [[]])]})
    assert [shard.rows for port in ("decisions", "cuts") for shard in made.shards(port)] == [0, 0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", " ", "Home", "a b c", "home is a b", "汉字[1]", "x {"]), max_size=6)))
def test_every_character_is_in_one_account(tmp_path: Path, texts: list[list[str]]) -> None:
    """Books that do not balance are refused by the harness, as in a real run."""
    bodies = ["\n".join(lines) for lines in texts]
    rules = {"few": FEW, "menu": MENU, "note": {"measure": "references", "cut_if": ">", "limit": 0, "takes": "match"}}
    left, made = cut(tmp_path, bodies, {**rules, "brace": {**MENU, "phrases": ["{"], "takes": "document", "order": 3}})
    assert made.manifest.ledger.total("character", KEPT) == sum(map(len, left))
    for text in left:
        assert "home" not in text.lower()


def c4(tmp_path: Path, text: str) -> str | None:
    """What C4 leaves of a text; the reason in brackets when it goes."""
    left, made = cut(tmp_path, [text], C4)
    return left[0] if left else f"({sidecar(made, 'decisions')[0]['reason']})"


THREE = "\n".join([f"{PROSE} {PROSE}", PROSE])


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("Here is a line without any mark", False),
        ("Here is a line with one.", True),
        ("Here is a line with a “quote”", True),
        ("Here is a line that goes on...", False),
        ("It has four words.", False),
        ("It has all five words.", True),
        ("Only four words [1] here.", False),  # a reference is no word
        ("You must enable JavaScript to read this.", False),
        ("Read our Privacy Policy before you go.", False),
        ("This site uses cookies as all sites do.", False),
        (f"A word of {'x' * 1000} is let through.", True),
        (f"A word of {'x' * 1001} is too long.", False),
    ],
)
def test_c4_lines_on_both_sides_of_each_limit(tmp_path: Path, line: str, stays: bool) -> None:
    assert c4(tmp_path, f"{THREE}\n{line}") == (f"{THREE}\n{line}" if stays else THREE)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (THREE, THREE),
        (f"{PROSE} {PROSE}", "(few_sentences)"),
        (f"{THREE}\nLorem ipsum dolor sit amet, as they say.", "(lorem_ipsum)"),
        (f"{THREE}\nLorem ipsum without a mark at its end", THREE),  # the line had gone before
        (f"{THREE}\nHere stands a {{ for all to see.", "(curly_bracket)"),
        (f"{THREE}[12] [edit]", f"{THREE} "),
    ],
)
def test_c4_documents(tmp_path: Path, text: str, left: str) -> None:
    assert c4(tmp_path, text) == left


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"measure": "num_wrds", "cut_if": "<"}, "measure 'num_wrds' is unknown.*num_words"),
        ({"measure": "num_words", "cut_if": "=="}, "cut_if '=='"),
        ({**FEW, "takes": "lines"}, "takes 'lines' is unknown.*line"),
        ({**FEW, "takes": "match"}, "needs a measure with a place"),
        ({"measure": "sentences_left", "cut_if": "<"}, "takes: document"),
        ({**FEW, "phrases": ["x"]}, "`phrases` belong"),
        ({**MENU, "phrases": []}, "`phrases` belong"),
        ({**MENU, "phrases": [" "]}, "must show something"),
        ({**FEW, "max_tokens": 0}, "max_tokens"),
        ({**FEW, "limit": float("nan")}, "limit nan"),
        ({**MENU, "takes": "match", "cut_if": "<", "limit": 1}, "where there is none"),
        ({"measure": "sentences_left", "cut_if": "<", "takes": "document", "max_tokens": 3}, "about lines"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(rule: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=f"(?s)few.*{told}"):
        parse_config(CutLinesConfig, {"rules": {"en": {"few": rule}}}, "lines")


def test_the_reason_of_emptied_documents_is_no_name_for_a_rule() -> None:
    with pytest.raises(SpecError, match="rename the rule"):
        parse_config(CutLinesConfig, {"rules": {"en": {"nothing_left": FEW}}}, "lines")


def test_removed_documents_tell_their_rule(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents(bench, [[Text("a", "Home")]])
    made = bench.run("cut_lines", {"rules": {"*": {"few": FEW}}}, {"documents": [base]})
    assert removed(made, base)[Text("a", "").doc_id]["reason"] == "nothing_left"


def test_the_experiment_puts_the_node_in_front_of_the_signals() -> None:
    words = ["pipeline=corpus", "experiment=web_lines", "nodes.ingest.inputs.sources=[source:yours]"]
    run = compose_run([*words, "nodes.lines.config.rules.en.line_end.limit=null"])
    nodes = {node.name: node for node in build_nodes(run.nodes)}
    assert nodes["signals"].inputs["documents"] == ("lines",)
    assert nodes["filter"].inputs["documents"] == ("lines",)
    rules = nodes["lines"].stage.config.rules
    assert [name for name, _ in active_rules(rules["en"])][:3] == ["long_word", "references", "few_words"]
    assert rules["zh"]["navigation"].max_tokens == 40


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("首页 > 新闻 > 当前位置：正文", False),
        ("点击阅读全文", False),
        ("版权所有 京ICP备12345678号", False),
        ("请启用JavaScript", False),
        ("扫一扫关注", False),
        ("他在当前位置上写道：" + "河水慢慢地流过古老的磨坊" * 3, True),  # over 40 tokens: prose
    ],
)
def test_chinese_navigation(tmp_path: Path, line: str, stays: bool) -> None:
    rules = yaml.safe_load((CONF_FOLDER / "lines" / "pangu_zh.yaml").read_text("utf-8"))
    body = "河水慢慢地流过古老的磨坊。" * 12
    left, _ = cut(tmp_path, [f"{body}\n{line}", body[:149]], rules)
    assert left == [f"{body}\n{line}" if stays else body]


def test_a_source_may_have_line_rules_of_its_own(tmp_path: Path) -> None:
    """Poems are Chinese, too, and no page of the crawl: an empty set cuts nothing of them."""
    bench = Bench(tmp_path)
    text = "短\n床前明月光"
    base = documents(bench, [[Text("1", text, "crawl", "zh"), Text("2", text, "poems", "zh")]])
    rules = {"zh": {"short": {"measure": "num_characters", "cut_if": "<", "limit": 2}}, "poems": {}}
    made = bench.run("cut_lines", {"rules": rules}, {"documents": [base]})
    assert made.facts["edits"].keys() == {"crawl"}
    assert made.facts["edits"]["crawl"]["spans"] == 1
    assert made.facts["unruled"] == {}
