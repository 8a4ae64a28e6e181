"""What both levels read from the view before they look at a text: numbering, names of sources and domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from data_specs.errors import SpecError, nearest
from data_specs.manifest import Artifact
from data_specs.view import ViewShard
from stages.base import Unit

_MAX_PARTITIONS = 4096


@dataclass(frozen=True)
class ShardPayload:
    """One base shard and its place in the view, which names its scratch files."""

    index: int
    shard: ViewShard


@dataclass(frozen=True)
class ViewInput:
    """Base shards in order, with the first document number of each and the names that labels index."""

    shards: tuple[ViewShard, ...]
    starts: tuple[int, ...]  # [shards + 1]
    sources: tuple[str, ...]  # sorted
    domains: tuple[str, ...]  # sorted

    @classmethod
    def read(cls, shards: Sequence[ViewShard], artifacts: Sequence[Artifact]) -> ViewInput:
        """Number the documents of ``shards``; names come from the ledgers of the artifacts that make the view."""
        entries = [entry for artifact in artifacts for entry, _ in artifact.manifest.ledger.items()]
        return cls(
            shards=tuple(shards),
            starts=tuple(accumulate((shard.rows for shard in shards), initial=0)),
            sources=tuple(sorted({entry.source for entry in entries})),
            domains=tuple(sorted({entry.domain for entry in entries})),
        )

    @property
    def num_rows(self) -> int:
        return self.starts[-1]

    def ranks(self, priority: Sequence[str]) -> list[int]:
        """Rank of every source in keeper order; raises :class:`SpecError` on a name that is no source of the input."""
        unknown = sorted(set(priority) - set(self.sources))
        if unknown:
            raise SpecError(
                f"source_priority: {unknown[0]!r} is no source of the input.{nearest(unknown[0], self.sources)}"
            )
        return [priority.index(name) if name in priority else len(priority) for name in self.sources]

    def num_partitions(self, rows_per_partition: int) -> int:
        """Into how many partitions an exchange of all rows is cut; depends on the input alone."""
        return self.num_ranges(self.num_rows, rows_per_partition)

    @staticmethod
    def num_ranges(amount: int, per_partition: int) -> int:
        """The same for any ``amount`` of which a partition takes ``per_partition``."""
        return min(_MAX_PARTITIONS, max(1, -(-amount // per_partition)))

    def file_names(self, folder: str, suffix: str) -> list[str]:
        """Scratch file of every base shard, named by its place."""
        return [f"{folder}/{index:05d}.{suffix}" for index in range(len(self.shards))]

    def units(self, first: int = 0, last: int | None = None) -> list[Unit]:
        """One unit per base shard in [first, last)."""
        return [
            Unit(key=shard.key, payload=ShardPayload(index, shard), size_bytes=shard.text_bytes)
            for index, shard in list(enumerate(self.shards))[first:last]
        ]


def partition_units(num_partitions: int, size_bytes: int) -> list[Unit]:
    """One unit per partition of an exchange that moves ``size_bytes``."""
    return [
        Unit(key=f"partition-{part:05d}-of-{num_partitions:05d}", payload=part, size_bytes=size_bytes // num_partitions)
        for part in range(num_partitions)
    ]
