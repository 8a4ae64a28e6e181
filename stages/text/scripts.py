"""Script counts and script-aware token counts of documents, compiled over Arrow buffers.

A *token* here is one Han character, or one run of other letters, marks and digits. It is the unit in which a Chinese
and an English text of equal content have comparable lengths, and needs no dictionary. Kana, hangul and Thai form runs.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from stages.text.arrow_text import text_buffers
from stages.text.characters import (
    CLASS_MASK,
    DIGIT,
    FIRST_LETTER,
    HAN,
    LAST_LETTER,
    NUM_CLASSES,
    OTHER,
    TABLE_SIZE,
    class_table,
)

#: From this share of its letters on a document counts as Han text, whatever else is the largest script.
HAN_SHARE = 0.5


@njit(inline="always")
def decode(data, position, lead):
    """Code point and number of bytes of the multi-byte character whose first byte ``lead`` stands at ``position``.

    The text must be valid UTF-8, which an Arrow string column is. Inlined, because calling with arrays costs more
    than the decoding; callers treat ASCII themselves (``lead < 0x80``), which makes English text ten times faster.
    """
    second = np.int64(data[position + 1]) & 0x3F
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second, 2
    third = np.int64(data[position + 2]) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | second << 6 | third, 3
    return (lead & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[position + 3]) & 0x3F, 4


@njit(cache=True, nogil=True)
def _count_scripts(data, offsets, table, counts, tokens):
    here = np.zeros(CLASS_MASK + 1, dtype=np.int64)  # the counts of one row, where the compiler sees no aliasing
    for row in range(offsets.size - 1):
        here[:] = 0
        position, end = offsets[row], offsets[row + 1]
        in_run = False
        num_tokens = 0
        while position < end:
            code_point = np.int64(data[position])
            if code_point < 0x80:
                position += 1
            else:
                code_point, num_bytes = decode(data, position, code_point)
                position += num_bytes
            kind = table[min(code_point, TABLE_SIZE - 1)] & CLASS_MASK
            here[kind] += 1
            in_word = (kind > HAN) & (kind <= DIGIT)
            num_tokens += (kind == HAN) | (in_word & (not in_run))
            in_run = in_word
        counts[row] = here[:NUM_CLASSES]
        tokens[row] = num_tokens


@njit(cache=True, nogil=True)
def decode_text(data, start, end, table, code_points, entries):
    """Spread the text ``data[start:end]`` into ``code_points`` (int32) and their ``table`` entries (uint8).

    Returns the number of characters; both arrays need room for ``end - start``. Loops that look at a character more
    than once, or at its neighbours, read these instead of bytes.
    """
    num_characters = 0
    position = start
    while position < end:
        code_point = np.int64(data[position])
        if code_point < 0x80:
            position += 1
        else:
            code_point, num_bytes = decode(data, position, code_point)
            position += num_bytes
        code_points[num_characters] = code_point
        entries[num_characters] = table[min(code_point, TABLE_SIZE - 1)]
        num_characters += 1
    return num_characters


def count_scripts(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Characters per class (int64 [num_documents, NUM_CLASSES]) and tokens (int64 [num_documents]) of each text."""
    data, offsets = text_buffers(texts)
    counts = np.zeros((offsets.size - 1, NUM_CLASSES), dtype=np.int64)
    tokens = np.zeros(offsets.size - 1, dtype=np.int64)
    _count_scripts(data, offsets, class_table(), counts, tokens)
    return counts, tokens


def dominant_script(counts: np.ndarray) -> np.ndarray:
    """The script class of each document, uint8 [num_documents], from :func:`count_scripts` counts.

    HAN when Han characters make up at least :data:`HAN_SHARE` of the letters; else the class with the most letters
    (the first of equals in class order); OTHER for a document without letters. ``CLASS_NAMES`` turns it into a name.
    Whether a document is code is not decided here: that is its domain.
    """
    letters = counts[:, FIRST_LETTER : LAST_LETTER + 1]
    total = letters.sum(axis=1)
    script = (letters.argmax(axis=1) + FIRST_LETTER).astype(np.uint8)
    script[counts[:, HAN] >= HAN_SHARE * total] = HAN
    script[total == 0] = OTHER
    return script
