"""Stage ``tokenize``: texts of a view -> a token store that trainers of the Megatron line read as it is.

Output, per base shard: ``tokens/NNNNN.bin`` and ``.idx`` (one sequence per document, or several where a renderer makes
them, EOD at the end) and an ``index`` sidecar (``of`` = NNNNN) that leads from a token back to its document and says
which tokens are no target; once: ``counts/counts.npy``, int64 ``[num_domains, vocab]``, how often training documents
hold every token (routing tables are balanced by it). Facts: domains, vocab_size, eod_id, pad_id, dtype,
tokenizer_sha256, num_tokens, languages, rendered, engine.

Documents are plain text unless ``renderers`` says otherwise, e.g.

    renderers:
      translations: {renderer: pair, domains: [zh_en]}
      tasks: {renderer: docstring_code, sources: [code_python]}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_specs.errors import SpecError
from data_specs.token_store import token_dtype
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.tokenize.sequences import RenderRule
from stages.tokenize.shard_tokens import TokenizeShard, Vocabulary, make_tokenize

#: Facts by language; tokens are those of texts, ends of documents left out.
_LANGUAGE_COUNTS = ("sequences", "tokens", "characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeConfig:
    """What of a document is encoded, and how the ids are proved; which ids they are is the tokenizer's affair."""

    compared_documents: int = 32  # documents per shard, about, whose ids both engines must give; 0 compares none
    renderers: dict[str, RenderRule] = field(default_factory=dict)  # a name of yours -> rule; the rest is plain text

    def __post_init__(self) -> None:
        if self.compared_documents < 0:
            raise ValueError(f"compared_documents ({self.compared_documents}) must not be negative")


class Tokenize(Stage[TokenizeConfig]):
    """See the module's text."""

    version = 2
    config_type = TokenizeConfig
    inputs: ClassVar[Mapping[str, Port]] = {
        "documents": VIEW,
        "split": Port("split"),
        "tokenizer": Port("tokenizer"),
    }
    output = "tokens"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}
    libraries = ("sentencepiece", "tokenizers")

    def run(self, ctx: StageContext) -> dict[str, Any]:
        split, tokenizer = ctx.input("split"), ctx.input("tokenizer")
        vocabulary = Vocabulary(
            path=tokenizer.file("tokenizer"),
            size=int(tokenizer.facts["vocab_size"]),
            eod_id=int(tokenizer.facts["eod_id"]),
            pad_id=int(tokenizer.facts["pad_id"]),
        )
        units = [
            Unit(
                key=shard.key,
                payload=TokenizeShard(shard, split.sidecar("split", shard.key), f"{index:05d}"),
                size_bytes=shard.text_bytes,
            )
            for index, shard in enumerate(ctx.view("documents").shards())
        ]
        make = partial(make_tokenize, self.config.compared_documents, self.config.renderers, vocabulary)
        results = ctx.run_units("tokenize", units, make)
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
            "languages": _sum_by_name([value["languages"] for value in values], _LANGUAGE_COUNTS),
            "rendered": self._rendered([value["rendered"] for value in values]),
            "engine": {
                "shards": dict(Counter(value["engine"] for value in values)),
                "compared_documents": sum(value["compared"] for value in values),
                "fallbacks": [value["fallback"] for value in values if value["fallback"]],
            },
        }

    def _rendered(self, shards: list[dict[str, list[int]]]) -> dict[str, Any]:
        """What every rule selected; one that selected nothing is a slip of the pen."""
        found = _sum_by_name(shards, ("documents", "sequences"))
        for name, rule in sorted(self.config.renderers.items()):
            if name not in found:
                raise SpecError(
                    f"renderers.{name}: no document has domains {list(rule.domains)}, sources {list(rule.sources)} and "
                    f"languages {list(rule.languages)} (an empty list asks for nothing); correct it or leave it out"
                )
        return {name: {"renderer": self.config.renderers[name].renderer, **found[name]} for name in found}


def _sum_by_name(shards: list[dict[str, list[int]]], counts: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Add up what every shard says under a name."""
    sums: dict[str, dict[str, int]] = {}
    for shard in shards:
        for name, amounts in shard.items():
            mine = sums.setdefault(name, dict.fromkeys(counts, 0))
            for count, amount in zip(counts, amounts, strict=True):
                mine[count] += amount
    return dict(sorted(sums.items()))


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
