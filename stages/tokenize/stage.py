"""Stage ``tokenize``: texts of a view -> a token store that trainers of the Megatron line read as it is.

Output, per base shard: ``tokens/NNNNN.bin`` and ``.idx`` (one sequence per document, EOD at its end) and an ``index``
sidecar (``of`` = NNNNN) that leads from a token back to its document; once: ``counts/counts.npy``, int64
``[num_domains, vocab]``, how often training documents hold every token (routing tables are balanced by it).
Facts: domains, vocab_size, eod_id, pad_id, dtype, tokenizer_sha256, num_tokens, engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_specs.token_store import token_dtype
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.tokenize.shard_tokens import TokenizeShard, Vocabulary, make_tokenize


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeConfig:
    """How the ids are proved; which ids they are is the tokenizer's affair."""

    compared_documents: int = 32  # documents per shard, about, whose ids both engines must give; 0 compares none

    def __post_init__(self) -> None:
        if self.compared_documents < 0:
            raise ValueError(f"compared_documents ({self.compared_documents}) must not be negative")


class Tokenize(Stage[TokenizeConfig]):
    """See the module's text."""

    version = 1
    config_type = TokenizeConfig
    inputs: ClassVar[Mapping[str, Port]] = {
        "documents": VIEW,
        "split": Port("split"),
        "tokenizer": Port("tokenizer"),
    }
    output = "tokens"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}
    libraries = ("tokenizers",)

    def run(self, ctx: StageContext) -> dict[str, Any]:
        split, tokenizer = ctx.input("split"), ctx.input("tokenizer")
        vocabulary = Vocabulary(
            path=tokenizer.file("tokenizer", "tokenizer.json"),
            size=int(tokenizer.facts["vocab_size"]),
            eod_id=int(tokenizer.facts["eod_id"]),
        )
        units = [
            Unit(
                key=shard.key,
                payload=TokenizeShard(shard, split.sidecar("split", shard.key), f"{index:05d}"),
                size_bytes=shard.text_bytes,
            )
            for index, shard in enumerate(ctx.view("documents").shards())
        ]
        results = ctx.run_units("tokenize", units, partial(make_tokenize, self.config.compared_documents, vocabulary))
        values = [result.value for result in results]
        num_tokens: dict[str, dict[str, int]] = {}
        for value in values:
            for domain, (train, validation) in value["num_tokens"].items():
                sums = num_tokens.setdefault(domain, {"train": 0, "validation": 0})
                sums["train"] += train
                sums["validation"] += validation
        domains = sorted(num_tokens)
        parts = [
            (ctx.scratch(f"counts/{unit.payload.name}.npy"), sorted(value["num_tokens"]))
            for unit, value in zip(units, values, strict=True)
        ]
        ctx.run_units("counts", [Unit(key="counts", payload=parts)], partial(make_counts, domains, vocabulary.size))
        return {
            "domains": domains,
            "vocab_size": vocabulary.size,
            "eod_id": vocabulary.eod_id,
            "pad_id": int(tokenizer.facts["pad_id"]),
            "dtype": token_dtype(vocabulary.size),
            "tokenizer_sha256": tokenizer.facts["sha256"],
            "num_tokens": num_tokens,
            "engine": {
                "shards": dict(Counter(value["engine"] for value in values)),
                "compared_documents": sum(value["compared"] for value in values),
                "fallbacks": [value["fallback"] for value in values if value["fallback"]],
            },
        }


def make_counts(domains: list[str], vocab_size: int) -> Work:
    """Add up the counts of all shards, one shard in memory at a time."""

    def work(payload: list[tuple[Path, list[str]]], out: UnitOutput) -> None:
        total = np.zeros((len(domains), vocab_size), dtype=np.int64)
        for path, names in payload:
            for row, name in zip(np.load(path), names, strict=True):
                total[domains.index(name)] += row
        with out.file("counts", "counts.npy").open("wb") as handle:
            np.save(handle, total)

    return work
