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
from data_specs.loss_spans import check_bounds, counted_in_window
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
    counted_T: np.ndarray | None  # True where a token is a target; None: all are


#: Beside ``<prefix>.bin``, where some of its tokens are no targets: int64 ``[S, 2]``, first and stop of every span, in
#: tokens of the .bin, ascending. The layout itself has no place for a loss mask.
MASK_SUFFIX = "-masked.npy"


def read_mask(path: Path, num_tokens: int) -> np.ndarray:
    """The spans of a ``-masked.npy``, memory-mapped."""
    try:
        bounds = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path}: not a NumPy file: {error}") from error
    wrong = check_bounds(bounds, num_tokens)
    if wrong:
        raise DataError(f"{path}: {wrong}; write first and stop of every span of tokens without loss, in order")
    return bounds


def read_documents(
    prefix: Path, eod_id: int, pad_id: int, vocab_size: int, mask: Path | None = None
) -> Iterator[Piece]:
    """All documents of ``<prefix>.bin`` and ``.idx``, with the loss mask of ``mask`` where there is one.

    An EOD that is added here is a target. Raises :class:`DataError` for an id outside the vocabulary and for padding
    inside a document, which training would leave out of the loss in silence."""
    store = IndexedTokens.open(prefix)
    bounds_S2 = None if mask is None else read_mask(mask, len(store.tokens))
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
        counted = None
        if bounds_S2 is not None:
            counted = np.insert(_counted(store, sequences, bounds_S2), stops[missing], True)
        yield Piece(first, np.insert(flat, stops[missing], eod_id), lengths, int(missing.sum()), counted)
        first = last


def _windows(store: IndexedTokens, sequences: range) -> list[tuple[int, int]]:
    """(first, stop) in the .bin of consecutive sequences: one window where they lie end to end, else one each."""
    size = store.tokens.itemsize
    starts = store.pointers_N[sequences.start : sequences.stop] // size
    stops = starts + store.lengths_N[sequences.start : sequences.stop]
    if len(starts) and (starts[1:] == stops[:-1]).all():
        return [(int(starts[0]), int(stops[-1]))]
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _take(store: IndexedTokens, sequences: range) -> np.ndarray:
    """Tokens of consecutive sequences."""
    parts = [store.tokens[first:stop] for first, stop in _windows(store, sequences)]
    return np.concatenate([np.empty(0, dtype=store.tokens.dtype), *parts]) if len(parts) != 1 else parts[0]


def _counted(store: IndexedTokens, sequences: range, bounds_S2: np.ndarray) -> np.ndarray:
    """Which tokens of consecutive sequences are targets."""
    parts = [counted_in_window(bounds_S2, first, stop) for first, stop in _windows(store, sequences)]
    return np.concatenate([np.empty(0, dtype=bool), *parts])


def _check(flat: np.ndarray, lengths: np.ndarray, first: int, prefix: Path, pad_id: int, vocab_size: int) -> None:
    for wrong, why in (
        ((flat < 0) | (flat >= vocab_size), f"outside the vocabulary of {vocab_size}; is it of another tokenizer?"),
        (flat == pad_id, f"which is pad_id ({pad_id}); give a pad_id that no document holds"),
    ):
        found = np.flatnonzero(wrong)
        if len(found):
            document = first + int(np.searchsorted(np.cumsum(lengths), found[0], side="right"))
            raise DataError(f"{prefix}.bin: document {document} holds id {int(flat[found[0]])}, {why}")
