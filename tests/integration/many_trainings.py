"""A worker that makes one training after another in one group of processes: starting workers takes longer than these.

The payload file holds a list of {"payload": as for training, "planted": a scale or null}. A planted scale multiplies
the gradients of experts: 2 is the mistake that FSDP2's default division makes under two-way expert parallelism.
Whenever the state of a pipeline is saved, its two ends compare the token table that both hold.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from stages.pretrain import sharded_state
from stages.pretrain.pipelined_state import PipelinedState
from stages.pretrain.ranks import Ranks
from stages.pretrain.sharding import shard_model
from stages.pretrain.train import train


def _spoiled(scale: float):
    def shard(model, config, grid) -> None:
        shard_model(model, config, grid)
        for block in (*model.routed_blocks, *model.learned_blocks):
            block.experts.set_gradient_divide_factor(1.0 / scale)

    return shard


def _compare_ends(save: Callable[..., Any]) -> Callable[..., Any]:
    def compare(state: PipelinedState, ranks: Ranks) -> Any:
        if state._place.ends is not None:
            mine = dict(state._named())["token_table.weight"].detach()
            theirs = mine.clone()
            dist.broadcast(theirs, group_src=0, group=state._place.ends)
            assert torch.equal(mine, theirs), "the ends of a pipeline hold different token tables"
        return save(state, ranks)

    return compare


def main() -> None:
    """Train them all."""
    dist.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
    PipelinedState.pieces = _compare_ends(PipelinedState.pieces)
    for item in json.loads(Path(sys.argv[1]).read_text("utf-8"))["trainings"]:
        sharded_state.shard_model = _spoiled(item["planted"]) if item["planted"] else shard_model
        train(item["payload"])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
