"""Stage ``routing``: pin the routing table of all RRE layers, from frozen token counts, before training starts.

Stands between tokenize and pretrain. The table is an artifact of its own: a later change of mixture never touches it,
and training, resuming and evaluating refuse any other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_specs.errors import DataError
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.routing.table import build_table, expert_tokens, hottest_over_mean

MODES = ("id_balanced", "frequency")
#: Table entries are int16.
_MAX_EXPERTS = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig:
    """What the table looks like; its layers and experts must be those of the model."""

    num_rre_layers: int = 2  # layers of routed experts; 0 makes an empty table for a dense model
    experts_per_domain: int = 4  # experts in each domain's group (PanGu-Sigma: 16)
    mode: str = "id_balanced"  # "id_balanced" (PanGu-Sigma as recalled) or "frequency" (balanced in tokens)
    seed: int = 0  # another seed draws another table

    def __post_init__(self) -> None:
        if self.num_rre_layers < 0:
            raise ValueError(f"num_rre_layers ({self.num_rre_layers}) must not be negative")
        if not 1 <= self.experts_per_domain <= _MAX_EXPERTS:
            raise ValueError(f"experts_per_domain ({self.experts_per_domain}) must lie in [1, {_MAX_EXPERTS}]")
        if self.mode not in MODES:
            raise ValueError(f"mode ({self.mode!r}) must be one of {', '.join(MODES)}")


class Routing(Stage[RoutingConfig]):
    """Token counts -> routing table and the load it promises."""

    version = 1
    config_type = RoutingConfig
    inputs = {"counts": Port("tokens")}
    output = "routing"

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        tokens = ctx.input("counts")
        domains = list(tokens.facts["domains"])
        unit = Unit(key="table", payload=tokens.file("counts"))
        (result,) = ctx.run_units("table", [unit], partial(make_table, self.config, domains))
        return {
            "domains": domains,
            "experts_per_domain": self.config.experts_per_domain,
            "num_rre_layers": self.config.num_rre_layers,
            "vocab_size": tokens.facts["vocab_size"],
            "tokenizer_sha256": tokens.facts["tokenizer_sha256"],
            "mode": self.config.mode,
            "seed": self.config.seed,
            "forecast": result.value,
        }


def make_table(config: RoutingConfig, domains: list[str]) -> Work:
    """Work that turns a file of counts into the table and returns the forecast {domain: [layer: share, ratio]}."""

    def work(counts_path: Path, out: UnitOutput) -> dict[str, Any]:
        counts_GV = np.load(counts_path, allow_pickle=False)
        if counts_GV.ndim != 2 or len(counts_GV) != len(domains):
            raise DataError(f"{counts_path}: counts of shape {counts_GV.shape} for {len(domains)} domains")
        table = build_table(
            counts_GV, domains, config.num_rre_layers, config.experts_per_domain, config.mode, config.seed
        )
        with out.file("table", "table.npy").open("wb") as handle:
            np.save(handle, table, allow_pickle=False)
        return {
            domain: [
                _forecast(expert_tokens(table[layer, index], counts_GV[index], config.experts_per_domain))
                for layer in range(config.num_rre_layers)
            ]
            for index, domain in enumerate(domains)
        }

    return work


def _forecast(load: np.ndarray) -> dict[str, Any]:
    total = max(1, int(load.sum()))
    return {"share": [int(tokens) / total for tokens in load], "hottest_over_mean": hottest_over_mean(load)}
