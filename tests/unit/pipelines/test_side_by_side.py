"""Differences of two texts: joined again they are the texts, and what is equal is said so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.inspect.side_by_side import MAX_CHARACTERS, Part, compare_texts, shorten

TEXTS = st.text(alphabet="ab 汉字,_\n", max_size=40)


def test_words_and_han_characters_differ_whole():
    assert compare_texts("the cat sat", "the cut sat") == [
        Part("the ", "the ", True), Part("cat", "cut", False), Part(" sat", " sat", True),
    ]  # fmt: skip
    assert compare_texts("今天天气好", "今天天氣好吗") == [
        Part("今天天", "今天天", True), Part("气", "氣", False), Part("好", "好", True), Part("", "吗", False),
    ]  # fmt: skip


@given(TEXTS, TEXTS)
def test_the_parts_are_the_texts(left: str, right: str):
    parts = compare_texts(left, right)
    assert "".join(part.left for part in parts) == left
    assert "".join(part.right for part in parts) == right
    assert all((part.left == part.right) == part.is_equal for part in parts)


def test_a_difference_far_behind_is_still_found_and_equal_parts_are_counted():
    same = "word " * (2 * MAX_CHARACTERS)
    parts = shorten(compare_texts(f"{same}left {same}", f"{same}lost {same}"))
    assert [(part.left, part.right) for part in parts if not part.is_equal] == [("left", "lost")]
    assert "equal characters" in parts[0].left
    assert len("".join(part.left for part in parts)) < 300
