"""Compiled scan behind :mod:`stages.signals.text_measure`: what its signals count in one text. Integers but for one.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from stages.signals.text_definitions import MIN_HEX_DIGITS, READ_MORE, READ_MORE_CLOSING, SENTENCE_MARKS
from stages.text.characters import CLASS_MASK, DIGIT, HAN, SPACE
from stages.text.kernel import FNV_BASIS, FNV_PRIME, mix64
from stages.text.scripts import decode_text

COUNTS = (
    "characters", "non_space", "distinct", "tokens", "bracketed", "lines", "read_more_lines", "hex_characters",
    "replacements", "sentences", "han", "traditional",
)  # fmt: skip
(
    _CHARACTERS, _NON_SPACE, _DISTINCT, _TOKENS, _BRACKETED, _LINES, _READ_MORE, _HEX, _REPLACEMENTS, _SENTENCES, _HAN,
    _TRADITIONAL,
) = range(len(COUNTS))  # fmt: skip
#: Flag in the table of character classes: stands in traditional text only.
TRADITIONAL = 0x10
_NEWLINE, _OPEN, _CLOSE, _LOW_LINE, _ZERO, _X, _REPLACEMENT = (ord(c) for c in "\n【】_0x\ufffd")
_MARKS = np.array([ord(c) for c in SENTENCE_MARKS], dtype=np.int64)
_CLOSING = np.array([ord(c) for c in READ_MORE_CLOSING], dtype=np.int64)
_PHRASES = np.array([ord(c) for c in "".join(READ_MORE)], dtype=np.int64)
_PHRASE_ENDS = np.cumsum([len(phrase) for phrase in READ_MORE])
_CODE_POINTS = 0x110000


@njit(inline="always")
def _folded(code_point):
    return code_point + 32 if 65 <= code_point <= 90 else code_point


@njit(inline="always")
def _is_hex(code_point):
    return 48 <= code_point <= 57 or 97 <= _folded(code_point) <= 102


@njit(cache=True, nogil=True)
def _is_among(code_point, codes):
    for index in range(codes.size):  # noqa: SIM110 (Numba compiles no generators)
        if codes[index] == code_point:
            return True
    return False


@njit(cache=True, nogil=True)
def _ends_with_phrase(text, start, end):
    """Whether the line ``text[start:end]``, trimmed, ends in one of the phrases; closing brackets may follow."""
    while end > start and _is_among(text[end - 1], _CLOSING):
        end -= 1
    first = 0
    for phrase_end in _PHRASE_ENDS:
        size = phrase_end - first
        if end - size >= start:
            matched = 0
            while matched < size and _folded(text[end - size + matched]) == _PHRASES[first + matched]:
                matched += 1
            if matched == size:
                return True
        first = phrase_end
    return False


@njit(cache=True, nogil=True)
def _hex_characters(text, start, end):
    """Characters of the word ``text[start:end]`` if it is hexadecimal, else 0."""
    size = end - start
    place = start
    if size > 2 and text[start] == _ZERO and _folded(text[start + 1]) == _X:
        place = start + 2
    elif size < MIN_HEX_DIGITS:
        return 0
    has_digit = place > start
    while place < end:
        if not _is_hex(text[place]):
            return 0
        has_digit |= text[place] <= 57
        place += 1
    return size if has_digit else 0


@njit(cache=True, nogil=True)
def _entropy(hashes, num_tokens, keys, numbers):
    """Entropy in nats of ``num_tokens`` token hashes; ``keys`` and ``numbers`` are scratch of a power of two."""
    if num_tokens == 0:
        return 0.0
    size = 2
    while size < 2 * num_tokens:
        size *= 2
    numbers[:size] = 0
    mask = np.uint64(size - 1)
    for index in range(num_tokens):
        slot = np.int64(mix64(hashes[index]) & mask)
        while numbers[slot] and keys[slot] != hashes[index]:
            slot = (slot + 1) & (size - 1)
        keys[slot] = hashes[index]
        numbers[slot] += 1
    total = 0.0
    for slot in range(size):
        if numbers[slot] > 1:
            total += numbers[slot] * math.log(numbers[slot])
    return max(0.0, math.log(num_tokens) - total / num_tokens)


@njit(cache=True, nogil=True)
def scan_texts(data, offsets, table):
    """(counts int64 [num_documents, COUNTS], token entropy float64 [num_documents]) of texts in UTF-8."""
    num_documents = offsets.size - 1
    counts = np.zeros((num_documents, 12), dtype=np.int64)
    entropies = np.zeros(num_documents)
    longest = 1
    for row in range(num_documents):
        longest = max(longest, offsets[row + 1] - offsets[row])
    slots = 2
    while slots < 2 * longest:
        slots *= 2
    text = np.empty(longest, dtype=np.int32)
    entries = np.empty(longest, dtype=np.uint8)
    hashes = np.empty(longest, dtype=np.uint64)
    keys = np.empty(slots, dtype=np.uint64)
    numbers = np.empty(slots, dtype=np.int32)
    seen = np.full(_CODE_POINTS, -1, dtype=np.int32)
    for row in range(num_documents):
        size = decode_text(data, offsets[row], offsets[row + 1], table, text, entries)
        num_tokens = _scan(text, entries, size, row, counts[row], hashes, seen)
        entropies[row] = _entropy(hashes, num_tokens, keys, numbers)
    return counts, entropies


@njit(cache=True, nogil=True)
def _scan(text, entries, size, row, found, hashes, seen):
    """Fill ``found`` for one text and ``hashes`` with its tokens; returns their number."""
    num_tokens = 0
    word_start = -1  # of the open word: ASCII letters, digits and low lines
    line_first = line_end = -1  # the open line, white space at its ends left out
    bracket = -1
    in_run = in_sentence = False
    run_hash = FNV_BASIS
    for place in range(size + 1):
        character = np.int64(text[place]) if place < size else _NEWLINE
        kind = np.int64(entries[place]) & CLASS_MASK if place < size else SPACE
        is_run = HAN < kind <= DIGIT
        if in_run and not is_run:
            hashes[num_tokens] = run_hash
            num_tokens += 1
            in_run = False
        is_name = (48 <= character <= 57) or (97 <= _folded(character) <= 122) or character == _LOW_LINE
        if word_start >= 0 and not is_name:
            found[_HEX] += _hex_characters(text, word_start, place)
            word_start = -1
        elif is_name and word_start < 0:
            word_start = place
        if character == _NEWLINE:
            if line_first >= 0:
                found[_LINES] += 1
                found[_READ_MORE] += _ends_with_phrase(text, line_first, line_end)
            line_first = bracket = -1
        if place == size:
            break
        if kind == SPACE:
            continue
        found[_NON_SPACE] += 1
        if line_first < 0:
            line_first = place
        line_end = place + 1
        if seen[character] != row:
            seen[character] = row
            found[_DISTINCT] += 1
        if kind == HAN:
            hashes[num_tokens] = np.uint64(character)
            num_tokens += 1
            found[_HAN] += 1
            found[_TRADITIONAL] += (entries[place] & TRADITIONAL) != 0
        elif is_run:
            if not in_run:
                in_run, run_hash = True, FNV_BASIS
            run_hash = (run_hash ^ np.uint64(_folded(character))) * FNV_PRIME
        elif character == _OPEN:
            bracket = place
        elif character == _CLOSE and bracket >= 0:
            for inside in range(bracket, place + 1):
                found[_BRACKETED] += (entries[inside] & CLASS_MASK) != SPACE
            bracket = -1
        elif character == _REPLACEMENT:
            found[_REPLACEMENTS] += 1
        if kind == HAN or is_run or character == _LOW_LINE:
            found[_SENTENCES] += not in_sentence
            in_sentence = True
        elif _is_among(character, _MARKS):
            in_sentence = False
    found[_CHARACTERS] = size
    found[_TOKENS] = num_tokens
    return num_tokens
