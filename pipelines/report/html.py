"""HTML by construction: elements are built from values, and every value that is not an element is escaped.

    el("p", "1 < 2", class_="note")  ->  <p class="note">1 &lt; 2</p>

So no text from a dump can become mark-up, whoever forgets what.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_VOID = frozenset({"meta", "br", "hr", "img", "input"})


class Html:
    """Finished mark-up. Only this module makes it from text."""

    __slots__ = ("markup",)

    def __init__(self, markup: str) -> None:
        self.markup = markup

    def __str__(self) -> str:
        return self.markup


Child = Html | str | int | float | None


def el(tag: str, *children: Child | Iterable[Child], **attributes: object) -> Html:
    """An element. ``class_`` means ``class``; other underscores become hyphens; None leaves an attribute out."""
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        if value is not None:
            parts.append(f' {name.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"')
    parts.append(">")
    if tag in _VOID:
        return Html("".join(parts))
    parts.append(join(*children).markup)
    parts.append(f"</{tag}>")
    return Html("".join(parts))


def join(*children: Child | Iterable[Child]) -> Html:
    """Children one after the other; texts and numbers are escaped, None is nothing."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child.markup)
        elif isinstance(child, str | int | float):
            parts.append(escape(_clean(str(child)), quote=False))
        elif child is not None:
            parts.append(join(*child).markup)
    return Html("".join(parts))


def _clean(text: str) -> str:
    """Drop what no HTML document may hold: control characters and half surrogate pairs."""
    return "".join(
        c for c in text if c in "\n\t" or not (c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff")
    )


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]], *, left: int = 1, class_: str = "") -> Html:
    """A table that scrolls sideways where it must; the first ``left`` columns are text, the rest numbers."""

    def cells(tag: str, row: Sequence[Child]) -> Html:
        return el("tr", (el(tag, cell, class_="text" if i < left else "number") for i, cell in enumerate(row)))

    body = el("table", el("thead", cells("th", head)), el("tbody", (cells("td", row) for row in rows)))
    return el("div", body, class_=f"scroll {class_}".strip())


def section(key: str, title: str, *children: Child | Iterable[Child], lead: Child = None) -> Html:
    """A section with an anchor, a heading and perhaps a sentence of introduction."""
    return el("section", el("h2", title), el("p", lead, class_="lead") if lead else None, *children, id=key)


def fold(title: Child, *children: Child | Iterable[Child], open_: bool = False) -> Html:
    """A part that opens on demand."""
    return el("details", el("summary", title), *children, open="" if open_ else None)


def chip(text: Child, kind: str = "") -> Html:
    """A small label."""
    return el("span", text, class_=f"chip {kind}".strip())


def count(value: float) -> str:
    """1,234 below a million, 12.3 M above."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= limit:
            return f"{value / limit:.1f} {unit}" if abs(value) < 100 * limit else f"{value / limit:,.0f} {unit}"
    return f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """Share with as many digits as it deserves; nothing of nothing is an empty text."""
    if not whole:
        return ""
    share = 100 * part / whole
    return f"{share:.1f} %" if share < 99.95 and share >= 0.05 else f"{share:.2g} %" if share < 1 else f"{share:.0f} %"


def seconds(value: float) -> str:
    """0.42 s, 12.3 s, 4 min 05 s, 3 h 20 min."""
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(num_bytes: float) -> str:
    """Bytes in decimal units."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= limit:
            return f"{num_bytes / limit:.1f} {unit}"
    return f"{num_bytes:.0f} B"


def number(value: object) -> str:
    """A measured value in four significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}"
