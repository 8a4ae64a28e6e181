"""Trained filters: how good each model is on the texts that never trained it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.report.html import Html, el, number, section, table
from pipelines.report.summary import NodeSummary, RunSummary

_LEAD = (
    "Measured on held-out examples. AUC: the chance that a positive example scores above a negative one. A calibrated "
    "score of 0.8 is right eight times in ten."
)


def classifiers(run: RunSummary) -> Html | None:
    """Held-out figures of every classifier of the run."""
    parts = [_classifier(node) for node in run.of_kind("classifier") if "held_out" in node.artifact.facts]
    return section("classifiers", "Classifiers", parts, lead=_LEAD) if parts else None


def _classifier(node: NodeSummary) -> Html:
    facts: Mapping[str, Any] = node.artifact.facts
    held_out = facts["held_out"]
    examples = ", ".join(
        f"{label} {counts['train']:,} + {counts['held_out']:,}" for label, counts in sorted(facts["examples"].items())
    )
    calibration = held_out["calibration"]
    return el(
        "div",
        el("h3", f"{node.name}: {facts['name']}_score, the probability of {facts['positive']!r}"),
        el(
            "p",
            f"AUC {number(held_out['auc'])}, accuracy {number(held_out['accuracy'])}, expected calibration error "
            f"{number(calibration['expected_error'])}. Examples for training + held out: {examples}.",
        ),
        table(
            ("score at least", "precision", "recall", "called positive"),
            [
                [number(row[key]) for key in ("threshold", "precision", "recall", "called")]
                for row in held_out["thresholds"]
            ],
        ),
        table(
            ("score from", "examples", "mean score", "truly positive"),
            [
                [number(row[key]) for key in ("from", "examples", "mean_score", "positive")]
                for row in calibration["bins"]
            ],
        ),
    )
