"""Stage ``routing``: pin the routing table of all RRE layers, from frozen token counts, before training starts.

Stands between tokenize and pretrain. The table is an artifact of its own: a later change of mixture never touches it,
and training, resuming and evaluating refuse any other one. Output: ``table/table.npy`` and, where ids are split,
``split/split.npy`` (:mod:`stages.model.routing_table`); facts: the load that the table promises, and how hot the first
layer's hottest expert would be under every kind of table that the counts at hand can make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_specs.errors import DataError
from data_specs.manifest import Artifact
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.model.routing_table import SPLIT_FILE, TABLE_FILE
from stages.routing.part_counts import CountShard, add_parts, make_count
from stages.routing.table import (
    IntArray,
    Split,
    TableRecipe,
    expert_tokens,
    heavy_slots,
    hottest_over_mean,
)

MODES = ("id_balanced", "frequency", "frequency_split")
#: Table entries are int16.
_MAX_EXPERTS = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig:
    """What the table looks like; its layers and experts must be those of the model."""

    num_rre_layers: int = 2  # layers of routed experts; 0 makes an empty table for a dense model
    experts_per_domain: int = 4  # experts in each domain's group (PanGu-Sigma: 16)
    # "id_balanced" (PanGu-Sigma as recalled), "frequency" (balanced in tokens), or "frequency_split": ids too frequent
    # for one expert are shared out by the id before them, which a decoder knows (costs one pass over the tokens)
    mode: str = "id_balanced"
    seed: int = 0  # another seed draws another table
    split_above: float = 0.5  # frequency_split: split ids above this share of an expert's even load
    split_parts: int = 64  # frequency_split: parts of a split id before they are packed into pieces

    def __post_init__(self) -> None:
        if self.num_rre_layers < 0:
            raise ValueError(f"num_rre_layers ({self.num_rre_layers}) must not be negative")
        if not 1 <= self.experts_per_domain <= _MAX_EXPERTS:
            raise ValueError(f"experts_per_domain ({self.experts_per_domain}) must lie in [1, {_MAX_EXPERTS}]")
        if self.mode not in MODES:
            raise ValueError(f"mode ({self.mode!r}) must be one of {', '.join(MODES)}")
        if self.split_above <= 0:
            raise ValueError(f"split_above ({self.split_above}) must be positive: 0.5 is half of an even load")
        if self.split_parts < 2:
            raise ValueError(f"split_parts ({self.split_parts}) must be at least 2")

    def recipe(self, mode: str, num_layers: int) -> TableRecipe:
        """What decides the table of a mode."""
        return TableRecipe(
            num_rre_layers=num_layers,
            experts_per_domain=self.experts_per_domain,
            mode=mode,
            seed=self.seed,
            split_above=self.split_above,
        )


class Routing(Stage[RoutingConfig]):
    """Token counts -> routing table and the load it promises."""

    version = 2
    config_type = RoutingConfig
    inputs = {"counts": Port("tokens")}
    output = "routing"

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        tokens = ctx.input("counts")
        domains = list(tokens.facts["domains"])
        splits = self.config.mode == "frequency_split" and self.config.num_rre_layers > 0
        parts = self._count_parts(ctx, tokens, domains) if splits else []
        unit = Unit(key="table", payload={"counts": tokens.file("counts"), "parts": parts})
        (result,) = ctx.run_units("table", [unit], partial(make_table, self.config, domains))
        return {
            "domains": domains,
            "experts_per_domain": self.config.experts_per_domain,
            "num_rre_layers": self.config.num_rre_layers,
            "vocab_size": tokens.facts["vocab_size"],
            "tokenizer_sha256": tokens.facts["tokenizer_sha256"],
            "mode": self.config.mode,
            "seed": self.config.seed,
            **result.value,
        }

    def _count_parts(self, ctx: StageContext, tokens: Artifact, domains: list[str]) -> list[Path]:
        """Count the parts of heavy ids, one unit per token shard; the files it left."""
        counts_GV = read_counts(tokens.file("counts"), domains)
        slots_GV = heavy_slots(counts_GV, self.config.experts_per_domain, self.config.split_above)
        units = []
        for number, shard in enumerate(s for s in tokens.shards("tokens") if s.name.endswith(".bin")):
            payload = CountShard(
                prefix=tokens.shard_path(shard).with_suffix(""),
                index=tokens.sidecar("index", shard.name.removesuffix(".bin")),
                name=f"{number:05d}",
            )
            units.append(Unit(key=tokens.shard_key(shard), payload=payload, size_bytes=shard.num_bytes))
        ctx.run_units("parts", units, partial(make_count, slots_GV, self.config.split_parts, domains))
        return [ctx.scratch(f"parts/{unit.payload.name}.npy") for unit in units]


def read_counts(path: Path, domains: Sequence[str]) -> IntArray:
    """Training tokens per domain and id, [G, V]."""
    counts_GV = np.load(path, allow_pickle=False)
    if counts_GV.ndim != 2 or len(counts_GV) != len(domains):
        raise DataError(f"{path}: counts of shape {counts_GV.shape} for {len(domains)} domains")
    return np.asarray(counts_GV)


def make_table(config: RoutingConfig, domains: list[str]) -> Work:
    """Work that turns counts into the table. Returns ``forecast`` {domain: [layer: share, hottest_over_mean]},
    ``num_split_ids`` {domain: n}, and ``hottest_over_mean`` {mode: {domain: ratio in the first layer}}."""

    def work(payload: dict[str, Any], out: UnitOutput) -> dict[str, Any]:
        counts_GV = read_counts(payload["counts"], domains)
        none = split = Split.none(*counts_GV.shape)
        if payload["parts"]:
            slots_GV = heavy_slots(counts_GV, config.experts_per_domain, config.split_above)
            parts = add_parts(payload["parts"], slots_GV, counts_GV, payload["counts"])
            split = Split(slots_GV, config.split_parts, parts)
        table = config.recipe(config.mode, config.num_rre_layers).build(counts_GV, domains, split)
        table.save(out.file("table", TABLE_FILE), out.file("split", SPLIT_FILE) if table.num_parts else None)
        counts_GU = split.counts(counts_GV)
        hottest = {}
        for mode in MODES if payload["parts"] else MODES[:2]:
            of_mode = split if mode == "frequency_split" else none
            first = config.recipe(mode, 1).build(counts_GV, domains, of_mode).experts_LGU[0]
            loads = [
                expert_tokens(first[index], of_mode.counts(counts_GV)[index], config.experts_per_domain)
                for index in range(len(domains))
            ]
            hottest[mode] = {domain: hottest_over_mean(load) for domain, load in zip(domains, loads, strict=True)}
        return {
            "forecast": {
                domain: [
                    _forecast(expert_tokens(layer_GU[index], counts_GU[index], config.experts_per_domain))
                    for layer_GU in table.experts_LGU
                ]
                for index, domain in enumerate(domains)
            },
            "num_split_ids": {domain: int((split.slots_GV[index] >= 0).sum()) for index, domain in enumerate(domains)},
            "hottest_over_mean": hottest,
        }

    return work


def _forecast(load: IntArray) -> dict[str, Any]:
    total = max(1, int(load.sum()))
    return {"share": [int(tokens) / total for tokens in load], "hottest_over_mean": hottest_over_mean(load)}
