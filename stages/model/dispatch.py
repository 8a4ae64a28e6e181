"""The dispatch plan of RRE layers: which rows of the token stream go to which expert, made on the host before the step.

Random routed experts (PanGu-Sigma, arXiv 2303.10845, section 3.2) choose by domain first and by token id second, and
both are in the batch. So the order of tokens by expert, its inverse and the group ends are known before any layer
runs: no router, no sort on the device, no count that the host has to wait for. NumPy only, run in the loader thread.

Legend: N tokens of a micro-batch (rows times context), L RRE layers, G domains, E experts of a layer, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_specs.errors import DataError

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
    table_GV: npt.NDArray[np.int16], domains_N: IntArray, tokens_N: IntArray, experts_per_domain: int
) -> IntArray:
    """Expert of every token: the group of its domain, and inside it the pinned table's entry for its id."""
    return domains_N * experts_per_domain + table_GV[domains_N, tokens_N].astype(np.int64)


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
    table_LGV: npt.NDArray[np.int16], domains_N: IntArray, tokens_N: IntArray, experts_per_domain: int
) -> list[DispatchPlan]:
    """One plan for each RRE layer; layers differ because their tables are drawn independently."""
    num_experts = table_LGV.shape[1] * experts_per_domain
    return [
        plan_dispatch(experts_of_tokens(table_GV, domains_N, tokens_N, experts_per_domain), num_experts)
        for table_GV in table_LGV
    ]


def forecast_load(table_LGV: npt.NDArray[np.int16], counts_GV: IntArray, experts_per_domain: int) -> IntArray:
    """Tokens of every expert of every layer, from token counts per domain alone: integers [L, E].

    It never looks at a dispatch plan, so training compares the two as an alarm against routing mistakes.
    """
    num_layers, num_domains, _ = table_LGV.shape
    load_LGe = np.zeros((num_layers, num_domains, experts_per_domain), dtype=np.int64)
    for layer in range(num_layers):
        for domain in range(num_domains):
            np.add.at(load_LGe[layer, domain], table_LGV[layer, domain], counts_GV[domain])
    return load_LGe.reshape(num_layers, num_domains * experts_per_domain)


def check_table(table_LGV: npt.NDArray[np.int16], experts_per_domain: int, where: str) -> None:
    """Raise :class:`DataError` unless every entry names an expert inside its group."""
    if table_LGV.ndim != 3:
        raise DataError(f"{where}: a routing table has axes [layers, domains, vocabulary], not {table_LGV.shape}")
    if table_LGV.size and not (table_LGV.min() >= 0 and table_LGV.max() < experts_per_domain):
        raise DataError(
            f"{where}: entries lie in [{table_LGV.min()}, {table_LGV.max()}], "
            f"a group has experts 0 to {experts_per_domain - 1}"
        )
