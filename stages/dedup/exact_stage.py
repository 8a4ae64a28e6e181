"""Exact duplicates over all sources together: documents whose normal forms are equal.

Normal form: Unicode NFC, runs of white space as one space, none at the ends; case and punctuation kept. Equal means
equal 128-bit hashes (xxh3) of it. Three passes: ``hash`` every base shard into partitions by hash range, ``group``
each partition and pick keepers, ``decide`` every base shard. Memory is bounded by a row group in the first, by
``_HASHES_PER_PARTITION`` in the second and by the labels of one shard in the third.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stages.base import VIEW, Port, Stage, StageContext, UnitOutput, Work
from stages.dedup.criteria import check_source_priority
from stages.dedup.view_input import ShardPayload, ViewInput, partition_units

REASON = "exact_duplicate"
#: 24 bytes each: a partition is sorted in memory.
_HASHES_PER_PARTITION = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupExactConfig:
    """Which copy stays."""

    #: Sources from most to least trusted; a document of an earlier one is kept. Unlisted sources come last, as equals.
    source_priority: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_source_priority(self.source_priority)


class DedupExact(Stage[DedupExactConfig]):
    """View -> decisions; a removed document names its keeper in ``detail``."""

    version = 1
    config_type = DedupExactConfig
    inputs: Mapping[str, Port] = {"documents": VIEW}
    output = "decisions"
    counts: Mapping[str, str] = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: documents, removals, duplicate groups, removals by source and keeper's source."""
        view = ViewInput.read(ctx.view("documents").shards(), ctx.inputs["documents"])
        ranks = view.ranks(self.config.source_priority)
        parts = view.num_partitions(_HASHES_PER_PARTITION)
        labels = [ctx.scratch(name) for name in view.file_names("labels", "npy")]
        hashes = [ctx.scratch(name) for name in view.file_names("hashes", "bin")]
        ctx.run_units("hash", view.units(), partial(make_hash, view, parts))
        groups = ctx.run_units(
            "group",
            partition_units(parts, 24 * view.num_rows),
            partial(make_group, view, ranks, labels, hashes),
        )
        removals = [ctx.scratch(f"removals/{part:05d}.bin") for part in range(parts)]
        ctx.run_units("decide", view.units(), partial(make_decide, view, labels, removals))
        matrix: dict[str, dict[str, int]] = {}
        for result in groups:
            for source, row in result.value["removals"].items():
                for keeper, count in row.items():
                    matrix.setdefault(source, {})[keeper] = matrix.get(source, {}).get(keeper, 0) + count
        return {
            "num_groups": sum(result.value["num_groups"] for result in groups),
            "num_removed": sum(result.value["num_removed"] for result in groups),
            "removals": matrix,
        }


def make_hash(view: ViewInput, parts: int) -> Work:
    """Per base shard: labels, and the hash of every document into the partition of its range."""
    from stages.dedup.exact_phases import hash_shard

    return partial(hash_shard, view, parts)


def make_group(view: ViewInput, ranks: list[int], labels: list[Path], hashes: list[Path]) -> Work:
    """Per partition: groups of equal hashes, their keeper, and the removals sorted by base shard."""
    from stages.dedup.exact_phases import group_partition

    return partial(group_partition, view, ranks, labels, hashes)


def make_decide(view: ViewInput, labels: list[Path], removals: list[Path]) -> Work:
    """Per base shard: the decisions sidecar and the books."""

    def work(payload: ShardPayload, out: UnitOutput) -> None:
        from stages.dedup.removals import decide_shard

        decide_shard(view, payload, labels[payload.index], removals, REASON, None, out)

    return work
