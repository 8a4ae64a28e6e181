"""How a preview is shown: on the terminal, and as a page without scripts or requests."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.inspect.places import Place
from pipelines.inspect.preview import Preview
from pipelines.report.html import Html, el, fold, join, number, section, table
from pipelines.report.style import CSS
from stages.filter.rules import Rule
from stages.filter.what_if import Amounts, Near

_GROUP_HEAD = (
    "source",
    "domain",
    "documents",
    "kept before",
    "kept after",
    "lost",
    "won",
    "tokens before",
    "tokens after",
    "change",
)
_RULE_HEAD = ("rules of", "rule", "alone before", "alone after", "only before", "only after", "first after")
_TOGETHER = "all together"
#: Moved borders whose documents a terminal can hold.
_MAX_BORDERS = 4
_LEAD = (
    "alone: documents that the rule fails, whatever the others say; only: those that no other rule fails, so they "
    "would return without it; first: those whose drop reason it is; all together: those that any rule fails. Rules "
    "that fail none, before and after, are left out. Tokens are Han characters and words."
)


def rule_text(rule: Rule | None) -> str:
    """A rule as people write it."""
    if rule is None or rule.limit is None:
        return "off"
    return f"{rule.signal} {rule.drop_if} {number(rule.limit)}"


def _change(old: int, new: int) -> str:
    return f"{100 * (new - old) / old:+.2f} %" if old else ""


def _group_rows(preview: Preview) -> Iterator[tuple[str, ...]]:
    total = Amounts()
    for (source, domain), amounts in sorted(preview.comparison.groups.items()):
        total += amounts
        yield (source, domain, *_figures(amounts))
    yield ("all", "", *_figures(total))


def _figures(a: Amounts) -> tuple[str, ...]:
    counts = (a.documents, a.documents_before, a.documents_after, a.lost, a.won, a.tokens_before, a.tokens_after)
    return (*(f"{count:,}" for count in counts), _change(a.tokens_before, a.tokens_after))


def _rule_rows(preview: Preview) -> Iterator[tuple[str, ...]]:
    """Rules that fail some document, before or after, and what those of a domain do together."""
    before, after = preview.comparison.before, preview.comparison.after
    nothing: dict[str, int] = {}
    for domain in sorted({*before, *after}):
        old, new = before.get(domain, {}), after.get(domain, {})
        for name in dict.fromkeys([*new, *old]):
            a, b = old.get(name, nothing), new.get(name, nothing)
            if not (a.get("alone") or b.get("alone")):
                continue
            cells = ((a, "alone"), (b, "alone"), (a, "only"), (b, "only"), (b, "first"))
            yield (domain, name, *(f"{side[key]:,}" if side else "off" for side, key in cells))
        dropped = [sum(counts["first"] for counts in side.values()) for side in (old, new)]
        yield (domain, _TOGETHER, *(f"{number:,}" for number in dropped), "", "", f"{dropped[1]:,}")


def _unheard(preview: Preview) -> list[str]:
    """Sentences on the rules that do nothing."""
    found = []
    if preview.silent:
        found.append(f"never fire: {', '.join(preview.silent)}")
    if preview.idle:
        found.append(f"no document to judge, so nothing is known of the rules of: {', '.join(preview.idle)}")
    return found


def print_preview(console: Console, preview: Preview) -> None:
    """Tables, then documents beside every moved border."""
    console.print(f"[bold]{escape(preview.node)}[/] of run {preview.run_id}, from its stored signals", highlight=False)
    for domain, name, old, new in preview.changes:
        line = f"  {domain}.{name}: {rule_text(old)} -> {rule_text(new)}"
        console.print(escape(line), highlight=False)
    if not preview.changes:
        console.print("  no rule is changed: give changes as for `kaitian run`", highlight=False)
    for title, head, rows in (
        ("documents", _GROUP_HEAD, _group_rows(preview)),
        ("rules", _RULE_HEAD, _rule_rows(preview)),
    ):
        shown = Table(title=title, box=None)
        for position, column in enumerate(head):
            shown.add_column(column, justify="left" if position < 2 else "right")
        for row in rows:
            shown.add_row(*(escape(cell) for cell in row))
        console.print(shown)
    console.print(_LEAD, highlight=False)
    for sentence in _unheard(preview):
        console.print(escape(sentence), highlight=False)
    borders = sorted(preview.comparison.borders.items())
    if len(borders) > _MAX_BORDERS:
        console.print(f"{len(borders)} borders moved; their documents are on the page (--html)", highlight=False)
        return
    for (domain, name), border in borders:
        for side, near in (("just kept", border.inside), ("just dropped", border.outside)):
            if near:
                console.print(f"\n[bold]{side}[/] at {escape(f'{domain}.{name}')}", highlight=False)
            for one in near:
                document = preview.documents[Place(one.shard, one.row)]
                text = f"  {number(one.value)}  {document.doc_id}  {' '.join(document.text.split())[:120]}"
                console.print(escape(text), highlight=False, soft_wrap=True)


def preview_page(preview: Preview) -> str:
    """The whole page as text."""
    changes = [el("li", f"{d}.{n}: {rule_text(old)} → {rule_text(new)}") for d, n, old, new in preview.changes]
    silent = [el("p", sentence[0].upper() + sentence[1:]) for sentence in _unheard(preview)]
    borders = [
        fold(join(el("b", f"{domain}.{name}"), f"  {side}"), [_near(preview, one) for one in near], open_=True)
        for (domain, name), border in sorted(preview.comparison.borders.items())
        for side, near in (("just kept", border.inside), ("just dropped", border.outside))
        if near
    ]
    return bare_page(
        f"preview of {preview.node}, run {preview.run_id}",
        section("changes", "Changed rules", el("ul", changes) if changes else el("p", "None.")),
        section("documents", "Documents", table(_GROUP_HEAD, _group_rows(preview), left=2)),
        section("rules", "Rules", table(_RULE_HEAD, _rule_rows(preview), left=2), silent, lead=_LEAD),
        section("borders", "Beside the moved borders", borders) if borders else None,
    )


def bare_page(title: str, *sections: Html | None) -> str:
    """A page of its own, as text: no scripts, no requests."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(CSS)),
    )
    body = el("body", el("header", el("div", el("h1", title))), el("main", *sections))
    return "<!DOCTYPE html>\n" + join(el("html", head, body, lang="en")).markup + "\n"


def _near(preview: Preview, one: Near) -> Html:
    document = preview.documents[Place(one.shard, one.row)]
    head = el("div", el("b", number(one.value)), f"{document.source} {document.title or document.url}", class_="head")
    return el("div", head, el("div", document.doc_id, class_="url"), el("p", document.text), class_="doc")
