"""Train or validation, document by document, so that near-duplicates never stand on both sides.

A document is validation when the keyed hash of its cluster id, read as a fraction of 2**64, lies below the ratio of
its cluster's domain. That is a pure function of the cluster, the seed and the ratios: adding documents moves nobody,
and raising a ratio only adds to validation. It also means that there is no minimum: a small domain may get no
validation document at all, which the facts show.

Without a ``clusters`` input every document is its own cluster (its doc_id) and its domain decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, Unit, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """How much of each domain is set aside."""

    #: Share of clusters that become validation. Perplexity by domain wants some 1e5 tokens; 0.005 of a real corpus is
    #: far more, and small corpora raise it.
    validation_ratio: float = 0.005
    domain_ratios: dict[str, float] = field(default_factory=dict)  # domains with a ratio of their own
    seed: int = 0  # key of the hash; another seed draws another validation set

    def __post_init__(self) -> None:
        for name, ratio in [("validation_ratio", self.validation_ratio), *self.domain_ratios.items()]:
            if not 0 <= ratio < 1:
                raise ValueError(f"{name} ({ratio}) must lie in [0, 1): training needs documents too")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed ({self.seed}) must lie in [0, 2**64)")


@dataclass(frozen=True)
class SplitPayload:
    """A base shard and its clusters sidecar, if clusters were given."""

    shard: ViewShard
    clusters: Path | None


class Split(Stage[SplitConfig]):
    """View (and clusters) -> split sidecar: ``cluster`` binary(16), ``is_validation`` bool; null outside the view."""

    version = 1
    config_type = SplitConfig
    inputs: Mapping[str, Port] = {"documents": VIEW, "clusters": Port("decisions", optional=True)}
    output = "split"
    counts: Mapping[str, str] = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: documents and characters per domain and side."""
        clusters = ctx.input("clusters") if ctx.inputs.get("clusters") else None
        units = [
            Unit(
                key=shard.key,
                payload=SplitPayload(shard, clusters.sidecar("clusters", shard.key) if clusters else None),
                size_bytes=shard.text_bytes,
            )
            for shard in ctx.view("documents").shards()
        ]
        results = ctx.run_units("split", units, partial(make_split, self.config))
        totals: dict[str, dict[str, dict[str, int]]] = {}
        for result in results:
            for domain, sides in result.value.items():
                target = totals.setdefault(
                    domain, {side: {"documents": 0, "characters": 0} for side in ("train", "validation")}
                )
                for side, amounts in sides.items():
                    for name, amount in amounts.items():
                        target[side][name] += amount
        return {"domains": dict(sorted(totals.items()))}


def make_split(config: SplitConfig) -> Work:
    """Work of one base shard."""
    from stages.split.sides import split_shard

    return partial(split_shard, config)
