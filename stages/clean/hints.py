"""One compiled look at a column of texts that tells, for every text, which rules may have something to do in it.

A hint is a necessary condition and cheap: a rule's own test (:attr:`~stages.clean.rule.Rule.touches`) runs on hinted
texts only, its edits on those that the test finds. A text without a hint is left alone by the rule, which a property
test holds against the rules themselves. What a character hints at comes from the rules' own expressions.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numba import njit

from stages.clean.paragraphs import long_line_key
from stages.clean.rule import Hint
from stages.clean.screen import BESIDE_DIGITS, COLON, DIGIT, HEX, LABEL, NAME, byte_kinds
from stages.text.arrow_text import text_buffers
from stages.text.scripts import decode

#: Code points with an entry of their own; what lies beyond is private use, or new to every table here.
TABLE_SIZE = 0x32400
#: Bits of a character behind those of :class:`Hint`. A pair of characters hints at mojibake when a bit of the first
#: (``FIRST``) stands three above one of the second.
_PAIR_SHIFT = 3
ORNAMENT, DRAWN, MARK, BLANK, TRADITIONAL, SIMPLIFIED = (1 << bit for bit in range(16, 22))
SECOND_OF_ANY, SECOND_OF_END, SECOND_OF_START = (1 << bit for bit in range(22, 25))
FIRST_ANY, FIRST_END, FIRST_START = (1 << bit for bit in range(25, 28))
_SECOND = SECOND_OF_ANY | SECOND_OF_END | SECOND_OF_START
#: Characters that are looked at together with their neighbours.
_IN_CONTEXT = ORNAMENT | DRAWN | MARK | BLANK | _SECOND | FIRST_ANY | FIRST_END | FIRST_START

#: What to do at a byte.
_NOTHING, _LINE_FEED, _ALONE, _DIGIT_RUN, _AT_SIGN, _HEX_COLON, _ASCII_MARK, _PIECE, _BEYOND_ASCII = range(9)
_MARK_RUN, _ORNAMENT_RUN, _NUM_DRAWN = 10, 3, 3
_PHONE_DIGITS, _CARD_DIGITS, _ID_DIGITS, _IP_STOPS = 7, 12, 17, 3
_FULL_STOP = ord(".")
_ANY_BYTE = 0

_ALL_HINTS, _ALWAYS = (1 << len(Hint)) - 1, int(Hint.ALWAYS)
_WHITESPACE, _SYMBOLS, _MOJIBAKE = int(Hint.WHITESPACE), int(Hint.SYMBOLS), int(Hint.MOJIBAKE)
_SECRET, _EMAIL, _IP = int(Hint.SECRET), int(Hint.EMAIL), int(Hint.IP)
_PHONE, _BANK_CARD, _RESIDENT_ID = int(Hint.PHONE), int(Hint.BANK_CARD), int(Hint.RESIDENT_ID)
_REPEATED, _SIMPLIFIED = int(Hint.REPEATED_PARAGRAPHS), int(Hint.SIMPLIFIED)
_BEYOND_TABLE = int(Hint.UNICODE_FORM | Hint.SYMBOLS)


def make_look(
    asked: Hint,
    characters: np.ndarray,
    secret_pieces: tuple[bytes, ...],
    *,
    max_blank_lines: int,
    min_paragraph_tokens: int,
) -> Callable[[pa.Array], np.ndarray]:
    """The look for the hints of ``asked``: string array without nulls -> hints (int64 [num_rows]).

    ``characters`` are the bits of every code point (int32 [TABLE_SIZE]), ``secret_pieces`` are bytes of which every
    secret holds one (a zero byte stands for any byte).
    """
    ends, pieces = _by_last_byte(secret_pieces)
    pairs = np.zeros((256, 256), dtype=bool)  # last byte but two, last byte
    for piece in secret_pieces:
        pairs[piece[-3], piece[-1]] = True
    events = _events(asked, characters, secret_pieces)
    # two runs of letters have something between them, so a paragraph of n tokens has 2 n - 1 bytes or more
    limits = np.array([max_blank_lines + 2, 2 * min_paragraph_tokens - 1], dtype=np.int64)

    def look(texts: pa.Array) -> np.ndarray:
        data, offsets = text_buffers(texts)
        hints = np.zeros(offsets.size - 1, dtype=np.int64)
        _look(data, offsets, events, byte_kinds(), characters, pairs, ends, pieces, limits, hints)
        return hints

    return look


def _events(asked: Hint, characters: np.ndarray, secret_pieces: tuple[bytes, ...]) -> np.ndarray:
    """What to do at every byte: nothing where no asked rule is concerned."""
    events = np.zeros(256, dtype=np.uint8)
    events[0x80:] = _BEYOND_ASCII
    events[:0x80][(characters[:0x80] & int(asked)) != 0] = _ALONE
    if asked & Hint.SECRET:
        events[[piece[-1] for piece in secret_pieces]] = _PIECE
    if asked & Hint.SYMBOLS:
        events[:0x80][(characters[:0x80] & MARK) != 0] = _ASCII_MARK  # may end a piece, too
    if asked & (Hint.IP | Hint.RESIDENT_ID | Hint.BANK_CARD | Hint.PHONE):
        events[list(b"0123456789")] = _DIGIT_RUN
    if asked & (Hint.WHITESPACE | Hint.REPEATED_PARAGRAPHS):
        events[ord("\n")] = _LINE_FEED
    if asked & Hint.EMAIL:
        events[ord("@")] = _AT_SIGN
    if asked & Hint.IP:
        events[ord(":")] = _HEX_COLON
    return events


def _by_last_byte(secret_pieces: tuple[bytes, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Pieces in the order of their last bytes, backwards and padded (uint8 [pieces, longest + 1], the length last), and
    where those of each last byte begin (int64 [257])."""
    ordered = sorted(secret_pieces, key=lambda piece: piece[-1])
    longest = max(map(len, ordered), default=1)
    pieces = np.zeros((len(ordered), longest + 1), dtype=np.uint8)
    for row, piece in enumerate(ordered):
        pieces[row, : len(piece)] = list(reversed(piece))
        pieces[row, -1] = len(piece)
    last = np.array([piece[-1] for piece in ordered], dtype=np.int64)
    return np.searchsorted(last, np.arange(257)).astype(np.int64), pieces


@njit(inline="always")
def _ends_piece(data, start, position, ends, pieces):
    """Whether a piece of a secret ends at ``position``."""
    byte = data[position]
    for piece in range(ends[byte], ends[byte + 1]):
        length = np.int64(pieces[piece, -1])
        if position - start + 1 < length:
            continue
        at = 1
        while at < length and (pieces[piece, at] == _ANY_BYTE or pieces[piece, at] == data[position - at]):
            at += 1
        if at == length:
            return True
    return False


@njit(inline="always")
def _ends_host_label(data, position, end, kinds):
    """Where the label behind the @ at ``position`` ends, if a full stop follows; else 0."""
    behind = position + 1
    while behind < end and kinds[data[behind]] & LABEL:
        behind += 1
    return behind if position + 1 < behind < end and data[behind] == _FULL_STOP else 0


@njit(inline="always")
def _is_between_hex(data, start, position, end, kinds):
    """Whether a colon has three hexadecimal digits in front of it and another colon not far behind."""
    if position < start + 3:
        return False
    if not kinds[data[position - 1]] & kinds[data[position - 2]] & kinds[data[position - 3]] & HEX:
        return False
    behind = position + 1
    while behind < end and behind < position + 5 and kinds[data[behind]] & HEX:
        behind += 1
    return behind < end and kinds[data[behind]] & COLON != 0


@njit(cache=True, nogil=True)
def _look(data, offsets, events, kinds, characters, pairs, ends, pieces, limits, hints):
    max_line_feeds, min_line = limits
    longest = 0
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    keys = np.empty(longest // min_line + 1, dtype=np.uint64)  # of the long lines of one text
    for row in range(offsets.size - 1):
        start, end = offsets[row], offsets[row + 1]
        seen = _ALWAYS
        line_feeds = drawn = script = num_keys = 0
        position = line = start
        mark_run = ornament_run = 0
        previous = previous_end = np.int64(-1)  # last character with neighbours, and where it ends
        previous_bits = 0
        while position < end:
            byte = data[position]
            event = events[byte]
            if event == _NOTHING:
                position += 1
                while position < end and events[data[position]] == _NOTHING:
                    position += 1
            elif event == _BEYOND_ASCII:
                code_point, num_bytes = decode(data, position, np.int64(byte))
                if code_point >= characters.size:
                    seen |= _BEYOND_TABLE
                    position += num_bytes
                    continue
                bits = characters[code_point]
                seen |= bits
                script += ((bits & TRADITIONAL) != 0) - ((bits & SIMPLIFIED) != 0)
                if bits & _IN_CONTEXT:
                    beside = previous_end == position
                    mark_run = mark_run + 1 if beside and previous == code_point else 1
                    ornament_run = ornament_run + 1 if beside and bits & previous_bits & ORNAMENT else 1
                    drawn += (bits & DRAWN) != 0
                    if beside and (previous_bits >> _PAIR_SHIFT) & bits & _SECOND:
                        seen |= _MOJIBAKE
                    if (
                        (bits & MARK and mark_run >= _MARK_RUN)
                        or (bits & ORNAMENT and ornament_run >= _ORNAMENT_RUN)
                        or drawn >= _NUM_DRAWN
                    ):
                        seen |= _SYMBOLS
                    previous, previous_bits, previous_end = code_point, bits, position + num_bytes
                position += num_bytes
            elif event == _LINE_FEED:
                if position > start:
                    before = data[position - 1]
                    line_feeds = line_feeds + 1 if before == byte else 1
                    if (
                        before == 0x20
                        or before == 0x09
                        or (previous_end == position and previous_bits & BLANK)
                        or line_feeds >= max_line_feeds
                    ):
                        seen |= _WHITESPACE
                else:
                    line_feeds = 1
                if position - line >= min_line:
                    keys[num_keys] = long_line_key(data, line, position)
                    num_keys += 1
                position += 1
                line = position
            elif event == _ALONE:
                seen |= characters[byte]
                position += 1
            elif event == _DIGIT_RUN:
                digits = stops = 0
                while position < end and kinds[data[position]] & (DIGIT | BESIDE_DIGITS):
                    if kinds[data[position]] & DIGIT:
                        digits += 1
                        if stops >= _IP_STOPS:
                            seen |= _IP
                    elif data[position] == _FULL_STOP and kinds[data[position - 1]] & DIGIT:
                        stops += 1
                    else:
                        stops = 0
                    position += 1
                if digits >= _PHONE_DIGITS:
                    seen |= _PHONE
                    if digits >= _CARD_DIGITS:
                        seen |= _BANK_CARD
                    if digits >= _ID_DIGITS:
                        seen |= _RESIDENT_ID
            elif event == _AT_SIGN:
                if (
                    position > start
                    and kinds[data[position - 1]] & NAME
                    and (_ends_host_label(data, position, end, kinds))
                ):
                    seen |= _EMAIL
                position += 1
            elif event == _HEX_COLON:
                if _is_between_hex(data, start, position, end, kinds):
                    seen |= _IP
                position += 1
            elif event == _ASCII_MARK:
                if pairs[data[max(start, position - 2)], byte] and _ends_piece(data, start, position, ends, pieces):
                    seen |= _SECRET
                first = position
                position += 1
                while position < end and data[position] == byte:
                    position += 1
                if position - first >= _MARK_RUN:
                    seen |= _SYMBOLS
            else:
                if pairs[data[max(start, position - 2)], byte] and _ends_piece(data, start, position, ends, pieces):
                    seen |= _SECRET
                position += 1
        if end > start:
            if end - line >= min_line:
                keys[num_keys] = long_line_key(data, line, end)
                num_keys += 1
            if num_keys > 1:
                ordered = np.sort(keys[:num_keys])
                for place in range(1, num_keys):
                    if ordered[place] == ordered[place - 1]:
                        seen |= _REPEATED
                        break
            # an edge may be any blank; what lies beyond ASCII is left to the rule's own test
            first, last = data[start], data[end - 1]
            if first <= 0x20 or last <= 0x20 or first == 0xC2 or 0xE1 <= first <= 0xE3 or last >= 0x80:
                seen |= _edges(data, start, end)
        if script > 0:
            seen |= _SIMPLIFIED
        hints[row] = seen & _ALL_HINTS


@njit(inline="always")
def _edges(data, start, end):
    """The hint at white space where a text begins or ends with a blank or with what parts records."""
    if data[start] <= 0x20 or data[end - 1] <= 0x20:
        return _WHITESPACE
    first = start
    last = end - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    for place in (first, last):
        if data[place] >= 0x80:
            code_point, _ = decode(data, place, np.int64(data[place]))
            if (
                code_point == 0x85
                or code_point == 0xA0
                or code_point == 0x1680
                or 0x2000 <= code_point <= 0x200A
                or 0x2028 <= code_point <= 0x2029
                or code_point == 0x202F
                or code_point == 0x205F
                or code_point == 0x3000
            ):
                return _WHITESPACE
    return 0
