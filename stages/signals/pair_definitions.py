"""The signals of pair documents, as :mod:`stages.signals.pair_measure` takes them.

OpusFilter's definitions wherever a Chinese side does not change what they mean; each change is named.
"""

from __future__ import annotations

from stages.signals.described import Described, schema_of

_OPUS = "OpusFilter (Aulamo et al. 2020)"
_OWN = "own definition"
#: Characters of a side, from its start, that the two costly comparisons look at.
COMPARED_CHARACTERS = 2_000
#: Non-zero digits of a side, from its start, that are compared: from 200 on difflib takes every digit for noise.
COMPARED_DIGITS = 199
#: OpusFilter's ends of sentences, and the same in Chinese.
TERMINAL_MARKS = ".?!…。？！"

_HEAD = f"of the first {COMPARED_CHARACTERS:,} characters"
_PAIR = "NaN where the document is no such pair"

PAIR_SIGNALS = (
    Described(
        "is_zh_en_pair",
        "1 when the document has two sides, one of them zh and one en, and still the blocks that it was ingested with",
        "0 or 1",
        _OWN,
        is_count=True,
    ),
    Described("zh_length", f"characters of the Chinese side, white space left out; {_PAIR}", "characters", _OWN),
    Described("en_words", f"pieces between white space of the English side; {_PAIR}", "words", f"{_OPUS} LengthFilter"),
    Described(
        "zh_per_en_word",
        f"characters of the Chinese side, white space left out, over words (pieces) of the English side; {_PAIR}",
        "characters per word",
        f"after {_OPUS} LengthRatioFilter, which has words of both sides",
    ),
    Described(
        "zh_per_en_character",
        f"characters of the Chinese side over those of the English, white space left out on both; {_PAIR}",
        "ratio",
        f"{_OPUS} LengthRatioFilter with unit char, not folded at 1",
    ),
    Described(
        "zh_script_ratio",
        f"Han characters over letters of the Chinese side, 1 where it has no letters; {_PAIR}",
        "ratio",
        f"{_OPUS} CharacterScoreFilter",
    ),
    Described(
        "en_script_ratio",
        f"Latin letters over letters of the English side, 1 where it has no letters; {_PAIR}",
        "ratio",
        f"{_OPUS} CharacterScoreFilter",
    ),
    Described(
        "zh_letter_ratio",
        f"letters over characters of the Chinese side, white space counted; {_PAIR}",
        "ratio",
        f"{_OPUS} AlphabetRatioFilter",
    ),
    Described(
        "en_letter_ratio",
        f"letters over characters of the English side, white space counted; {_PAIR}",
        "ratio",
        f"{_OPUS} AlphabetRatioFilter",
    ),
    Described(
        "en_mean_word_length",
        f"characters of a piece between white space of the English side, mean; {_PAIR}",
        "characters",
        f"{_OPUS} AverageWordLengthFilter, of the side that has words",
    ),
    Described(
        "longest_word",
        f"characters of the longest piece between white space; in the Chinese side Han characters, kana and full-width "
        f"marks part pieces, too; {_PAIR}",
        "characters",
        f"after {_OPUS} LongWordFilter",
    ),
    Described(
        "numeral_score",
        f"likeness of the non-zero digits of both sides, as difflib has it, 1 where neither has any, of the first "
        f"{COMPARED_DIGITS} of each; {_PAIR}",
        "ratio",
        f"{_OPUS} NonZeroNumeralsFilter",
    ),
    Described(
        "terminal_punctuation_score",
        f"-ln(1 + |a - b| + max(0, a - 1) + max(0, b - 1)) of the numbers a and b of {' '.join(TERMINAL_MARKS)} in "
        f"both sides; {_PAIR}",
        "score",
        f"{_OPUS} TerminalPunctuationFilter, whose marks are . ? ! …",
    ),
    Described(
        "terminal_punctuation_balance",
        f"the same without what counts against texts of several sentences: -ln(1 + |a - b|); {_PAIR}",
        "score",
        f"after {_OPUS} TerminalPunctuationFilter",
    ),
    Described(
        "common_substring_ratio",
        f"longest common substring over the shorter side, {_HEAD}; {_PAIR}",
        "ratio",
        f"{_OPUS} LongestCommonSubstringFilter",
    ),
    Described(
        "edit_similarity",
        f"1 - Levenshtein distance over the longer side, {_HEAD}; {_PAIR}",
        "ratio",
        f"{_OPUS} SimilarityFilter",
    ),
)
PAIR_NAMES = tuple(signal.name for signal in PAIR_SIGNALS)
PAIR_SCHEMA = schema_of(PAIR_SIGNALS)
