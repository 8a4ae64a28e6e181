"""Which blocks are the page's content: boosted trees over the features, twice, and the set with the best expected F1.

The trees are *oblivious* (all nodes of a level ask the same question; Kohavi 1994, CatBoost): a block's leaf is a
number of ``DEPTH`` bits, and a tree is one row of :mod:`stages.ingest.block_weights`. The second pass sees what the
first said of the neighbours, of look-alikes and of the elements above. Nothing here knows a site; the weights come
from ``tests/bench/train_extraction.py``. Importing this module loads Numba.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.ingest.block_features import by_look, looks_of
from stages.ingest.page_scan import BLOCK_PARENT, NODE, PARENT, TOKENS, Scan

#: Levels of every tree.
DEPTH = 4
#: What the second pass sees besides the features: opinions of the first pass.
OPINIONS = (
    "own", "before_1", "before_2", "after_1", "after_2", "near", "alike", "up_1", "up_2", "up_3", "up_5", "page",
    "content_before", "content_after",
)  # fmt: skip
_LEVELS = np.array([1, 2, 3, 5])
_NEAR = 5
#: Added to the tokens of a block, so that blocks of marks alone are decided as well.
_LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class Trees:
    """One boosted model."""

    bias: float
    features: np.ndarray  # int32 [trees, DEPTH]
    limits: np.ndarray  # float32 [trees, DEPTH]: a bit is set where the feature is above
    leaves: np.ndarray  # float32 [trees, 2**DEPTH]: added to the log odds

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probability of every row, float64 [rows]."""
        return 1 / (1 + np.exp(-_margins(features, self.bias, self.features, self.limits, self.leaves)))

    @classmethod
    def read(cls, bias: float, rows: tuple[str, ...]) -> Trees:
        """Trees from rows ``features / limits / leaves in thousandths``, numbers parted by blanks."""
        parts = [[field.split() for field in row.split("/")] for row in rows]
        return cls(
            bias,
            np.array([row[0] for row in parts], dtype=np.int32),
            np.array([row[1] for row in parts], dtype=np.float32),
            np.array([row[2] for row in parts], dtype=np.float32) / 1000,
        )


@functools.cache
def trained() -> tuple[Trees, Trees]:
    """The two models that ship."""
    from stages.ingest import block_weights as weights

    return Trees.read(weights.FIRST_BIAS, weights.FIRST), Trees.read(weights.SECOND_BIAS, weights.SECOND)


def content_probabilities(page: Scan, features: np.ndarray) -> np.ndarray:
    """How likely each block belongs to the content, float64 [blocks]."""
    first, second = trained()
    opinions = page_opinions(page, first.probabilities(features))
    return second.probabilities(np.hstack([features, opinions]))


def page_opinions(page: Scan, probabilities: np.ndarray) -> np.ndarray:
    """What the first pass said around every block, float32 [blocks, OPINIONS]."""
    opinions = np.zeros((len(page.blocks), len(OPINIONS)), np.float32)
    if len(page.blocks):
        looks = looks_of(page)
        _fill_opinions(page.nodes, page.blocks, looks, by_look(looks), probabilities, opinions)
    return opinions


def best_blocks(page: Scan, probabilities: np.ndarray) -> np.ndarray:
    """Rows of the blocks to keep, in order: those above the cut with the best expected F1 in tokens.

    The expected F1 of the k likeliest blocks is taken as 2 E[common] / (chosen + E[content]) (plug-in form).
    """
    if not len(probabilities):
        return np.empty(0, np.int64)
    weights = page.blocks[:, TOKENS] + _LEAST_WEIGHT
    order = np.argsort(-probabilities, kind="stable")
    common, chosen = np.cumsum((probabilities * weights)[order]), np.cumsum(weights[order])
    expected = 2 * common / (chosen + common[-1])
    return np.sort(order[: int(np.argmax(expected)) + 1])


@njit(cache=True, nogil=True)
def _margins(features, bias, columns, limits, leaves):
    found = np.full(features.shape[0], bias)
    for row in range(features.shape[0]):
        line = features[row]
        total = bias
        for tree in range(columns.shape[0]):
            leaf = 0
            for level in range(columns.shape[1]):
                leaf = leaf << 1 | (line[columns[tree, level]] > limits[tree, level])
            total += leaves[tree, leaf]
        found[row] = total
    return found


@njit(cache=True, nogil=True)
def _fill_opinions(nodes, blocks, looks, order, probabilities, out):
    num_blocks = blocks.shape[0]
    weights = np.zeros(num_blocks, np.float64)
    below = np.zeros((nodes.shape[0], 2), np.float64)
    for row in range(num_blocks):
        weights[row] = blocks[row, TOKENS] + 0.5
        below[blocks[row, NODE], 0] += weights[row] * probabilities[row]
        below[blocks[row, NODE], 1] += weights[row]
    for node in range(nodes.shape[0] - 1, 0, -1):
        below[nodes[node, PARENT], 0] += below[node, 0]
        below[nodes[node, PARENT], 1] += below[node, 1]
    passed = 0.0
    for row in range(num_blocks):
        line = out[row]
        line[0] = probabilities[row]
        line[1] = probabilities[row - 1] if row > 0 else 0
        line[2] = probabilities[row - 2] if row > 1 else 0
        line[3] = probabilities[row + 1] if row + 1 < num_blocks else 0
        line[4] = probabilities[row + 2] if row + 2 < num_blocks else 0
        total = weight = 0.0
        for other in range(max(0, row - _NEAR), min(num_blocks, row + _NEAR + 1)):
            if other != row:
                total += weights[other] * probabilities[other]
                weight += weights[other]
        line[5] = total / weight if weight > 0 else 0
        above, level = blocks[row, NODE], 1
        for which in range(4):
            while level < _LEVELS[which] and above > 0:
                above = nodes[above, BLOCK_PARENT]
                level += 1
            line[7 + which] = below[above, 0] / below[above, 1]
        line[11] = below[0, 0] / below[0, 1]
        line[12] = passed / below[0, 0]
        passed += weights[row] * probabilities[row]
        line[13] = (below[0, 0] - passed) / below[0, 0]
    start = 0
    for place in range(1, num_blocks + 1):
        if place < num_blocks and looks[order[place]] == looks[order[start]]:
            continue
        total = weight = 0.0
        for inside in range(start, place):
            total += weights[order[inside]] * probabilities[order[inside]]
            weight += weights[order[inside]]
        for inside in range(start, place):
            out[order[inside], 6] = total / weight
        start = place
