"""One pass over the bytes of a parsed page: its elements, its pieces of text, and its blocks with counts.

The page was parsed and written out again by lexbor (resiliparse), so tags are balanced, names are in lower case and
values stand in double quotes; only ``&amp; &lt; &gt; &nbsp;`` are escaped. A *block* is a line as a reader sees it:
text between two boundaries of block elements or ``br``; ``pre`` is one block. The scan is linear in bytes whatever they
are: bytes that no parser wrote give odd blocks, never a fault. Importing this module loads Numba.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.ingest.page_markup import attributes, find_pair, has_tex, tag_code
from stages.ingest.page_tables import (
    FAR,
    INLINE,
    NUM_HINT_COLUMNS,
    NUM_HINTS,
    NUM_MARKS,
    RAW,
    SKIPPED,
    TAGS,
    VOID,
    tables,
)
from stages.text.characters import (
    CLASS_MASK,
    DIGIT,
    FIRST_LETTER,
    HAN,
    OTHER,
    PUNCTUATION,
    SPACE,
    TABLE_SIZE,
    class_table,
)
from stages.text.kernel import FNV_BASIS, FNV_PRIME, mix64
from stages.text.scripts import decode

#: Columns of :attr:`Scan.nodes`, int32.
PARENT, TAG, BLOCK_PARENT, DEPTH, NODE_END = range(5)
#: Columns of :attr:`Scan.segments`, int32: bytes [start, end) of a piece of text; kind one of the four below.
START, END, KIND = range(3)
PLAIN, FORMULA = 0, 1
#: Columns of :attr:`Scan.blocks`, int32.
(NODE, INNER, FIRST, LAST, TOKENS, LINK_TOKENS, CHARACTERS, STOPS, COMMAS, NUMBERS, CAPITALS, PHRASES, BOLD,
 ENDS_IN_STOP, HAN_TOKENS, AFTER_BREAK, LETTERS, LINKS, SYMBOLS, RULES) = range(20)  # fmt: skip
NUM_BLOCK_COLUMNS = 20

_A, _BR, _PRE, _MATH, _B, _STRONG, _ANNOTATION, _SCRIPT, _HR = (
    TAGS[name] for name in ("a", "br", "pre", "math", "b", "strong", "annotation", "script", "hr")
)
_MAX_CLIMB = 64


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


def scan(data: bytes) -> Scan:
    """Tables of a page that :class:`resiliparse.parse.html.HTMLTree` wrote, in UTF-8."""
    octets = np.frombuffer(data, dtype=np.uint8)
    room = data.count(b"<") + 2  # no more tags, pieces or blocks than that
    nodes = np.zeros((room, 5), np.int32)
    hints = np.full((room, NUM_HINT_COLUMNS), FAR, np.uint8)
    looks = np.zeros(room, np.uint64)
    segments = np.zeros((room, 3), np.int32)
    blocks = np.zeros((room, NUM_BLOCK_COLUMNS), np.int32)
    texts = np.zeros(room, np.uint64)
    num_nodes, num_segments, num_blocks = _scan(
        octets, class_table(), *tables(), nodes, hints, looks, segments, blocks, texts
    )
    return Scan(
        data, nodes[:num_nodes], hints[:num_nodes], looks[:num_nodes], segments[:num_segments], blocks[:num_blocks],
        texts[:num_blocks],
    )  # fmt: skip


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
                    position = find_pair(data, position + 4, 0x2D, 0x2D) + 2
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
            code = tag_code(hashed, keys, codes)
            is_block = flags[code] & INLINE == 0
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
                    bold -= tag in (_B, _STRONG)
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
            position, found, look, is_tex = attributes(data, place, names, word_kinds, word_steps, word_masks)
            if is_block and is_open and not (code == _BR and preformatted):
                num_blocks += 1
                is_open = False
                after_break = 0
            if code == _BR and preformatted == 0:
                after_break = 1
            if code == _HR:
                rules += 1
            in_token = False
            if flags[code] & VOID:
                continue
            node = num_nodes
            num_nodes += 1
            nodes[node, PARENT] = current
            nodes[node, TAG] = code
            nodes[node, DEPTH] = nodes[current, DEPTH] + 1
            nodes[node, BLOCK_PARENT] = (
                current if flags[nodes[current, TAG]] & INLINE == 0 else nodes[current, BLOCK_PARENT]
            )
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
            bold += code in (_B, _STRONG)
            preformatted += code == _PRE
            if skipping == 0 and (flags[code] & SKIPPED or (found & skip_bit and nodes[node, DEPTH] > 2)):
                skipping = node
            if code == _MATH and formula == 0 and skipping == 0 and has_tex(data, position):
                formula = node
            if code == _ANNOTATION and is_tex and formula:
                source = node
            if flags[code] & RAW:
                end = position  # the element's own end tag; the loop then closes it
                while end < size:
                    end = find_pair(data, end, 0x3C, 0x2F)
                    same = end + 2 + place - start <= size
                    for offset in range(place - start):
                        same = same and data[end + 2 + offset] | 0x20 == data[start + offset] | 0x20
                    if same:
                        break
                    end = min(end + 2, size)
                if code == _SCRIPT and is_tex and end > position:
                    if not is_open:
                        is_open = True
                        _start_block(
                            blocks,
                            texts,
                            num_blocks,
                            nodes,
                            flags,
                            nodes[current, PARENT],
                            num_segments,
                            after_break,
                            rules,
                        )
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
                if (
                    code_point == 0x2E
                    or code_point == 0x21
                    or code_point == 0x3F
                    or code_point == 0x3002
                    or code_point == 0xFF01
                    or code_point == 0xFF1F
                    or code_point == 0x2026
                ):
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
    blocks[row, NODE] = current if flags[nodes[current, TAG]] & INLINE == 0 else nodes[current, BLOCK_PARENT]
    blocks[row, INNER] = current
    blocks[row, FIRST] = num_segments
    blocks[row, AFTER_BREAK] = after_break
    blocks[row, RULES] = rules
    texts[row] = FNV_BASIS
