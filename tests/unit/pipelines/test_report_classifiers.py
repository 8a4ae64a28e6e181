"""The report's section on trained filters, from the facts that the stage writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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


def test_runs_without_a_classifier_have_no_such_section(tmp_path: Path):
    example = Example(tmp_path)
    example.add("plain", "signals")
    assert "Classifiers" not in build_page(example.summary())
