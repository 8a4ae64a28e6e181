"""Signals against the plain reference, and laws that hold for any text."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.signals.definitions import SIGNAL_NAMES, SIGNALS
from stages.signals.measure import count_documents, to_signals
from tests.unit.signals.plain_signals import plain_signals

#: pieces that meet every branch: both scripts, list marks, ends of sentences, comments, addresses, odd white space
PIECES = st.sampled_from(
    [
        *("今天", "天气", "很好", "的", "是", "甲乙丙丁戊己庚辛壬癸子丑寅卯"),
        *("the", "The", "of", "AND", "a", "cat", "7", "½", "é", "ж", "の", "한", "ก็"),
        *("。", ".", "...", "…", "！", "?", "”", '"', ")", "·", ":", "@", "#"),
        *(" ", " ", "  ", "\t", "\u3000", "\u00a0", "\r", "\n", "\n", "\n\n"),
        *("- ", "•", "*", "//", "/*", "*/", "http://", "ftp://x", "me@a.cn"),
        *("auto-generated", "Do Not Edit", "𠮷", "😀", "\ufe0f", "\u200b"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=60).map("".join), st.text(max_size=60))


def measure(texts: list[str], max_tokens: int = 1_000_000) -> list[dict[str, float]]:
    counts = count_documents(pa.array(texts, pa.string()), max_tokens=max_tokens)
    return to_signals(counts, np.ones(len(texts), dtype=bool)).to_pylist()


@given(TEXTS, st.sampled_from([1_000_000, 7]))
@settings(max_examples=400)
@example("a b c d e f g h i j k l m n " * 3, 1_000_000)
@example("ababab", 1_000_000)
@example("甲乙丙丁" * 30, 1_000_000)
@example("甲乙丙丁" * 30, 50)
def test_kernels_equal_the_plain_definitions(text: str, max_tokens: int) -> None:
    (measured,) = measure([text], max_tokens)
    expected = plain_signals(text, None, max_tokens)
    assert {name: measured[name] for name in SIGNAL_NAMES} == expected


@given(st.lists(TEXTS, max_size=6), st.randoms(use_true_random=False))
def test_documents_do_not_see_each_other(texts: list[str], random) -> None:  # type: ignore[no-untyped-def]
    together = measure(texts)
    assert together == [row for text in texts for row in measure([text])]
    order = list(range(len(texts)))
    random.shuffle(order)
    assert measure([texts[i] for i in order]) == [together[i] for i in order]


@given(TEXTS)
def test_shares_lie_between_zero_and_one(text: str) -> None:
    (row,) = measure([text])
    for signal in SIGNALS:
        value = row[signal.name]
        assert math.isfinite(value)
        assert value >= 0
        unbounded = {"hash_per_word", "ellipsis_per_word", "newlines_per_token", "newlines_per_word"}
        if signal.unit == "ratio" and signal.name not in unbounded:
            assert value <= 1, signal.name


MARKED = st.text(alphabet="aBcx7é.,:;/-–'’s\"()#*=+%$@_~<>&→。！ \nn't'llre", max_size=40)


@given(MARKED)
@settings(max_examples=400)
@example("Dr. Smith's (well-known) U.S. e-mail: a/b, don't they'll 50% +5 C++ x=1 1-2 a,b foo.Bar ... wait...")
@example("https://a-b.org/c-d. me@a-b.org, os.path/x-y a.b:c ====== ---- **bold** “He's.”")
def test_words_and_marks_equal_the_plain_definition(text: str) -> None:
    (measured,) = measure([text])
    expected = plain_signals(text)
    assert {name: measured[name] for name in SIGNAL_NAMES} == expected
