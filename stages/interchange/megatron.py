"""An existing ``.bin/.idx`` pair, piece by piece, as documents that end with one EOD: our token store's only rule more.

A document of the layout may be several sequences (one per sentence) that lie anywhere in the file; here it becomes one.

Shape suffixes: N documents, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_specs.errors import DataError
from data_specs.token_store import IndexedTokens

#: Tokens held at once.
_PIECE_TOKENS = 1 << 22


@dataclass(frozen=True)
class Piece:
    """Some consecutive documents."""

    first: int  # number of the first one in the file
    flat_T: np.ndarray  # int64 ids, an EOD at the end of each document
    lengths_N: np.ndarray  # tokens of each document, EOD included; 0 for one that held no token
    num_added: int  # EODs that the file did not have


def read_documents(prefix: Path, eod_id: int, pad_id: int, vocab_size: int) -> Iterator[Piece]:
    """All documents of ``<prefix>.bin`` and ``.idx``. Raises :class:`DataError` for an id outside the vocabulary and
    for padding inside a document, which training would leave out of the loss in silence."""
    store = IndexedTokens.open(prefix)
    bounds = np.asarray(store.documents)
    if len(bounds) == 0 or bounds[0] != 0 or bounds[-1] != len(store) or (np.diff(bounds) < 0).any():
        raise DataError(f"{prefix}.idx: its {len(bounds)} document bounds do not cover its {len(store)} sequences")
    stops_of_bytes = store.pointers_N + store.lengths_N.astype(np.int64) * store.tokens.itemsize
    if len(store) and (int(store.pointers_N.min()) < 0 or int(stops_of_bytes.max()) > store.tokens.nbytes):
        raise DataError(f"{prefix}.idx: a sequence lies outside the {store.tokens.nbytes} bytes of its .bin")
    ends_of_sequences = np.concatenate([[0], np.cumsum(store.lengths_N, dtype=np.int64)])
    starts_N, ends_N = ends_of_sequences[bounds[:-1]], ends_of_sequences[bounds[1:]]
    first = 0
    while first < len(starts_N):
        last = max(first + 1, int(np.searchsorted(ends_N, starts_N[first] + _PIECE_TOKENS, side="right")))
        sequences = range(int(bounds[first]), int(bounds[last]))
        flat = _take(store, sequences).astype(np.int64)
        lengths = (ends_N - starts_N)[first:last]
        _check(flat, lengths, first, prefix, pad_id, vocab_size)
        filled = np.flatnonzero(lengths)
        stops = np.cumsum(lengths)[filled]
        missing = flat[stops - 1] != eod_id
        lengths = lengths.copy()
        lengths[filled[missing]] += 1
        yield Piece(first, np.insert(flat, stops[missing], eod_id), lengths, int(missing.sum()))
        first = last


def _take(store: IndexedTokens, sequences: range) -> np.ndarray:
    """Tokens of consecutive sequences: one slice where they lie end to end, else one by one."""
    if not sequences:
        return np.empty(0, dtype=store.tokens.dtype)
    size = store.tokens.itemsize
    pointers = store.pointers_N[sequences.start : sequences.stop]
    lengths = store.lengths_N[sequences.start : sequences.stop].astype(np.int64)
    if (np.diff(pointers) == lengths[:-1] * size).all():
        start = int(pointers[0]) // size
        return store.tokens[start : start + int(lengths.sum())]
    return np.concatenate([store[number] for number in sequences])


def _check(flat: np.ndarray, lengths: np.ndarray, first: int, prefix: Path, pad_id: int, vocab_size: int) -> None:
    for wrong, why in (
        ((flat < 0) | (flat >= vocab_size), f"outside the vocabulary of {vocab_size}; is it of another tokenizer?"),
        (flat == pad_id, f"which is pad_id ({pad_id}); give a pad_id that no document holds"),
    ):
        found = np.flatnonzero(wrong)
        if len(found):
            document = first + int(np.searchsorted(np.cumsum(lengths), found[0], side="right"))
            raise DataError(f"{prefix}.bin: document {document} holds id {int(flat[found[0]])}, {why}")
