"""Many phrases at once against one `find` after the other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.text.arrow_text import text_buffers
from stages.text.phrases import Phrases

Match = tuple[int, int, int, int]


def found(groups: list[list[str]], texts: list[str], inside: list[bool] | None = None) -> list[Match]:
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    mask = np.ones(len(texts), dtype=bool) if inside is None else np.array(inside)
    return [tuple(map(int, row)) for row in zip(*Phrases.build(groups).find(data, offsets, mask), strict=True)]


def one_by_one(groups: list[list[str]], texts: list[str]) -> list[Match]:
    """(row, start, end, group); the longest phrase of a group at every place where one ends."""
    matches = []
    for row, text in enumerate(texts):
        data = text.encode().lower()  # of bytes: ASCII only
        for end in range(1, len(data) + 1):
            for group, phrases in enumerate(groups):
                sizes = [len(p.encode()) for p in phrases if data[:end].endswith(p.encode().lower())]
                if sizes:
                    matches.append((row, end - max(sizes), end, group))
    return matches


WORDS = st.text("abB汉字é{", min_size=1, max_size=4)


@given(st.lists(st.lists(WORDS, max_size=4), max_size=3), st.lists(st.text("abAB汉字é{ x", max_size=40), max_size=3))
def test_every_phrase_is_found_where_it_ends(groups: list[list[str]], texts: list[str]) -> None:
    assert found(groups, texts) == one_by_one(groups, texts)


def test_case_counts_beyond_ascii_only_and_matches_may_overlap() -> None:
    assert found([["use cookies", "cookies"], ["É", "ies"]], ["We USE Cookies. é"]) == [(0, 3, 14, 0), (0, 11, 14, 1)]


def test_rows_outside_and_an_empty_set_find_nothing() -> None:
    assert found([["a"]], ["a", "aa", ""], [False, True, True]) == [(1, 0, 1, 0), (1, 1, 2, 0)]
    assert found([[], []], ["a"]) == []


def test_more_matches_than_first_expected() -> None:
    assert len(found([["a"]], ["a" * 5000])) == 5000


def test_an_empty_phrase_is_refused() -> None:
    with pytest.raises(ValueError, match="empty phrase"):
        Phrases.build([[""]])
