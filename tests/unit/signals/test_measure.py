"""Signals of small texts, counted by hand, in both scripts; and edge cases of UTF-8 and of lines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from stages.signals.counts import COUNTS, NUM_COUNTS
from stages.signals.definitions import SIGNAL_NAMES, SIGNALS
from stages.signals.measure import count_documents, to_signals
from tests.unit.signals.plain_signals import plain_signals
from tests.unit.signals.plain_words import words_and_marks

ENGLISH = "The cat sat on the mat.\n\nThe dog, with a bone, ran... and ran...\n- It was #1!\n"
CHINESE = "今天天气很好。\n今天天气很好。\n\n他说：“我们用Python写3行代码。”\n"


def signals_of(text: str, title: str | None = None, max_tokens: int = 1_000_000) -> dict[str, float]:
    counts = count_documents(pa.array([text]), pa.array([title], pa.string()), max_tokens=max_tokens)
    (row,) = to_signals(counts, np.array([True])).to_pylist()
    return row


def test_english_by_hand() -> None:
    s = signals_of(ENGLISH)
    assert s["num_characters"] == s["num_bytes"] == 78
    # 6 + 9 (The dog with a bone ran and ran = 8) + It was 1
    assert s["num_tokens"] == 6 + 8 + 3
    assert s["num_words"] == 6 + 8 + 3  # the lone hyphen is no word
    assert s["num_lines"] == 3
    assert s["num_paragraphs"] == 2
    assert s["han_ratio"] == 0
    assert s["mean_word_length"] == (3 + 3 + 3 + 2 + 3 + 3 + 3 + 3 + 4 + 1 + 4 + 3 + 3 + 3 + 2 + 3 + 1) / 17
    # words and marks: The cat sat on the mat . | The dog , with a bone , ran ... and ran ... | - It was # 1 !
    units = 7 + 12 + 6
    assert s["alphabetic_word_ratio"] == 16 / units
    assert s["alphabetic_piece_ratio"] == 16 / 18  # neither "-" nor "#1!"
    assert s["stop_word_count"] == 3  # the, with, and
    assert s["hash_per_word"] == 1 / units
    assert s["ellipsis_per_word"] == 2 / units
    assert s["ellipsis_line_ratio"] == 1 / 3
    assert s["bullet_line_ratio"] == 1 / 3
    assert s["terminal_punctuation_ratio"] == 1
    assert s["max_line_length"] == 39
    assert s["mean_physical_line_length"] == (23 + 0 + 39 + 12) / 4
    assert s["mean_line_length"] == (23 + 39 + 12) / 3
    assert s["short_line_ratio"] == 2 / 3
    assert s["newlines_per_token"] == 4 / 17
    assert s["newlines_per_word"] == 4 / units
    assert s["top_2gram_ratio"] == 2 * len("ran ...") / 78


def test_chinese_by_hand() -> None:
    s = signals_of(CHINESE)
    # 7 + 1 + 7 + 1 + 1 characters of the first lines; the last: 他说：“我们用Python写3行代码。” is 20 long
    assert s["num_characters"] == 17 + 21
    assert s["num_tokens"] == 6 + 6 + 2 + 3 + 1 + 1 + 1 + 3
    assert s["han_ratio"] == (6 + 6 + 9) / (7 + 7 + 20)
    assert s["han_token_ratio"] == 21 / 23
    assert s["latin_ratio"] == 6 / 34
    assert s["digit_ratio"] == 1 / 34
    assert s["punctuation_ratio"] == 6 / 34
    assert s["num_words"] == 3  # clauses: why Chinese rules count tokens
    assert s["terminal_punctuation_ratio"] == 1  # the closing quotation mark hides nothing
    assert s["duplicate_line_ratio"] == 1 / 3
    assert s["duplicate_line_character_ratio"] == 7 / 34
    assert s["duplicate_paragraph_ratio"] == 0
    assert s["short_line_ratio"] == 2 / 3  # 7 and 7 are short; 20 characters, ten of them Han, weigh 38
    # the second of two equal runs of six characters; its sixth is no 5-gram any more
    assert s["duplicate_5gram_ratio"] == 5 / 38
    assert s["duplicate_6gram_ratio"] == 6 / 38
    assert s["duplicate_7gram_ratio"] == 0
    assert s["top_4gram_ratio"] == 8 / 38  # no blanks between Han characters
    assert s["unique_token_ratio"] == 16 / 23


def test_overlapping_ngrams() -> None:
    s = signals_of("哈" * 14)
    # the most frequent one counts as often as it starts: 13, 12 and 11 times
    assert [s[f"top_{n}gram_ratio"] for n in (2, 3, 4)] == [2 * 13 / 14, 3 * 12 / 14, 4 * 11 / 14]
    # the second 5-gram starts at the second place, the third behind it, and then no five are left
    assert s["duplicate_5gram_ratio"] == 10 / 14
    assert s["duplicate_9gram_ratio"] == 9 / 14
    # every character but the first lies in a 13-gram that was there before
    assert s["duplicate_13gram_ratio"] == 13 / 14
    assert signals_of("哈" * 13)["duplicate_13gram_ratio"] == 0


def test_where_nothing_repeats_the_first_ngram_is_the_most_frequent() -> None:
    s = signals_of("one two three four five six seven eight nine ten")
    assert [s[f"top_{n}gram_ratio"] for n in (2, 3, 4)] == [7 / 48, 13 / 48, 18 / 48]
    assert [s[f"duplicate_{n}gram_ratio"] for n in (5, 10, 13)] == [0, 0, 0]
    assert s["unique_token_ratio"] == 1


def test_most_frequent_ngram_beats_a_longer_one() -> None:
    # "a b." three times (a single letter keeps its full stop), "longer words" twice
    assert signals_of("a b. a b. a b. longer words. longer words")["top_2gram_ratio"] == 3 * len("a b.") / 41
    # with equal frequency the earlier one counts
    assert signals_of("a b; longer words; a b; longer words")["top_2gram_ratio"] == 3 * 2 / 36


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        ("well-known,", "well - known ,"), ("don't", "do n't"), ("John's.", "John 's ."), ("(U.S.)", "( U.S. )"),
        ("Mr.", "Mr."), ("e.g.,", "e.g. ,"), ("and/or", "and/or"), ("his/her", "his / her"),
        ("50%", "50 %"), ("3.5", "3.5"), ("--x", "--x"),
        ("https://a-b.org/c.", "https://a-b.org/c ."), ("****", "* * * *"), ("wait...", "wait ..."), ("x_y", "x_y"),
        ("“Yes!”", "“ Yes ! ”"), ("(end.”Then", "( end . ”Then"), ("key=value", "key = value"), ("1/2", "1/2"),
        # exceptions: words that are two, units and hours behind a number, abbreviations as they are listed, faces
        ("cannot", "can not"), ("Dont", "Do nt"), ("DONT", "DONT"), ("were", "were"), ("wed,", "we d ,"),
        ("16GB)", "16 GB )"),
        ("10km/h", "10 km/h"), ("10km²", "10 km²"), ("①m", "①m"),
        ("5€", "5 €"), ("x5", "x5"), ("11pm", "11 pm"), ("13pm", "13pm"), ("Ph.D.", "Ph.D."),
        ("vs.", "vs."), ("VS.", "VS ."), ("c.", "c."), ("f(x):", "f(x ):"), ("(:", "(:"), ("''", "''"), ("8).", "8) ."),
        ("10-year-old", "10 - year - old"), ("3-5", "3 - 5"), ("java.lang.Object", "java.lang . Object"),
        ("a.org/b", "a.org/b"),
    ],
)  # fmt: skip
def test_words_and_marks(piece: str, words: str) -> None:
    assert words_and_marks(piece) == words.split()
    text = f"{piece} {piece}"
    counts = count_documents(pa.array([text]))[0]
    assert counts[COUNTS.index("units")] == 2 * len(words.split())
    assert counts[COUNTS.index("distinct_units")] == len(set(words.split()))


@pytest.mark.parametrize("text", ["", " ", "\n", " \n\t\u3000\n", "\n\n\n"])
def test_texts_without_anything_are_zero(text: str) -> None:
    s = signals_of(text)
    expected = dict.fromkeys(SIGNAL_NAMES, 0) | {
        "num_characters": len(text),
        "num_bytes": len(text.encode()),
        "whitespace_ratio": 1.0 if text else 0.0,
        "max_line_length": max(map(len, text.split("\n"))),
    }
    lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
    if text:
        expected["mean_physical_line_length"] = sum(map(len, lines)) / len(lines)
    assert s == expected


@pytest.mark.parametrize(
    ("text", "lines", "physical", "longest"),
    [("a", 1, 1, 1), ("a\n", 1, 1, 1), ("a\n\n", 1, 2, 1), ("\na", 1, 2, 1), ("  ab  \n", 1, 1, 6), ("a\nbc", 2, 2, 2)],
)
def test_lines(text: str, lines: int, physical: int, longest: int) -> None:
    counts = count_documents(pa.array([text]))[0]
    assert counts[COUNTS.index("lines")] == lines
    assert counts[COUNTS.index("physical_lines")] == physical
    assert counts[COUNTS.index("longest_line")] == longest


def test_astral_characters_and_emoji() -> None:
    s = signals_of("𠮷野家😀👍🏽 ok")
    assert s["num_characters"] == 9
    assert s["num_bytes"] == 4 + 3 + 3 + 4 + 4 + 4 + 3
    assert s["han_ratio"] == 3 / 8
    assert s["symbol_ratio"] == 3 / 8  # the skin tone is a symbol too
    assert s["num_tokens"] == 4


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("see http://a.org", 1), ("HTTPS://A.ORG and ftp://b", 2), ("http:/a", 0), ("ttp://a", 0), ("://", 0),
        ("网址https://例子.中国。", 1), ("gopher://x", 0), ("s://x", 0), ("ps://", 0), ("tps://a", 0),
    ],
)  # fmt: skip
def test_url_count(text: str, number: int) -> None:
    assert signals_of(text)["url_count"] == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("write to me@mail.example.org.", 1), ("联系a.b@例子.cn", 0), ("邮箱：zhang3@163.com，谢谢", 1), ("a@b", 0),
        ("@b.com", 0), ("a@b.c", 0), ("a@b..com", 0), ("a@1.2.3.4", 0), ("a@b.com", 1), ("x@y.cn,z@w.cn", 2),
    ],
)  # fmt: skip
def test_email_count(text: str, number: int) -> None:
    assert signals_of(text)["email_count"] == number


def test_code() -> None:
    java = "/* a\n * b\n */\nint x; // c\n// d\n#e\n"
    s = signals_of(java)
    assert s["comment_ratio"] == (4 + 3 + 2 + 4 + 2) / len(java)
    assert signals_of("/* one line */\ncode();\n")["comment_ratio"] == 14 / 23
    assert signals_of("x = 1\n")["comment_ratio"] == 0


@pytest.mark.parametrize(
    ("text", "is_generated"),
    [
        ("# DO NOT EDIT\n", 1), ("a\nb\nc\nd\n// Autogenerated by x", 1), ("a\nb\nc\nd\ne\n// autogenerated", 0),
        ("# automatically  generated", 0), ("x" * 1990 + " do not edit", 1), ("x" * 2000 + " do not edit", 0),
    ],
)  # fmt: skip
def test_autogenerated(text: str, is_generated: int) -> None:
    # a mark may end behind the bound; it must start before it
    assert signals_of(text)["is_autogenerated"] == is_generated


def test_title_only() -> None:
    assert signals_of(" 天气预报\n", "天气预报 ")["is_title_only"] == 1
    assert signals_of("天气预报\n晴", "天气预报")["is_title_only"] == 0
    assert signals_of("天气预报", None)["is_title_only"] == 0
    assert signals_of("", "")["is_title_only"] == 0


@pytest.mark.parametrize(
    ("line", "is_item"),
    [("- a", 1), ("-a", 0), ("*ST中新", 0), ("* x", 1), ("•a", 1), ("★ x", 1), ("-", 0), ("a - b", 0)],
)
def test_bullets(line: str, is_item: int) -> None:
    assert signals_of(line)["bullet_line_ratio"] == is_item


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("完了。", 1), ("“完了。”", 1), ("（见上文！）", 1), ("第一条；", 1), ("标题", 0), ("Done.)", 0), ("“No.”", 0),
        ("No,", 0), ("等等……", 1), ("wait...", 1), ("“”", 0), ("为什么？ ", 1),
    ],
)  # fmt: skip
def test_terminal_punctuation(line: str, ends: int) -> None:
    assert signals_of(line)["terminal_punctuation_ratio"] == ends


@pytest.mark.parametrize(("size", "is_short"), [(30, 1), (31, 0)])
def test_short_line_limit(size: int, is_short: int) -> None:
    assert signals_of("x" * size)["short_line_ratio"] == is_short


@pytest.mark.parametrize(("size", "is_short"), [(10, 1), (11, 0)])
def test_short_line_limit_in_chinese(size: int, is_short: int) -> None:
    assert signals_of("字" * size)["short_line_ratio"] == is_short


def test_ngrams_look_at_the_first_tokens_only() -> None:
    text = "甲乙丙丁戊己庚辛" + "哈" * 50
    assert signals_of(text, max_tokens=8)["duplicate_5gram_ratio"] == 0
    assert signals_of(text)["duplicate_5gram_ratio"] > 0.5
    assert signals_of(text, max_tokens=8)["num_tokens"] == 58


def test_rows_outside_the_view_are_null() -> None:
    inside = np.array([True, False, True])
    counts = count_documents(pa.array(["一", "二二", ""]), inside=inside)
    table = to_signals(counts, inside)
    assert table.column("num_characters").to_pylist() == [1, None, 0]
    assert all(table.column(name).null_count == 1 for name in table.schema.names)


def test_no_documents() -> None:
    assert count_documents(pa.array([], pa.string())).shape == (0, NUM_COUNTS)


def test_every_signal_is_made_of_known_counts_and_named_once() -> None:
    assert len(set(SIGNAL_NAMES)) == len(SIGNALS)
    assert {s.numerator for s in SIGNALS} | {s.denominator for s in SIGNALS if s.denominator} <= set(COUNTS)


def test_reference_knows_every_signal() -> None:
    assert set(plain_signals("")) == set(SIGNAL_NAMES)
