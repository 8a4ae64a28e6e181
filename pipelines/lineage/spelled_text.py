"""Where a token stands in the text of its document, whatever a renderer put around and between.

The document is laid out once more by the renderer that the token store names, the ids before the token are spelled, and
both must agree up to the token. Where they do not (a tokenizer that changes text before it cuts it), nothing is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from data_specs.errors import DataError
from stages.tokenize.renderers import RENDERERS, Document, runs_of
from stages.tokenize.spelling import Spelling


def span_in_text(
    ids: Sequence[int], spelling: Spelling, index: Mapping[str, Any], document: Mapping[str, Any]
) -> tuple[int, int] | None:
    """Span, in the UTF-8 bytes of the document's text, of what the last of ``ids`` spells; ``ids`` are those of a
    sequence up to that token. None for text that the renderer made, and where the ids spell another text."""
    spelled = b"".join(spelling.pieces[number] for number in ids)
    last = len(spelled)
    first = last - len(spelling.pieces[ids[-1]])
    stream, found, at = b"", [], 0
    for data, start in _encoded(index, document, spelling.prefix):
        stream += data
        begin, end = max(first, at), min(last, at + len(data))
        if begin < end and start is not None:
            found.append((start + begin - at, start + end - at))
        at += len(data)
        if at >= last:
            break
    if not found or not stream.startswith(spelled) or any(a[1] != b[0] for a, b in itertools.pairwise(found)):
        return None
    return found[0][0], found[-1][1]


def _encoded(index: Mapping[str, Any], document: Mapping[str, Any], prefix: bytes) -> list[tuple[bytes, int | None]]:
    """(bytes, where in the document's bytes they begin, or None) of all that was encoded for one sequence."""
    name, text = index["renderer"], document["text"]
    if name not in RENDERERS:
        raise DataError(f"document {document['doc_id'].hex()}: nobody knows the renderer {name!r} of its tokens")
    values = (document[field] for field in Document._fields)
    stream: list[tuple[bytes, int | None]] = []
    for _, pieces in runs_of(RENDERERS[name](Document(*values))[index["part"]]):
        stream.append((prefix, None))
        for piece in pieces:
            start = None if piece.start is None else len(text[: piece.start].encode())
            stream.append((piece.text.encode(), start))
    return stream
