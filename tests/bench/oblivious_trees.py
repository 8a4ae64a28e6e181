"""Boosting of oblivious trees with logistic loss, histograms and soft labels: small, repeatable, no library.

Every level of a tree takes the one question that lowers the loss most over all leaves together (CatBoost's symmetric
trees); leaves are Newton steps. Weighted rows, ridge on leaves, a seeded sample of columns for each tree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.ingest.block_model import DEPTH, Trees

NUM_BINS = 48


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """How to fit."""

    num_trees: int = 120
    rate: float = 0.12
    ridge: float = 3.0  # in units of a page's weight
    column_share: float = 0.4
    seed: int = 7


def fit(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, options: Boosting) -> Trees:
    """Trees for ``labels`` in [0, 1]; limits have four digits and leaves three decimals, as they are written down."""
    limits = [_limits(features[:, column]) for column in range(features.shape[1])]
    bins = np.stack([np.searchsorted(limit, features[:, c]) for c, limit in enumerate(limits)]).astype(np.uint8)
    random = np.random.default_rng(options.seed)
    share = float((labels * weights).sum() / weights.sum())
    bias = round(float(np.log(share / (1 - share))), 3)
    margins = np.full(len(labels), bias)
    num_cuts = np.array([len(limit) for limit in limits])
    num_sampled = max(1, round(options.column_share * len(limits)))
    found: list[tuple[list[int], list[float], np.ndarray]] = []
    for _ in range(options.num_trees):
        p = 1 / (1 + np.exp(-margins))
        slopes, curves = weights * (labels - p), weights * np.maximum(p * (1 - p), 1e-6)
        columns = np.sort(random.choice(len(limits), num_sampled, replace=False))
        leaf = np.zeros(len(labels), np.int64)
        questions: list[tuple[int, int]] = []
        for level in range(DEPTH):
            gains = _gains(bins, columns, num_cuts, leaf, 1 << level, slopes, curves, options.ridge)
            best = int(np.argmax(gains))
            column, cut = int(columns[best // NUM_BINS]), best % NUM_BINS
            questions.append((column, cut))
            leaf = leaf << 1 | (bins[column] > cut)
        steps = np.bincount(leaf, slopes, 1 << DEPTH) / (np.bincount(leaf, curves, 1 << DEPTH) + options.ridge)
        leaves = np.round(options.rate * steps, 3)
        margins += leaves[leaf]
        cuts = [float(limits[column][cut]) for column, cut in questions]
        found.append(([column for column, _ in questions], cuts, leaves))
    return Trees(
        bias,
        np.array([row[0] for row in found], np.int32),
        np.array([row[1] for row in found], np.float32),
        np.array([row[2] for row in found], np.float32),
    )


def _limits(values: np.ndarray) -> np.ndarray:
    """At most NUM_BINS - 1 cuts between the values of a column, rounded to four digits, ascending."""
    quantiles = np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    distinct = np.unique(values)
    if len(distinct) < NUM_BINS:
        quantiles = (distinct[:-1] + distinct[1:]) / 2
    rounded = np.unique(np.array([float(f"{value:.4g}") for value in quantiles], np.float32))
    return rounded if len(rounded) else np.zeros(1, np.float32)


@njit(cache=True)
def _gains(bins, columns, num_cuts, leaf, num_leaves, slopes, curves, ridge):
    """Lowering of the loss by every (column, cut), float64 [columns * NUM_BINS]."""
    gains = np.zeros(columns.size * NUM_BINS)
    for place in range(columns.size):
        row = bins[columns[place]]
        slope, curve = np.zeros((num_leaves, NUM_BINS)), np.zeros((num_leaves, NUM_BINS))
        for i in range(row.size):
            slope[leaf[i], row[i]] += slopes[i]
            curve[leaf[i], row[i]] += curves[i]
        for one in range(num_leaves):
            all_slope, all_curve = slope[one].sum(), curve[one].sum()
            low_slope = low_curve = 0.0
            for cut in range(num_cuts[columns[place]]):
                low_slope += slope[one, cut]
                low_curve += curve[one, cut]
                high_slope, high_curve = all_slope - low_slope, all_curve - low_curve
                gains[place * NUM_BINS + cut] += low_slope**2 / (low_curve + ridge) + high_slope**2 / (
                    high_curve + ridge
                )
    return gains
