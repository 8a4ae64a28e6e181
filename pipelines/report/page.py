"""The report of one run: a single HTML file without scripts or requests, for a browser, a phone or an attachment.

Sections whose nodes are not part of the run are left out.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.report.html import Html, el, join
from pipelines.report.sections import (
    classifiers,
    data,
    dedup,
    mixture,
    overview,
    provenance,
    samples,
    time,
    tokens,
    training,
)
from pipelines.report.style import CSS
from pipelines.report.summary import RunSummary


def build_page(run: RunSummary) -> str:
    """The whole page as text."""
    sections: list[tuple[str, str, Html | None]] = [
        ("line", "Line", overview.line(run)),
        ("funnel", "Funnel", data.funnel(run)),
        ("reasons", "Reasons", data.reasons(run)),
        ("dedup", "Duplicates", dedup.dedup(run)),
        ("classifiers", "Classifiers", classifiers.classifiers(run)),
        ("tokens", "Tokens", tokens.tokens(run)),
        ("mixture", "Mixture", mixture.mixture(run)),
        ("training", "Training", training.training(run)),
        ("experts", "Experts", training.experts(run)),
        ("evaluation", "Perplexity", training.evaluation(run)),
        ("time", "Time", time.time(run)),
        ("samples", "Documents", samples.samples(run)),
        ("quarantine", "Quarantine", data.quarantine(run)),
        ("provenance", "Provenance", provenance.provenance(run)),
    ]
    present = [(key, title, body) for key, title, body in sections if body is not None]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{run.pipeline} {run.run_id}"),
        el("style", Html(CSS)),
    )
    body = el(
        "body",
        overview.header(run, [(key, title) for key, title, _ in present]),
        el(
            "main",
            overview.tiles(run),
            overview.warnings(run),
            (section for _, _, section in present),
            el("footer", "Written by Kaitian from the manifests of this run."),
        ),
    )
    return "<!DOCTYPE html>\n" + join(el("html", head, body, lang="en")).markup + "\n"


def write_report(path: Path, run: RunSummary) -> None:
    """Write the page, by rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(build_page(run), encoding="utf-8")
    os.replace(temporary, path)
