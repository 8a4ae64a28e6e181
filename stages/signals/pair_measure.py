"""From pair documents to the table of PAIR_SIGNALS.

Importing this module loads Numba; workers do, the planner does not. Pairs are short and are read one by one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from data_specs.pair import Side, split_pair
from stages.signals.described import ratio
from stages.signals.pair_definitions import COMPARED_CHARACTERS, COMPARED_DIGITS, PAIR_SIGNALS, TERMINAL_MARKS
from stages.signals.pair_kernel import compare, longest_piece
from stages.text.characters import (
    FIRST_LETTER,
    HAN,
    KANA,
    LAST_LETTER,
    LATIN,
    PUNCTUATION,
    SPACE,
    TABLE_SIZE,
    class_table,
)

_ASCII = 0x80
_MARKS = np.array([ord(c) for c in TERMINAL_MARKS], dtype=np.int32)
_PLACES = 9  # of logarithms, whose last bits differ from one mathematics library to another


def measure_pairs(documents: pa.Table) -> Mapping[str, np.ndarray]:
    """Columns of PAIR_SIGNALS for documents with ``text`` and ``metadata``."""
    size = len(documents)
    found = {s.name: np.full(size, 0 if s.is_count else np.nan, np.int64 if s.is_count else float)
             for s in PAIR_SIGNALS}  # fmt: skip
    texts, metadata = documents.column("text").to_pylist(), documents.column("metadata").to_pylist()
    for row, (text, described) in enumerate(zip(texts, metadata, strict=True)):
        sides = _sides(text, described)
        if sides is not None:
            found["is_zh_en_pair"][row] = 1
            for name, value in compare_sides(*sides).items():
                found[name][row] = value
    return found


def _sides(text: str, metadata: str | None) -> tuple[str, str] | None:
    """Chinese and English side; None for a document that has not these two."""
    try:
        sides = split_pair(text, metadata) or ()
    except ValueError:
        return None  # edited apart: nobody can tell the sides any more
    by_language = {_primary(side): side.text for side in sides}
    if len(sides) != 2 or set(by_language) != {"zh", "en"}:
        return None
    return by_language["zh"], by_language["en"]


def _primary(side: Side) -> str:
    """``zh`` for zh-Hans, zh_CN and zh."""
    return side.language.replace("_", "-").split("-")[0].lower()


def compare_sides(chinese: str, english: str) -> dict[str, float]:
    """Every signal of a pair but ``is_zh_en_pair``."""
    zh, en = _code_points(chinese), _code_points(english)
    table = class_table()
    zh_kinds, en_kinds = table[np.minimum(zh, TABLE_SIZE - 1)], table[np.minimum(en, TABLE_SIZE - 1)]
    zh_letters, en_letters = _num_letters(zh_kinds), _num_letters(en_kinds)
    zh_length = int(np.count_nonzero(zh_kinds != SPACE))
    en_pieces = english.split()
    en_length = sum(map(len, en_pieces))
    zh_ends, en_ends = (int(np.isin(side, _MARKS).sum()) for side in (zh, en))
    zh_head, en_head = zh[:COMPARED_CHARACTERS], en[:COMPARED_CHARACTERS]
    common, edits = compare(zh_head, en_head)
    # full-width marks are the punctuation beyond ASCII of a Chinese side
    parts = (zh_kinds == SPACE) | (zh_kinds == HAN) | (zh_kinds == KANA) | ((zh_kinds == PUNCTUATION) & (zh >= _ASCII))
    return {
        "zh_length": zh_length,
        "en_words": len(en_pieces),
        "zh_per_en_word": ratio(zh_length, len(en_pieces)),
        "zh_per_en_character": ratio(zh_length, en_length),
        "zh_script_ratio": np.count_nonzero(zh_kinds == HAN) / zh_letters if zh_letters else 1.0,
        "en_script_ratio": np.count_nonzero(en_kinds == LATIN) / en_letters if en_letters else 1.0,
        "zh_letter_ratio": ratio(zh_letters, zh.size),
        "en_letter_ratio": ratio(en_letters, en.size),
        "en_mean_word_length": ratio(en_length, len(en_pieces)),
        "longest_word": max(longest_piece(parts), *map(len, en_pieces), 0),
        "numeral_score": numeral_score(chinese, english),
        "terminal_punctuation_score": _log_penalty(abs(zh_ends - en_ends) + max(0, zh_ends - 1) + max(0, en_ends - 1)),
        "terminal_punctuation_balance": _log_penalty(abs(zh_ends - en_ends)),
        "common_substring_ratio": ratio(common, min(zh_head.size, en_head.size)),
        "edit_similarity": 1.0 - ratio(edits, max(zh_head.size, en_head.size)),
    }


def numeral_score(first: str, second: str) -> float:
    """OpusFilter's NonZeroNumerals: likeness of the ASCII digits without zeros; 1.0 where neither has any."""
    digits = ["".join(c for c in side if "1" <= c <= "9")[:COMPARED_DIGITS] for side in (first, second)]
    if digits[0] == digits[1]:
        return 1.0
    return difflib.SequenceMatcher(None, *digits).ratio()


def _log_penalty(number: int) -> float:
    return round(-math.log(number + 1), _PLACES) + 0.0  # no -0.0


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.int32)


def _num_letters(kinds: np.ndarray) -> int:
    return int(np.count_nonzero((kinds >= FIRST_LETTER) & (kinds <= LAST_LETTER)))
