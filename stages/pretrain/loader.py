"""The rows of every step, with the dispatch plans of all RRE layers, made ahead of time in a thread.

Each worker reads its share of the global batch: the rows of the step in plan order, cut into as many runs of rows as
there are readers (:func:`stages.pretrain.layout.row_share`). NumPy releases the interpreter lock in its sorts and
copies, so the thread hides behind the model.

Legend: B rows, T tokens of a row, L RRE layers, E experts, G domains, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from data_specs.token_store import RowLayout, row_layout, shorten_rows
from stages.model.batch import MicroBatch, dispatch_tensors, to_device
from stages.model.dispatch import DispatchPlan, plan_rows
from stages.model.exchange import ExchangePlan, plan_exchange
from stages.pretrain.forecast import LoadForecast, rows_of_rank
from stages.pretrain.job import TrainingJob

#: Steps prepared ahead of the model.
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class HostMicroBatch:
    """One micro-batch before it goes to the device."""

    layout: RowLayout
    domains_B: npt.NDArray[np.int64]
    dispatch: list[DispatchPlan]
    exchanges: list[ExchangePlan] = field(default_factory=list)  # one per RRE layer under expert parallelism

    def to(self, device: torch.device, group: Any = None) -> MicroBatch:
        """Tensors on ``device``; ``group`` are the workers that share the experts, where they do."""
        layout = self.layout
        return MicroBatch(
            tokens_BT=to_device(layout.inputs_BL, device),
            targets_BT=to_device(layout.targets_BL, device),
            valid_BT=to_device(layout.loss_mask_BL, device),
            positions_BT=to_device(layout.position_ids_BL, device),
            segments_BT=to_device(layout.segment_ids_BL, device),
            domains_B=to_device(self.domains_B, device),
            dispatch=dispatch_tensors(self.dispatch, device, self.exchanges, group),
        )

    def load_LE(self) -> npt.NDArray[np.int64]:
        """Tokens that each expert of each layer gets from this micro-batch."""
        return np.stack([plan.load_E for plan in self.dispatch]) if self.dispatch else np.zeros((0, 0), np.int64)


@dataclass(frozen=True, slots=True)
class StepRows:
    """One worker's share of a step."""

    step: int  # counted from 1: the update that these rows make
    micro_batches: list[HostMicroBatch]
    first_row: int  # place of this worker's first row in the global batch, cuts counted
    num_rows: int  # rows of the global batch, cuts counted
    rows_by_component: npt.NDArray[np.int64]  # of the global batch


def prepare_step(job: TrainingJob, step: int, share: int, num_shares: int) -> StepRows:
    """Read, cut and plan one worker's share of the rows for update ``step`` (counted from 1)."""
    component_B, row_B = job.plan.rows_of_step(step - 1)
    size, num_cuts = job.config.micro_batch_rows, job.plan.cuts_of_step(step - 1)

    def micro_batches(worker: int) -> list[HostMicroBatch]:
        part = rows_of_rank(len(row_B), worker, num_shares)
        rows = job.pools.gather(component_B[part], row_B[part])
        counted = job.pools.gather_counted(component_B[part], row_B[part])
        domains_B = job.forecast.domain_of_component[component_B[part]]
        cuts = [slice(start, start + size) for start in range(0, len(rows), size)]
        masks = [None if counted is None else counted[cut] for cut in cuts]
        return [
            prepare_rows(job, rows[cut], domains_B[cut], num_cuts, mask) for cut, mask in zip(cuts, masks, strict=True)
        ]

    mine = micro_batches(share)
    spread = job.config.expert_parallel
    if spread > 1 and job.config.model.num_rre_layers:
        first = share // spread * spread
        peers = [mine if worker == share else micro_batches(worker) for worker in range(first, first + spread)]
        mine = [with_exchanges(parts, share - first) for parts in zip(*peers, strict=True)]
    return StepRows(
        step=step,
        micro_batches=mine,
        first_row=rows_of_rank(len(row_B), share, num_shares).start * num_cuts,
        num_rows=len(row_B) * num_cuts,
        rows_by_component=np.bincount(component_B, minlength=len(job.plan.components)),
    )


def with_exchanges(peers: Sequence[HostMicroBatch], worker: int) -> HostMicroBatch:
    """The micro-batch of ``worker`` with what it sends and receives in each RRE layer. The other workers' rows are a
    function of the step too, so no count needs to be exchanged."""
    loads_WLE = np.stack([peer.load_LE() for peer in peers])
    exchanges = [plan_exchange(loads_WLE[:, layer], worker) for layer in range(loads_WLE.shape[1])]
    return replace(peers[worker], exchanges=exchanges)


def prepare_rows(
    job: TrainingJob,
    rows: npt.NDArray[np.generic],
    domains_B: npt.NDArray[np.int64],
    num_cuts: int,
    counted: npt.NDArray[np.bool_] | None = None,
) -> HostMicroBatch:
    """Layout and dispatch plans of some pool rows, each cut into ``num_cuts`` sequences; ``counted`` says which of
    their ids are targets, None that all are."""
    counted = None if counted is None else shorten_rows(counted, num_cuts)
    layout = row_layout(shorten_rows(rows, num_cuts), job.pools.eod_id, job.pools.pad_id, counted)
    domains_B = np.repeat(domains_B, num_cuts)
    dispatch = plan_rows(job.table, layout, domains_B, job.config.model.experts_per_domain)
    return HostMicroBatch(layout, domains_B, dispatch)


class Loader:
    """Iterates over updates ``first .. last`` (counted from 1, inclusive), prepared ahead in a thread: one of
    ``num_shares`` shares of their rows, and what ``forecast`` foretells of all rows."""

    def __init__(
        self, job: TrainingJob, first: int, last: int, share: int, num_shares: int, forecast: LoadForecast | None
    ) -> None:
        self._job, self._steps = job, iter(range(first, last + 1))
        self._share, self._forecast = (share, num_shares), forecast
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._pending: deque[Future[tuple[StepRows, npt.NDArray[np.int64]]]] = deque()

    def __iter__(self) -> Iterator[tuple[StepRows, npt.NDArray[np.int64]]]:
        """Yields (rows, forecast); without a forecast that is empty."""
        for _ in range(_AHEAD):
            self._submit()
        while self._pending:
            prepared = self._pending.popleft().result()
            self._submit()
            yield prepared

    def _submit(self) -> None:
        step = next(self._steps, None)
        if step is not None:
            self._pending.append(self._pool.submit(self._prepare, step))

    def _prepare(self, step: int) -> tuple[StepRows, npt.NDArray[np.int64]]:
        rows = prepare_step(self._job, step, *self._share)
        return rows, self._forecast.of_step(step) if self._forecast else np.zeros((0, 0), np.int64)

    def close(self) -> None:
        """Stop the thread; what it prepared is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
