"""The books of a node that only measures: every document of the view comes in and stays."""

from __future__ import annotations

import pyarrow as pa

from data_specs.ledger import IN, KEPT
from stages.base import UnitOutput


def book_all(documents: pa.Table, num_characters: pa.Array | pa.ChunkedArray, out: UnitOutput) -> None:
    """Book ``documents``, all inside the view, by source and domain."""
    books = pa.table(
        [documents.column("source"), documents.column("domain"), num_characters],
        names=["source", "domain", "characters"],
    )
    sums = books.group_by(["source", "domain"]).aggregate([("characters", "sum"), ("characters", "count")])
    for account in sums.to_pylist():
        for outcome in (IN, KEPT):
            out.ledger.add(
                "document",
                account["source"],
                account["domain"],
                outcome,
                account["characters_count"],
                characters=account["characters_sum"],
            )
