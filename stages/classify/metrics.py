"""How good a classifier is on examples that it never saw: precision, recall, area under the curve, calibration.

N examples; scores lie in [0, 1], ``positive`` says which examples truly are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Thresholds of the table from which a limit is chosen.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_NUM_BINS = 10
_DIGITS = 6


def area_under_curve(scores_N: np.ndarray, positive_N: np.ndarray) -> float | None:
    """Chance that a positive example scores above a negative one, ties counted half; None without both kinds."""
    num_positive = int(positive_N.sum())
    num_negative = positive_N.size - num_positive
    if not num_positive or not num_negative:
        return None
    _, place_N, counts = np.unique(scores_N, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of equal scores, from 1
    total = ranks[place_N][positive_N].sum()
    return float((total - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def at_threshold(scores_N: np.ndarray, positive_N: np.ndarray, threshold: float) -> dict[str, Any]:
    """Precision, recall and share called positive when scores of at least ``threshold`` are."""
    called_N = scores_N >= threshold
    num_right = int((called_N & positive_N).sum())
    num_called, num_positive = int(called_N.sum()), int(positive_N.sum())
    return {
        "threshold": threshold,
        "precision": _ratio(num_right, num_called),
        "recall": _ratio(num_right, num_positive),
        "called": _ratio(num_called, scores_N.size),
    }


def calibration(scores_N: np.ndarray, positive_N: np.ndarray) -> dict[str, Any]:
    """Ten equal bins of the score with their mean score and true share, and the expected calibration error: the mean
    distance of the two, weighted by examples (Guo et al. 2017, arXiv 1706.04599)."""
    bin_N = np.minimum((scores_N * _NUM_BINS).astype(np.int64), _NUM_BINS - 1)
    bins = []
    error = 0.0
    for index in range(_NUM_BINS):
        inside = bin_N == index
        count = int(inside.sum())
        if count:
            mean_score, share = float(scores_N[inside].mean()), float(positive_N[inside].mean())
            error += count * abs(mean_score - share)
            bins.append({
                "from": index / _NUM_BINS, "examples": count, "mean_score": round(mean_score, _DIGITS),
                "positive": round(share, _DIGITS),
            })  # fmt: skip
    return {"bins": bins, "expected_error": round(error / max(1, scores_N.size), _DIGITS)}


def held_out_report(probabilities_NL: np.ndarray, label_N: np.ndarray, positive: int) -> dict[str, Any]:
    """Everything about the held-out examples; L labels, ``label_N`` their true numbers, ``positive`` the scored one."""
    scores_N, positive_N = probabilities_NL[:, positive], label_N == positive
    area = area_under_curve(scores_N, positive_N)
    return {
        "examples": int(label_N.size),
        "accuracy": _ratio(int((probabilities_NL.argmax(axis=1) == label_N).sum()), label_N.size),
        "auc": None if area is None else round(area, _DIGITS),
        "thresholds": [at_threshold(scores_N, positive_N, threshold) for threshold in THRESHOLDS],
        "calibration": calibration(scores_N, positive_N),
    }


def _ratio(part: int, whole: int) -> float | None:
    """None of nothing: a precision over no calls is neither good nor bad."""
    return round(part / whole, _DIGITS) if whole else None
