"""Which tokens of a document are no target of the loss, as spans: the form in which a loss mask travels.

A span is ``[first, stop)`` in tokens from the document's own beginning. A document without spans is learned whole, and
costs nothing. Token ``first`` may still be read by the model as an input; it is only never asked to predict it.

Spans of many documents are one :class:`Spans`: offsets into a flat array of bounds, as in an Arrow list column.
Legend: N documents, T tokens of all of them end to end, S spans, N1 = N + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Arrow type of the column: first and stop of every span, one after the other.
SPANS_TYPE = pa.list_(pa.int32())


class Spans(NamedTuple):
    """Spans of N documents, in order, inside each document ascending and apart."""

    ends_N1: npt.NDArray[np.int64]  # spans of the documents before; document n has the spans ends[n] .. ends[n + 1] - 1
    bounds_S2: npt.NDArray[np.int64]  # first token and stop of every span

    def take(self, documents: npt.ArrayLike) -> Spans:
        """Spans of some documents, in the order asked for."""
        chosen = np.asarray(documents, dtype=np.int64)
        counts = np.diff(self.ends_N1)[chosen]
        ends = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(ends[-1]) + np.repeat(self.ends_N1[chosen] - ends[:-1], counts)
        return Spans(ends, self.bounds_S2[places])

    def num_masked(self) -> npt.NDArray[np.int64]:
        """Tokens of each document that are no target: [N]."""
        summed = np.concatenate([[0], np.cumsum(self.bounds_S2[:, 1] - self.bounds_S2[:, 0])])
        return np.asarray(np.diff(summed[self.ends_N1]), dtype=np.int64)

    def in_stream(self, lengths_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The bounds, [S, 2], in tokens of all documents end to end instead of each document's own."""
        starts = np.cumsum(lengths_N) - lengths_N
        return np.asarray(self.bounds_S2 + np.repeat(starts, np.diff(self.ends_N1))[:, None], dtype=np.int64)

    def to_arrow(self) -> pa.Array:
        """The column of :data:`SPANS_TYPE`."""
        return pa.ListArray.from_arrays(
            pa.array((2 * self.ends_N1).astype(np.int32)), pa.array(self.bounds_S2.reshape(-1).astype(np.int32))
        )


def no_spans(num_documents: int) -> Spans:
    """Documents that are learned whole."""
    return Spans(np.zeros(num_documents + 1, dtype=np.int64), np.empty((0, 2), dtype=np.int64))


def concatenate(parts: Sequence[Spans]) -> Spans:
    """Spans of the documents of all parts, in order."""
    counts = [np.diff(part.ends_N1) for part in parts]
    ends = np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, dtype=np.int64), *counts]))])
    return Spans(ends.astype(np.int64), np.concatenate([no_spans(0).bounds_S2, *(part.bounds_S2 for part in parts)]))


def from_arrow(column: pa.ChunkedArray | pa.Array) -> Spans:
    """Inverse of :meth:`Spans.to_arrow`."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = np.diff(array.offsets.to_numpy()).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(lengths // 2)])
    return Spans(ends, array.flatten().to_numpy(zero_copy_only=False).astype(np.int64).reshape(-1, 2))


def spans_of_runs(
    lengths_R: npt.NDArray[np.int64], counted_R: npt.NDArray[np.bool_], runs_N: npt.NDArray[np.int64]
) -> Spans:
    """Spans of documents that are runs of tokens end to end, each run learned or not as a whole.

    ``runs_N`` says how many runs each document has, one at least; a run may be empty.
    """
    stops_R = np.cumsum(lengths_R)
    starts_R = stops_R - lengths_R
    first_N = np.cumsum(runs_N) - runs_N
    begin_R = np.repeat(starts_R[first_N], runs_N)
    masked_R = ~counted_R & (lengths_R > 0)
    counts_N = np.add.reduceat(masked_R.astype(np.int64), first_N) if len(runs_N) else np.empty(0, dtype=np.int64)
    bounds = np.stack([starts_R - begin_R, stops_R - begin_R], axis=1)[masked_R]
    return Spans(np.concatenate([[0], np.cumsum(counts_N)]), bounds)


def counted_of_spans(spans: Spans, lengths_N: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True for every token that is a target, all documents end to end: [T]."""
    total = int(lengths_N.sum())
    bounds_S2 = spans.in_stream(lengths_N)
    steps = np.zeros(total + 1, dtype=np.int8)
    # no span is empty and none overlaps another, so no two begin, and no two end, at one token
    steps[bounds_S2[:, 0]] += 1
    steps[bounds_S2[:, 1]] -= 1
    return np.asarray(np.cumsum(steps[:total], dtype=np.int8) == 0)


def counted_in_window(bounds_S2: npt.NDArray[np.int64], first: int, stop: int) -> npt.NDArray[np.bool_]:
    """True for every target among tokens ``first`` to ``stop - 1`` of one long run of tokens that has these spans."""
    low = int(np.searchsorted(bounds_S2[:, 1], first, side="right"))
    high = int(np.searchsorted(bounds_S2[:, 0], stop, side="left"))
    inside = np.clip(np.asarray(bounds_S2[low:high], dtype=np.int64), first, stop) - first
    one = Spans(np.array([0, len(inside)]), inside)
    return counted_of_spans(one, np.array([stop - first]))


def spans_of_counted(counted_T: npt.NDArray[np.bool_], lengths_N: npt.NDArray[np.int64]) -> Spans:
    """Inverse of :func:`counted_of_spans`: the longest spans without a target, cut where documents end."""
    ends_N = np.cumsum(lengths_N)
    begins = np.zeros(len(counted_T) + 1, dtype=bool)
    begins[ends_N] = True
    begins[0] = True
    masked = np.concatenate([[False], ~counted_T, [False]])
    # token t opens a span when it is masked and the one before is not, or belongs to another document
    opens = np.flatnonzero(masked[1:-1] & (~masked[:-2] | begins[:-1]))
    closes = np.flatnonzero(masked[1:-1] & (~masked[2:] | begins[1:])) + 1
    document_S = np.searchsorted(ends_N, opens, side="right")
    starts_S = (ends_N - lengths_N)[document_S]
    counts_N = np.bincount(document_S, minlength=len(lengths_N))
    bounds = np.stack([opens - starts_S, closes - starts_S], axis=1)
    return Spans(np.concatenate([[0], np.cumsum(counts_N)]).astype(np.int64), bounds.astype(np.int64))


def check_bounds(bounds_S2: npt.NDArray[Any], num_tokens: int) -> str:
    """Why bounds are no ascending spans apart from each other inside ``num_tokens`` tokens; empty when they are."""
    if bounds_S2.ndim != 2 or bounds_S2.shape[1] != 2 or bounds_S2.dtype.kind not in "iu":
        return f"{bounds_S2.dtype} of shape {bounds_S2.shape} is not integers [spans, 2]"
    flat = bounds_S2.reshape(-1).astype(np.int64)
    if not len(flat):
        return ""
    for wrong, why in (
        (np.diff(flat) < np.arange(1, len(flat)) % 2, "is empty, or begins before the one before it has ended"),
        (flat[1:] > num_tokens, f"ends behind the {num_tokens} tokens"),
        (flat[:1] < 0, "begins before token 0"),
    ):
        found = np.flatnonzero(wrong)
        if len(found):
            span = (int(found[0]) + 1) // 2
            return f"span {span}, tokens {bounds_S2[span].tolist()}, {why}"
    return ""
