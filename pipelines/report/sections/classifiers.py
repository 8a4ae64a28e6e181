"""Trained filters: how good each model is on the texts that never trained it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.report.charts import Series, heat_grid, line_chart
from pipelines.report.html import Html, count, el, fold, number, percent, section, table
from pipelines.report.summary import NodeSummary, RunSummary

_LEAD = (
    "Measured on held-out examples. AUC: the chance that a positive example scores above a negative one. A calibrated "
    "score of 0.8 is right eight times in ten: its line lies on the diagonal."
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
    kind = "mean AUC of the labels" if facts["positive"] is None else "AUC"
    return el(
        "div",
        el("h3", f"{node.name}: {_what(facts)}"),
        el(
            "p",
            f"{kind} {number(held_out['auc'])}, accuracy {number(held_out['accuracy'])}, expected calibration error "
            f"{number(held_out['calibration']['expected_error'])}. Examples for training + held out: {examples}.",
        ),
        el("div", list(_charts(facts["labels"], held_out)), class_="pair"),
        list(_tables(facts["labels"], held_out)),
    )


def _what(facts: Mapping[str, Any]) -> str:
    if facts["positive"] is None:
        return f"{facts['name']}_score_<label>, the probability of each of {len(facts['labels'])} labels"
    return f"{facts['name']}_score, the probability of {facts['positive']!r}"


def _charts(labels: list[str], held_out: Mapping[str, Any]) -> Iterator[Html | None]:
    """Two side by side; a classifier of kinds has no limits to draw, and shows its labels there."""
    bins = held_out["calibration"]["bins"]
    perfect = Series("perfectly calibrated", [0.0, 1.0], [0.0, 1.0])
    seen = Series("this model", [row["mean_score"] for row in bins], [row["positive"] for row in bins])
    yield line_chart("Calibration: share truly so over mean score", [seen, perfect], from_zero=True)
    rows = held_out["thresholds"]
    if rows:
        limits = [row["threshold"] for row in rows]
        lines = [Series(key, limits, [_or_nan(row[key]) for row in rows]) for key in ("precision", "recall")]
        yield line_chart("Precision and recall over the limit of the score", lines, from_zero=True)
    else:
        yield _label_table(labels, held_out)


def _or_nan(value: float | None) -> float:
    """Charts leave out what is no number."""
    return math.nan if value is None else value


def _tables(labels: list[str], held_out: Mapping[str, Any]) -> Iterator[Html]:
    if held_out["thresholds"]:
        keys = ("threshold", "precision", "recall", "called")
        rows = [[number(row[key]) for key in keys] for row in held_out["thresholds"]]
        yield table(("score at least", "precision", "recall", "called positive"), rows)
        if len(labels) > 2:
            yield _label_table(labels, held_out)
    if len(labels) > 2 or not held_out["thresholds"]:
        yield fold("which labels are taken for which (rows: true, columns: called)", _confusion(labels, held_out))
    keys = ("from", "examples", "mean_score", "positive")
    rows = [[number(row[key]) for key in keys] for row in held_out["calibration"]["bins"]]
    yield fold("calibration by tenths", table(("score from", "examples", "mean score", "truly so"), rows))


def _label_table(labels: list[str], held_out: Mapping[str, Any]) -> Html:
    keys = ("examples", "precision", "recall", "f1", "auc")
    named = zip(labels, held_out["labels"], strict=True)
    rows = [[name, *(number(row[key]) for key in keys)] for name, row in named]
    return table(("likeliest label", "examples", "precision", "recall", "F1", "AUC"), rows)


def _confusion(labels: list[str], held_out: Mapping[str, Any]) -> Html:
    rows = []
    for label, counts in zip(labels, held_out["confusion"], strict=True):
        whole = sum(counts)
        shares = [(n, n / whole if whole else 0.0, called) for n, called in zip(counts, labels, strict=True)]
        rows.append((label, [(count(n), share, f"{called}: {percent(n, whole)}") for n, share, called in shares]))
    return heat_grid(labels, rows)
