"""From spans to evidence, decisions and books of one base shard."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.cuts import CUTS, PORT, cuts_table
from data_specs.document import DECISIONS
from data_specs.ledger import DROPPED, IN, KEPT, Ledger
from data_specs.view import ViewShard
from stages.base import UnitOutput
from stages.decontaminate.edit import Edit, cut_spans
from stages.decontaminate.item_index import ItemIndex
from stages.decontaminate.scan import Scanner, Span
from stages.decontaminate.stage import LITTLE_LEFT, REASON, DecontaminateConfig

#: One row per (evaluation item, document, span).
EVIDENCE = pa.schema(
    [
        pa.field("item", pa.int64(), nullable=False),  # row of the port ``items``
        pa.field("item_doc_id", pa.binary(16), nullable=False),
        pa.field("item_source", pa.string(), nullable=False),
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("base", pa.string(), nullable=False),  # base shard key
        pa.field("row", pa.int64(), nullable=False),  # in the base shard
        pa.field("start", pa.int64(), nullable=False),  # first character of the span in the text
        pa.field("end", pa.int64(), nullable=False),  # behind its last character
        pa.field("item_start", pa.int64(), nullable=False),  # first token of the item in the span
        pa.field("item_end", pa.int64(), nullable=False),  # behind its last token
        pa.field("covered", pa.int64(), nullable=False),  # tokens that shared shingles cover in the best window
        pa.field("needed", pa.int64(), nullable=False),
    ]
)

_COLUMNS = ("doc_id", "source", "domain", "metadata", "text")


class Judge:
    """Scans base shards against one index."""

    def __init__(self, config: DecontaminateConfig, folder: Path) -> None:
        self._config = config
        self._index = ItemIndex.load(folder)
        self._scanner = Scanner(self._index)
        items = pq.read_table(folder / "items.parquet", columns=["doc_id", "part", "source", "searched_as"])
        self._doc_ids = items.column("doc_id").to_pylist()
        self._parts = items.column("part").to_pylist()
        self._sources = items.column("source").to_pylist()
        equals = defaultdict(list)
        for number, first in enumerate(items.column("searched_as").to_pylist()):
            equals[first].append(number)
        self._equals = dict(equals)

    def scan_shard(self, shard: ViewShard, out: UnitOutput) -> dict[str, Any]:
        """Write decisions and evidence; returns flagged documents by set and source, and the items found by set."""
        flagged: dict[str, Counter[str]] = defaultdict(Counter)
        found: dict[str, set[int]] = defaultdict(set)
        edits: dict[str, dict[str, int]] = {}
        row = num_flagged = 0
        earlier = shard.spans()
        for table, inside in shard.batches(_COLUMNS):
            spans = self._scanner.spans(table.column("text"), inside)
            edit = Edit.nothing(table)
            if self._config.policy == "cut":
                edit = cut_spans(self._config, table, spans)
                base = earlier.to_base(edit.cuts.row + row, edit.cuts.start, edit.cuts.end)
                details = [self._item(span) for span in edit.spans]
                out.write(PORT, cuts_table(len(inside), edit.cuts.row, *base, details), of=shard.key)
                edit.count(table, edits)
            dropped = [span for span in spans if self._config.policy == "drop" or edit.goes[span.row]]
            out.write("decisions", self._decisions(dropped, edit, inside), of=shard.key)
            evidence = self._evidence(spans, table, shard.key, row)
            if evidence.num_rows:
                out.write("evidence", evidence)
            _book(out.ledger, table, inside, dropped, edit)
            num_flagged += len({span.row for span in spans})
            pairs = zip(evidence.column("item_source").to_pylist(), evidence.column("row").to_pylist(), strict=True)
            for item_source, place in set(pairs):
                flagged[item_source][table.column("source")[place - row].as_py()] += 1
            for number, item_source in zip(
                evidence.column("item").to_pylist(), evidence.column("item_source").to_pylist(), strict=True
            ):
                found[item_source].add(number)
            row += table.num_rows
        if shard.rows == 0:
            out.write("decisions", DECISIONS.empty_table(), of=shard.key)
            if self._config.policy == "cut":
                out.write(PORT, CUTS.empty_table(), of=shard.key)
        return {
            "edits": edits,
            "num_flagged": num_flagged,
            "flagged": {name: dict(counts) for name, counts in flagged.items()},
            "items": {name: sorted(items) for name, items in found.items()},
        }

    def _item(self, span: Span) -> str:
        number = int(self._index.numbers[span.item])
        name = f"{self._sources[number]} {self._doc_ids[number].hex()} part {self._parts[number]}"
        return f"evaluation item {name}, characters {span.start}-{span.end}"

    def _decisions(self, spans: list[Span], edit: Edit, inside: np.ndarray) -> pa.Table:
        """Decision of every row, ``spans`` being those of dropped documents; the item that is held most, by its need,
        speaks for its document."""
        size = len(inside)
        gone = np.zeros(size, dtype=bool)
        value, limit = np.zeros(size), np.zeros(size)
        detail: list[str | None] = [None] * size
        for span in spans:
            need = int(self._index.item_needs[span.item])
            if not gone[span.row] or span.covered / need > value[span.row] / limit[span.row]:
                gone[span.row], value[span.row], limit[span.row] = True, span.covered, need
                detail[span.row] = self._item(span)
        little = gone & edit.goes & (self._config.policy == "cut") & ~edit.is_pair
        value[little], limit[little] = edit.left[little], self._config.min_left_characters
        reasons = np.where(little, LITTLE_LEFT, np.where(gone, REASON, ""))
        return pa.table(
            [
                pa.array(~gone, mask=~inside),
                pa.array(reasons, mask=~gone, type=pa.string()),
                pa.array(value, mask=~gone),
                pa.array(limit, mask=~gone),
                pa.array(detail, pa.string()),
            ],
            schema=DECISIONS,
        )

    def _evidence(self, spans: list[Span], table: pa.Table, key: str, first_row: int) -> pa.Table:
        """Rows of :data:`EVIDENCE`; a span stands for every item of equal tokens."""
        doc_ids, sources = table.column("doc_id"), table.column("source")
        rows = [
            {
                "item": number,
                "item_doc_id": self._doc_ids[number],
                "item_source": self._sources[number],
                "doc_id": doc_ids[span.row].as_py(),
                "source": sources[span.row].as_py(),
                "base": key,
                "row": first_row + span.row,
                "start": span.start,
                "end": span.end,
                "item_start": span.item_first,
                "item_end": span.item_last + 1,
                "covered": span.covered,
                "needed": int(self._index.item_needs[span.item]),
            }
            for span in spans
            for number in self._equals[int(self._index.numbers[span.item])]
        ]
        return pa.Table.from_pylist(rows, EVIDENCE)


def _book(ledger: Ledger, table: pa.Table, inside: np.ndarray, dropped: list[Span], edit: Edit) -> None:
    """Book the documents of the view, and with cuts every character of them."""
    gone = np.zeros(len(inside), dtype=bool)
    gone[[span.row for span in dropped]] = True
    little = gone & edit.goes & ~edit.is_pair
    reasons = np.where(little, LITTLE_LEFT, np.where(gone, REASON, ""))
    books = pa.table(
        {
            "source": table.column("source"),
            "domain": table.column("domain"),
            "reason": reasons,
            "characters": pc.utf8_length(table.column("text")),
            "left": pa.array(edit.left),
        }
    ).filter(pa.array(inside))
    sums = books.group_by(["source", "domain", "reason"]).aggregate(
        [("characters", "sum"), ("left", "sum"), ("characters", "count")]
    )
    for account in sums.to_pylist():
        place = (account["source"], account["domain"])
        count, amount, left = account["characters_count"], account["characters_sum"] or 0, account["left_sum"] or 0
        reason = account["reason"]
        ledger.add("document", *place, IN, count, characters=amount)
        outcome = DROPPED if reason else KEPT
        ledger.add("document", *place, outcome, count, reason=reason, characters=amount if reason else left)
        if edit.is_cutting:
            ledger.add("character", *place, IN, amount)
            ledger.add("character", *place, outcome, left, reason=reason)
            ledger.add("character", *place, DROPPED, amount - left, reason=REASON)
