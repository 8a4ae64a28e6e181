"""From chosen blocks back to text that a person can read: lines, lists, tables, code and formulae.

A paragraph, heading or list stands apart by a blank line; lines of one paragraph, items and rows follow each other; an
item begins with a bullet; cells of a row stand between bars; code keeps its lines; a formula stands in TeX between
dollar signs. Nothing is added that the page does not show but these marks.
"""

from __future__ import annotations

import re

import numpy as np

from stages.ingest.page_scan import (
    AFTER_BREAK,
    BLOCK_PARENT,
    FIRST,
    FORMULA,
    LAST,
    NODE,
    TAG,
    Scan,
)
from stages.ingest.page_tables import TAGS

_PRE, _LI, _TR = TAGS["pre"], TAGS["li"], TAGS["tr"]
_CELLS = (TAGS["td"], TAGS["th"])
#: Levels above a block in which an item or a row is looked for.
_MAX_LEVELS = 4
BULLET = "• "
_WHITE_SPACE = re.compile(r"[ \t\n\f\r]+")


def block_texts(page: Scan, chosen: np.ndarray) -> list[str]:
    """Text of every block whose row is ``chosen``: white space as one blank, or as it stands in code."""
    places = _Places(page)
    segments = page.segments.tolist()
    columns = page.blocks[chosen][:, (FIRST, LAST, NODE)].tolist()
    return [_text(page.data, segments[first:last], places.of(node)[3]) for first, last, node in columns]


def page_text(page: Scan, chosen: np.ndarray) -> str:
    """Text of the blocks whose rows are ``chosen``, in the order of the page."""
    places = _Places(page)
    parts: list[str] = []
    last_row = last_item = last_cell = last_node = -1
    last_is_code = False
    columns = page.blocks[chosen][:, (NODE, AFTER_BREAK)].tolist()
    for text, (node, after_break) in zip(block_texts(page, chosen), columns, strict=True):
        if not text.strip():
            continue
        item, row, cell, is_code = places.of(node)
        if parts:
            if row >= 0 and row == last_row:
                parts.append(" " if cell == last_cell else " | ")
            elif (
                (row >= 0 and last_row >= 0)
                or (after_break and node == last_node)
                or (item >= 0 and last_item >= 0)
                or (is_code and last_is_code)
            ):
                parts.append("\n")
            else:
                parts.append("\n\n")
        if item >= 0 and item != last_item and row < 0 and not is_code:
            parts.append(BULLET)
        parts.append(text)
        last_row, last_item, last_cell, last_node, last_is_code = row, item, cell, node, is_code
    return "".join(parts)


def _text(data: bytes, segments: list[list[int]], is_code: bool) -> str:
    parts = []
    for start, end, kind in segments:
        part = data[start:end].decode("utf-8", "replace")
        parts.append(f" ${' '.join(part.split()).strip('$')}$ " if kind == FORMULA else part)
    text = "".join(parts)
    if "&" in text:
        text = text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
        text = text.replace("&amp;", "&")
    if is_code:
        return "\n".join(line.rstrip() for line in text.replace("\r", "").split("\n")).strip("\n")
    # of HTML's white space only: a no-break space or a next-line control may be a byte of misread UTF-8, which the
    # rule `mojibake` of the stage clean puts together again. One in front is an indent
    return _WHITE_SPACE.sub(" ", text).lstrip().rstrip(" ")


class _Places:
    """The item, row and cell around an element, and whether it is code; kept per element, since blocks share them."""

    def __init__(self, page: Scan) -> None:
        self._tags = page.nodes[:, TAG].tolist()
        self._above = page.nodes[:, BLOCK_PARENT].tolist()
        self._known: dict[int, tuple[int, int, int, bool]] = {}

    def of(self, node: int) -> tuple[int, int, int, bool]:
        """(li or -1, tr or -1, td or -1, inside pre)."""
        found = self._known.get(node)
        if found is None:
            item = row = cell = -1
            is_code = False
            above = node
            for _ in range(_MAX_LEVELS):
                tag = self._tags[above]
                if tag == _LI and item < 0:
                    item = above
                elif tag == _TR and row < 0:
                    row = above
                elif tag in _CELLS and cell < 0:
                    cell = above
                is_code |= tag == _PRE
                above = self._above[above]
                if above == 0:
                    break
            found = self._known[node] = (item, row, cell, is_code)
        return found
