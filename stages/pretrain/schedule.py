"""Learning rate of every step: linear warmup, then a cosine (PanGu-alpha release; PanGu-Sigma section 4).

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
    return config.end_learning_rate + swing * 0.5 * (1.0 + math.cos(math.pi * done))
