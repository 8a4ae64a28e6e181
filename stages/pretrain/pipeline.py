"""Pipeline parallelism: blocks are shared out, micro-batches flow through the workers (torch.distributed.pipelining).

Only the stream travels: every worker of a pipeline reads the same rows, so masks, positions and the dispatch plans of
random routed experts are made where they are needed. One part for each worker runs 1F1B; several (``pipeline_rounds``)
run the interleaved schedule, which idles less and sends more (Narayanan et al. 2021, arXiv 2104.04473, section 2.2).

Legend: B rows of a micro-batch, T tokens, D width of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleInterleaved1F1B

from stages.model.decoder import Decoder
from stages.model.loss import row_losses
from stages.model.router import RoutingRecord
from stages.pretrain.loader import StepRows
from stages.pretrain.ranks import Ranks, sum_over
from stages.pretrain.sums import StepSums


@dataclass(frozen=True, slots=True)
class Place:
    """This worker's place among the pipelines and its groups."""

    position: int  # in its pipeline
    depth: int  # workers of a pipeline
    pipeline: int
    num_pipelines: int
    along: Any  # the workers of its pipeline
    across: Any  # the workers at its position
    ends: Any  # first and last worker of its pipeline where both hold the token table; else None


def make_place(depth: int, ranks: Ranks, *, has_twins: bool) -> Place:
    """Groups of pipelines of ``depth`` workers, which all call it; ``has_twins``: both ends hold the token table."""
    num_pipelines = ranks.world_size // depth
    mesh = init_device_mesh(ranks.device.type, (depth, num_pipelines), mesh_dim_names=("along", "across"))
    position, pipeline = mesh.get_local_rank("along"), mesh.get_local_rank("across")
    along, ends = mesh.get_group("along"), None
    if has_twins:
        last = (depth - 1) * num_pipelines
        groups = [dist.new_group([first, last + first]) for first in range(num_pipelines)] if depth > 2 else [along]
        ends = groups[pipeline % len(groups)] if position in (0, depth - 1) else None
    # NCCL wants all workers of a group at its first call; the engine's first one would be between two neighbours
    sum_over(torch.zeros(1, device=ranks.device), along)
    return Place(position, depth, pipeline, num_pipelines, along, mesh.get_group("across"), ends)


class Pipeline:
    """Runs the micro-batches of a step through all parts; this worker holds every ``depth``-th of them."""

    def __init__(self, decoder: Decoder, cuts: list[range], place: Place, device: torch.device) -> None:
        self._decoder, self._cuts, self._place, self._device = decoder, cuts, place, device
        self._own = range(place.position, len(cuts), place.depth)
        self._schedule: Schedule1F1B | ScheduleInterleaved1F1B | None = None
        self._made_for: tuple[int, ...] = ()
        self._running = _Running()

    def run(self, rows: StepRows, sums: StepSums) -> None:
        """Add up this worker's gradients; losses are told by the last worker, loads where the experts are."""
        first = rows.micro_batches[0].layout.inputs_BL
        schedule = self._schedule_of(len(rows.micro_batches), *first.shape)
        self._running.rows, self._running.sums = rows, sums
        numbers = torch.arange(len(rows.micro_batches))
        given = (numbers,) if self._place.position == 0 else ()  # the engine feeds the first part by position
        schedule.step(*given, number=numbers, target=numbers)
        self._running.rows = self._running.sums = None

    def _schedule_of(self, num_passes: int, *rows_and_tokens: int) -> Schedule1F1B | ScheduleInterleaved1F1B:
        """The schedule with its message buffers, made anew when a stage of the mixture has other sizes."""
        wanted = (num_passes, *rows_and_tokens)
        if self._schedule is None or self._made_for != wanted:
            dtype = next(self._decoder.parameters()).dtype
            stream = partial(torch.empty, *rows_and_tokens, self._decoder.shape.config.d_model, dtype=dtype)
            stages = [self._stage(part, stream, rows_and_tokens[0]) for part in self._own]
            if len(stages) == 1:
                self._schedule = Schedule1F1B(stages[0], num_passes, loss_fn=_loss, scale_grads=False)
            else:
                self._schedule = ScheduleInterleaved1F1B(stages, num_passes, loss_fn=_loss, scale_grads=False)
            self._made_for = wanted
        return self._schedule

    def _stage(self, part: int, stream: Any, num_rows: int) -> PipelineStage:
        """Sizes are told, so that workers need not send each other Python objects about them."""
        is_first, is_last = part == 0, part == len(self._cuts) - 1
        like = partial(stream, device="meta", requires_grad=True)
        return PipelineStage(
            _Part(self._decoder, self._cuts[part], self._running, self._device),
            part,
            len(self._cuts),
            self._device,
            input_args=torch.empty(1, dtype=torch.int64, device="meta") if is_first else like(),
            output_args=torch.empty(num_rows, device="meta", requires_grad=True) if is_last else like(),
            group=self._place.along,
        )


def _loss(losses_B: Tensor, number: Tensor) -> Tensor:
    """What the engine takes the gradient of; the last part has told the losses already."""
    return losses_B.sum()


@dataclass(slots=True)
class _Running:
    """The step under way. What passes through the engine is the number of a micro-batch only."""

    rows: StepRows | None = None
    sums: StepSums | None = None


class _Part(nn.Module):
    """Consecutive entries of the decoder; the last part ends with the losses of rows [B] instead of the stream."""

    def __init__(self, decoder: Decoder, entries: range, running: _Running, device: torch.device) -> None:
        super().__init__()
        config = decoder.shape.config
        self._decoder, self._running, self._device = decoder, running, device
        self._is_first, self._is_last = entries.start == 0, entries.stop > decoder.num_blocks
        self._blocks = range(entries.start, min(entries.stop, decoder.num_blocks))
        self._routed = _layers(self._blocks, config.num_dense_layers, config.num_rre_layers)
        below = config.num_dense_layers + config.num_rre_layers
        self._learned = _layers(self._blocks, below, config.num_learned_layers)

    def forward(self, x_BTD: Tensor, number: Tensor) -> Tensor:
        """``number`` of the micro-batch, on the host; the first part gets it instead of a stream."""
        rows, sums, index = self._running.rows, self._running.sums, int(number)
        assert rows is not None
        assert sums is not None
        batch, record = rows.micro_batches[index].to(self._device), RoutingRecord()
        around = self._decoder.surroundings(batch)
        if self._is_first:
            x_BTD = self._decoder.embed(batch)
        x_BTD = self._decoder.through(x_BTD, self._blocks, batch, around, record)
        sums.add_loads(batch, record, self._routed, self._learned)
        if not self._is_last:
            return x_BTD
        losses_B = row_losses(self._decoder.logits(x_BTD, batch, around), batch.targets_BT, batch.valid_BT)
        sums.add_losses(batch, losses_B, rows.first_row + index * len(losses_B))  # micro-batches are of one size
        return losses_B


def _layers(blocks: range, first: int, count: int) -> range:
    """Which layers of a kind, ``count`` blocks from ``first``, are among ``blocks``; counted from 0."""
    return range(max(blocks.start - first, 0), max(min(blocks.stop - first, count), 0))
