"""Rules over the lines of one text: ``repeated_paragraphs`` (PanGu-alpha 3.1.1) and ``torn_sentence`` (MNBVC, WuDao).

A paragraph is a line, ASCII white space at its ends left out. Importing this module loads Numba: import it inside the
functions that run in workers.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pyarrow as pa
from numba import njit

from stages.clean.rule import Hint, Rule, by_pattern
from stages.text.arrow_text import text_buffers
from stages.text.scripts import count_scripts

_PRIME, _SEED = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)  # FNV-1a
_LINE_FEED = ord("\n")
_SAMPLES = 32  # bytes of a line that its key reads

#: What may stand at the ends of a line without being part of it.
_ASCII_BLANKS = "".join(map(chr, range(0x21)))
_SPACE = r"[ \t\x0b\x0c\r\xa0\u3000]"
#: A full-width mark ends a sentence anywhere. An ASCII one does before white space and no small letter; a full stop
#: neither behind a single letter (initials) nor behind one of the words that are written short.
_FULL_END, _CLOSING = "[。！？]", "[\"')\\]”’」』）]*"
_ASCII_END = r"(?:[!?]|(?:[A-Za-z]{2}|[0-9)\]\"'%])\.)"
_END = re.compile(rf"(?:{_FULL_END}|{_ASCII_END}(?={_CLOSING}{_SPACE}+[^\sa-z])){_CLOSING}")
_SHORT = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Rev|Gen|Col|Lt|Capt|Sgt|Sen|Rep|Gov|Hon|Inc|Ltd|Co|Corp|No|Vol|Fig|vs|cf|al|etc"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\.\Z"
)
#: A line whose last character is one of these does not break off inside a sentence: marks, brackets, markup.
_ENDS_WELL = "。！？…!?.;；:：”’」』）)]\"'》>|*`"
_TORN = (
    rf"(?:{_FULL_END}|[.!?]{_CLOSING}[ \t\x0b\x0c\r\x{{a0}}\x{{3000}}])[^\n]*"
    rf"[^\n{re.escape(_ENDS_WELL)}][\s\x0b\x{{a0}}\x{{3000}}]*\z"
)


def repeated_paragraphs_rule(min_tokens: int) -> Rule:
    """The rule ``repeated_paragraphs``: of equal paragraphs of ``min_tokens`` or more only the first stays."""
    return Rule(
        partial(remove_repeated, min_tokens=min_tokens),
        partial(may_repeat, min_tokens=min_tokens),
        Hint.REPEATED_PARAGRAPHS,
    )


def torn_sentence_rule() -> Rule:
    """The rule ``torn_sentence``: a last line that breaks off is cut back to its last whole sentence."""
    return by_pattern(cut_torn, _TORN, Hint.ALWAYS)


def remove_repeated(texts: pa.Array, min_tokens: int) -> pa.Array:
    """Take out later copies of paragraphs, and the blank lines in front of them."""
    return pa.array([_without_copies(text, min_tokens) for text in texts.to_pylist()], texts.type)


def _without_copies(text: str, min_tokens: int) -> str:
    lines = text.split("\n")
    keys = [line.strip(_ASCII_BLANKS) for line in lines]
    seen: set[str] = set()
    copies: list[int] = []
    for place, key in enumerate(keys):
        if len(key) >= min_tokens:
            if key in seen:
                copies.append(place)
            seen.add(key)
    if not copies:
        return text
    _, tokens = count_scripts(pa.array([keys[place] for place in copies], pa.string()))
    gone = {place for place, count in zip(copies, tokens.tolist(), strict=True) if count >= min_tokens}
    kept: list[str] = []
    for place, line in enumerate(lines):
        if place not in gone:
            kept.append(line)
            continue
        while kept and not kept[-1].strip():
            kept.pop()
    return "\n".join(kept)


def may_repeat(texts: pa.Array, min_tokens: int) -> np.ndarray:
    """Bool per text: whether two of its lines may be equal and of ``min_tokens``: same length, same ends."""
    data, offsets = text_buffers(texts)
    found = np.zeros(offsets.size - 1, dtype=bool)
    _find_repeats(data, offsets, min_tokens, found)
    return found


@njit(inline="always")
def long_line_key(data, start, end):
    """The same for equal lines whatever the ASCII white space at their ends, and mostly for them alone: made from the
    length and a few bytes all over the line ``data[start:end]``, so that a long line costs no more than a short one."""
    while start < end and data[start] <= 0x20:
        start += 1
    while end > start and data[end - 1] <= 0x20:
        end -= 1
    key = _SEED ^ np.uint64(end - start)
    for sample in range(min(_SAMPLES, end - start)):
        key = (key ^ np.uint64(data[start + sample * (end - start) // _SAMPLES])) * _PRIME
    return key


@njit(cache=True, nogil=True)
def _find_repeats(data, offsets, min_tokens, found):
    longest = 0
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    min_line = 2 * min_tokens - 1  # bytes: two runs of letters have something between them
    lines = np.empty((longest // min_line + 1, 2), dtype=np.int64)  # bounds of the long lines of one text
    keys = np.empty(longest // min_line + 1, dtype=np.uint64)
    for row in range(offsets.size - 1):
        end, start, count = offsets[row + 1], offsets[row], 0
        while start < end:
            stop = start
            while stop < end and data[stop] != _LINE_FEED:
                stop += 1
            if stop - start >= min_line:
                lines[count, 0], lines[count, 1], keys[count] = start, stop, long_line_key(data, start, stop)
                count += 1
            start = stop + 1
        order = np.argsort(keys[:count])
        for place in range(1, count):
            line = order[place]
            if keys[line] == keys[order[place - 1]] and (
                _max_tokens(data, lines[line, 0], lines[line, 1]) >= min_tokens
            ):
                found[row] = True
                break


@njit(inline="always")
def _max_tokens(data, start, end):
    """At least as many as there are tokens: every character beyond ASCII and every run of ASCII letters and digits."""
    count = 0
    in_run = False
    for position in range(start, end):
        byte = data[position]
        letter = (0x30 <= byte <= 0x39) or (0x41 <= byte <= 0x5A) or (0x61 <= byte <= 0x7A)
        count += (byte >= 0xC0) or (letter and not in_run)
        in_run = letter
    return count


def cut_torn(texts: pa.Array) -> pa.Array:
    """Cut the last line of every text back to its last sentence end, where it has one and does not end with one."""
    return pa.array([_without_torn(text) for text in texts.to_pylist()], texts.type)


def _without_torn(text: str) -> str:
    whole = text.rstrip(_ASCII_BLANKS + "\xa0\u3000")
    if not whole or whole[-1] in _ENDS_WELL:
        return text
    end = None
    for found in _END.finditer(whole, whole.rfind("\n") + 1):
        if not _SHORT.search(whole, max(0, found.start() - 8), found.end()):
            end = found.end()
    return text if end is None else whole[:end]
