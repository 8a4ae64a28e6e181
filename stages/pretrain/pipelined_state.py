"""Weights, gradients and optimizer of one worker that holds some blocks whole (:mod:`stages.pretrain.pipeline`).

With a tied output the token table stands on the first and on the last worker of a pipeline. Both start from the same
numbers, add up their gradients and make the same update, so they stay equal to the bit; it counts once in the norm and
is written once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stages.model.decoder import Decoder
from stages.model.partition import cut_model
from stages.pretrain.config import PretrainConfig
from stages.pretrain.loader import StepRows
from stages.pretrain.pieces import share_of
from stages.pretrain.pipeline import Pipeline, make_place
from stages.pretrain.ranks import Ranks, sum_over
from stages.pretrain.state import TrainingState
from stages.pretrain.sums import StepSums

_TOKEN_TABLE = "token_table.weight"


class PipelinedState(TrainingState):
    """See :class:`stages.pretrain.state.TrainingState`; every method is called by all workers together."""

    def __init__(self, model: Decoder, config: PretrainConfig, ranks: Ranks) -> None:
        shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        cuts = cut_model(model.shape, config.pipeline_parallel * config.pipeline_rounds)
        has_twins = model.shape.config.tied_output
        self._place = make_place(config.pipeline_parallel, ranks, has_twins=has_twins)
        self._ranks = ranks
        own = cuts[self._place.position :: self._place.depth]
        model.keep({entry for cut in own for entry in cut})
        super().__init__(model, config, ranks.device)
        self.shapes = shapes
        is_last = self._place.position == self._place.depth - 1
        self._twin = _TOKEN_TABLE if is_last and has_twins else None
        self._pipeline = Pipeline(self.compute, cuts, self._place, ranks.device)

    def peers(self, ranks: Ranks) -> Any:
        return self._place.across if self._place.num_pipelines > 1 else None

    def forward_backward(self, rows: StepRows, sums: StepSums) -> None:
        self._pipeline.run(rows, sums)

    def sum_gradients(self, ranks: Ranks) -> None:
        """Over the workers at this position, then over the two ends for the table that both hold."""
        if self._place.num_pipelines > 1:
            sum_over(self.gradient, self._place.across)
        if self._place.ends is not None:
            table = dict(self._named())[_TOKEN_TABLE]
            assert table.grad is not None
            sum_over(table.grad.view(-1), self._place.ends)

    def _norm(self) -> Tensor:
        """Of the whole gradient, each parameter counted once. Every worker must see the same bits, or the weights of
        one position would part: so one pipeline tells, and all add up together."""
        gradients = [p.grad for name, p in self._named() if name != self._twin]
        square = torch.stack([torch.linalg.vector_norm(g) for g in gradients]).square().sum().reshape(1)
        if self._place.pipeline:
            square.zero_()
        self._ranks.sum_(square)
        return square[0].sqrt()

    def _written(self, ranks: Ranks) -> set[str]:
        """Workers at one position share out what only they hold."""
        sizes = {name: p.numel() for name, p in self._named() if name != self._twin}
        return set(share_of(sizes, self._place.pipeline, self._place.num_pipelines))
