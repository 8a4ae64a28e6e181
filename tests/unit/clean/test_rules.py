"""Each rule on texts that a reader can check by eye, and against the same rule written with Python's ``re``."""

from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pytest
from ftfy.badness import is_bad
from hypothesis import given
from hypothesis import strategies as st

from stages.clean.rules import RULE_NAMES, make_rules, mojibake_pattern

RULES = make_rules(RULE_NAMES)

#: Text rich in what the rules look for.
TEXT = st.text(
    st.sampled_from("ab 中。\n\n\n\r\t\x0b\x0c\x00\x1f\x7f\x85\x96\xa0\xad\u200b\u200d\u2028\u3000\ufeff\ufffe")
    | st.sampled_from("éÃ©â€œœ\u0301Å\u2019")
    | st.characters(codec="utf-8"),
    max_size=40,
)


def apply(name: str, text: str) -> str:
    return str(RULES[name].apply(pa.array([text]))[0].as_py())


def touches(name: str, text: str) -> bool:
    return bool(RULES[name].touches(pa.array([text]))[0])


_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff"
    "\ufff9-\ufffc\ufffe\uffff]"
)
_BLANKS = re.compile("[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+\n")
SLOW = {
    "line_endings": lambda text: _LINE_END.sub("\n", text),
    "controls": lambda text: _CONTROL.sub("", text),
    "unicode_form": lambda text: unicodedata.normalize("NFC", text),
    "whitespace": lambda text: re.sub("\n{4,}", "\n\n\n", _BLANKS.sub("\n", text)).strip(),
}


@given(TEXT)
@pytest.mark.parametrize("name", sorted(SLOW))
def test_rules_equal_their_slow_reference(name: str, text: str) -> None:
    assert apply(name, text) == SLOW[name](text)


@given(TEXT)
@pytest.mark.parametrize("name", RULE_NAMES)
def test_rules_are_idempotent_and_their_tests_miss_nothing(name: str, text: str) -> None:
    once = apply(name, text)
    assert apply(name, once) == once
    if once != text:
        assert touches(name, text)


@given(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1250", "mac_roman", "cp437"]),
)
def test_the_translated_badness_misses_nothing_that_ftfy_finds(text: str, wrong: str) -> None:
    broken = text.encode("utf-8").decode(wrong, "replace")
    for line in broken.split("\n"):
        if is_bad(line):
            assert touches("mojibake", broken)


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("cafÃ© dÃ©jÃ\xa0 vu", "café déjà vu"),
        ("â€œquotedâ€\x9d â€” and more", "“quoted” — and more"),
        ("ä¸\xadæ–‡å†…å®¹", "中文内容"),
        ("好的一行，没有问题。\ncafÃ©", "好的一行，没有问题。\ncafé"),  # one line is broken, the other is not
    ],
)
def test_mojibake_is_repaired_line_by_line(broken: str, repaired: str) -> None:
    assert apply("mojibake", broken) == repaired


@pytest.mark.parametrize(
    "text",
    [
        "港口的早晨——非常安静……“好”，《书》：ＡＢＣ１２３，全角，标点！？",
        "naïve café, Ünïcode straße, 5 £ × 3 = ½ §",
        "«Привет», сказал он — «да».",
        "日本語のｶﾀｶﾅ（半角）",
        "",
    ],
)
def test_sound_text_is_no_mojibake(text: str) -> None:
    assert apply("mojibake", text) == text
    assert not touches("mojibake", text)


def test_no_rule_folds_the_width_of_chinese_punctuation() -> None:
    text = "全角：ＡＢＣ，１２３；（括号）！？～　和空格。"
    for name in RULE_NAMES:
        assert apply(name, text) == text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("line_endings", "a\r\nb\rc\u2028d\x0ce\x85f", "a\nb\nc\nd\ne\nf"),
        ("controls", "\ufeffa\u200bb\xadc\x00d\x9fe\u202ef\tg\n", "abcdef\tg\n"),
        ("controls", "می\u200cخواهم 👨\u200d👩", "می\u200cخواهم 👨\u200d👩"),  # joiners that spell
        ("unicode_form", "e\u0301 Å", "é Å"),
        ("whitespace", "\n  a  \u3000\n\n\n\n\nb\t\n\n\nc \n", "a\n\n\nb\n\n\nc"),
        ("whitespace", "a\n\n\nb", "a\n\n\nb"),  # two blank lines may stand
        ("whitespace", "  indented\n    more", "indented\n    more"),
    ],
)
def test_rules_by_example(name: str, text: str, expected: str) -> None:
    assert apply(name, text) == expected


def test_the_pattern_finds_a_bad_line_anywhere() -> None:
    assert mojibake_pattern().startswith("(?m:")
    assert touches("mojibake", "clean\nÂ starts a line")
    assert not touches("mojibake", "A starts a line")
