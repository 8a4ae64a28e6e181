"""The look misses nothing: the chain does the same when every rule is run on every text."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES
from hypothesis import given
from hypothesis import strategies as st

from stages.clean.chain import clean_column
from stages.clean.rule import Hint, RuleSet, matches
from stages.clean.rules import RULE_NAMES, make_rules, mojibake_pattern

RULES = make_rules(RULE_NAMES, min_paragraph_tokens=4)
UNHINTED = RuleSet(RULES, lambda texts: np.full(len(texts), -1, dtype=np.int64))

PIECES = (
    *"ab 12-.:@(\n\t\r\x00\x85\xa0\u3000\ufeff。」”“’Ã©é€Âœ\u0301\U0001f600\U000f0000\ue000★◆─█—－乾髮发国",
    *("\n\n\n\n", "=" * 9, "-" * 10, "——————————", "★★★", "◆★◆", "│ │ │", "─────", "乾燥的髮型", "の"),
    *("a@b.cn", "8.8.4.44", "2400:3200::1", "1:2:3:4:5:6:7:8", "13812345678", "+86 138 1234 5678", "电话:5551234"),
    *("010-62781234", "（010） 62781234", "212-555-0123", "4111 1111 1111 1111", "11010519491231002X"),
    *("ghp_" + "aB3" * 12, "AKIAIOSFODNN7ABCDEFG", "hf_" + "abCdefGhijk" * 3 + "z", "SG.", "PRIVATE KEY"),
    *("\nfour words of text", "\nfour words of text ", "\n一行四字以上", "Mr. He said. And"),
)


@given(st.lists(st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=12).map("".join), max_size=4))
def test_the_chain_does_the_same_when_every_rule_runs_on_every_text(texts: list[str]) -> None:
    column = pa.array(texts, pa.string())
    hinted, unhinted = clean_column(column, RULES), clean_column(column, UNHINTED)
    assert hinted.texts.to_pylist() == unhinted.texts.to_pylist()
    assert hinted.counts == unhinted.counts


def test_pairs_of_characters_that_ftfy_finds_bad_are_hinted_at() -> None:
    written = "".join(MOJIBAKE_CATEGORIES.values())
    bad = [mark for mark in map(chr, range(0x80, 0x10000)) if re.match(f"[{written}]", mark)]
    for around in (("", ""), ("a", "a"), ("é", "é"), ("“", "½")):
        pairs = pa.array([around[0] + a + b + around[1] for a, b in itertools.product(bad, repeat=2)])
        missed = matches(pairs, mojibake_pattern()) & (RULES.look(pairs) & int(Hint.MOJIBAKE) == 0)
        assert pairs.filter(pa.array(missed)).to_pylist() == []


@pytest.mark.parametrize(
    "text",
    [
        "“Sound,” he said — ‘quite’ sound… café, naïve.",
        "“你好。”“再见……”他说——走了。王丙乾先生，2003年10月5日，第1.2.3节。",
        "if x == 10: return d['a'] @ b  # 12:30, 0x1f\n\n\nheight_ = x - 1",
    ],
)
def test_sound_text_hints_at_nothing(text: str) -> None:
    assert Hint(int(RULES.look(pa.array([text]))[0])) == Hint.ALWAYS


def test_hints_of_rules_that_are_not_asked_for_do_not_matter() -> None:
    rules = make_rules(["email"])
    column = clean_column(pa.array(["  a@b.cn ----------\n\n\n\n\n"]), rules)
    assert column.texts.to_pylist() == ["  <EMAIL> ----------\n\n\n\n\n"]
    assert list(column.counts) == ["email"]
