"""The text_signals node: what rules of single papers ask that is dearer than the scan of ``signals``, or asked rarely.

Stands beside ``signals`` in front of ``filter``. zstd takes half of its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from data_specs.view import ViewShard
from stages.base import VIEW, Stage, StageContext, UnitOutput, Work, shard_units
from stages.signals.sidecar import measure_shard
from stages.signals.text_definitions import TEXT_NAMES, TEXT_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSignalsConfig:
    """What is measured is fixed by ``stages.signals.text_definitions``; only a bound is a choice."""

    #: bytes of a document that are compressed, from its start (own choice). The ratio of longer texts hardly falls any
    #: more, and the price of one document is bounded
    max_compressed_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        if self.max_compressed_bytes < 1:
            raise ValueError(f"max_compressed_bytes ({self.max_compressed_bytes}) must be at least 1")


class TextSignals(Stage[TextSignalsConfig]):
    """View of documents -> one row of further signals per document."""

    version = 1
    config_type = TextSignalsConfig
    inputs: ClassVar = {"documents": VIEW}
    output = "signals"
    counts: ClassVar = {"documents": "document"}
    libraries = ("zstandard", "OpenCC")

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        units = shard_units(ctx.view("documents").shards())
        ctx.run_units("text_signals", units, partial(make_measure, self.config))
        return {"signals": list(TEXT_NAMES)}


def make_measure(config: TextSignalsConfig) -> Work:
    """Load the kernels and the table of characters once per worker."""
    from stages.signals.text_measure import measure_texts

    measure = partial(measure_texts, max_compressed_bytes=config.max_compressed_bytes)

    def work(shard: ViewShard, out: UnitOutput) -> None:
        measure_shard(shard, out, TEXT_SCHEMA, measure)

    return work
