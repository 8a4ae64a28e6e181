"""Figures of a classifier by hand, and against a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.classify.metrics import (
    area_under_curve,
    at_threshold,
    calibration,
    confusion,
    held_out_report,
    mean_area,
    of_each_label,
)

SCORES = np.array([0.9, 0.8, 0.5, 0.3])
POSITIVE = np.array([True, False, True, False])


def test_precision_and_recall_by_hand():
    assert at_threshold(SCORES, POSITIVE, 0.5) == {
        "threshold": 0.5, "precision": pytest.approx(2 / 3, abs=1e-6), "recall": 1.0, "called": 0.75,
    }  # fmt: skip
    assert at_threshold(SCORES, POSITIVE, 0.51)["recall"] == 0.5
    assert at_threshold(SCORES, POSITIVE, 0.95)["precision"] is None


def test_area_by_hand():
    assert area_under_curve(SCORES, POSITIVE) == 0.75  # three of four pairs stand right
    assert area_under_curve(np.zeros(4), POSITIVE) == 0.5
    assert area_under_curve(SCORES, np.ones(4, dtype=bool)) is None


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=30))
def test_area_is_the_share_of_pairs_in_order(pairs: list[tuple[float, bool]]):
    scores, positive = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    good, bad = scores[positive], scores[~positive]
    if not good.size or not bad.size:
        assert area_under_curve(scores, positive) is None
        return
    wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    assert area_under_curve(scores, positive) == pytest.approx(wins / (good.size * bad.size))


def test_calibration_by_hand():
    found = calibration(np.array([0.95, 0.95, 1.0, 0.05]), np.array([True, True, False, False]))
    assert [(b["from"], b["examples"], b["positive"]) for b in found["bins"]] == [(0.0, 1, 0.0), (0.9, 3, 0.666667)]
    assert found["expected_error"] == pytest.approx((1 * 0.05 + 3 * abs(2.9 / 3 - 2 / 3)) / 4, abs=1e-6)


def test_a_report_holds_every_figure():
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3]])
    report = held_out_report(probabilities, POSITIVE.astype(int), 1)
    assert (report["examples"], report["accuracy"], report["auc"]) == (4, 0.5, 0.75)
    assert [row["threshold"] for row in report["thresholds"]][:2] == [0.1, 0.2]


#: Six examples of the labels 0, 0, 1, 1, 2, 2; called 0, 1, 1, 1, 2, 0.
KINDS = np.array([
    [0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2],
])  # fmt: skip
TRUE_KINDS = np.array([0, 0, 1, 1, 2, 2])


def test_each_label_by_hand():
    assert confusion(KINDS, TRUE_KINDS) == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    first, second, third = of_each_label(KINDS, TRUE_KINDS)
    assert (first["precision"], first["recall"], first["f1"]) == (0.5, 0.5, 0.5)
    assert (second["precision"], second["recall"], second["f1"]) == (pytest.approx(2 / 3, abs=1e-6), 1.0, 0.8)
    assert (third["precision"], third["recall"], third["examples"]) == (1.0, 0.5, 2)
    # the scores 0.8 and 0.3 against 0.1, 0.2, 0.1 and 0.6: seven of eight pairs stand right
    assert first["auc"] == 0.875
    # 0.7 and 0.5 against 0.1, 0.6, 0.1, 0.2: seven of eight; 0.8 and 0.2 against 0.1, 0.1, 0.2, 0.3: 6.5 of eight
    assert mean_area(KINDS, TRUE_KINDS) == pytest.approx((7 + 7 + 6.5) / 24, abs=1e-6)
    assert mean_area(KINDS[:4], TRUE_KINDS[:4]) is None  # the third label is missing


def test_without_a_positive_label_calibration_is_that_of_the_likeliest():
    report = held_out_report(KINDS, TRUE_KINDS, None)
    assert report["thresholds"] == []
    assert report["accuracy"] == pytest.approx(4 / 6, abs=1e-6)
    bins = {row["from"]: (row["examples"], row["positive"]) for row in report["calibration"]["bins"]}
    # right: 0.8, 0.7, 0.5 and 0.8; wrong: both of 0.6
    assert bins == {0.5: (1, 1.0), 0.6: (2, 0.0), 0.7: (1, 1.0), 0.8: (2, 1.0)}
    assert report["calibration"]["expected_error"] == pytest.approx((0.5 + 2 * 0.6 + 0.3 + 2 * 0.2) / 6, abs=1e-6)
