"""What the policy ``cut`` takes out of documents: the spans of evaluation items with a margin, and what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.cuts import Cuts
from data_specs.pair import is_pair
from stages.decontaminate.scan import Span
from stages.decontaminate.stage import DecontaminateConfig


@dataclass(frozen=True)
class Edit:
    """The cuts of one batch; arrays have one value per row."""

    cuts: Cuts  # bytes of the texts as they are seen, not of the base
    left: np.ndarray  # characters, int64
    goes: np.ndarray  # whether too little is left, or the document is a pair, whose sides a cut would break
    is_pair: np.ndarray
    is_cutting: bool
    spans: tuple[Span, ...] = ()  # of each cut, the first item that it holds

    @classmethod
    def nothing(cls, table: pa.Table) -> Edit:
        """No cut at all."""
        none = np.zeros(table.num_rows, dtype=bool)
        left = pc.utf8_length(table.column("text")).to_numpy().astype(np.int64)
        empty = np.empty(0, dtype=np.int64)
        return cls(Cuts(empty, empty, empty), left, none, none, False)

    def count(self, table: pa.Table, edits: dict[str, dict[str, int]]) -> None:
        """Add edited and dropped documents, spans and characters by source."""
        rows, spans = np.unique(self.cuts.row, return_counts=True)
        before = pc.utf8_length(table.column("text")).to_numpy()
        for row, num_spans in zip(rows.tolist(), spans.tolist(), strict=True):
            source = table.column("source")[row].as_py()
            total = edits.setdefault(source, {"documents": 0, "dropped": 0, "spans": 0, "characters": 0})
            total["dropped" if self.goes[row] else "documents"] += 1
            total["spans"] += num_spans
            total["characters"] += int(before[row] - self.left[row])


def cut_spans(config: DecontaminateConfig, table: pa.Table, spans: Sequence[Span]) -> Edit:
    """Cut the spans with ``cut_margin`` characters on either side; flagged documents are few, so they are taken one by
    one."""
    edit = Edit.nothing(table)
    goes, pairs = edit.goes.copy(), edit.goes.copy()
    left = edit.left.copy()
    found: list[tuple[int, int, int]] = []
    first: list[Span] = []
    flagged = sorted({span.row for span in spans})
    paired = is_pair(table.column("metadata")).to_numpy()
    for row in flagged:
        if paired[row]:
            goes[row] = pairs[row] = True
            continue
        text = table.column("text")[row].as_py()
        parts = _joined(
            (max(0, span.start - config.cut_margin), min(len(text), span.end + config.cut_margin), span)
            for span in spans
            if span.row == row
        )
        first += [span for _, _, span in parts]
        left[row] -= sum(end - start for start, end, _ in parts)
        goes[row] = left[row] < config.min_left_characters
        found += [(row, len(text[:start].encode()), len(text[:end].encode())) for start, end, _ in parts]
    columns = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Edit(Cuts(*columns.T), left, goes, pairs, True, tuple(first))


def _joined(spans: Iterable[tuple[int, int, Span]]) -> list[tuple[int, int, Span]]:
    """Spans in order, those that touch or overlap as one, each with the item that comes first."""
    joined: list[tuple[int, int, Span]] = []
    for start, end, span in sorted(spans, key=lambda one: one[:2]):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1]), joined[-1][2]
        else:
            joined.append((start, end, span))
    return joined
