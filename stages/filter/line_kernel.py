"""Compiled loop over Arrow text buffers: where lines lie, what each measures, and where phrases and references stand.

Importing this module loads Numba; workers do, the planner does not.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.text.characters import (
    CLASS_MASK,
    CLOSING_MARKS,
    DIGIT,
    HAN,
    PUNCTUATION,
    SPACE,
    TABLE_SIZE,
    TERMINAL_MARKS,
    class_table,
)
from stages.text.kernel import character_at
from stages.text.phrases import Phrases
from stages.text.sentences import MAX_PIECE, ends_anywhere, may_end_sentence, pass_sentences, piece_scratch


class Lines(NamedTuple):
    """Lines that are not blank, in order; arrays [lines]. They tile the texts: blank ones belong to the one above."""

    row: np.ndarray  # of the batch
    start: np.ndarray  # byte of the row's text behind the line before this one
    end: np.ndarray  # behind its last visible character
    num_words: np.ndarray
    num_tokens: np.ndarray
    num_characters: np.ndarray
    longest_word: np.ndarray
    num_sentences: np.ndarray
    ends_sentence: np.ndarray


#: A phrase of a group, or a reference such as [12], which counts as one more group behind those of the phrases: the
#: line that holds it, and bytes of the text of its row.
MATCH = np.dtype([("line", "<i8"), ("start", "<i8"), ("end", "<i8"), ("group", "<i8")])

_REFERENCE_BYTES = np.frombuffer(b"[edit][citation needed]", dtype=np.uint8)
_REFERENCE_WORDS = ((0, 6), (6, 23))  # where each lies in the bytes
_CLOSING_QUOTES = "\"'”’»›」』＂＇"
_TERMINAL, _CLOSING, _QUOTE = 0x10, 0x20, 0x40
_LINE_FEED, _DOT, _ELLIPSIS = np.uint64(10), np.uint64(ord(".")), np.uint64(ord("…"))
_LINE_FEED_BYTE, _OPEN_BYTE = np.uint8(10), np.uint8(ord("["))
_OPEN, _CLOSE, _ZERO, _NINE = (np.uint64(ord(c)) for c in "[]09")
_ASCII = np.uint64(0x80)
_ONE = np.uint64(1)


@functools.cache
def line_table() -> np.ndarray:
    """Character classes with this module's flags in the high bits, uint8 [TABLE_SIZE]."""
    table = class_table().copy()
    for flag, marks in ((_TERMINAL, TERMINAL_MARKS), (_CLOSING, CLOSING_MARKS), (_QUOTE, _CLOSING_QUOTES)):
        for mark in marks:
            table[ord(mark)] |= flag
    table.flags.writeable = False
    return table


def measure_lines(
    data: np.ndarray, offsets: np.ndarray, inside: np.ndarray, phrases: Phrases
) -> tuple[Lines, np.ndarray]:
    """(lines, matches of dtype MATCH) of the texts that are ``inside`` (given as
    ``stages.text.arrow_text.text_buffers`` does). Lines come in order, matches group by group."""
    most = int((data[offsets[0] : offsets[-1]] == _LINE_FEED_BYTE).sum()) + len(inside)
    columns = (tuple(np.empty((3, most), dtype=np.int64)), tuple(np.empty((6, most), dtype=np.int32)))
    num_references = int((data[offsets[0] : offsets[-1]] == _OPEN_BYTE).sum())
    references = np.empty((3, num_references), dtype=np.int64)
    num_lines, num_references = _measure(data, offsets, inside, line_table(), columns, references)
    lines = Lines(*(column[:num_lines] for part in columns for column in part))

    rows, starts, ends, groups = phrases.find(data, offsets, inside)
    matches = np.empty(len(rows) + num_references, dtype=MATCH)
    matches["line"][: len(rows)] = np.searchsorted((lines.row << 32) + lines.start, (rows << 32) + ends) - 1
    for name, found, place in (("start", starts, 1), ("end", ends, 2)):
        matches[name] = np.append(found, references[place, :num_references])
    matches["line"][len(rows) :] = references[0, :num_references]
    matches["group"] = np.append(groups, np.full(num_references, phrases.num_groups))
    return lines, matches


@njit(cache=True, nogil=True)
def _reference_end(data, position, end):
    """Behind the bracket that closes a reference which opens at ``position``; ``position`` when it is none."""
    for first, last in _REFERENCE_WORDS:
        size = last - first
        if np.int64(end - position) >= size:
            same = 0
            while same < size and data[position + np.uint64(same)] == _REFERENCE_BYTES[first + same]:
                same += 1
            if same == size:
                return position + np.uint64(size)
    place = position + _ONE
    while place < end and _ZERO <= np.uint64(data[place]) <= _NINE:
        place += _ONE
    return place + _ONE if place < end and np.uint64(data[place]) == _CLOSE else position


@njit(cache=True, nogil=True)
def _measure(data, offsets, inside, table, columns, references):
    (rows, starts, ends), (words, tokens, sizes, longest_words, sentences, closed) = columns
    num_lines = num_references = 0
    last = np.uint64(TABLE_SIZE - 1)
    piece, piece_entries, scratch = piece_scratch()
    for row in range(inside.shape[0]):
        if not inside[row]:
            continue
        begin, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        position = line_start = shown = reference_end = begin
        first_line = num_lines
        num_words = num_tokens = num_characters = blanks = word = longest = run = num_sentences = 0
        dots = ellipses = piece_size = opened_before = 0
        visible = ends_sentence = pending = gap = in_word = opened = may_end = has_han = pending_before = False
        while position <= end:
            code, step = _LINE_FEED, _ONE
            if position < end:
                code, step = character_at(data, position, end)
            entry = table[min(code, last)]
            kind = entry & CLASS_MASK
            if kind == SPACE and in_word:
                in_word = False
                if may_end and not has_han and piece_size <= MAX_PIECE:
                    more, pending = pass_sentences(piece, piece_entries, piece_size, pending_before, scratch)
                    num_sentences = opened_before + more
                elif may_end:
                    pending |= may_end_sentence(piece[min(piece_size, MAX_PIECE) - 1])
            if code == _LINE_FEED:
                if visible:
                    rows[num_lines] = row
                    starts[num_lines] = np.int64((begin if num_lines == first_line else line_start) - begin)
                    ends[num_lines] = np.int64(shown - begin)
                    words[num_lines], tokens[num_lines], sizes[num_lines] = num_words, num_tokens, num_characters
                    longest_words[num_lines] = max(longest, word)
                    sentences[num_lines] = num_sentences + opened
                    closed[num_lines] = ends_sentence and dots < 3 and ellipses != 1
                    num_lines += 1
                    num_words = num_tokens = num_characters = word = longest = num_sentences = 0
                    dots = ellipses = 0
                    visible = ends_sentence = pending = gap = opened = False
                blanks = run = 0
                position += _ONE
                line_start = position
                continue
            if kind == SPACE:
                longest = max(longest, word)
                word = run = 0
                gap = True
                blanks += visible
                position += step
                continue
            visible = True
            num_characters += blanks
            blanks = 0
            if code == _OPEN and position >= reference_end:
                reference_end = max(reference_end, _reference_end(data, position, end))
                if reference_end > position:
                    references[0, num_references] = num_lines
                    references[1, num_references] = np.int64(position - begin)
                    references[2, num_references] = np.int64(reference_end - begin)
                    num_references += 1
            size = 1
            position += step
            in_reference = position <= reference_end  # it is no word, and hides neither a mark nor an end before it
            if not in_reference:
                if not in_word:
                    num_words += 1
                    in_word = opened = True
                    piece_size, opened_before, pending_before = 0, num_sentences, pending
                    may_end = has_han = False
                if pending and kind != PUNCTUATION:
                    num_sentences += 1
                    pending = False
                piece[min(piece_size, MAX_PIECE - 1)] = code
                piece_entries[min(piece_size, MAX_PIECE - 1)] = entry
                piece_size += 1
                may_end |= may_end_sentence(code)
                has_han |= kind == HAN
            if in_reference:
                run = 0
            elif HAN <= kind <= DIGIT:
                while position < end:  # the rest of a stretch of letters and digits
                    code, step = character_at(data, position, end)
                    entry = table[min(code, last)]
                    next_kind = entry & CLASS_MASK
                    if next_kind < HAN or next_kind > DIGIT or (next_kind == HAN) != (kind == HAN):
                        break
                    position += step
                    size += 1
                    piece[min(piece_size, MAX_PIECE - 1)] = code
                    piece_entries[min(piece_size, MAX_PIECE - 1)] = entry
                    piece_size += 1
                num_tokens += size if kind == HAN else run == 0
                run = 0 if kind == HAN else run + size
                ends_sentence = False
                dots = ellipses = 0
            else:
                if entry & _TERMINAL:
                    pending |= ends_anywhere(code)
                    ends_sentence = True
                elif entry & _QUOTE:
                    ends_sentence = True
                elif entry & _CLOSING == 0 or code < _ASCII:
                    ends_sentence = False
                if gap:
                    dots = ellipses = 0
                dots = dots + 1 if code == _DOT else 0
                ellipses = ellipses + 1 if code == _ELLIPSIS else 0
                gap = False
                run = 0
            num_characters += size
            word += size
            shown = position
    return num_lines, num_references


@njit(cache=True, nogil=True)
def emptied_lines(data, offsets, rows, starts, ends, matched, firsts, lasts, table):
    """Of every line in ``matched`` (indices of lines, in order, one per match) whether nothing that shows is left
    without the bytes [firsts, lasts) of its matches, themselves in order; bool [matched], equal for one line."""
    empty = np.zeros(matched.shape[0], dtype=np.bool_)
    last = np.uint64(TABLE_SIZE - 1)
    begin = 0
    while begin < matched.shape[0]:
        line = matched[begin]
        after = begin
        while after < matched.shape[0] and matched[after] == line:
            after += 1
        base = offsets[rows[line]]
        position, end = np.uint64(base + starts[line]), np.uint64(base + ends[line])
        match = begin
        shows = False
        while position < end and not shows:
            while match < after and np.uint64(base + lasts[match]) <= position:
                match += 1
            if match < after and np.uint64(base + firsts[match]) <= position:
                position = np.uint64(base + lasts[match])
                continue
            code, step = character_at(data, position, end)
            shows = table[min(code, last)] & CLASS_MASK != SPACE
            position += step
        empty[begin:after] = not shows
        begin = after
    return empty
