"""The dispatch plan of RRE layers: which rows of the token stream go to which expert, made on the host before the step.

Random routed experts (PanGu-Sigma, arXiv 2303.10845, section 3.2) choose by domain first and by routing id second (the
token's id, or its part of a split one: :mod:`stages.model.routing_table`), and both are in the batch. So the order of
tokens by expert, its inverse and the group ends are known before any layer runs: no router, no sort on the device, no
count that the host has to wait for. NumPy only, run in the loader thread.

Legend: N tokens of a micro-batch (rows times context), L RRE layers, G domains, E experts of a layer, U routing ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_specs.errors import DataError
from data_specs.token_store import RowLayout
from stages.model.routing_table import NO_PREVIOUS, RoutingTable, previous_ids

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DispatchPlan:
    """Where every token of a micro-batch goes in one RRE layer; each token goes to exactly one expert."""

    order_N: IntArray  # token index of every sorted place
    inverse_N: IntArray  # sorted place of every token: inverse_N[order_N[i]] == i
    expert_N: IntArray  # expert of every sorted place, ascending
    ends_E: npt.NDArray[np.int32]  # first place after each expert's tokens; the last one is N

    @property
    def load_E(self) -> IntArray:
        """Tokens of each expert."""
        return np.diff(self.ends_E.astype(np.int64), prepend=0)


def experts_of_tokens(
    table_GU: npt.NDArray[np.int16], domains_N: IntArray, ids_N: IntArray, experts_per_domain: int
) -> IntArray:
    """Expert of every token: the group of its domain, and inside it the pinned table's entry for its routing id."""
    return domains_N * experts_per_domain + table_GU[domains_N, ids_N].astype(np.int64)


def plan_dispatch(experts_N: IntArray, num_experts: int) -> DispatchPlan:
    """Group tokens by expert, in their own order inside a group."""
    load = np.bincount(experts_N, minlength=num_experts)
    if len(load) > num_experts:
        raise DataError(f"a token is routed to expert {len(load) - 1}, the layer has {num_experts}")
    # 16-bit keys take numpy's radix sort, three times as fast as sorting 64-bit ones
    keys = experts_N.astype(np.uint16) if num_experts <= np.iinfo(np.uint16).max else experts_N
    order = np.argsort(keys, kind="stable")
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return DispatchPlan(
        order_N=order, inverse_N=inverse, expert_N=experts_N[order], ends_E=np.cumsum(load).astype(np.int32)
    )


def plan_layers(
    table_LGU: npt.NDArray[np.int16], domains_N: IntArray, ids_N: IntArray, experts_per_domain: int
) -> list[DispatchPlan]:
    """One plan for each RRE layer; layers differ because their tables are drawn independently."""
    num_experts = table_LGU.shape[1] * experts_per_domain
    return [
        plan_dispatch(experts_of_tokens(table_GU, domains_N, ids_N, experts_per_domain), num_experts)
        for table_GU in table_LGU
    ]


def plan_rows(
    table: RoutingTable, layout: RowLayout, domains_B: IntArray, experts_per_domain: int
) -> list[DispatchPlan]:
    """Plans of all RRE layers for some rows, each of one domain: what training and evaluation hand to the model."""
    domains_N = np.repeat(domains_B, layout.inputs_BL.shape[1])
    previous_BT = previous_ids(layout.inputs_BL, layout.position_ids_BL)
    ids_N = table.routing_ids(domains_N, layout.inputs_BL.reshape(-1), previous_BT.reshape(-1))
    return plan_layers(table.experts_LGU, domains_N, ids_N, experts_per_domain)


def count_routing_ids(
    table: RoutingTable, inputs_BT: npt.NDArray[np.generic], domains_B: IntArray, eod_id: int
) -> IntArray:
    """How often each domain's rows hold each routing id: integers [G, U], from ids alone."""
    inputs_BT = inputs_BT.astype(np.int64)
    before_BT = np.concatenate([np.full((len(inputs_BT), 1), eod_id), inputs_BT[:, :-1]], axis=1)
    before_BT = np.where(before_BT == eod_id, NO_PREVIOUS, before_BT)
    counts_GU = np.zeros(table.experts_LGU.shape[1:], dtype=np.int64)
    for domain in range(len(counts_GU)):
        mine_N = inputs_BT[domains_B == domain].ravel()
        of_domain_N = np.full(len(mine_N), domain)
        ids_N = table.routing_ids(of_domain_N, mine_N, before_BT[domains_B == domain].ravel())
        counts_GU[domain] = np.bincount(ids_N, minlength=counts_GU.shape[1])
    return counts_GU


def forecast_load(table_LGU: npt.NDArray[np.int16], counts_GU: IntArray, experts_per_domain: int) -> IntArray:
    """Tokens of every expert of every layer, from counts of routing ids per domain alone: integers [L, E].

    It never looks at a dispatch plan, so training compares the two as an alarm against routing mistakes.
    """
    num_layers, num_domains, _ = table_LGU.shape
    load_LGe = np.zeros((num_layers, num_domains, experts_per_domain), dtype=np.int64)
    for layer in range(num_layers):
        for domain in range(num_domains):
            np.add.at(load_LGe[layer, domain], table_LGU[layer, domain], counts_GU[domain])
    return load_LGe.reshape(num_layers, num_domains * experts_per_domain)
