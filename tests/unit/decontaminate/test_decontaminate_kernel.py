"""Tokens and their places against a slow tokeniser; the folding of Chinese variants and widths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decontaminate import kernel
from stages.decontaminate.folding import folding_table
from stages.text.characters import DIGIT, FIRST_LETTER, HAN, KANA, character_class

TABLE = folding_table()


def cut(text: str) -> tuple[list[int], list[int]]:
    """(hashes, first characters) of the compiled tokeniser."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    tokens, begins = np.empty(len(data) + 2, np.uint64), np.empty(len(data) + 2, np.int64)
    count, _ = kernel.tokenise(data, 0, len(data), TABLE, tokens, begins)
    firsts = [len(text.encode()[:begin].decode()) for begin in begins[:count].tolist()]
    return tokens[:count].tolist(), firsts


def plain_cut(text: str) -> tuple[list[str], list[int]]:
    """The same, character by character; folded by the table."""
    tokens: list[str] = []
    firsts: list[int] = []
    open_word = False
    for place, character in enumerate(text):
        kind = character_class(character)
        folded = chr(int(TABLE[ord(character)]) & kernel.FOLD_MASK)
        alone = kind in (HAN, KANA)
        in_word = FIRST_LETTER <= kind <= DIGIT and not alone
        if in_word and open_word:
            tokens[-1] += folded
        elif in_word or alone:
            tokens.append(("word " if in_word else "single ") + folded)
            firsts.append(place)
        open_word = in_word
    return tokens, firsts


@given(st.text(st.sampled_from("aB1Ａｂ９ é漢汉 あカｶ，.,\n𠀀한글"), max_size=40))
def test_tokens_stand_where_a_slow_tokeniser_puts_them(text: str) -> None:
    hashes, firsts = cut(text)
    tokens, plain_firsts = plain_cut(text)
    assert firsts == plain_firsts
    assert len(set(zip(hashes, tokens, strict=True))) == len(set(hashes)) == len(set(tokens))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("漢語乾燥幹部干涉後臺裡爲", "汉语干燥干部干涉后台里为"),
        ("台灣 臺灣 檯 颱", "台湾 台湾 台 台"),
        ("ＡＢＣ１２３，ａｂｃ", "abc123，abc"),
        ("Ｈｅｌｌｏ　ｗｏｒｌｄ！", "hello, world"),
    ],
)
def test_variants_and_widths_fold_to_one(left: str, right: str) -> None:
    assert cut(left)[0] == cut(right)[0] != []


def test_different_characters_stay_apart() -> None:
    assert len({cut(character)[0][0] for character in "天地玄黄宇宙洪荒"}) == 8
    assert cut("ab")[0] != cut("a b")[0]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 6))
def test_shingles_are_equal_exactly_when_their_tokens_are(tokens: list[int], length: int) -> None:
    hashed = np.array([1 + token * 0x9E3779B97F4A7C15 % 2**64 for token in tokens], dtype=np.uint64)
    shingles = np.empty(len(tokens) + 1, np.uint64)
    count = kernel.shingle(hashed, len(tokens), length, shingles)
    runs = [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]
    assert count == len(runs)
    assert len(set(zip(shingles[:count].tolist(), runs, strict=True))) == len(set(runs))
    assert len(set(shingles[:count].tolist())) == len(set(runs))
