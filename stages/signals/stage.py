"""The signals node: measures every document of a view once and writes the numbers beside the text.

Stands after ``clean`` and before ``filter``. Thresholds live in ``filter``, which reads these sidecars and never the
text: a changed threshold rereads megabytes, not the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from data_specs.document import LABELS
from data_specs.view import ViewShard
from stages.base import VIEW, Stage, StageContext, UnitOutput, Work, shard_units
from stages.signals.books import book_all
from stages.signals.definitions import SIGNAL_NAMES, signal_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalsConfig:
    """What is measured is fixed by ``stages.signals.definitions``; only its bound is a choice."""

    #: Han characters, words and marks of a document that enter the n-gram signals; a longer text is judged by its
    #: start. Bounds memory at about 90 bytes each (own choice: 90 MB, about 3 MB of Chinese or 5 MB of English text)
    max_ngram_tokens: int = 1_000_000

    def __post_init__(self) -> None:
        if self.max_ngram_tokens < 1:
            raise ValueError(f"max_ngram_tokens ({self.max_ngram_tokens}) must be at least 1")


class Signals(Stage[SignalsConfig]):
    """View of documents -> one row of signals per document, in sidecars of the base shards."""

    version = 3
    config_type = SignalsConfig
    inputs = {"documents": VIEW}
    output = "signals"
    counts = {"documents": "document"}

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        units = shard_units(ctx.view("documents").shards())
        ctx.run_units("signals", units, partial(make_measure, self.config))
        return {"signals": list(SIGNAL_NAMES)}


def make_measure(config: SignalsConfig) -> Work:
    """Load the kernels once per worker."""
    from stages.signals.measure import count_documents, to_signals

    def measure(shard: ViewShard, out: UnitOutput) -> None:
        out.write("signals", signal_schema().empty_table(), of=shard.key)  # an empty shard has a sidecar too
        for table, inside in shard.batches([*LABELS, "title", "text"]):
            counts = count_documents(
                table.column("text"), table.column("title"), inside=inside, max_tokens=config.max_ngram_tokens
            )
            signals = to_signals(counts, inside)
            out.write("signals", signals, of=shard.key)
            mine = pa.array(inside)
            book_all(table.filter(mine), signals.column("num_characters").filter(mine), out)

    return measure
