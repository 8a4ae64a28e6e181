"""Pair documents: one text in two languages, stored as one document from which both sides can be had again.

Both sides stand in ``text``, one after the other, parted by a blank line. The metadata say how to part them:

    {"pair": [{"language": "en", "blocks": 2, "characters": 310}, {"language": "zh", "blocks": 2, "characters": 98}]}

A *block* is a run of lines without a blank one. Blocks are counted rather than characters because ``clean`` may repair
a character or fold blank lines after ``ingest`` wrote the text, but neither adds nor removes a block; ``characters``
is the length as ingested. The order of the list is the order in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: What ends a line anywhere in the line; ``clean`` would make line feeds of them.
_LINE_ENDS = re.compile(r"\r\n|[\r\v\f\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a pair."""

    language: str
    text: str


def join_pair(sides: Sequence[Side]) -> tuple[str, list[dict[str, Any]]]:
    """Text of a pair document, and the value of its metadata's ``pair``. A side without text raises ValueError."""
    texts, entries = [], []
    for side in sides:
        blocks = _blocks(side.text)
        if not blocks:
            raise ValueError(f"the {side.language} side of the pair holds no text")
        text = "\n\n".join(blocks)
        texts.append(text)
        entries.append({"language": side.language, "blocks": len(blocks), "characters": len(text)})
    return "\n\n".join(texts), entries


def split_pair(text: str, metadata: str | None) -> tuple[Side, ...] | None:
    """The sides of a document, first side first; None for a document that is no pair.

    Raises ValueError when the text does not have the blocks that the metadata count: something edited it apart.
    """
    entries = json.loads(metadata).get("pair") if metadata else None
    if entries is None:
        return None
    blocks = _blocks(text)
    expected = sum(entry["blocks"] for entry in entries)
    if len(blocks) != expected:
        raise ValueError(f"the pair has {len(blocks)} blocks and its metadata count {expected}; ingest it again")
    sides, at = [], 0
    for entry in entries:
        sides.append(Side(entry["language"], "\n\n".join(blocks[at : at + entry["blocks"]])))
        at += entry["blocks"]
    return tuple(sides)


def is_pair(metadata: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Which metadata (JSON objects) are those of pairs. A field that merely names the word counts too: who asks wants
    to leave the blocks of a text alone, and errs on that side."""
    return pc.fill_null(pc.match_substring(metadata, '"pair"'), False)


def _blocks(text: str) -> list[str]:
    """Runs of lines that show something, without the blanks around them."""
    blocks = _BLANK_LINES.split(_without_invisible_lines(_LINE_ENDS.sub("\n", text)))
    return [block.strip() for block in blocks if block.strip()]


def _without_invisible_lines(text: str) -> str:
    """``text`` with empty lines for those that show nothing (zero-width and control characters alone)."""
    return "\n".join(line if any(map(_is_visible, line)) else "" for line in text.split("\n"))


def _is_visible(character: str) -> bool:
    return character.isprintable() and not character.isspace()
