"""Pair documents give both sides back, also after the edits that cleaning makes."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.pair import Side, join_pair, split_pair

SIDE = st.text(st.sampled_from("ab 中é\n\n\r\u2028\u200b\x0b\t\u3000"), max_size=30)


def visible(text: str) -> bool:
    return any(c.isprintable() and not c.isspace() for c in text)


def test_a_pair_is_two_texts_with_a_blank_line_between() -> None:
    text, pair = join_pair([Side("en", "one\n\n\ntwo\n"), Side("zh", "一")])
    assert text == "one\n\ntwo\n\n一"
    assert pair == [{"language": "en", "blocks": 2, "characters": 8}, {"language": "zh", "blocks": 1, "characters": 1}]
    assert split_pair(text, json.dumps({"pair": pair})) == (Side("en", "one\n\ntwo"), Side("zh", "一"))


def test_other_documents_are_no_pairs() -> None:
    assert split_pair("text", None) is None
    assert split_pair("text", '{"path": "a.txt"}') is None


@pytest.mark.parametrize("text", ["", " \n\u3000", "\u200b"])
def test_a_side_without_text_makes_no_pair(text: str) -> None:
    with pytest.raises(ValueError, match="the zh side of the pair holds no text"):
        join_pair([Side("en", "one"), Side("zh", text)])


def test_a_text_that_was_edited_apart_is_refused() -> None:
    _, pair = join_pair([Side("en", "one"), Side("zh", "一")])
    with pytest.raises(ValueError, match="has 1 blocks and its metadata count 2"):
        split_pair("one 一", json.dumps({"pair": pair}))


@given(SIDE.filter(visible), SIDE.filter(visible))
def test_sides_come_back_whatever_they_hold(first: str, second: str) -> None:
    text, pair = join_pair([Side("en", first), Side("zh", second)])
    metadata = json.dumps({"pair": pair})
    sides = split_pair(text, metadata)
    assert sides is not None
    assert [len(side.text) for side in sides] == [entry["characters"] for entry in pair]
    assert "\n\n".join(side.text for side in sides) == text
    for side, original in zip(sides, (first, second), strict=True):
        assert [c for c in side.text if visible(c)] == [c for c in original if visible(c)]
    # what `clean` does: line ends, controls, a normal form, blanks at line ends, runs of blank lines
    cleaned = unicodedata.normalize("NFC", text.replace("\r", "\n").replace("\u2028", "\n").replace("\u200b", ""))
    lines = "\n".join(line.rstrip() for line in cleaned.split("\n")).strip()
    again = split_pair(lines, metadata)
    assert again is not None
    assert [side.language for side in again] == ["en", "zh"]
    assert [[c for c in s.text if visible(c)] for s in again] == [
        [c for c in unicodedata.normalize("NFC", s.text) if visible(c)] for s in sides
    ]
