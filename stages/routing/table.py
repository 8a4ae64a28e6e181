"""Routing tables of random routed experts: which expert of a domain's group owns which token id.

PanGu-Sigma (arXiv 2303.10845) section 3.2 draws a random map at the start, one for each layer, and never learns it. The
paper leaves the balance open; two ways are offered here:

- ``id_balanced``: shuffle the vocabulary, deal the ids out like cards. Every expert owns the same number of ids (up to
  one), yet not of tokens: whoever gets a function word or a full stop is hot.
- ``frequency``: longest first, put each id on the expert that has the fewest tokens so far. Ids of about equal
  frequency (within a quarter of a doubling) come in random order, so that layers still group ids differently. Ids that
  training never saw go to the experts with the fewest ids.

The shuffle is a keyed bijection of integers, not a library's random stream: it is the same with every version of NumPy.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from data_specs.permutation import Permutation, derive_key

IntArray = npt.NDArray[np.int64]
Table = npt.NDArray[np.int16]

#: Leading bits that two counts must share to be of about equal frequency: one, and two more below it.
_FREQUENCY_BITS = 3


def permutation(num_ids: int, seed: int, layer: int, domain: str) -> IntArray:
    """A shuffle of ``range(num_ids)`` that depends on seed, layer and the domain's name only."""
    return Permutation(num_ids, derive_key(seed, "routing", layer, domain)).forward(np.arange(num_ids))


def id_balanced(permutation_V: IntArray, num_experts: int) -> Table:
    """Expert of every id; two experts own numbers of ids that differ by at most one."""
    local_V = np.empty(len(permutation_V), dtype=np.int16)
    local_V[permutation_V] = np.arange(len(permutation_V)) % num_experts
    return local_V


def frequency_balanced(permutation_V: IntArray, counts_V: IntArray, num_experts: int) -> Table:
    """Expert of every id by greedy packing of ``counts_V`` (training tokens per id)."""
    local_V = np.empty(len(permutation_V), dtype=np.int16)
    shuffled_counts = counts_V[permutation_V]
    order = permutation_V[np.argsort(-_frequency_class(shuffled_counts), kind="stable")]
    seen = order[counts_V[order] > 0]
    num_ids = [0] * num_experts
    heap = [(0, expert) for expert in range(num_experts)]
    for token in seen.tolist():
        load, expert = heapq.heappop(heap)
        local_V[token] = expert
        num_ids[expert] += 1
        heapq.heappush(heap, (load + int(counts_V[token]), expert))
    fewest = [(owned, expert) for expert, owned in enumerate(num_ids)]
    heapq.heapify(fewest)
    for token in permutation_V[shuffled_counts == 0].tolist():
        owned, expert = heapq.heappop(fewest)
        local_V[token] = expert
        heapq.heappush(fewest, (owned + 1, expert))
    return local_V


def _frequency_class(counts: IntArray) -> IntArray:
    """Rank by the leading bits of a count: integers only, so no platform's logarithm can move an id."""
    num_bits = np.zeros_like(counts)
    rest = counts.copy()
    while rest.any():
        num_bits += rest > 0
        rest >>= 1
    leading = counts >> np.maximum(num_bits - _FREQUENCY_BITS, 0)
    return (num_bits << _FREQUENCY_BITS) + leading


def build_table(
    counts_GV: IntArray, domains: list[str], num_rre_layers: int, experts_per_domain: int, mode: str, seed: int
) -> Table:
    """The table [num_rre_layers, domains, vocabulary] of experts inside each domain's group."""
    num_domains, vocab_size = counts_GV.shape
    table = np.zeros((num_rre_layers, num_domains, vocab_size), dtype=np.int16)
    for layer in range(num_rre_layers):
        for index, domain in enumerate(domains):
            shuffled = permutation(vocab_size, seed, layer, domain)
            if mode == "frequency":
                table[layer, index] = frequency_balanced(shuffled, counts_GV[index], experts_per_domain)
            else:
                table[layer, index] = id_balanced(shuffled, experts_per_domain)
    return table


def expert_tokens(table_V: Table, counts_V: IntArray, num_experts: int) -> IntArray:
    """Training tokens that each expert of one group will see in one epoch."""
    load = np.zeros(num_experts, dtype=np.int64)
    np.add.at(load, table_V, counts_V)
    return load


def hottest_over_mean(load: IntArray) -> float:
    """Load of the fullest expert against the average; 1 is perfect balance, and so is a group without any token."""
    total = int(load.sum())
    return float(load.max()) * len(load) / total if total else 1.0
