"""Whether an earlier corpus can be held against: same scheme, other documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_specs.errors import DataError, SpecError
from data_specs.manifest import Artifact
from data_specs.view import ViewShard

#: Of the signature facts, those that a later corpus may choose anew.
_BANDS = ("num_bands", "rows_per_band")


def check_earlier(artifacts: Sequence[Artifact], scheme: Mapping[str, Any]) -> None:
    """Raise :class:`SpecError` when an artifact holds no signatures, or others than ``scheme`` (facts ``signature``
    and ``shingle`` of this node)."""
    for artifact in artifacts:
        if artifact.manifest.stage != "dedup_minhash":
            raise SpecError(
                f"earlier: {artifact.path} was made by stage {artifact.manifest.stage!r}; give the dedup_minhash node "
                f"of the earlier corpus, which holds the signatures"
            )
        for part, wanted in scheme.items():
            for name, value in wanted.items():
                found = artifact.facts[part][name]
                if found != value and name not in _BANDS:
                    raise SpecError(
                        f"earlier: {artifact.path} has {part} {name} {found}, this node {value}; signatures of two "
                        f"schemes do not compare, so give both nodes the same settings"
                    )


def check_apart(earlier: Sequence[ViewShard], shards: Sequence[ViewShard]) -> None:
    """Raise when a base shard is in both: its documents would be duplicates of themselves."""
    both = {shard.key for shard in earlier} & {shard.key for shard in shards}
    if both:
        raise SpecError(f"earlier and documents share base shard {min(both)}; an earlier corpus is of other documents")


def sidecar_path(artifacts: Sequence[Artifact], port: str, key: str) -> Path:
    """The sidecar of an earlier base shard in one port."""
    for artifact in artifacts:
        for shard in artifact.shards(port):
            if shard.of == key:
                return artifact.shard_path(shard)
    raise DataError(f"no earlier artifact holds {port} of base shard {key}; run its dedup_minhash node again")
