"""From source files to the table of code signals: languages, trees, marks.

Importing this module loads Numba and the parser; workers do, the planner does not. The grammar of a language is loaded
with the first file in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from stages.signals.code_definitions import CODE_SIGNALS
from stages.signals.code_language import DATA_ENDINGS, ending_of, language_of
from stages.signals.code_marks import find_blobs
from stages.signals.code_syntax import Grammar, Span, Syntax
from stages.signals.described import ratio
from stages.text.arrow_text import span_characters, text_buffers
from stages.text.characters import FIRST_LETTER, LAST_LETTER
from stages.text.scripts import count_scripts

_HEAD_BYTES = 200
_XML, _XML_CHARACTERS = "<?xml version=", 100
_NEWLINE = 10
#: Language under which files are counted that path and first line do not tell.
UNKNOWN = "unknown"


class CodeMeasure:
    """Measures files of any language; holds one parser for each that it met."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._grammars: dict[str, Grammar] = {}
        self.languages: Counter[tuple[str, str]] = Counter()  # (language, what became of it) -> files

    def __call__(self, documents: pa.Table) -> Mapping[str, np.ndarray]:
        """Columns of CODE_SIGNALS for documents with ``text`` and ``url`` (the path)."""
        data, offsets = text_buffers(documents.column("text"))
        size = len(documents)
        found = {s.name: np.full(size, 0 if s.is_count else np.nan, np.int64 if s.is_count else float)
                 for s in CODE_SIGNALS}  # fmt: skip
        counts, _ = count_scripts(documents.column("text"))
        num_characters = counts.sum(axis=1)
        whole = np.maximum(num_characters, 1)
        blobs = find_blobs(data, offsets)
        found["longest_blob"] = blobs[:, 0]
        found["blob_ratio"] = blobs[:, 1] / whole
        found["alphabetic_ratio"] = counts[:, FIRST_LETTER : LAST_LETTER + 1].sum(axis=1) / whole
        for row, path in enumerate(documents.column("url").to_pylist()):
            text = data[offsets[row] : offsets[row + 1]]
            head = text[: 4 * _XML_CHARACTERS].tobytes()
            found["starts_as_xml"][row] = _XML in head.decode("utf-8", "replace")[:_XML_CHARACTERS]
            open_end = bool(text.size) and text[-1] != _NEWLINE
            found["num_physical_lines"][row] = np.count_nonzero(text == _NEWLINE) + open_end
            if ending_of(path) in DATA_ENDINGS:
                found["data_file_characters"][row] = num_characters[row]
            language = language_of(path, head[:_HEAD_BYTES])
            found["is_python"][row] = language == "python"
            syntax = self._read(language, text)
            if syntax is not None:
                for name, value in _of_tree(language, syntax, text, int(num_characters[row])).items():
                    found[name][row] = value
        return found

    def _read(self, language: str | None, text: np.ndarray) -> Syntax | None:
        """The file's tree, and its place in the counts by language."""
        syntax = None
        if language is None:
            outcome = "no grammar"
        elif text.size > self._max_bytes:
            outcome = "too long"
        else:
            if language not in self._grammars:
                self._grammars[language] = Grammar(language)
            syntax = self._grammars[language].read(text.tobytes())
            outcome = "given up" if syntax is None else "failed" if syntax.failed else "parsed"
        self.languages[language or UNKNOWN, outcome] += 1
        return syntax


def _of_tree(language: str, syntax: Syntax, text: np.ndarray, num_characters: int) -> dict[str, float]:
    """Signals of one tree."""
    comments, docstrings = _characters(text, syntax.comments).sum(), _characters(text, syntax.docstrings).sum()
    strings = _characters(text, syntax.strings)
    found = {
        "is_parsed": 1,
        "parse_failed": float(syntax.failed),
        "syntax_error_ratio": ratio(_characters(text, syntax.errors).sum(), num_characters),
        "error_node_ratio": ratio(syntax.num_errors, syntax.num_nodes),
        "syntax_comment_ratio": ratio(comments, num_characters),
        "docstring_ratio": ratio(docstrings, num_characters),
        "documentation_ratio": ratio(comments + docstrings, num_characters),
        "string_ratio": ratio(strings.sum(), num_characters),
        "longest_string": float(strings.max(initial=0)),
    }
    if language == "html":
        visible = _characters(text, syntax.shown).sum()
        found |= {"html_visible_ratio": ratio(visible, num_characters), "html_visible_characters": float(visible)}
    return found


def _characters(text: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
    """Characters of each span, int64 [spans]."""
    spans = [span for span in spans if span[0] < span[1]]
    if not spans:
        return np.zeros(0, dtype=np.int64)
    places = np.array(spans, dtype=np.int64)
    return span_characters(text, places[:, 0], places[:, 1])
