"""The code_signals node: reads every source file of a view by its grammar and writes what the rules on code look at.

Stands beside ``signals`` in front of ``filter``, as a node of its own because parsing costs ten times as much (3 to 6
MB/s on one core): a line without code leaves it out, and a change of the one does not measure the other again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from data_specs.view import ViewShard
from stages.base import VIEW, Stage, StageContext, UnitOutput, Work, shard_units
from stages.signals.code_definitions import CODE_NAMES, CODE_SCHEMA
from stages.signals.code_language import GRAMMAR_LIBRARIES
from stages.signals.sidecar import measure_shard


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSignalsConfig:
    """Which documents are source files, and how long one may be that is parsed."""

    #: domains whose documents are measured; the others have no values, and rules of theirs cannot ask for these
    domains: tuple[str, ...] = ("code",)
    #: bytes of the longest file that is parsed (PanGu-Coder keeps files below 1 MB). A longer one has its marks
    #: counted and is_parsed 0. Bounds memory: a tree takes about 60 bytes for each byte of text
    max_parsed_bytes: int = 1_000_000

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError("domains names no domain, so nothing would be measured; leave the node out instead")
        if self.max_parsed_bytes < 1:
            raise ValueError(f"max_parsed_bytes ({self.max_parsed_bytes}) must be at least 1")


class CodeSignals(Stage[CodeSignalsConfig]):
    """View of documents -> one row of code signals per document, null outside the chosen domains."""

    version = 1
    config_type = CodeSignalsConfig
    inputs: ClassVar = {"documents": VIEW}
    output = "signals"
    counts: ClassVar = {"documents": "document"}
    libraries = GRAMMAR_LIBRARIES

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: the columns, and ``languages``: language -> what became of its files -> how many."""
        units = shard_units(ctx.view("documents").shards())
        results = ctx.run_units("code_signals", units, partial(make_measure, self.config))
        languages: dict[str, Counter[str]] = {}
        for result in results:
            for language, outcome, number in result.value:
                languages.setdefault(language, Counter())[outcome] += number
        ordered = {language: dict(sorted(outcomes.items())) for language, outcomes in sorted(languages.items())}
        return {"signals": list(CODE_NAMES), "languages": ordered}


def make_measure(config: CodeSignalsConfig) -> Work:
    """Load the kernels once per worker; grammars come with their first file."""
    from stages.signals.code_measure import CodeMeasure

    measure = CodeMeasure(config.max_parsed_bytes)

    def work(shard: ViewShard, out: UnitOutput) -> list[tuple[str, str, int]]:
        measure.languages.clear()
        measure_shard(shard, out, CODE_SCHEMA, measure, columns=["url"], domains=config.domains)
        return sorted((language, outcome, number) for (language, outcome), number in measure.languages.items())

    return work
