"""One pass over the bytes of a parsed page: its elements, its pieces of text, and its blocks with counts.

The page was parsed and written out again by lexbor (resiliparse), so tags are balanced, names are in lower case and
values stand in double quotes; only ``&amp; &lt; &gt; &nbsp;`` are escaped. A *block* is a line as a reader sees it: text
between two boundaries of block elements or ``br``; ``pre`` is one block. The scan is linear in bytes whatever they
are: bytes that no parser wrote give odd blocks, never a fault. Importing this module loads Numba.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.ingest import page_words
from stages.text.characters import CLASS_MASK, DIGIT, FIRST_LETTER, HAN, OTHER, PUNCTUATION, SPACE, TABLE_SIZE, class_table
from stages.text.kernel import FNV_BASIS, FNV_PRIME, mix64
from stages.text.phrases import Phrases
from stages.text.scripts import decode

#: Columns of :attr:`Scan.nodes`, int32.
PARENT, TAG, BLOCK_PARENT, DEPTH, NODE_END = range(5)
#: Columns of :attr:`Scan.segments`, int32: bytes [start, end) of a piece of text; kind one of the four below.
START, END, KIND = range(3)
PLAIN, FORMULA = 0, 1
#: Columns of :attr:`Scan.blocks`, int32.
(NODE, INNER, FIRST, LAST, TOKENS, LINK_TOKENS, CHARACTERS, STOPS, COMMAS, NUMBERS, CAPITALS, PHRASES, BOLD, ENDS_IN_STOP,
 HAN_TOKENS, AFTER_BREAK, LETTERS, LINKS, SYMBOLS, RULES) = range(20)  # fmt: skip
NUM_BLOCK_COLUMNS = 20

#: Flags of a tag.
_INLINE, _SKIPPED, _RAW, _VOID = 1, 2, 4, 8
#: Code of a tag that no list names.
UNKNOWN = 0
_NAMES = tuple(
    dict.fromkeys([*page_words.BLOCK, *page_words.INLINE, *page_words.SKIPPED, *page_words.RAW, *page_words.VOID])
)
#: Code of every known tag.
TAGS = {name: code for code, name in enumerate(_NAMES, 1)}
_A, _BR, _PRE, _MATH, _B, _STRONG, _ANNOTATION, _SCRIPT, _HR = (
    TAGS[name] for name in ("a", "br", "pre", "math", "b", "strong", "annotation", "script", "hr")
)
_SLOTS = 1024
NUM_MARKS = len(page_words.MARKED)
NUM_HINTS = len(page_words.ATTRIBUTE_GROUPS)
#: Columns of :attr:`Scan.hints`: levels up to the nearest element that says so, itself 0; FAR where none does.
NUM_HINT_COLUMNS = NUM_MARKS + NUM_HINTS
FAR = 30
_MAX_CLIMB = 64
#: Bytes of a formula that are searched for its source in TeX.
_MAX_FORMULA = 1 << 16
#: Attributes whose words count, then those with a meaning of their own (the numbers below are their places).
_ATTRIBUTES = ("class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "encoding", "type")
_CLASS, _LAST_OF_WORDS, _HIDDEN, _ARIA_HIDDEN, _ENCODING, _TYPE = 0, 4, 5, 6, 7, 8
_HIDDEN_BIT = np.int64(1) << [name for name, _ in page_words.ATTRIBUTE_GROUPS].index("hidden")


@dataclass(frozen=True)
class Scan:
    """A page as tables; rows in the order of the page."""

    data: bytes
    nodes: np.ndarray  # int32 [nodes, 5]
    hints: np.ndarray  # uint8 [nodes, NUM_HINT_COLUMNS]
    looks: np.ndarray  # uint64 [nodes]: hash of tag and class, digits left out
    segments: np.ndarray  # int32 [segments, 3]
    blocks: np.ndarray  # int32 [blocks, NUM_BLOCK_COLUMNS]
    texts: np.ndarray  # uint64 [blocks]: hash of the letters and digits of a block


@functools.cache
def _tables() -> tuple[np.ndarray, ...]:
    """(tag hashes, tag codes, flags by code, marks by code, hashes of attribute names, two automata of words)."""
    keys, codes = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8)
    flags, marks = np.zeros(256, np.uint8), np.full(256, 255, np.uint8)
    flags[UNKNOWN] = _INLINE
    for name, code in TAGS.items():
        hashed = _fnv(name.encode())
        slot = hashed % _SLOTS
        while keys[slot]:
            slot = (slot + 1) % _SLOTS
        keys[slot], codes[slot] = hashed, code
        flags[code] = (
            _INLINE * (name not in page_words.BLOCK)
            | _SKIPPED * (name in page_words.SKIPPED)
            | _RAW * (name in page_words.RAW)
            | _VOID * (name in page_words.VOID)
        )
    for column, names in enumerate(page_words.MARKED):
        for name in names:
            marks[TAGS[name]] = column
    names = np.array([_fnv(name.encode()) for name in _ATTRIBUTES], dtype=np.uint64)
    words = Phrases.build([*(group for _, group in page_words.ATTRIBUTE_GROUPS), page_words.SKIPPED_WORDS])
    phrases = Phrases.build([group for _, group in page_words.TEXT_GROUPS])
    return (keys, codes, flags, marks, names,
            words.kinds, words.steps, _masks(words), phrases.kinds, phrases.steps, _masks(phrases))  # fmt: skip


def _masks(words: Phrases) -> np.ndarray:
    """Groups that end in a state, as bits, int64 [states]."""
    return ((words.lengths > 0).astype(np.int64) << np.arange(words.num_groups)).sum(axis=1)


def _fnv(name: bytes) -> int:
    hashed = int(FNV_BASIS)
    for byte in name:
        hashed = ((hashed ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return hashed


def num_tags(data: bytes) -> int:
    """Upper bound of the tags of a page: what the tables of a scan need."""
    return data.count(b"<")


def scan(data: bytes) -> Scan:
    """Tables of a page that :class:`resiliparse.parse.html.HTMLTree` wrote, in UTF-8."""
    octets = np.frombuffer(data, dtype=np.uint8)
    room = num_tags(data) + 2
    nodes = np.zeros((room, 5), np.int32)
    hints = np.full((room, NUM_HINT_COLUMNS), FAR, np.uint8)
    looks = np.zeros(room, np.uint64)
    segments = np.zeros((room, 3), np.int32)
    blocks = np.zeros((room, NUM_BLOCK_COLUMNS), np.int32)
    texts = np.zeros(room, np.uint64)
    num_nodes, num_segments, num_blocks = _scan(
        octets, class_table(), *_tables(), nodes, hints, looks, segments, blocks, texts
    )
    return Scan(
        data, nodes[:num_nodes], hints[:num_nodes], looks[:num_nodes], segments[:num_segments], blocks[:num_blocks],
        texts[:num_blocks],
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _find(data, position, first, second):
    """Place of two bytes in a row from ``position`` on; the end of the data without them."""
    for place in range(position, data.size - 1):
        if data[place] == first and data[place + 1] == second:
            return place
    return data.size


@njit(cache=True, nogil=True)
def _tag_code(hashed, keys, codes):
    slot = np.int64(hashed % np.uint64(keys.size))
    while keys[slot] != 0:
        if keys[slot] == hashed:
            return np.int64(codes[slot])
        slot = (slot + 1) % keys.size
    return 0


@njit(cache=True, nogil=True)
def _names_tex(data, start, end):
    """Whether a media type is TeX: application/x-tex, math/tex; mode=display."""
    for place in range(start, end - 3):
        if (data[place] == 0x2D or data[place] == 0x2F) and data[place + 1] == 0x74 and data[place + 2] == 0x65 \
                and data[place + 3] == 0x78 and (place + 4 == end or data[place + 4] == 0x3B):
            return True
    return False


@njit(cache=True, nogil=True)
def _attributes(data, position, names, kinds, steps, masks):
    """(place after the tag, groups of words in its values, hash of its class, whether it names TeX)."""
    size = data.size
    found = np.int64(0)
    look = FNV_BASIS
    is_tex = False
    while position < size and data[position] != 0x3E:
        while position < size and data[position] <= 0x20:
            position += 1
        hashed = FNV_BASIS
        start = position
        while position < size and data[position] != 0x3D and data[position] != 0x3E and data[position] > 0x20:
            hashed = (hashed ^ np.uint64(data[position])) * FNV_PRIME
            position += 1
        if position == start:
            if position < size and data[position] == 0x3D:
                position += 1
            continue
        which = -1
        for row in range(names.size):
            if names[row] == hashed:
                which = row
        if which == _HIDDEN:
            found |= _HIDDEN_BIT
        if position >= size or data[position] != 0x3D:
            continue
        position += 1
        if position < size and data[position] == 0x22:
            position += 1
        start = position
        while position < size and data[position] != 0x22:
            position += 1
        if which == _ENCODING or which == _TYPE:
            is_tex = is_tex or _names_tex(data, start, position)
        if which == _ARIA_HIDDEN and position - start == 4:  # "true"
            found |= _HIDDEN_BIT
        if 0 <= which <= _LAST_OF_WORDS:
            state = np.int64(steps[0, kinds[0x2D]])
            found |= masks[state]
            for place in range(start, position):
                byte = data[place]
                if byte == 0x20 or byte == 0x5F or byte == 0x2F or byte == 0x2E or byte == 0x3B or byte == 0x0A:
                    byte = np.uint8(0x2D)
                state = np.int64(steps[state, kinds[byte]])
                found |= masks[state]
                if which == _CLASS and (byte < 0x30 or byte > 0x39):
                    look = (look ^ np.uint64(byte)) * FNV_PRIME
            found |= masks[np.int64(steps[state, kinds[0x2D]])]
        position += 1
    return position + 1, found, look, is_tex


@njit(cache=True, nogil=True)
def _scan(data, classes, keys, codes, flags, marks, names, word_kinds, word_steps, word_masks, text_kinds, text_steps,
          text_masks, nodes, hints, looks, segments, blocks, texts):  # fmt: skip
    size = data.size
    num_nodes, num_segments, num_blocks = 1, 0, 0  # node 0 stands above the page
    current, skipping, links, bold, preformatted, formula, source = 0, 0, 0, 0, 0, 0, 0
    is_open = False  # a block holds text already
    after_break, rules = 0, 0
    in_token, state = False, 0
    position = 0
    skip_bit = np.int64(1) << NUM_HINTS
    while position < size:
        if data[position] == 0x3C:
            following = data[position + 1] if position + 1 < size else np.uint8(0)
            if following == 0x21 or following == 0x3F:  # a comment, a declaration
                if position + 3 < size and data[position + 2] == 0x2D and data[position + 3] == 0x2D:
                    position = _find(data, position + 4, 0x2D, 0x2D) + 2
                while position < size and data[position] != 0x3E:
                    position += 1
                position += 1
                continue
            closes = following == 0x2F
            place = position + 2 if closes else position + 1
            hashed = FNV_BASIS
            start = place
            while place < size and data[place] > 0x20 and data[place] != 0x3E and data[place] != 0x2F:
                byte = data[place]
                if 0x41 <= byte <= 0x5A:
                    byte = np.uint8(byte | 0x20)
                hashed = (hashed ^ np.uint64(byte)) * FNV_PRIME
                place += 1
            if place == start:  # no tag: a lone sign
                position += 1
                continue
            code = _tag_code(hashed, keys, codes)
            is_block = flags[code] & 1 == 0
            if closes:
                while place < size and data[place] != 0x3E:
                    place += 1
                position = place + 1
                above, climbed = current, 0
                while above > 0 and nodes[above, TAG] != code and climbed < _MAX_CLIMB:
                    above = nodes[above, PARENT]
                    climbed += 1
                if above == 0 or nodes[above, TAG] != code:
                    continue
                while current != nodes[above, PARENT]:
                    tag = nodes[current, TAG]
                    nodes[current, NODE_END] = num_blocks + (1 if is_open else 0)
                    links -= tag == _A
                    bold -= tag == _B or tag == _STRONG
                    preformatted -= tag == _PRE
                    if formula == current:
                        formula = 0
                    if source == current:
                        source = 0
                    if skipping == current:
                        skipping = 0
                    current = nodes[current, PARENT]
                if is_block and is_open:
                    num_blocks += 1
                    is_open = False
                    after_break = 0
                continue
            position, found, look, is_tex = _attributes(data, place, names, word_kinds, word_steps, word_masks)
            if is_block and is_open and not (code == _BR and preformatted):
                num_blocks += 1
                is_open = False
                after_break = 0
            if code == _BR and preformatted == 0:
                after_break = 1
            if code == _HR:
                rules += 1
            in_token = False
            if flags[code] & _VOID:
                continue
            node = num_nodes
            num_nodes += 1
            nodes[node, PARENT] = current
            nodes[node, TAG] = code
            nodes[node, DEPTH] = nodes[current, DEPTH] + 1
            nodes[node, BLOCK_PARENT] = current if flags[nodes[current, TAG]] & 1 == 0 else nodes[current, BLOCK_PARENT]
            looks[node] = mix64(look + np.uint64(code))
            for column in range(NUM_HINT_COLUMNS):
                hints[node, column] = min(hints[current, column] + 1, FAR)
            if marks[code] != 255:
                hints[node, marks[code]] = 0
            for group in range(NUM_HINTS):
                if found >> group & 1:
                    hints[node, NUM_MARKS + group] = 0
            current = node
            links += code == _A
            bold += code == _B or code == _STRONG
            preformatted += code == _PRE
            if skipping == 0 and (flags[code] & _SKIPPED or found & skip_bit):
                skipping = node
            if code == _MATH and formula == 0 and skipping == 0 and _has_tex(data, position):
                formula = node
            if code == _ANNOTATION and is_tex and formula:
                source = node
            if flags[code] & _RAW:
                end = position  # the element's own end tag; the loop then closes it
                while end < size:
                    end = _find(data, end, 0x3C, 0x2F)
                    same = end + 2 + place - start <= size
                    for offset in range(place - start):
                        same = same and data[end + 2 + offset] | 0x20 == data[start + offset] | 0x20
                    if same:
                        break
                    end = min(end + 2, size)
                if code == _SCRIPT and is_tex and end > position:
                    if not is_open:
                        is_open = True
                        _start_block(blocks, texts, num_blocks, nodes, flags, nodes[current, PARENT], num_segments, after_break, rules)
                    segments[num_segments, START], segments[num_segments, END] = position, end
                    segments[num_segments, KIND] = FORMULA
                    num_segments += 1
                    blocks[num_blocks, LAST] = num_segments
                    blocks[num_blocks, TOKENS] += 1
                position = end
            continue
        end = position
        while end < size and data[end] != 0x3C:
            end += 1
        is_formula = source != 0
        if skipping or (formula and not is_formula):
            position = end
            continue
        if not is_open:
            while position < end and data[position] <= 0x20:
                position += 1
            if position == end:
                continue
            is_open = True
            state = 0
            _start_block(blocks, texts, num_blocks, nodes, flags, current, num_segments, after_break, rules)
        segments[num_segments, START], segments[num_segments, END] = position, end
        segments[num_segments, KIND] = FORMULA if is_formula else PLAIN
        num_segments += 1
        block = blocks[num_blocks]
        block[LAST] = num_segments
        block[LINKS] += links > 0
        hashed = texts[num_blocks]
        while position < end:
            byte = data[position]
            state = np.int64(text_steps[state, text_kinds[byte]])
            block[PHRASES] |= text_masks[state]
            code_point, width = np.int64(byte), 1
            if byte == 0x26:  # one of the four escapes
                stop = position + 1
                while stop < end and stop < position + 6 and data[stop] != 0x3B:
                    stop += 1
                width = stop + 1 - position if stop < end and data[stop] == 0x3B else 1
            elif byte >= 0x80 and position + 4 <= size:
                code_point, width = decode(data, position, np.int64(byte))
                for extra in range(1, width):
                    state = np.int64(text_steps[state, text_kinds[data[position + extra]]])
                    block[PHRASES] |= text_masks[state]
            position += width
            kind = classes[min(code_point, TABLE_SIZE - 1)] & CLASS_MASK
            if kind == SPACE:
                in_token = False
                continue
            block[CHARACTERS] += 1
            if FIRST_LETTER <= kind <= DIGIT:
                hashed = (hashed ^ np.uint64(code_point)) * FNV_PRIME
                block[ENDS_IN_STOP] = 0
                if kind == HAN or not in_token:
                    block[TOKENS] += 1
                    block[LINK_TOKENS] += links > 0
                    block[BOLD] += bold > 0
                    block[NUMBERS] += kind == DIGIT
                    block[CAPITALS] += 0x41 <= code_point <= 0x5A
                    block[HAN_TOKENS] += kind == HAN
                in_token = kind != HAN
                block[LETTERS] += in_token
            elif kind != OTHER:
                in_token = False
                if code_point == 0x2E or code_point == 0x21 or code_point == 0x3F or code_point == 0x3002 \
                        or code_point == 0xFF01 or code_point == 0xFF1F or code_point == 0x2026:
                    block[STOPS] += 1
                    block[ENDS_IN_STOP] = 1
                elif code_point == 0x2C or code_point == 0xFF0C or code_point == 0x3001 or code_point == 0xFF1B:
                    block[COMMAS] += 1
                elif kind != PUNCTUATION or code_point == 0x7C or code_point == 0x2F:
                    block[SYMBOLS] += 1
        texts[num_blocks] = hashed
    if is_open:
        num_blocks += 1
    while current > 0:
        nodes[current, NODE_END] = num_blocks
        current = nodes[current, PARENT]
    nodes[0, NODE_END] = num_blocks
    return num_nodes, num_segments, num_blocks


@njit(cache=True, nogil=True)
def _start_block(blocks, texts, row, nodes, flags, current, num_segments, after_break, rules):
    blocks[row, NODE] = current if flags[nodes[current, TAG]] & 1 == 0 else nodes[current, BLOCK_PARENT]
    blocks[row, INNER] = current
    blocks[row, FIRST] = num_segments
    blocks[row, AFTER_BREAK] = after_break
    blocks[row, RULES] = rules
    texts[row] = FNV_BASIS


@njit(cache=True, nogil=True)
def _has_tex(data, position):
    """Whether a ``math`` element that starts before ``position`` holds its source in TeX."""
    for place in range(position, min(position + _MAX_FORMULA, data.size - 6)):
        if data[place] == 0x3C and data[place + 1] == 0x2F and data[place + 2] == 0x6D and data[place + 3] == 0x61 \
                and data[place + 4] == 0x74 and data[place + 5] == 0x68:  # </math
            return False
        if data[place] == 0x2D and _names_tex(data, place, place + 4) and data[place + 4] == 0x22:  # -tex"
            return True
    return False
