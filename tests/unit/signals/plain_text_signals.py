"""The definitions of TEXT_SIGNALS again, in plain Python, compression left out: what the kernel must equal."""

from __future__ import annotations

import math
import re
from collections import Counter

from stages.signals.text_definitions import READ_MORE
from stages.text import characters as c
from stages.text.characters import character_class
from tests.unit.signals.plain_signals import ratio, strip, tokens_of

HEX = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}", re.IGNORECASE)
#: Traditional forms in the alphabet of the tests.
TRADITIONAL = "氣們說"


def ascii_lower(text: str) -> str:
    return "".join(chr(ord(x) + 32) if "A" <= x <= "Z" else x for x in text)


def is_hex(word: str) -> bool:
    return HEX.fullmatch(word) is not None and re.search("[0-9]", word) is not None


def reads_more(line: str) -> bool:
    return ascii_lower(strip(line).rstrip("]】)>》")).endswith(READ_MORE)


def is_word(character: str) -> bool:
    return character == "_" or c.HAN <= character_class(character) <= c.DIGIT


def plain_text_signals(text: str) -> dict[str, float]:
    """All signals of one text by name."""
    shown = [x for x in text if character_class(x) != c.SPACE]
    tokens = [ascii_lower(token) for token in tokens_of(text)]
    numbers = Counter(tokens)
    entropy = -sum(n / len(tokens) * math.log(n / len(tokens)) for n in numbers.values())
    lines = [line for line in text.split("\n") if strip(line)]
    brackets = re.findall("【[^【】\n]*】", text)
    words = re.findall("[0-9A-Za-z_]+", text)
    sentences = [part for part in re.split("[.!?。！？؟]", text) if any(map(is_word, part))]
    han = [x for x in text if character_class(x) == c.HAN]
    return {
        "unique_character_ratio": ratio(len(set(shown)), len(shown)),
        "token_entropy": round(abs(entropy), 6),
        "full_bracket_ratio": ratio(sum(character_class(x) != c.SPACE for b in brackets for x in b), len(shown)),
        "read_more_line_ratio": ratio(sum(map(reads_more, lines)), len(lines)),
        "hex_word_ratio": ratio(sum(len(word) for word in words if is_hex(word)), len(text)),
        "replacement_ratio": ratio(text.count("\ufffd"), len(text)),
        "num_sentences": len(sentences),
        "mean_sentence_length": ratio(len(tokens), len(sentences)),
        "traditional_ratio": ratio(sum(x in TRADITIONAL for x in han), len(han)),
    }
