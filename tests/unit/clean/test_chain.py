"""The chain as a whole: rests on clean text, counts what it does, and does not depend on its batch."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stages.clean.chain import RuleCount, clean_column
from stages.clean.rules import RULE_NAMES, make_rules

RULES = make_rules(RULE_NAMES)
TEXT = st.lists(
    st.sampled_from(list("ab 中\n\r\t\x0c\x00\x85\x96\xa0\xad\u200b\u3000\ufefféÃ©Â¼â€œœšžŸ\u0301"))
    | st.characters(codec="utf-8")
    | st.sampled_from(
        ["a@b.cn ", "13812345678", "8.8.4.44", "★★★★★★", "乾隆", "乾燥的髮型", "=" * 10, "一句。", "\ue000"]
    ),
    max_size=30,
).map("".join)


def clean(*texts: str) -> list[str]:
    return clean_column(pa.array(texts, pa.string()), RULES).texts.to_pylist()


@given(st.lists(TEXT, max_size=6))
def test_cleaning_clean_text_changes_nothing(texts: list[str]) -> None:
    once = clean_column(pa.array(texts, pa.string()), RULES)
    twice = clean_column(once.texts, RULES)
    assert twice.texts.to_pylist() == once.texts.to_pylist()
    assert twice.counts == {}


@given(st.lists(TEXT, max_size=6))
def test_a_text_is_cleaned_the_same_alone_and_in_company(texts: list[str]) -> None:
    assert clean(*texts) == [clean(text)[0] for text in texts]


@given(st.lists(TEXT, max_size=6))
def test_counted_characters_explain_the_lengths(texts: list[str]) -> None:
    column = clean_column(pa.array(texts, pa.string()), RULES)
    assert column.characters_before.tolist() == [len(text) for text in texts]
    growth = sum(count.added - count.removed for count in column.counts.values())
    assert sum(map(len, column.texts.to_pylist())) == sum(map(len, texts)) + growth


def test_a_rule_that_makes_work_for_an_earlier_one_is_followed_up() -> None:
    # the byte order mark hides two halves of a broken character from the first rule
    assert clean("caf\u00c3\ufeff\u00a9 au lait") == ["café au lait"]


def test_only_what_changed_is_counted() -> None:
    column = clean_column(pa.array(["clean text", "tail  \nx", "a\u200b\u200bb"]), RULES)
    assert column.texts.to_pylist() == ["clean text", "tail\nx", "ab"]
    assert column.counts == {"whitespace": RuleCount(1, 2, 0), "controls": RuleCount(1, 2, 0)}


def test_rules_that_are_left_out_do_not_run() -> None:
    rules = make_rules(("line_endings", "controls"))
    column = clean_column(pa.array(["  def f():  \r\n\treturn '\u00c3\u00a9'\ufeff\n\n\n\n\n"]), rules)
    assert column.texts.to_pylist() == ["  def f():  \n\treturn '\u00c3\u00a9'\n\n\n\n\n"]
    assert clean_column(pa.array(["  x  "]), make_rules(())).texts.to_pylist() == ["  x  "]
