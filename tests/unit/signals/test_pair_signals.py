"""Pairs by hand, and against OpusFilter's own definitions written down plainly."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_specs.pair import Side, join_pair
from stages.signals.pair_definitions import COMPARED_CHARACTERS, PAIR_NAMES
from stages.signals.pair_kernel import compare
from stages.signals.pair_measure import compare_sides, measure_pairs, numeral_score


def pair(first: Side, second: Side) -> tuple[str, str]:
    """Text and metadata of a pair document."""
    text, entries = join_pair([first, second])
    return text, json.dumps({"pair": entries})


def measure(*documents: tuple[str, str | None]) -> list[dict[str, float]]:
    texts, metadata = zip(*documents, strict=True)
    columns = measure_pairs(pa.table({"text": pa.array(texts), "metadata": pa.array(metadata, pa.string())}))
    return [{name: columns[name][row].item() for name in PAIR_NAMES} for row in range(len(texts))]


ZH, EN = "我有3只猫，和12条狗。看看pandas！", "I have 3 cats and 12 dogs. See pandas."


def test_by_hand() -> None:
    s = compare_sides(ZH, EN)
    # 我有 3 只猫 ， 和 12 条狗 。 看看 pandas ！
    assert s["zh_length"] == 2 + 1 + 2 + 1 + 1 + 2 + 2 + 1 + 2 + 6 + 1 == len(ZH)
    assert s["en_words"] == 9
    assert s["zh_per_en_word"] == 21 / 9
    assert s["zh_per_en_character"] == 21 / 30
    assert s["zh_script_ratio"] == 9 / 15
    assert s["en_script_ratio"] == 1
    assert s["zh_letter_ratio"] == 15 / 21
    assert s["en_letter_ratio"] == (len(EN) - 8 - 3 - 2) / len(EN)  # blanks, digits, full stops
    assert s["en_mean_word_length"] == 30 / 9
    assert s["longest_word"] == len("pandas.")
    assert s["numeral_score"] == 1
    assert s["terminal_punctuation_score"] == pytest.approx(-math.log(1 + 0 + 1 + 1))
    assert s["terminal_punctuation_balance"] == 0
    assert s["common_substring_ratio"] == len("pandas") / 21


def test_words_of_a_chinese_side_end_where_han_begins() -> None:
    assert compare_sides("打开https://example.org/a页面，再看abc。", "x")["longest_word"] == len(
        "https://example.org/a"
    )
    assert compare_sides("没有词", "four")["longest_word"] == 4


def test_order_and_names_of_languages_do_not_matter() -> None:
    one, other = measure(pair(Side("en", EN), Side("zh", ZH)), pair(Side("zh-Hans", ZH), Side("en_US", EN)))
    assert one == other
    assert one["is_zh_en_pair"] == 1


@pytest.mark.parametrize(
    "document",
    [
        ("正文", None),
        ("正文", '{"licence": "CC0"}'),
        pair(Side("de", "Hallo"), Side("en", "Hello")),
        pair(Side("zh", "一"), Side("zh", "二")),
        (EN, pair(Side("en", EN), Side("zh", ZH))[1]),  # one block is gone
    ],
)
def test_what_is_no_pair_has_no_values(document: tuple[str, str | None]) -> None:
    ours, neighbour = measure(document, pair(Side("en", EN), Side("zh", ZH)))
    assert ours.pop("is_zh_en_pair") == 0
    assert all(math.isnan(value) for value in ours.values())
    assert neighbour["is_zh_en_pair"] == 1


# OpusFilter 3 (filters.py), without its loops over pairs


def opus_terminal_score(first: str, second: str) -> float:
    spun, tpun = (sum(c in ".?!…" for c in side) for side in (first, second))
    return -math.log(abs(spun - tpun) + max(0, spun - 1) + max(0, tpun - 1) + 1)


def opus_numerals(first: str, second: str) -> float:
    numbers = [[int(c) for c in side if c in string.digits and c != "0"] for side in (first, second)]
    return difflib.SequenceMatcher(None, *numbers).ratio()


def levenshtein(first: str, second: str) -> int:
    costs = list(range(len(second) + 1))
    for row, a in enumerate(first):
        before, costs[0] = costs[0], row + 1
        for column, b in enumerate(second):
            before, costs[column + 1] = (
                costs[column + 1], min(before + (a != b), costs[column] + 1, costs[column + 1] + 1),
            )  # fmt: skip
    return costs[-1]


def common_substring(first: str, second: str) -> int:
    cuts = itertools.combinations(range(len(first) + 1), 2)
    return max((end - start for start, end in cuts if first[start:end] in second), default=0)


ENGLISH = st.text(alphabet="abc 0123.?!…", max_size=30)


@settings(max_examples=200, deadline=None)
@given(ENGLISH, ENGLISH)
def test_equal_to_opusfilter_where_its_marks_are_used(first: str, second: str) -> None:
    found = compare_sides(first, second)
    assert found["terminal_punctuation_score"] == pytest.approx(opus_terminal_score(first, second), abs=1e-9)
    assert found["numeral_score"] == numeral_score(first, second) == opus_numerals(first, second)
    pieces = second.split()
    assert found["en_mean_word_length"] == (len("".join(pieces)) / len(pieces) if pieces else 0)
    shorter, longer = sorted(map(len, (first, second)))
    assert found["common_substring_ratio"] == (common_substring(first, second) / shorter if shorter else 0)
    assert found["edit_similarity"] == (1 - levenshtein(first, second) / longer if longer else 1)
    assert all(0 <= found[name] <= 1 for name in ("zh_script_ratio", "en_letter_ratio", "edit_similarity"))


def test_digits_beyond_difflibs_bound_are_not_taken_for_noise() -> None:
    digits = "123456789" * 40
    assert opus_numerals(digits, "9" + digits) == 0.0  # every digit is one of its popular elements
    assert numeral_score(digits, "9" + digits) > 0.99


def test_comparisons_are_bounded() -> None:
    head = "ab" * (COMPARED_CHARACTERS // 2)
    assert compare_sides(head + "一" * 50_000, head + "x" * 50_000)["edit_similarity"] == 1
    longest, edits = compare(np.zeros(0, np.int32), np.ones(3, np.int32))
    assert (longest, edits) == (0, 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text("一二a1。\n", min_size=1), st.text("xyz 1.\n", min_size=1)), min_size=1, max_size=5))
def test_batch_cuts_do_not_matter(sides: list[tuple[str, str]]) -> None:
    documents = [pair(Side("zh", a + "一"), Side("en", b + "x")) for a, b in sides]
    assert measure(*documents) == [measure(document)[0] for document in documents]
