"""The shipped presets as configs, and small ones that keep every choice but the sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from data_specs.config import parse_config
from stages.model.config import ModelConfig

FOLDER = Path(__file__).resolve().parents[3] / "conf" / "model"
PUBLISHED = (
    "pangu_alpha_350m",
    "pangu_alpha_2b6",
    "pangu_alpha_13b",
    "pangu_alpha_200b",
    "pangu_sigma_1t",
    "pangu_ultra_135b",
    "pangu_ultra_moe_like",
)


def preset(name: str) -> ModelConfig:
    """``conf/model/<name>.yaml``."""
    return parse_config(ModelConfig, yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8")), name)


def twin_of(config: ModelConfig) -> ModelConfig:
    """A preset scaled down to what trains in seconds: width 32, at most two layers of a kind, every option kept."""
    router = config.router and replace(config.router, num_experts=8, top_k=2, d_expert=16)
    return replace(
        config,
        d_model=32,
        num_heads=4,
        num_key_value_heads=config.num_key_value_heads and 2,
        d_feed_forward=64,
        num_dense_layers=min(2, config.num_dense_layers),
        num_rre_layers=min(2, config.num_rre_layers),
        num_learned_layers=min(2, config.num_learned_layers),
        experts_per_domain=4,
        context_length=16,
        router=router,
    )
