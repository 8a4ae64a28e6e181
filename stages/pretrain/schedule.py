"""Learning rate of every step: linear warmup, then down by a cosine (PanGu-alpha release; PanGu-Sigma section 4), by a
line, or by a line at the very end (WSD; MiniCPM, arXiv 2404.06395).

The whole curve is fixed by the config and not by how many steps are asked for, so extending a run continues it exactly.
"""

from __future__ import annotations

import math

from stages.pretrain.config import PretrainConfig


def learning_rate(config: PretrainConfig, step: int) -> float:
    """Rate of update number ``step``, counted from 1; ``end_learning_rate`` from ``decay_steps`` on."""
    if step <= config.warmup_steps:
        return config.peak_learning_rate * step / config.warmup_steps
    done = min(1.0, (step - config.warmup_steps) / (config.decay_steps - config.warmup_steps))
    swing = config.peak_learning_rate - config.end_learning_rate
    return config.end_learning_rate + swing * _left(config, done)


def _left(config: PretrainConfig, done: float) -> float:
    """Share of the way from end to peak that is left when ``done`` of the steps after the warmup are made."""
    if config.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    if config.schedule == "linear":
        return 1.0 - done
    return min(1.0, (1.0 - done) / config.decay_share)
