"""The signals of :mod:`stages.signals.text_measure`: dearer than one scan, or asked by a single rule set."""

from __future__ import annotations

from stages.signals.described import Described, schema_of

#: Ends of a line that lead to the rest of a text: OpenCoder's list for Chinese and Japanese, 展开 of MAP-NEO, and the
#: same in English. Case is folded; closing brackets may follow.
READ_MORE = ("...", "…", "全文", "详情", "详细", "更多", "展开", "もっと", "詳細", "もっと読む", "read more")
READ_MORE_CLOSING = "]】)>》"
#: RedPajama-V2's ends of sentences.
SENTENCE_MARKS = ".!?。！？؟"
#: A word of this many hexadecimal digits, one of 0-9 among them, is hexadecimal without 0x.
MIN_HEX_DIGITS = 8

_MAP_NEO = "MAP-NEO (Zhang et al. 2024)"
_OPENCODER = "OpenCoder (Huang et al. 2024)"
_REDPAJAMA = "RedPajama-V2"
_OWN = "own definition"

TEXT_SIGNALS = (
    Described(
        "compression_ratio",
        "bytes of the text compressed by zstd, level 3, over its bytes, of the start of a long text; low where a text "
        "repeats itself, above 1 where it is very short",
        "ratio",
        _OWN,
    ),
    Described(
        "unique_character_ratio",
        "distinct characters over characters, white space left out; falls with length",
        "ratio",
        _MAP_NEO,
    ),
    Described(
        "token_entropy",
        "entropy of the tokens of the text, ASCII case folded, rounded to six places; MAP-NEO and RedPajama-V2 take "
        "words, in Chinese those of a segmenter",
        "nats",
        f"{_REDPAJAMA}, {_MAP_NEO}",
    ),
    Described(
        "full_bracket_ratio",
        "characters from 【 to 】 on one line, both included, over characters that are not white space",
        "ratio",
        _MAP_NEO,
    ),
    Described(
        "read_more_line_ratio",
        f"lines that end in one of {' '.join(READ_MORE)} over lines that are not blank",
        "ratio",
        f"{_MAP_NEO}, {_OPENCODER}",
    ),
    Described(
        "hex_word_ratio",
        f"characters of words 0x... and of words of {MIN_HEX_DIGITS} and more hexadecimal digits over all characters",
        "ratio",
        _OPENCODER,
    ),
    Described(
        "replacement_ratio", "replacement characters U+FFFD, left by a wrong charset, over all characters", "ratio",
        _OPENCODER,
    ),
    Described(
        "num_sentences",
        f"stretches between two of {SENTENCE_MARKS} that hold a letter, digit or low line; line feeds end none",
        "sentences",
        _REDPAJAMA,
        is_count=True,
    ),
    Described("mean_sentence_length", "tokens over sentences", "tokens", _OWN),
    Described(
        "traditional_ratio",
        "Han characters that stand in traditional text only, those that OpenCC's t2s changes, over Han characters",
        "ratio",
        "ChineseWebText (Chen et al. 2023), which drops traditional pages",
    ),
)  # fmt: skip
TEXT_NAMES = tuple(signal.name for signal in TEXT_SIGNALS)
TEXT_SCHEMA = schema_of(TEXT_SIGNALS)
