"""Character classes and script counts, against the Unicode database and values counted by hand."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.text import characters as c
from stages.text.arrow_text import text_buffers
from stages.text.characters import CLASS_NAMES, TABLE_SIZE, character_class, class_table
from stages.text.scripts import count_scripts, dominant_script

#: Han by script, not by category: ideographs, radicals, 々 〇 and the counting rod numerals.
HAN_BLOCKS = (
    (0x2E80, 0x2FDF), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
)  # fmt: skip
#: Marks that colour a symbol and are no part of a word: variation selectors, enclosing marks.
NO_WORD_MARKS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF), (0x20D0, 0x20FF))


def plain_class(character: str) -> int:
    """The rule from which the frozen table was made."""
    code_point = ord(character)
    category = unicodedata.category(character)
    if character.isspace():
        return c.SPACE
    if category[0] == "C" or any(first <= code_point <= last for first, last in NO_WORD_MARKS):
        return c.OTHER
    if any(first <= code_point <= last for first, last in HAN_BLOCKS):
        return c.HAN
    if category[0] == "L":
        name = unicodedata.name(character, "")
        if name.startswith(("LATIN", "FULLWIDTH LATIN")):
            return c.LATIN
        if name.startswith("CYRILLIC"):
            return c.CYRILLIC
        if "HIRAGANA" in name or "KATAKANA" in name:
            return c.KANA
        return c.HANGUL if "HANGUL" in name else c.LETTER
    return {"M": c.LETTER, "N": c.DIGIT, "P": c.PUNCTUATION, "S": c.SYMBOL, "Z": c.SPACE}[category[0]]


@pytest.mark.skipif(unicodedata.unidata_version < "14", reason="the table is that of Unicode 14")
def test_table_follows_the_unicode_database() -> None:
    # planes above the third hold tags and private use only, all OTHER
    newer = {"15.0.0": range(0x31350, 0x323B0), "15.1.0": range(0x2EBF0, 0x323B0)}
    wrong = [
        hex(code_point)
        for code_point in range(TABLE_SIZE)
        if unicodedata.category(chr(code_point)) != "Cn"
        and code_point not in newer.get(unicodedata.unidata_version, ())
        and class_table()[code_point] != plain_class(chr(code_point))
    ]
    if unicodedata.unidata_version == "14.0.0":
        assert wrong == []
    else:  # characters that a newer version added fall into the run around them
        assert len(wrong) < 500


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("汉", "han"), ("々", "han"), ("〇", "han"), ("𠮷", "han"), ("の", "kana"), ("カ", "kana"), ("한", "hangul"),
        ("a", "latin"), ("é", "latin"), ("Ａ", "latin"), ("ж", "cyrillic"), ("ا", "letter"), ("ก", "letter"),
        ("7", "digit"), ("７", "digit"), ("½", "digit"), ("①", "digit"), ("。", "punctuation"), ("_", "punctuation"),
        ("+", "symbol"), ("😀", "symbol"), ("￥", "symbol"), (" ", "space"), ("\u3000", "space"), ("\n", "space"),
        ("\u200b", "other"), ("\ufe0f", "other"), ("\x00", "other"), ("\U0010ffff", "other"), ("\ue000", "other"),
    ],
)  # fmt: skip
def test_class_of_well_known_characters(character: str, name: str) -> None:
    assert CLASS_NAMES[character_class(character)] == name


def test_counts_by_hand() -> None:
    counts, tokens = count_scripts(pa.array(["用Python3写 2 行。", "the cat", "", "한국 の本"]))
    assert dict(zip(CLASS_NAMES, counts[0].tolist(), strict=True)) == {
        "other": 0, "space": 2, "han": 3, "kana": 0, "hangul": 0, "latin": 6, "cyrillic": 0, "letter": 0, "digit": 2,
        "punctuation": 1, "symbol": 0,
    }  # fmt: skip
    # 用 | Python3 | 写 | 2 | 行; the | cat; nothing; 한국 | の | 本
    assert tokens.tolist() == [5, 2, 0, 3]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("中文abc", c.LATIN),  # 2 of 5 letters
        ("中文ab", c.HAN),  # 2 of 4: half is enough
        ("日本語のテキストです", c.KANA),  # 3 Han of 10
        ("123 。", c.OTHER),
        ("", c.OTHER),
        ("текст", c.CYRILLIC),
    ],
)
def test_dominant_script(text: str, script: int) -> None:
    counts, _ = count_scripts(pa.array([text]))
    assert dominant_script(counts).tolist() == [script]


def test_buffers_of_slices_chunks_and_nulls() -> None:
    whole = pa.array(["无关", "汉字", None, "abc", ""])
    for column in (whole[1:], pa.chunked_array([whole[1:2], whole[2:]]), whole[1:].cast(pa.large_string())):
        data, offsets = text_buffers(column)
        texts = [bytes(data[offsets[row] : offsets[row + 1]]).decode() for row in range(4)]
        assert texts == ["汉字", "", "abc", ""]
    data, offsets = text_buffers(pa.chunked_array([], pa.string()))
    assert (data.size, offsets.tolist()) == (0, [0])


@given(st.lists(st.text(), max_size=5))
def test_counts_equal_a_loop_over_characters(texts: list[str]) -> None:
    counts, tokens = count_scripts(pa.array(texts, pa.string()))
    for row, text in enumerate(texts):
        kinds = [character_class(character) for character in text]
        assert counts[row].tolist() == [kinds.count(kind) for kind in range(len(CLASS_NAMES))]
        words = 0
        before = c.SPACE
        for kind in kinds:
            in_word = c.KANA <= kind <= c.DIGIT
            words += kind == c.HAN or (in_word and not c.KANA <= before <= c.DIGIT)
            before = kind
        assert tokens[row] == words
