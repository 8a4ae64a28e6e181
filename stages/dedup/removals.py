"""From removals to the decisions sidecar of one base shard, with its ledger; shared by both levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_specs.document import DECISIONS
from data_specs.ledger import DROPPED, IN, KEPT, Ledger
from stages.base import UnitOutput
from stages.dedup.labels import doc_id_hex
from stages.dedup.partition_files import read_partition
from stages.dedup.view_input import ShardPayload, ViewInput

#: One removed document: its row in the base shard, the doc_id of its keeper, their similarity.
REMOVAL = np.dtype([("row", "<i8"), ("keeper_high", "<u8"), ("keeper_low", "<u8"), ("similarity", "<f8")])
#: Rows of one sidecar batch.
_BATCH_ROWS = 1 << 16


def decision_batches(inside: np.ndarray, removals: np.ndarray, reason: str, limit: float | None) -> Iterable[pa.Table]:
    """Decisions of a base shard in order, batch by batch; rows outside the view are null."""
    removals = removals[np.argsort(removals["row"], kind="stable")]
    for start in range(0, max(1, len(inside)), _BATCH_ROWS):
        part = inside[start : start + _BATCH_ROWS]
        stop = start + len(part)
        first, last = np.searchsorted(removals["row"], [start, stop])
        gone = removals[first:last]
        rows = gone["row"] - start
        removed = np.zeros(len(part), dtype=bool)
        removed[rows] = True
        value = np.zeros(len(part))
        value[rows] = gone["similarity"]
        detail: list[str | None] = [None] * len(part)
        for row, high, low in zip(
            rows.tolist(), gone["keeper_high"].tolist(), gone["keeper_low"].tolist(), strict=True
        ):
            detail[row] = doc_id_hex(high, low)
        reasons = pa.array(np.where(removed, reason, ""), mask=~removed, type=pa.string())
        limits = pa.array(np.full(len(part), limit or 0.0), mask=~removed | (limit is None))
        yield pa.table(
            [
                pa.array(~removed, mask=~part),
                reasons,
                pa.array(value, mask=~removed),
                limits,
                pa.array(detail, pa.string()),
            ],
            schema=DECISIONS,
        )


def book(
    ledger: Ledger,
    labels: np.ndarray,
    removals: np.ndarray,
    reason: str,
    sources: Sequence[str],
    domains: Sequence[str],
) -> None:
    """Enter every document of the view: in, and kept or dropped(reason)."""
    inside = labels["source"] >= 0
    removed = np.zeros(len(labels), dtype=bool)
    removed[removals["row"]] = True
    account = labels["source"].astype(np.int64) * len(domains) + labels["domain"]
    for which, outcome, why in ((inside, IN, ""), (inside & ~removed, KEPT, ""), (inside & removed, DROPPED, reason)):
        size = len(sources) * len(domains)
        counts = np.bincount(account[which], minlength=size)
        sums = np.zeros(size, dtype=np.int64)
        np.add.at(sums, account[which], labels["characters"][which])
        for place in np.flatnonzero(counts).tolist():
            source, domain = divmod(place, len(domains))
            ledger.add(
                "document", sources[source], domains[domain], outcome, int(counts[place]),
                reason=why, characters=int(sums[place]),
            )  # fmt: skip


def decide_shard(
    view: ViewInput,
    payload: ShardPayload,
    labels_path: Path,
    removal_paths: Sequence[Path],
    reason: str,
    limit: float | None,
    out: UnitOutput,
) -> None:
    """Write the decisions of one base shard and book its documents."""
    labels = np.load(labels_path)
    removals = read_partition(removal_paths, REMOVAL, payload.index)
    for batch in decision_batches(labels["source"] >= 0, removals, reason, limit):
        out.write("decisions", batch, of=payload.shard.key)
    book(out.ledger, labels, removals, reason, view.sources, view.domains)
