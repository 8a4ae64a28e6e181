"""The pair_signals node: holds the two sides of Chinese-English pair documents against each other.

Stands beside ``signals`` in front of ``filter``. Unlike the signals of the whole text, these know where one side ends
and the other begins (:mod:`data_specs.pair`). Reads one pair at a time, about 3,500 sentences a second on a core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from data_specs.view import ViewShard
from stages.base import VIEW, Stage, StageContext, UnitOutput, Work, shard_units
from stages.signals.pair_definitions import PAIR_NAMES, PAIR_SCHEMA
from stages.signals.sidecar import measure_shard


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSignalsConfig:
    """Which documents are pairs."""

    #: domains whose documents are measured; the others have no values, and rules of theirs cannot ask for these
    domains: tuple[str, ...] = ("zh_en",)

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError("domains names no domain, so nothing would be measured; leave the node out instead")


class PairSignals(Stage[PairSignalsConfig]):
    """View of documents -> one row of pair signals per document, null outside the chosen domains."""

    version = 1
    config_type = PairSignalsConfig
    inputs: ClassVar = {"documents": VIEW}
    output = "signals"
    counts: ClassVar = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        units = shard_units(ctx.view("documents").shards())
        ctx.run_units("pair_signals", units, partial(make_measure, self.config))
        return {"signals": list(PAIR_NAMES)}


def make_measure(config: PairSignalsConfig) -> Work:
    """Load the kernel once per worker."""
    from stages.signals.pair_measure import measure_pairs

    def work(shard: ViewShard, out: UnitOutput) -> None:
        measure_shard(shard, out, PAIR_SCHEMA, measure_pairs, columns=["metadata"], domains=config.domains)

    return work
