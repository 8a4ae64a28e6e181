"""From verified pairs to clusters and removals.

A cluster is a connected component of the verified pairs: it keeps near-duplicates on one side of a split. Removal is
stricter: documents are walked in keeper order, and one is removed only if it was verified against a document that
*stays*; its keeper is the most similar such document. So a chain a~b~c whose ends differ keeps both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.dedup.criteria import DEFAULT_CRITERIA
from stages.dedup.keeper import keeper_order


@dataclass(frozen=True)
class Walked:
    """What verified pairs decide; documents are numbered in keeper order."""

    order: np.ndarray  # place of every document in the labels that were given, int64 [documents]
    better: np.ndarray  # the earlier document of every pair, int64 [pairs]
    member: np.ndarray  # the later one
    chosen: np.ndarray  # pair by which each document goes, -1 for those that stay, int64 [documents]

    @property
    def gone(self) -> np.ndarray:
        """Documents that go."""
        return np.flatnonzero(self.chosen >= 0)

    @property
    def kept_for(self) -> np.ndarray:
        """The keeper of each document that goes."""
        return self.better[self.chosen[self.gone]]


def decide_pairs(
    labels: np.ndarray,
    ranks: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    similarity: np.ndarray,
    criteria: Sequence[str] = DEFAULT_CRITERIA,
) -> Walked:
    """Walk documents (:data:`stages.dedup.labels.LABEL`) in keeper order; ``left`` and ``right`` are places in
    ``labels``, in any order inside a pair."""
    order = keeper_order(labels, ranks, criteria)
    place = np.empty(len(labels), dtype=np.int64)
    place[order] = np.arange(len(labels))
    better, member = np.minimum(place[left], place[right]), np.maximum(place[left], place[right])
    return Walked(order, better, member, keeper_walk(len(labels), better, member, similarity))


def components(num_nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Smallest node of the component of every node, int64 [nodes]; edges join ``left[i]`` and ``right[i]``."""
    parents = np.arange(num_nodes, dtype=np.int64)
    _unite(parents, left, right)
    return parents


@njit(cache=True, nogil=True)
def _unite(parents, left, right):
    """Union-find with path halving; the smaller root always wins, so a root is the smallest of its component. The
    last loop runs every node to its root: there is no round limit that could end too early."""
    for edge in range(left.shape[0]):
        a, b = left[edge], right[edge]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a < b:
            parents[b] = a
        else:
            parents[a] = b
    for node in range(parents.shape[0]):
        parents[node] = parents[parents[node]]  # parents come before their children, so theirs is already a root


def keeper_walk(num_nodes: int, better: np.ndarray, member: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Edge by which each node is removed, int64 [nodes]; -1 for nodes that stay.

    Nodes are numbered in keeper order, and every edge has ``better < member``.
    """
    order = np.lexsort((better, -similarity, member))  # of equal similarities the better keeper comes first
    chosen = np.full(num_nodes, -1, dtype=np.int64)
    _walk(order, better, member, chosen)
    return chosen


@njit(cache=True, nogil=True)
def _walk(order, better, member, chosen):
    """Edges come by rising member, so everything about a possible keeper is settled before it is asked for."""
    for edge in order:
        node = member[edge]
        if chosen[node] < 0 and chosen[better[edge]] < 0:
            chosen[node] = edge
