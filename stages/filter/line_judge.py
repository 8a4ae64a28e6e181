"""What line rules take from the documents of one domain, as pure functions on the measures of lines; no files.

L lines, R active rules, D rows of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.filter.line_rules import DOCUMENT_MEASURES, PLACED_MEASURES, LineRule
from stages.filter.rules import COMPARE
from stages.text.arrow_text import span_characters

if TYPE_CHECKING:
    from stages.filter.line_kernel import Lines  # loads Numba

#: Active rules of one set, in order.
Rules = Sequence[tuple[str, LineRule]]
#: Reason of a document whose every line went.
NOTHING_LEFT = "nothing_left"
#: A piece of a text that a rule takes; bytes of the row's text. ``count``: lines, or matches, that it joins.
SPAN = np.dtype([("row", "<i8"), ("start", "<i8"), ("end", "<i8"), ("rule", "<i8"), ("count", "<i8")])


@dataclass(frozen=True, slots=True)
class LineVerdict:
    """What the rules say about one batch."""

    spans: np.ndarray  # SPAN, disjoint, in order; those of dropped documents too, so that they can be shown
    characters: np.ndarray  # int64 [spans]
    left: np.ndarray  # int64 [D]: characters that are left
    dropped_by: np.ndarray  # int64 [D]: rule that takes the document, R where nothing is left of it, -1 where it stays
    values: np.ndarray  # float64 [D]: what that rule measured
    num_lines: int


def judge_lines(
    rules: Rules,
    lines: Lines,
    matches: np.ndarray,
    data: np.ndarray,
    offsets: np.ndarray,
    num_characters: np.ndarray,
) -> LineVerdict:
    """Apply the rules in order to ``lines`` and ``matches`` (see :mod:`stages.filter.line_kernel`) of texts whose bytes
    and offsets are given, with ``num_characters`` [D] each."""
    num_rows = len(offsets) - 1
    taken_by = np.full(len(lines.row), -1, dtype=np.int64)
    dropped_by, values = np.full(num_rows, -1, dtype=np.int64), np.zeros(num_rows)
    taken_matches = [matches[:0]]
    for index, (_, rule) in enumerate(rules):
        if rule.measure in DOCUMENT_MEASURES:
            continue
        found = _matches_of(rule, index, len(rules), matches)
        fails, measured = _failing(rule, lines, found)
        open_ = taken_by[fails] < 0
        if rule.max_tokens is not None:
            open_ &= lines.num_tokens[fails] <= rule.max_tokens
        fails, measured = fails[open_], measured[open_]
        if rule.takes == "match":
            mine = found[np.isin(found["line"], fails)]
            mine["group"] = index
            taken_matches.append(mine)
            continue
        taken_by[fails] = index
        if rule.takes == "document":
            rows, first = np.unique(lines.row[fails], return_index=True)
            new = dropped_by[rows] < 0
            dropped_by[rows[new]], values[rows[new]] = index, measured[first[new]]
    taken = np.concatenate(taken_matches)
    taken = taken[taken_by[taken["line"]] < 0]
    taken = taken[np.lexsort((taken["end"], taken["start"], taken["line"]))]
    _take_emptied(lines, taken, taken_by, data, offsets)
    spans = _join(_line_spans(lines, taken_by, np.diff(offsets)), taken[taken_by[taken["line"]] < 0], lines)
    starts, ends = offsets[spans["row"]] + spans["start"], offsets[spans["row"]] + spans["end"]
    characters = span_characters(data, starts, ends)
    left = num_characters - np.bincount(spans["row"], characters, num_rows).astype(np.int64)

    stays = taken_by < 0
    sentences = np.bincount(lines.row[stays], lines.num_sentences[stays], num_rows)
    of_document = {"sentences_left": sentences, "characters_left": left.astype(np.float64)}
    judged = np.ones(num_rows, dtype=bool)
    for index, (_, rule) in enumerate(rules):
        if rule.measure in DOCUMENT_MEASURES:
            measured = of_document[rule.measure]
            fails = judged & (dropped_by < 0) & COMPARE[rule.cut_if](measured, rule.limit)
            dropped_by[fails], values[fails] = index, measured[fails]
    had, has = (np.bincount(lines.row[which], minlength=num_rows) for which in (slice(None), stays))
    dropped_by[(dropped_by < 0) & (had > 0) & (has == 0)] = len(rules)
    return LineVerdict(spans, characters, left, dropped_by, values, len(lines.row))


def _matches_of(rule: LineRule, index: int, num_rules: int, matches: np.ndarray) -> np.ndarray:
    """The places that a rule is about; references are the group behind those of the rules."""
    if rule.measure == "references":
        return matches[matches["group"] == num_rules]
    return matches[matches["group"] == index] if rule.phrases else matches[:0]


def _failing(rule: LineRule, lines: Lines, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lines that the rule would take, in order; what it measured on each)."""
    compare = COMPARE[rule.cut_if]
    if rule.measure not in PLACED_MEASURES:
        measured = getattr(lines, rule.measure)
        fails = np.flatnonzero(compare(measured, rule.limit))
        return fails, measured[fails]
    if compare(0, rule.limit):  # a line without any fails as well
        counts = np.bincount(found["line"], minlength=len(lines.row))
        fails = np.flatnonzero(compare(counts, rule.limit))
        return fails, counts[fails]
    places, counts = np.unique(found["line"], return_counts=True)
    over = compare(counts, rule.limit)
    return places[over], counts[over]


def _take_emptied(lines: Lines, taken: np.ndarray, taken_by: np.ndarray, data: np.ndarray, offsets: np.ndarray) -> None:
    """A line of which matches leave nothing that shows goes whole, by the rule of its first match."""
    from stages.filter.line_kernel import emptied_lines, line_table

    columns = (np.ascontiguousarray(taken[name]) for name in ("line", "start", "end"))
    empty = emptied_lines(data, offsets, lines.row, lines.start, lines.end, *columns, line_table())
    places, first = np.unique(taken["line"][empty], return_index=True)
    taken_by[places] = taken["group"][empty][first]


def _line_spans(lines: Lines, taken_by: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Spans of the lines that go, neighbours of one rule joined.

    A line goes with the blank ones below it. Where the end of a text goes, so does the white space before: what is
    left ends with what shows.
    """
    if not len(lines.row):
        return np.empty(0, dtype=SPAN)
    row, start = lines.row, lines.start
    is_last = np.append(row[1:] != row[:-1], True)
    end = np.where(is_last, sizes[row], np.append(start[1:], 0))
    goes = taken_by >= 0
    number = np.arange(len(lines.row))
    last_kept = np.maximum.accumulate(np.where(goes, -1, number))  # the newest line that stays, of this row or before
    last_of_row = np.flatnonzero(is_last)[np.cumsum(is_last) - is_last]  # for every line, the last one of its row
    in_tail = goes & (last_kept[last_of_row] < number)
    begins_tail = in_tail & (last_kept == number - 1) & (number > 0)
    begins_tail[1:] &= row[1:] == row[:-1]
    start = np.where(begins_tail, np.append(0, lines.end[:-1]), start)

    new = goes.copy()
    new[1:] &= ~(goes[:-1] & (row[1:] == row[:-1]) & (taken_by[1:] == taken_by[:-1]))
    firsts = np.flatnonzero(new)
    spans = np.empty(len(firsts), dtype=SPAN)
    if len(firsts):
        run = np.cumsum(new)[goes]  # of every line that goes, its span
        lasts = np.flatnonzero(goes)[np.append(np.flatnonzero(run[1:] != run[:-1]), len(run) - 1)]
        spans["row"], spans["start"], spans["end"] = row[firsts], start[firsts], end[lasts]
        spans["rule"], spans["count"] = taken_by[firsts], lasts - firsts + 1
    return spans


def _join(spans: np.ndarray, matches: np.ndarray, lines: Lines) -> np.ndarray:
    """Spans of lines and of matches inside lines that stay, in order and disjoint: the earlier match, of two that
    start together the longer one, takes what both claim."""
    more = np.empty(len(matches), dtype=SPAN)
    more["row"], more["rule"], more["count"] = lines.row[matches["line"]], matches["group"], 1
    more["start"], more["end"] = matches["start"], matches["end"]
    spans = np.concatenate([spans, more])
    spans = spans[np.lexsort((-spans["end"], spans["start"], spans["row"]))]
    if len(more):
        reach = (spans["row"] << 32) + spans["end"]
        before = np.append(0, np.maximum.accumulate(reach)[:-1])
        place = (spans["row"] << 32) + spans["start"]
        spans["start"] += np.maximum(0, before - place) * (before >> 32 == spans["row"])
        spans = spans[spans["start"] < spans["end"]]
    return spans
