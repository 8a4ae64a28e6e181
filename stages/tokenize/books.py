"""What ``tokenize`` books: documents that came in, sequences that were made of them, documents that came to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT
from stages.base import UnitOutput


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A document of which no sequence was made."""

    source: str
    domain: str
    row: int  # in the base shard
    text: str
    reason: str
    error: str  # empty for one that was dropped in good order


def book_shard(out: UnitOutput, base: str, index: pa.Table, lost: Sequence[LostDocument]) -> None:
    """Book a base shard. A document comes in once, whatever was made of it: its further sequences are ``expanded``.

    Characters are those that were encoded, so a renderer's markers count, and a lost document's are its own.
    """
    further = pc.greater(index.column("part"), 0)
    for table, outcomes in ((index.filter(pc.invert(further)), (IN, KEPT)), (index.filter(further), (EXPANDED, KEPT))):
        sums = table.group_by(["source", "domain"]).aggregate(
            [([], "count_all"), ("length", "sum"), ("characters", "sum")]
        )
        for row in sums.to_pylist():
            labels = (row["source"], row["domain"])
            for outcome in outcomes:
                out.ledger.add("document", *labels, outcome, row["count_all"], characters=row["characters_sum"])
            for outcome in (EXPANDED, KEPT):
                out.ledger.add("token", *labels, outcome, row["length_sum"])
    for document in lost:
        outcome = FAILED if document.error else DROPPED
        for side, why in ((IN, ""), (outcome, document.reason)):
            labels = (document.source, document.domain, side)
            out.ledger.add("document", *labels, 1, reason=why, characters=len(document.text))
        if document.error:
            out.quarantine(
                source=document.source, file=base, record_index=document.row, record_offset=-1, reason=document.reason,
                error=document.error, raw=document.text.encode(),
            )  # fmt: skip


def by_language(index: pa.Table) -> dict[str, list[int]]:
    """language -> [sequences, tokens without ends of documents, characters that were encoded]."""
    sums = index.group_by("language").aggregate([([], "count_all"), ("length", "sum"), ("characters", "sum")])
    return {
        row["language"]: [row["count_all"], row["length_sum"] - row["count_all"], row["characters_sum"]]
        for row in sorted(sums.to_pylist(), key=lambda row: row["language"])
    }
