"""Tables of wikitext: those that hold data become lines of cells, ``Rank | City | Population``; those for layout go.

A data table says so itself: MediaWiki's class for it is ``wikitable``. Boxes, navigation and everything inside another
table are layout. Called with templates resolved and links still marked, so a bar inside a link is none of a cell.
Syntax: mediawiki.org, "Help:Tables".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_DATA = re.compile(r"\bclass\s*=\s*[\"']?[^\"'\n]*\bwikitable\b", re.I)
#: Where a cell ends on a line: two bars, or two exclamation marks in a line of headings.
_CELL = re.compile(r"\[\[|\]\]|\|\||!!")
_ATTRIBUTES = re.compile(r"\s*(?:[A-Za-z-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'|]+)\s*)+\|(?!\|)")
_BREAK = re.compile(r"<br\s*/?>", re.I)
_MARKER = re.compile(r"^[*#;:]+\s*")


@dataclass(slots=True)
class _Table:
    start: int  # lines kept before it
    is_data: bool
    caption: str = ""
    rows: list[list[str]] = field(default_factory=lambda: [[]])


def without_layout(text: str) -> str:
    """``text`` with data tables as lines and without other tables; of one that never ends, without its own lines."""
    kept: list[str] = []
    tables: list[_Table] = []
    for line in text.split("\n"):
        stripped = line.lstrip(" \t:*#")
        if stripped.startswith("{|"):
            tables.append(_Table(len(kept), not tables and _DATA.search(stripped) is not None))
        elif not tables:
            kept.append(line)
        elif stripped.startswith("|}"):
            table = tables.pop()
            del kept[table.start :]
            if not tables:
                kept.extend(_lines(table))
                kept.append(stripped[2:])
        elif stripped.startswith(("|", "!")):
            _take(tables[-1], stripped)
        else:
            kept.append(line)  # goes when the table ends
            if tables[-1].rows[-1]:
                tables[-1].rows[-1][-1] += "\n" + line
    return "\n".join(kept)


def _take(table: _Table, line: str) -> None:
    """One line of markup: a new row, the caption, or cells."""
    if not table.is_data:
        return
    if line.startswith("|-"):
        table.rows.append([])
    elif line.startswith("|+"):
        table.caption = _words(line[2:])
    else:
        table.rows[-1].extend(_cells(line[1:], line[0] == "!"))


def _cells(line: str, is_heading: bool) -> list[str]:
    cells, depth, start = [], 0, 0
    for found in _CELL.finditer(line):
        mark = found.group()
        if mark in ("[[", "]]"):
            depth = max(0, depth + (1 if mark == "[[" else -1))
        elif depth == 0 and (mark == "||" or is_heading):
            cells.append(line[start : found.start()])
            start = found.end()
    return [*cells, line[start:]]


def _words(cell: str) -> str:
    """A cell on one line, without its attributes."""
    attributes = _ATTRIBUTES.match(cell)
    lines = _BREAK.sub("\n", cell[attributes.end() :] if attributes else cell).split("\n")
    return ", ".join(filter(None, (_MARKER.sub("", line.strip()) for line in lines)))


def _lines(table: _Table) -> list[str]:
    rows = [[_words(cell) for cell in row] for row in table.rows]
    shown = [" | ".join(row) for row in rows if any(row)]
    if not table.is_data or not shown:
        return []
    return ["", *([table.caption] if table.caption else []), *shown, ""]
