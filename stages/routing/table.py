"""Routing tables of random routed experts: which expert of a domain's group owns which token id.

PanGu-Sigma (arXiv 2303.10845) section 3.2 draws a random map at the start, one for each layer, and never learns it. The
paper leaves the balance open; three ways are offered here:

- ``id_balanced``: shuffle the vocabulary, deal the ids out like cards. Every expert owns the same number of ids (up to
  one), yet not of tokens: whoever gets a function word or a full stop is hot.
- ``frequency``: longest first, put each id on the expert that has the fewest tokens so far. Ids of about equal
  frequency (within a quarter of a doubling) come in random order, so that layers still group ids differently. Ids that
  training never saw go to the experts with the fewest ids. An id that is more frequent than an even load stays hot.
- ``frequency_split``: ids above a share of the even load are split by the id before them into as many pieces as bring
  each piece below it, and no more, so that a token meets few experts; pieces are then packed like ids.

The shuffle is a keyed bijection of integers, not a library's random stream: it is the same with every version of NumPy.

Legend: G domains, V vocabulary, S split ids of a domain, K parts, U = V + S K routing ids.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_specs.permutation import Permutation, derive_key
from stages.model.routing_table import RoutingTable

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
    """Expert of every id by greedy packing of ``counts_V`` (training tokens per id). ``permutation_V`` may leave ids
    out; their entries are 0."""
    local_V = np.zeros(len(counts_V), dtype=np.int16)
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


@dataclass(frozen=True, slots=True)
class Split:
    """Which ids are split, and what is known of their parts."""

    slots_GV: npt.NDArray[np.int32]  # -1: whole
    num_parts: int
    counts_GSK: IntArray  # training tokens of every part

    @classmethod
    def none(cls, num_domains: int, vocab_size: int) -> Split:
        """No id is split."""
        slots = np.full((num_domains, vocab_size), -1, dtype=np.int32)
        return cls(slots, 0, np.zeros((num_domains, 0, 0), dtype=np.int64))

    def counts(self, counts_GV: IntArray) -> IntArray:
        """Training tokens of every routing id, [G, U]: a split id has none of its own, its parts have them."""
        whole_GV = np.where(self.slots_GV >= 0, 0, counts_GV)
        return np.concatenate([whole_GV, self.counts_GSK.reshape(len(counts_GV), -1)], axis=1)


def heavy_slots(counts_GV: IntArray, num_experts: int, above: float) -> npt.NDArray[np.int32]:
    """Slot of every id that has more than ``above`` of the even load of its domain's experts, most frequent first."""
    slots_GV = np.full(counts_GV.shape, -1, dtype=np.int32)
    for domain, counts_V in enumerate(counts_GV):
        heavy = np.flatnonzero(counts_V > above * (int(counts_V.sum()) / num_experts))
        slots_GV[domain, heavy[np.argsort(-counts_V[heavy], kind="stable")]] = np.arange(len(heavy))
    return slots_GV


def packed_pieces(shuffled_K: IntArray, counts_K: IntArray, num_pieces: int) -> IntArray:
    """Piece of every part of one id, parts packed greedily into ``num_pieces``; [K]."""
    return frequency_balanced(shuffled_K, counts_K, num_pieces).astype(np.int64)


def split_balanced(shuffled_U: IntArray, counts_U: IntArray, split_K: Sequence[int], num_experts: int, above: float,
                   num_parts: int) -> Table:  # fmt: skip
    """Expert of every routing id. ``split_K`` are the split token ids in the order of their slots.

    The parts of an id are first packed into the fewest pieces that bring a piece below ``above`` of the even load, and
    pieces are packed onto experts like whole ids. The entry of a split token id itself is never read; it is 0.
    """
    vocab_size = len(counts_U) - len(split_K) * num_parts
    limit = above * (int(counts_U.sum()) / num_experts)
    place_U = np.empty_like(shuffled_U)
    place_U[shuffled_U] = np.arange(len(shuffled_U))
    leader_U, weight_U = np.arange(len(counts_U)), counts_U.copy()
    leader_U[list(split_K)] = -1
    for slot in range(len(split_K)):
        first = vocab_size + slot * num_parts
        counts_K = counts_U[first : first + num_parts]
        shuffled_K = np.argsort(place_U[first : first + num_parts])
        num_pieces = min(num_parts, -(-int(counts_K.sum()) // max(1, int(limit))))
        piece_K = packed_pieces(shuffled_K, counts_K, num_pieces)
        _, lead_K, of_K = np.unique(piece_K, return_index=True, return_inverse=True)
        leader_U[first : first + num_parts] = first + lead_K[of_K]
        weight_U[first : first + num_parts] = 0
        np.add.at(weight_U, leader_U[first : first + num_parts], counts_K)
    leads_U = leader_U == np.arange(len(counts_U))
    local_U = frequency_balanced(shuffled_U[leads_U[shuffled_U]], weight_U, num_experts)
    return np.where(leader_U >= 0, local_U[leader_U], 0).astype(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRecipe:
    """What decides a table beside the counts."""

    num_rre_layers: int
    experts_per_domain: int
    mode: str
    seed: int
    split_above: float = 0.5

    def build(self, counts_GV: IntArray, domains: Sequence[str], split: Split) -> RoutingTable:
        """The table of all layers and domains; ``split`` splits nothing but in mode ``frequency_split``."""
        counts_GU = split.counts(counts_GV)
        experts_LGU = np.zeros((self.num_rre_layers, *counts_GU.shape), dtype=np.int16)
        for layer in range(self.num_rre_layers):
            for index, domain in enumerate(domains):
                experts_LGU[layer, index] = self._of_group(counts_GU[index], split, index, layer, domain)
        return RoutingTable(experts_LGU, split.slots_GV)

    def _of_group(self, counts_U: IntArray, split: Split, index: int, layer: int, domain: str) -> Table:
        if self.mode == "id_balanced":
            return id_balanced(permutation(len(counts_U), self.seed, layer, domain), self.experts_per_domain)
        slots_V = split.slots_GV[index]
        heavy = np.argsort(slots_V, kind="stable")[int((slots_V < 0).sum()) :].tolist()
        # slots that only other domains use have no entry here, so that a table never depends on the other domains
        num_ids = len(slots_V) + len(heavy) * split.num_parts
        shuffled = permutation(num_ids, self.seed, layer, domain)
        local_U = np.zeros(len(counts_U), dtype=np.int16)
        local_U[:num_ids] = (
            split_balanced(
                shuffled, counts_U[:num_ids], heavy, self.experts_per_domain, self.split_above, split.num_parts
            )
            if heavy
            else frequency_balanced(shuffled, counts_U[:num_ids], self.experts_per_domain)
        )
        return local_U


def expert_tokens(table_U: Table, counts_U: IntArray, num_experts: int) -> IntArray:
    """Training tokens that each expert of one group will see in one epoch."""
    load = np.zeros(num_experts, dtype=np.int64)
    np.add.at(load, table_U, counts_U)
    return load


def hottest_over_mean(load: IntArray) -> float:
    """Load of the fullest expert against the average; 1 is perfect balance, and so is a group without any token."""
    total = int(load.sum())
    return float(load.max()) * len(load) / total if total else 1.0
