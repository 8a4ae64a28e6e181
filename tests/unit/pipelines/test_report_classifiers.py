"""The report's section on trained filters, from the facts that the stage writes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pipelines.report.page import build_page
from stages.classify.metrics import held_out_report
from tests.unit.pipelines.report_example import Example


def test_held_out_figures_stand_on_the_page(tmp_path: Path):
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3]])
    facts = {
        "name": "spam",
        "positive": "<ad>",
        "labels": ["<ad>", "ok"],
        "examples": {"<ad>": {"train": 12, "held_out": 2}, "ok": {"train": 34, "held_out": 2}},
        "held_out": held_out_report(probabilities, np.array([1, 0, 1, 0]), 1),
    }
    example = Example(tmp_path)
    example.add("model", "classifier", facts=facts)
    page = build_page(example.summary())
    assert "AUC 0.75, accuracy 0.5" in page
    assert "&lt;ad&gt; 12 + 2, ok 34 + 2" in page
    assert "<ad>" not in page
    assert page.count("0.6667") >= 1  # precision from 0.5 on


def test_the_calibration_plot_shows_the_bins_against_the_diagonal(tmp_path: Path):
    """Scores 0.9 and 0.1, right half the time and never: the line runs from (0.1, 0) to (0.9, 0.5)."""
    probabilities = np.array([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1]])
    held_out = held_out_report(probabilities, np.array([1, 0, 0]), 1)
    bins = [(row["mean_score"], row["positive"], row["examples"]) for row in held_out["calibration"]["bins"]]
    assert bins == [(0.1, 0.0, 1), (0.9, 0.5, 2)]
    assert held_out["calibration"]["expected_error"] == pytest.approx((1 * 0.1 + 2 * 0.4) / 3, abs=1e-6)
    facts = {"name": "spam", "positive": "ad", "labels": ["ok", "ad"], "examples": {}, "held_out": held_out}
    example = Example(tmp_path)
    example.add("model", "classifier", facts=facts)
    page = build_page(example.summary())
    figure = page[page.index("Calibration: share truly so") :]
    model, diagonal = re.findall(r'<polyline points="([^"]*)"', figure)[:2]
    corners = [[tuple(map(float, p.split(","))) for p in line.split()] for line in (model, diagonal)]
    (low, high), (zero, one) = corners
    across, up = one[0] - zero[0], one[1] - zero[1]
    assert (low[0] - zero[0]) / across == pytest.approx(0.1, abs=0.01)
    assert (high[0] - zero[0]) / across == pytest.approx(0.9, abs=0.01)
    assert (low[1] - zero[1]) / up == pytest.approx(0.0, abs=0.01)
    assert (high[1] - zero[1]) / up == pytest.approx(0.5, abs=0.01)


def test_a_classifier_of_kinds_shows_every_label(tmp_path: Path):
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]])
    held_out = held_out_report(probabilities, np.array([0, 1, 2]), None)
    facts = {"name": "kind", "positive": None, "labels": ["law", "news", "poem"], "examples": {}, "held_out": held_out}
    example = Example(tmp_path)
    example.add("model", "classifier", facts=facts)
    page = build_page(example.summary())
    assert "kind_score_&lt;label&gt;, the probability of each of 3 labels" in page
    assert "law: 100 %" in page  # the poem was called law
    assert "Precision and recall over" not in page


def test_runs_without_a_classifier_have_no_such_section(tmp_path: Path):
    example = Example(tmp_path)
    example.add("plain", "signals")
    assert "Classifiers" not in build_page(example.summary())
