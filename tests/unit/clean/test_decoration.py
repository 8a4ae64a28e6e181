"""Symbols, script, paragraphs and torn sentences: each on both sides of its limits."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.clean.rules import make_rules

NAMES = ("symbols", "simplified", "repeated_paragraphs", "torn_sentence")
RULES = make_rules(NAMES, min_paragraph_tokens=4)
#: Pieces that the rules look for, so that runs, lines and copies of them come about.
TEXT = st.lists(
    st.sampled_from(
        [
            "★",
            "★★",
            "◆",
            "◆◆",
            "□",
            "───",
            "─",
            "│",
            "█",
            "==",
            "==========",
            "----------",
            "—————",
            "\ue000",
            "\ufffd",
            "\n",
            "\n\n",
            " ",
            "\u3000",
            "一二三四",
            "one two three four",
            "中文。",
            "The end. ",
            "Mr. Smith",
            "A",
            "!",
            "…",
            "薴",
            "乾",
            "乾隆",
            "國家",
            "国家",
            "の",
            "<EMAIL>",
        ]
    )
    | st.text(st.characters(codec="utf-8"), max_size=3),
    max_size=25,
).map("".join)


def apply(name: str, text: str) -> str:
    return str(RULES[name].apply(pa.array([text]))[0].as_py())


@given(TEXT)
@pytest.mark.parametrize("name", NAMES)
def test_rules_are_idempotent_and_their_tests_miss_nothing(name: str, text: str) -> None:
    once = apply(name, text)
    assert apply(name, once) == once
    if once != text:
        assert RULES[name].touches(pa.array(["other", text, ""])).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ue001b\U000f1234c\ufffdd", "abcd"),  # private use and lost characters
        ("◆◆◆标题◆◆◆", "标题"),
        ("◆◆ 标题", "◆◆ 标题"),
        ("评分★★★★☆", "评分★★★★☆"),  # a rating
        ("★★★★★★活动", "活动"),  # six stars are none
        ("★◆★", ""),
        ("★★◆◆◆★★★★", ""),
        ("其文□□□不可考，○○○公司", "其文□□□不可考，○○○公司"),  # lost characters, names left out
        ("■ 第一点 ● 第二点 ♥", "■ 第一点 ● 第二点 ♥"),
        ("─────标题─────", "标题"),
        ("├── src\n│   └── a.py", "├── src\n│   └── a.py"),
        ("他说──好", "他说──好"),  # a Chinese dash
        ("┌──┬──┐\n│ a │ b │\n└──┴──┘", "\n│ a │ b │\n"),
        ("进度██████完成", "进度完成"),
        ("Title\n==========\ntext", "Title\n===\ntext"),
        ("Title\n=========\ntext", "Title\n=========\ntext"),  # nine
        ("  ----------  ", "  ---"),
        ("a ---------- b", "a ---------- b"),  # not alone on its line
        ("==========  ==========", "==========  =========="),  # a table
        ("————————————", "———"),
        ("¥100 + 5€ = ∑x² → ①《书》——“好”……😀😀😀", "¥100 + 5€ = ∑x² → ①《书》——“好”……😀😀😀"),
    ],
)
def test_symbols_by_example(text: str, expected: str) -> None:
    assert apply("symbols", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "乾隆皇帝乾燥的髮型，後來皇后於是看見了",
            "乾隆皇帝干燥的发型，后来皇后于是看见了",
        ),  # by phrases, not by characters
        ("王丙乾出席了会议", "王丙乾出席了会议"),  # a simplified text keeps its names
        ("的" * 38 + "國" * 2, "的" * 38 + "国" * 2),  # one in twenty
        ("的" * 39 + "國" * 2, "的" * 39 + "國" * 2),  # 2 of 41
        ("國家与国", "國家与国"),  # as many simplified as traditional
        ("國家與国", "国家与国"),
        ("東京の見物は楽しい時間です", "東京の見物は楽しい時間です"),  # Japanese
        ("plain English, 1,000 €", "plain English, 1,000 €"),
        ("薴" * 4, "苎" * 4),  # OpenCC needs two steps
    ],
)
def test_simplified_by_example(text: str, expected: str) -> None:
    assert apply("simplified", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一二三四\n中间\n一二三四", "一二三四\n中间"),
        ("一二三\n中间\n一二三", "一二三\n中间\n一二三"),  # three tokens
        ("one two three four\n\nx\n\n one two three four\t\n\ny", "one two three four\n\nx\n\ny"),
        ("one two three\nx\none two three", "one two three\nx\none two three"),
        ("一二三四，\n一二三四。", "一二三四，\n一二三四。"),  # not equal
        ("ab cd ef gh\nab cd ef gh\nab cd ef gh", "ab cd ef gh"),
    ],
)
def test_repeated_paragraphs_by_example(text: str, expected: str) -> None:
    assert apply("repeated_paragraphs", text) == expected


def test_the_default_length_spares_a_refrain() -> None:
    rule = make_rules(["repeated_paragraphs"])["repeated_paragraphs"]
    shorter, longer = "叹" * 49 + "。", "叹" * 50 + "。"
    assert rule.apply(pa.array([f"{shorter}\n一\n{shorter}"])).to_pylist() == [f"{shorter}\n一\n{shorter}"]
    assert rule.apply(pa.array([f"{longer}\n一\n{longer}"])).to_pylist() == [f"{longer}\n一"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("第一段。\n这是第一句。“好。”这是没有结", "第一段。\n这是第一句。“好。”"),
        ("第一段。\n没有一句完", "第一段。\n没有一句完"),  # no whole sentence in the last line: a title, a signature
        ("这是第一句。这是第二句！", "这是第一句。这是第二句！"),
        ("One sentence. And a torn", "One sentence."),
        ("It costs 3.5 million and", "It costs 3.5 million and"),
        ("So said Mr. Smith of", "So said Mr. Smith of"),
        ("by J. Smith", "by J. Smith"),
        ("First. second half", "First. second half"),  # a small letter follows
        ("One. Two: see [3]", "One. Two: see [3]"),  # closes with a bracket
    ],
)
def test_torn_sentence_by_example(text: str, expected: str) -> None:
    assert apply("torn_sentence", text) == expected
