"""Compiled loop over Arrow text buffers: where paragraphs lie, and a 128-bit hash of the normal form of each."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.dedup.folding import SPACE, UNSPACED, WORD, folding_table
from stages.dedup.kernel import FOLD_MASK
from stages.text.kernel import FNV_BASIS, FNV_PRIME, ROLL, character_at, mix64

#: A paragraph: its row in the batch, bytes of the row's text [start, end) with the line feeds behind it, where what
#: shows of the paragraph before it ends, and the hash of its normal form.
PARAGRAPH = np.dtype(
    [("row", "<i8"), ("start", "<i8"), ("end", "<i8"), ("before", "<i8"), ("high", "<u8"), ("low", "<u8")]
)
_LINE_FEED = np.uint64(10)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_FOLD = np.uint64(FOLD_MASK)
_SPACE, _WORD, _UNSPACED = np.uint64(SPACE), np.uint64(WORD), np.uint64(UNSPACED)


def find_paragraphs(
    data: np.ndarray, offsets: np.ndarray, inside: np.ndarray, line_feeds: int, min_tokens: int
) -> np.ndarray:
    """Paragraphs of at least ``min_tokens`` tokens, in order, of the texts that are ``inside`` (given as
    ``stages.text.arrow_text.text_buffers`` does).

    A paragraph ends where ``line_feeds`` line feeds follow with nothing between them that shows. Its normal form is the
    sequence of its tokens (see :mod:`stages.dedup.shingles`): case, width, punctuation and spacing do not count.
    """
    most = int((data[offsets[0] : offsets[-1]] == _LINE_FEED).sum()) + len(inside)
    found = np.empty(most, dtype=PARAGRAPH)
    columns = tuple(found[name] for name in PARAGRAPH.names or ())
    return found[: _find(data, offsets, inside, folding_table(), line_feeds, min_tokens, *columns)]


@njit(cache=True, nogil=True)
def _find(data, offsets, inside, table, line_feeds, min_tokens, rows, starts, ends, befores, highs, lows):
    used = 0
    size = np.uint64(table.shape[0])
    for row in range(inside.shape[0]):
        if not inside[row]:
            continue
        begin, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        position, start, before, line, shown = begin, begin, begin, begin, begin
        num_feeds, num_tokens, in_word = 0, 0, False
        high, low = FNV_BASIS, _ZERO
        while position <= end:
            visible = False
            entry = _ZERO
            if position < end:
                code, step = character_at(data, position, end)
                if code < size:
                    entry = np.uint64(table[code])
                position += step
                if entry & _SPACE:
                    in_word = False
                    if code == _LINE_FEED:
                        num_feeds += 1
                        line = position
                    continue
                visible = True
            else:
                line = end
                position += _ONE  # leaves the loop once the last paragraph is written
            if not visible or (num_feeds >= line_feeds and shown > begin):
                if num_tokens >= min_tokens:
                    rows[used], befores[used] = row, before - begin
                    starts[used], ends[used] = start - begin, line - begin
                    highs[used], lows[used] = mix64(high ^ np.uint64(num_tokens)), mix64(low)
                    used += 1
                start, before = line, shown
                num_tokens, in_word, high, low = 0, False, FNV_BASIS, _ZERO
            if visible:
                num_feeds = 0
                shown = position
                folded = entry & _FOLD
                if entry & _WORD:
                    if not in_word:  # a 0 between words, so that "ab c" and "a bc" differ
                        num_tokens += 1
                        high *= FNV_PRIME
                        low = (low + _ONE) * ROLL
                    in_word = True
                else:
                    in_word = False
                    num_tokens += 1 if entry & _UNSPACED else 0
                if entry & (_WORD | _UNSPACED):
                    high = (high ^ folded) * FNV_PRIME
                    low = (low + folded + _ONE) * ROLL
    return used
