"""Stage ``publish``: a view of documents -> a plain corpus that other tools read without us.

Dropped documents are left out; nothing else changes. With a ``split`` input training and validation documents stand
apart (``train/``, ``validation/``), without one all stand in ``documents/``. Fields: id (doc_id in hex), text, source,
domain, language, url, title, metadata: as one Parquet table per shard (metadata as JSON text), or one JSON object per
line (metadata as an object, absent fields left out).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import SpecError, nearest
from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.token_store import SPLITS
from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput, Work

FORMATS = ("parquet", "jsonl")
ALL = "documents"
_COLUMNS = ("doc_id", "text", "source", "domain", "language", "url", "title", "metadata")
SCHEMA = pa.schema([
    pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False),
    pa.field("source", pa.string()), pa.field("domain", pa.string()), pa.field("language", pa.string()),
    pa.field("url", pa.string()), pa.field("title", pa.string()), pa.field("metadata", pa.string()),
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishConfig:
    """What is written."""

    format: str = "parquet"  # or jsonl
    splits: tuple[str, ...] = SPLITS  # of train, validation; without a split input everything is written
    domains: tuple[str, ...] = ()  # only these; empty: all

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is unknown.{nearest(self.format, FORMATS)}")
        for split in self.splits:
            if split not in SPLITS:
                raise ValueError(f"splits: {split!r} is unknown.{nearest(split, SPLITS)}")
        if not self.splits:
            raise ValueError(f"splits is empty; it names at least one of {SPLITS}")


@dataclass(frozen=True)
class CorpusShard:
    """Payload of one unit."""

    shard: ViewShard
    split: Path | None
    name: str


class Publish(Stage[PublishConfig]):
    """See the module's text."""

    version = 1
    config_type = PublishConfig
    inputs: ClassVar[Mapping[str, Port]] = {"documents": VIEW, "split": Port("split", optional=True)}
    output = "published"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        split = ctx.input("split") if ctx.inputs.get("split") else None
        if split is None and self.config.splits != SPLITS:
            raise SpecError(f"publish: splits {list(self.config.splits)} need a split input")
        units = [
            Unit(
                key=shard.key,
                payload=CorpusShard(shard, split.sidecar("split", shard.key) if split else None, f"{index:05d}"),
                size_bytes=shard.text_bytes,
            )
            for index, shard in enumerate(ctx.view("documents").shards())
        ]
        results = ctx.run_units("publish", units, partial(make_publish, self.config))
        ports = self.config.splits if split else (ALL,)
        return {
            "format": self.config.format,
            "num_documents": {port: sum(result.value.get(port, 0) for result in results) for port in ports},
        }


def make_publish(config: PublishConfig) -> Work:
    """Writes the kept documents of one base shard; returns how many went where."""

    def work(payload: CorpusShard, out: UnitOutput) -> dict[str, int]:
        ports = config.splits if payload.split else (ALL,)
        counts = dict.fromkeys(ports, 0)
        lines: dict[str, BinaryIO] = {}
        try:
            if config.format == "jsonl":
                lines = {port: out.file(port, f"{payload.name}.jsonl").open("wb") for port in ports}
            for table, sides in _documents(payload):
                wanted = np.ones(table.num_rows, dtype=bool)
                if config.domains:
                    wanted = np.isin(np.array(table.column("domain").to_pylist(), dtype=object), config.domains)
                taken = np.zeros(table.num_rows, dtype=bool)
                for port in ports:
                    mine = wanted & (sides == port)
                    taken |= mine
                    chosen = _published(table.filter(pa.array(mine)))
                    counts[port] += chosen.num_rows
                    if config.format == "jsonl":
                        lines[port].writelines(_json_lines(chosen))
                    else:
                        out.write(port, chosen)
                _book(out, table, taken)
        finally:
            for handle in lines.values():
                handle.close()
        return counts

    return work


def _documents(payload: CorpusShard) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """(documents of the view, the side of each) row group by row group."""
    held_out = None
    if payload.split is not None:
        held_out = pq.read_table(payload.split, columns=["is_validation"]).column(0).fill_null(False)
        held_out = held_out.to_numpy(zero_copy_only=False)
    start = 0
    for table, inside in payload.shard.batches(_COLUMNS):
        rows = start + np.flatnonzero(inside)
        start += len(inside)
        sides = np.full(len(rows), ALL, dtype=object)
        if held_out is not None:
            sides = np.array(SPLITS, dtype=object)[held_out[rows].astype(np.int64)]
        yield table.filter(pa.array(inside)), sides


def _published(table: pa.Table) -> pa.Table:
    identity = pa.array([doc_id.hex() for doc_id in table.column("doc_id").to_pylist()], pa.string())
    return table.append_column("id", identity).select(SCHEMA.names).cast(SCHEMA)


def _json_lines(table: pa.Table) -> Iterator[bytes]:
    for row in table.to_pylist():
        if row["metadata"] is not None:
            row["metadata"] = orjson.loads(row["metadata"])
        present = {name: value for name, value in row.items() if value is not None}
        yield orjson.dumps(present, option=orjson.OPT_APPEND_NEWLINE)


def _book(out: UnitOutput, table: pa.Table, taken: np.ndarray) -> None:
    books = pa.table({
        "source": table.column("source"), "domain": table.column("domain"), "taken": pa.array(taken),
        "characters": pc.utf8_length(table.column("text")).cast(pa.int64()),
    })  # fmt: skip
    sums = books.group_by(["source", "domain", "taken"]).aggregate([([], "count_all"), ("characters", "sum")])
    for row in sums.to_pylist():
        outcome, reason = (KEPT, "") if row["taken"] else (DROPPED, "not_selected")
        for side, why in ((IN, ""), (outcome, reason)):
            labels = ("document", row["source"], row["domain"], side)
            out.ledger.add(*labels, row["count_all"], reason=why, characters=row["characters_sum"])
