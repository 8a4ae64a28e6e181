"""The page on which people judge a sample: one file, no request, a tick per document, saved as labels.

The page saves JSON lines of {text, label, doc_id, source, outcome, stratum}, label "keep" or "drop": what
`train_classifier` takes. What the filter said is folded away, so that the reader judges the text first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from pipelines.inspect.sample import Judged
from pipelines.report.html import Html, el, fold, join, number, section, table
from pipelines.report.style import CSS

_STYLE = """
.review .text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 22em; overflow-y: auto; margin: 8px 0; }
.review label { margin-right: 18px; cursor: pointer; }
.review.current { outline: 2px solid var(--accent); }
.bar-fixed { position: sticky; top: 0; z-index: 1; background: var(--card); border-bottom: 1px solid var(--line);
  padding: 8px 20px; display: flex; gap: 16px; align-items: center; }
"""
#: Nothing may be loaded from anywhere, whatever a text holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_SCRIPT = """
const records = JSON.parse(document.getElementById("records").textContent);
const cards = [...document.querySelectorAll(".review")];
let current = 0, saved = 0;
const ticked = () => cards.flatMap((card, i) => {
  const input = card.querySelector("input:checked");
  return input ? [{...records[i], label: input.value}] : [];
});
function show() {
  document.getElementById("progress").textContent = `${ticked().length} of ${cards.length} judged`;
  cards.forEach((card, i) => card.classList.toggle("current", i === current));
}
function judge(value) {
  const input = cards[current].querySelector(`input[value=${value}]`);
  input.checked = true;
  current = Math.min(current + 1, cards.length - 1);
  cards[current].scrollIntoView({block: "center"});
  show();
}
function save() {
  const lines = ticked().map((record) => JSON.stringify(record) + "\\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, {type: "application/jsonl"}));
  link.download = document.body.dataset.file;
  link.click();
  saved = lines.length;
}
cards.forEach((card, i) => card.addEventListener("change", () => { current = i; show(); }));
document.getElementById("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (!cards.length || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "k") judge("keep");
  if (event.key === "d") judge("drop");
});
addEventListener("beforeunload", (event) => { if (ticked().length !== saved) event.preventDefault(); });
show();
"""


def records(sample: Sequence[Judged]) -> list[dict[str, str]]:
    """What a label line holds of each document, but for the label."""
    return [
        {
            "text": one.document.text,
            "doc_id": one.document.doc_id,
            "source": one.document.source,
            "outcome": one.outcome,
            "stratum": one.stratum,
        }
        for one in sample
    ]


def sample_page(sample: Sequence[Judged], title: str, file_name: str) -> str:
    """The whole page as text; ``file_name`` is what the labels are saved as."""
    # no "<" in the block: a text that closes the script element must not end it
    data = json.dumps(records(sample), ensure_ascii=False).replace("<", "\\u003c")
    strata = Counter(one.stratum for one in sample)
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
        el("span", "keys: k keep, d drop"), class_="bar-fixed",
    )  # fmt: skip
    body = el(
        "body",
        bar,
        el(
            "main",
            section("strata", title, fold("strata", table(("stratum", "documents"), sorted(strata.items())))),
            (_card(index, one) for index, one in enumerate(sample)),
        ),
        el("script", Html(data), id="records", type="application/json"),
        el("script", Html(_SCRIPT)),
        data_file=file_name,
    )
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
