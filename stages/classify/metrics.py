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


def of_each_label(probabilities_NL: np.ndarray, label_N: np.ndarray) -> list[dict[str, Any]]:
    """Precision, recall and their harmonic mean of every label when the likeliest is called, and the area of its
    score; L of them, in order."""
    called_N = probabilities_NL.argmax(axis=1)
    rows = []
    for number in range(probabilities_NL.shape[1]):
        num_right = int(((called_N == number) & (label_N == number)).sum())
        num_called, num_true = int((called_N == number).sum()), int((label_N == number).sum())
        area = area_under_curve(probabilities_NL[:, number], label_N == number)
        rows.append({
            "examples": num_true,
            "precision": _ratio(num_right, num_called),
            "recall": _ratio(num_right, num_true),
            "f1": _ratio(2 * num_right, num_called + num_true),
            "auc": None if area is None else round(area, _DIGITS),
        })  # fmt: skip
    return rows


def confusion(probabilities_NL: np.ndarray, label_N: np.ndarray) -> list[list[int]]:
    """How many examples of each label (outer list) were called each label (inner)."""
    num_labels = probabilities_NL.shape[1]
    cells = label_N * num_labels + probabilities_NL.argmax(axis=1)
    counts: list[list[int]] = np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels).tolist()
    return counts


def mean_area(probabilities_NL: np.ndarray, label_N: np.ndarray) -> float | None:
    """Mean over the labels of the area of each score; None where a label, or everything but it, is missing."""
    areas = [row["auc"] for row in of_each_label(probabilities_NL, label_N)]
    return None if None in areas else round(float(np.mean(areas)), _DIGITS)


def held_out_report(probabilities_NL: np.ndarray, label_N: np.ndarray, positive: int | None) -> dict[str, Any]:
    """Everything about the held-out examples; L labels, ``label_N`` their true numbers, ``positive`` the scored one.

    Without a positive label there is no table of thresholds, and calibration is that of the likeliest label's
    probability: how often it is right.
    """
    called_N = probabilities_NL.argmax(axis=1)
    if positive is None:
        area, thresholds = mean_area(probabilities_NL, label_N), []
        calibrated = calibration(probabilities_NL.max(axis=1), called_N == label_N)
    else:
        scores_N, positive_N = probabilities_NL[:, positive], label_N == positive
        area = area_under_curve(scores_N, positive_N)
        thresholds = [at_threshold(scores_N, positive_N, threshold) for threshold in THRESHOLDS]
        calibrated = calibration(scores_N, positive_N)
    return {
        "examples": int(label_N.size),
        "accuracy": _ratio(int((called_N == label_N).sum()), label_N.size),
        "auc": None if area is None else round(area, _DIGITS),
        "labels": of_each_label(probabilities_NL, label_N),
        "confusion": confusion(probabilities_NL, label_N),
        "thresholds": thresholds,
        "calibration": calibrated,
    }


def _ratio(part: int, whole: int) -> float | None:
    """None of nothing: a precision over no calls is neither good nor bad."""
    return round(part / whole, _DIGITS) if whole else None
