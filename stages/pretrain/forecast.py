"""The load of every expert in every step, before it happens: exact integers from plan, pools and routing table.

Rows are a function of the step and experts one of domain and ids, so nothing has to run: no model, no worker. It counts
ids and never looks at a dispatch plan; training stops when what it counted differs by a single token.

Legend: L RRE layers, E experts of a layer, W workers, B rows of the global batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data_specs.errors import SpecError
from data_specs.plan import Plan
from data_specs.token_store import PoolReader, shorten_rows
from stages.model.dispatch import count_routing_ids, forecast_load
from stages.model.routing_table import RoutingTable

IntArray = npt.NDArray[np.int64]


def rows_of_rank(num_rows: int, rank: int, world_size: int) -> slice:
    """The run of rows of one worker; runs differ by at most one row and cover all."""
    if world_size > num_rows:
        raise ValueError(f"world_size ({world_size}) must not exceed the global batch of {num_rows} rows")
    small, extra = divmod(num_rows, world_size)
    start = rank * small + min(rank, extra)
    return slice(start, start + small + (rank < extra))


def load_of_owners(load_LE: IntArray, num_owners: int) -> IntArray:
    """Tokens of each worker that shares the experts, [L, W]: worker w owns experts ``w E/W`` and the following ones."""
    num_layers, num_experts = load_LE.shape
    if num_experts % num_owners:
        raise SpecError(
            f"expert_parallel {num_owners} does not divide the {num_experts} experts of a layer; choose a divisor"
        )
    return load_LE.reshape(num_layers, num_owners, -1).sum(-1)


@dataclass(frozen=True)
class LoadForecast:
    """What a forecast needs; :meth:`of_step` and :meth:`of_ranks` are pure functions of the step."""

    plan: Plan
    pools: PoolReader
    table: RoutingTable
    domains: Sequence[str]  # in the order of the routing table
    experts_per_domain: int

    @cached_property
    def domain_of_component(self) -> IntArray:
        """Index in :attr:`domains` of every component of the plan."""
        return np.array([self.domains.index(component.domain) for component in self.plan.components], dtype=np.int64)

    def of_step(self, step: int) -> IntArray:
        """Tokens per layer and expert [L, E] that update ``step`` (counted from 1) brings."""
        return self._of_rows(step, slice(None))

    def of_ranks(self, step: int, world_size: int, expert_parallel: int = 1) -> IntArray:
        """Tokens that each worker's experts get in update ``step``, [L, world_size].

        ``expert_parallel`` neighbouring workers share one set of experts and bring their rows to it; with 1 every
        worker has all experts and sees its own rows only. Raises :class:`SpecError` for a layout that cannot be.
        """
        if expert_parallel < 1 or world_size % expert_parallel:
            raise SpecError(f"world_size {world_size} must be a multiple of expert_parallel {expert_parallel}")
        batch_rows = self.plan.batch_rows_of_step(step - 1)
        if world_size > batch_rows:
            raise SpecError(f"world_size {world_size} is more than the {batch_rows} rows of a global batch")
        groups = []
        for first in range(0, world_size, expert_parallel):
            ranks = [rows_of_rank(batch_rows, first + i, world_size) for i in range(expert_parallel)]
            load_LE = self._of_rows(step, slice(ranks[0].start, ranks[-1].stop))
            groups.append(load_of_owners(load_LE, expert_parallel))
        return np.concatenate(groups, axis=1)

    def _of_rows(self, step: int, part: slice) -> IntArray:
        component_B, row_B = self.plan.rows_of_step(step - 1)
        component_B, row_B = component_B[part], row_B[part]
        num_cuts = self.plan.cuts_of_step(step - 1)
        inputs_BT = shorten_rows(self.pools.gather(component_B, row_B), num_cuts)[:, :-1]
        domains_B = np.repeat(self.domain_of_component[component_B], num_cuts)
        counts_GU = count_routing_ids(self.table, inputs_BT, domains_B, self.pools.eod_id)
        return forecast_load(self.table.experts_LGU, counts_GU, self.experts_per_domain)
