"""The PanGu-shaped decoder: token and position tables, dense blocks, RRE blocks, learned blocks, query layer, output.

PanGu-alpha (arXiv 2104.12369) section 2 for the stack, PanGu-Sigma (arXiv 2303.10845) section 3 for dense layers below
and routed layers above. With no routed layer it is PanGu-alpha's decoder, built from the same modules. Rotary
positions and an output of its own make it Pangu Ultra's (arXiv 2504.07866).

Legend: B rows, T tokens, D width of the model, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stages.model.attention import document_mask
from stages.model.batch import MicroBatch
from stages.model.block import DenseBlock, LearnedBlock, QueryBlock, RoutedBlock
from stages.model.config import ModelShape
from stages.model.embedding import Table
from stages.model.norm import make_norm
from stages.model.rotary import Rotation, rotation_of
from stages.model.router import RoutingRecord


class Surroundings(NamedTuple):
    """What every block of one micro-batch is given."""

    mask_B1TT: Tensor  # which positions see which
    rotation: Rotation | None  # of rotary positions


class Decoder(nn.Module):
    """Maps a micro-batch to logits. Build it under ``torch.device("meta")`` to count, or with
    :func:`stages.model.initial.build_model` to train."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        config = shape.config
        self.shape = shape
        self.token_table = Table(shape.vocab_size, config.d_model)
        self.position_table = Table(config.context_length, config.d_model) if config.positions == "learned" else None
        self.dense_blocks = nn.ModuleList(DenseBlock(shape) for _ in range(config.num_dense_layers))
        self.routed_blocks = nn.ModuleList(RoutedBlock(shape) for _ in range(config.num_rre_layers))
        self.learned_blocks = nn.ModuleList(LearnedBlock(shape) for _ in range(config.num_learned_layers))
        self.query_block = QueryBlock(shape) if config.query_layer else None
        self.final_norm = make_norm(config)
        self.output_table = None if config.tied_output else Table(shape.vocab_size, config.d_model)
        #: Of every so many-th block the backward pass keeps just the input; None: of no block.
        self.recompute_every: int | None = None

    @property
    def num_blocks(self) -> int:
        """Blocks below the head."""
        return len(self.dense_blocks) + len(self.routed_blocks) + len(self.learned_blocks)

    def forward(self, batch: MicroBatch, record: RoutingRecord | None = None) -> Tensor:
        """Logits [B, T, V] for the token after each position; ``record`` takes down what learned routers chose."""
        around = self.surroundings(batch)
        record = RoutingRecord() if record is None else record
        x_BTD = self.through(self.embed(batch), range(self.num_blocks), batch, around, record)
        return self.logits(x_BTD, batch, around)

    def surroundings(self, batch: MicroBatch) -> Surroundings:
        """What the blocks ask of a micro-batch."""
        config = self.shape.config
        rotation = None
        if config.positions == "rotary":
            rotation = rotation_of(batch.positions_BT, config.head_width, config.rotary_base)
        return Surroundings(document_mask(batch.segments_BT), rotation)

    def embed(self, batch: MicroBatch) -> Tensor:
        """The stream before the first block [B, T, D]."""
        x_BTD = self.token_table(batch.tokens_BT)
        return x_BTD if self.position_table is None else x_BTD + self.position_table(batch.positions_BT)

    def through(
        self, x_BTD: Tensor, blocks: range, batch: MicroBatch, around: Surroundings, record: RoutingRecord
    ) -> Tensor:
        """The stream after some consecutive blocks."""
        mask_B1TT, rotation = around
        calls: list[tuple[nn.Module, tuple[Any, ...]]] = [
            *((block, (mask_B1TT, rotation)) for block in self.dense_blocks),
            *(
                (block, (mask_B1TT, dispatch, rotation))
                for block, dispatch in zip(self.routed_blocks, batch.dispatch, strict=True)
            ),
            *((block, (mask_B1TT, batch.valid_BT, record, rotation)) for block in self.learned_blocks),
        ]
        for place in blocks:
            block, given = calls[place]
            x_BTD = self._pass(place, block, x_BTD, *given)
        record.is_complete = True
        return x_BTD

    def logits(self, x_BTD: Tensor, batch: MicroBatch, around: Surroundings) -> Tensor:
        """The head: query layer, final norm and output."""
        if self.query_block is None:
            x_BTD = self.final_norm(x_BTD)
        elif self.shape.config.final_norm == "before_query":
            x_BTD = self.query_block(self.final_norm(x_BTD), batch.positions_BT, around.mask_B1TT)
        else:
            x_BTD = self.final_norm(self.query_block(x_BTD, batch.positions_BT, around.mask_B1TT))
        table = self.token_table if self.output_table is None else self.output_table
        return F.linear(x_BTD, table.weight)

    def keep(self, entries: Collection[int]) -> None:
        """Give up the weights of all entries (:mod:`stages.model.partition`) but some; those that stay keep their
        names. What is gone must not be passed through any more."""
        place = 0
        for blocks in (self.dense_blocks, self.routed_blocks, self.learned_blocks):
            for index in range(len(blocks)):
                if place not in entries:
                    blocks[index] = nn.Identity()  # holds the place
                place += 1
        has_head = place in entries
        if 0 not in entries:
            self.position_table = None
            if not (has_head and self.output_table is None):
                del self.token_table
        if not has_head:
            del self.final_norm
            self.query_block = self.output_table = None

    def _pass(self, place: int, block: nn.Module, *given: Any) -> Tensor:
        """Through block number ``place``, now or once more in the backward pass."""
        if self.recompute_every is None or place % self.recompute_every or not torch.is_grad_enabled():
            return block(*given)
        return checkpoint(block, *given, use_reentrant=False, preserve_rng_state=False)  # nothing is drawn
