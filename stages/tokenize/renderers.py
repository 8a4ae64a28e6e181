"""Renderers: what of a document a model reads, in which order, and which of it is learned.

A renderer is a pure function from a document to its *renderings*; each becomes one sequence of the token store. A
rendering is a list of pieces, and a piece is a text with a flag: are its tokens targets of the loss? Neighbours with
the same flag are encoded as one text, so a border between learned and unlearned text is always a border of tokens.

Markers such as ``[zh]`` are text like any other. The vocabulary is pinned and may be somebody else's, so no id can be
set apart for them; and a page that says ``[zh]`` gains nothing by it, because no program acts on them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from data_specs.pair import Side, split_pair
from data_specs.permutation import derive_key, keyed_hashes
from stages.tokenize.docstrings import documented_functions


class Document(NamedTuple):
    """What a renderer may look at."""

    doc_id: bytes
    text: str
    metadata: str | None = None  # JSON, as ingested
    url: str | None = None


class Piece(NamedTuple):
    """Some text of a rendering."""

    text: str
    is_learned: bool = True
    start: int | None = None  # character of the document's text that it begins with; None for text made here


Rendering = list[Piece]
Renderer = Callable[[Document], list[Rendering]]


class Unrenderable(Exception):
    """The document is not of the kind that its renderer lays out: a fault of data or choice, booked as failed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Nothing(Exception):
    """A sound document in which the renderer finds nothing to lay out, booked as dropped."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def runs_of(rendering: Rendering) -> list[tuple[bool, list[Piece]]]:
    """(is it learned, pieces) of every text that is encoded as one."""
    groups = itertools.groupby(rendering, key=lambda piece: piece.is_learned)
    return [(is_learned, list(pieces)) for is_learned, pieces in groups]


def plain(document: Document) -> list[Rendering]:
    """The text as it is."""
    return [[Piece(document.text, start=0)]]


def pair(document: Document) -> list[Rendering]:
    """One direction of a pair: which one is decided, for good, by a hash of its id, so half of them go each way."""
    forth, back = pair_both(document)
    return [back if _is_reversed(document.doc_id) else forth]


def pair_both(document: Document) -> list[Rendering]:
    """Both directions of a pair, as two sequences: twice the tokens. Packing shuffles them apart (mPanGu)."""
    try:
        sides = split_pair(document.text, document.metadata)
    except ValueError as error:
        raise Unrenderable("pair_edited_apart", str(error)) from None
    if sides is None or len(sides) != 2:
        found = "no pair" if sides is None else f"a pair of {len(sides)} sides"
        raise Unrenderable("no_pair", f"its metadata speak of {found}; let this renderer select pair documents only")
    first, second = sides
    # blocks are parted by blank lines and trimmed, so a side need not stand in the text as it is
    first_start = _find(document.text, first.text, 0)
    second_start = _find(document.text, second.text, 0 if first_start is None else first_start + len(first.text))
    places = ((first, first_start), (second, second_start))
    return [_one_way(*places), _one_way(*reversed(places))]


def _one_way(source: tuple[Side, int | None], target: tuple[Side, int | None]) -> Rendering:
    (asked, asked_start), (answer, answer_start) = source, target
    return [
        Piece(f"[{asked.language}] "),
        Piece(asked.text, start=asked_start),
        Piece(f"\n[{answer.language}] "),
        Piece(answer.text, start=answer_start),
    ]


def _find(text: str, part: str, start: int) -> int | None:
    place = text.find(part, start)
    return place if place >= 0 else None


def _is_reversed(doc_id: bytes) -> bool:
    words = np.frombuffer(doc_id, dtype=np.uint8).reshape(1, 16)
    return bool(keyed_hashes(words, derive_key(0, "pair direction"))[0] & np.uint64(1))


#: Last part of a file name -> name of the language in a header line.
LANGUAGES: Mapping[str, str] = {
    ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".cs": "csharp", ".go": "go",
    ".java": "java", ".js": "javascript", ".jsx": "javascript", ".kt": "kotlin", ".lua": "lua", ".php": "php",
    ".pl": "perl", ".py": "python", ".r": "r", ".rb": "ruby", ".rs": "rust", ".scala": "scala", ".sh": "shell",
    ".sql": "sql", ".swift": "swift", ".ts": "typescript", ".tsx": "typescript",
}  # fmt: skip


def code_file(document: Document) -> list[Rendering]:
    """A code file under a line that names its language and path, ``[python] package/module.py``; without the line
    where the document has no path. ``plain`` gives code without one."""
    path = (document.url or "").rpartition("!")[2]  # archive.tar.gz!package/module.py
    body = Piece(document.text, start=0)
    if not path:
        return [[body]]
    language = LANGUAGES.get(PurePosixPath(path).suffix.lower(), "code")
    return [[Piece(f"[{language}] {path}\n"), body]]


def docstring_code(document: Document) -> list[Rendering]:
    """One sequence for each documented function of a Python module: its docstring, then its code without it, with loss
    on the code alone (PanGu-Coder, arXiv 2207.11280, stage 2: CODE-CLM). A method stands without its class; a function
    inside a function stays part of the outer one."""
    try:
        functions = documented_functions(document.text)
    except ValueError:
        raise Nothing("no_python_3") from None
    if not functions:
        raise Nothing("no_docstring")
    return [
        [Piece(f"[docstring]\n{function.docstring}\n[python]\n", is_learned=False), Piece(function.code)]
        for function in functions
    ]


RENDERERS: Mapping[str, Renderer] = {
    "plain": plain,
    "pair": pair,
    "pair_both": pair_both,
    "code_file": code_file,
    "docstring_code": docstring_code,
}
