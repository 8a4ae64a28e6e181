"""The page on which people judge a sample: one file, no request, a tick per document, saved as labels.

The page saves JSON lines of {text, label, doc_id, source, outcome, stratum, stratum_documents}, label "keep" or "drop":
what `train_classifier` takes. What the filter said is folded away, so that the reader judges the text first; so is the
count of wrong decisions, per outcome and, weighing each stratum by its documents, over all that the filter judged. The
browser remembers ticks of a page until it is told to forget them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipelines.inspect.sample import KEPT, Judged
from pipelines.inspect.sample_script import SCRIPT
from pipelines.report.html import Html, el, fold, join, number, section, table
from pipelines.report.style import CSS

_STYLE = """
.review .text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 22em; overflow-y: auto; margin: 8px 0; }
.review label { margin-right: 18px; cursor: pointer; }
.review.current { outline: 2px solid var(--accent); }
.bar-fixed { position: sticky; top: 0; z-index: 1; background: var(--card); border-bottom: 1px solid var(--line);
  padding: 8px 20px; display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center; }
"""
#: Nothing may be loaded from anywhere, whatever a text holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def records(sample: Sequence[Judged]) -> list[dict[str, Any]]:
    """What a label line holds of each document, but for the label."""
    return [
        {
            "text": one.document.text,
            "doc_id": one.document.doc_id,
            "source": one.document.source,
            "outcome": one.outcome,
            "stratum": one.stratum,
            "stratum_documents": one.num_stratum,
        }
        for one in sample
    ]


def sample_page(sample: Sequence[Judged], title: str, file_name: str) -> str:
    """The whole page as text; ``file_name`` is what the labels are saved as, ``title`` names the draw."""
    # no "<" in the block: a text that closes the script element must not end it
    data = json.dumps(records(sample), ensure_ascii=False).replace("<", "\\u003c")
    drawn = Counter(one.stratum for one in sample)
    sizes = {one.stratum: one.num_stratum for one in sample}
    strata = [(name, drawn[name], f"{sizes[name]:,}") for name in sorted(drawn)]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(CSS + _STYLE)),
    )
    bar = el(
        "div", el("span", id="progress"), el("button", "save labels", id="save", type="button"),
        el("button", "forget ticks", id="forget", type="button"), el("span", "keys: k keep, d drop, u back"),
        class_="bar-fixed",
    )  # fmt: skip
    body = el(
        "body",
        bar,
        el(
            "main",
            section(
                "strata", title,
                fold("strata", table(("stratum", "drawn", "of documents"), strata)),
                fold("wrong decisions (look when all is judged)", el("div", id="wrong")),
            ),
            (_card(index, one) for index, one in enumerate(sample)),
        ),
        el("script", Html(data), id="records", type="application/json"),
        el("script", Html(SCRIPT)),
        data_file=file_name,
        data_kept=KEPT,
    )  # fmt: skip
    return "<!DOCTYPE html>\n" + join(el("html", head, body, lang="en")).markup + "\n"


def _card(index: int, one: Judged) -> Html:
    document = one.document
    cut = "" if document.num_characters == len(document.text) else f", {document.num_characters:,} characters in all"
    ticks = [
        el("label", el("input", type="radio", name=f"tick{index}", value=label), f" {label}")
        for label in ("keep", "drop")
    ]
    verdict = [one.outcome]
    if one.value is not None and one.limit is not None:
        verdict.append(f"value {number(one.value)}, limit {number(one.limit)}")
    if one.decile is not None:
        verdict.append(f"decile {one.decile}")
    return el(
        "section",
        el("div", el("b", document.title or document.url or document.doc_id), class_="head"),
        el("div", f"{document.source} / {document.domain}  {document.url}{cut}", class_="meta"),
        el("div", document.text, class_="text"),
        el("div", ticks),
        fold("what the filter said", el("p", ", ".join(verdict))),
        class_="review",
    )
