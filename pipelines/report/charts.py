"""Charts as inline SVG and HTML bars: no image library, no script; colours come from the style sheet.

A line chart keeps at most a few hundred points per line, so that a run of a million steps is still a small page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.report.html import Html, el

_WIDTH, _HEIGHT = 520, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 26
_NUM_COLOURS = 8
_MOST_POINTS = 300


@dataclass(frozen=True, slots=True)
class Series:
    """One line: y over x; points that are no finite number are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def colour(index: int) -> str:
    """CSS colour of the series at ``index``."""
    return f"var(--s{index % _NUM_COLOURS + 1})"


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and up to ``window - 1`` before it."""
    sums = 0.0
    means = []
    for position, value in enumerate(values):
        sums += value
        if position >= window:
            sums -= values[position - window]
        means.append(sums / min(position + 1, window))
    return means


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) inside [low, high]."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def line_chart(title: str, series: Sequence[Series], *, smooth: bool = False, from_zero: bool = False) -> Html | None:
    """A figure with one line per series; with ``smooth`` the values stand pale behind their moving mean."""
    lines = [_finite(one) for one in series]
    lines = [one for one in lines if one.x]
    if not lines:
        return None
    x_low, x_high = min(min(s.x) for s in lines), max(max(s.x) for s in lines)
    y_low, y_high = min(min(s.y) for s in lines), max(max(s.y) for s in lines)
    y_low = min(0.0, y_low) if from_zero else y_low
    if y_high - y_low < 1e-12 * max(1.0, abs(y_high)):
        y_low, y_high = y_low - (abs(y_low) * 0.1 or 1.0), y_high + (abs(y_high) * 0.1 or 1.0)
    margin = 0.04 * (y_high - y_low)
    y_low, y_high = (y_low if from_zero else y_low - margin), y_high + margin

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (y - y_low) / (y_high - y_low)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    drawn: list[Html] = []
    for value in ticks(y_low, y_high):
        y = place(x_low, value)[1]
        drawn.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_round(y), y2=_round(y), class_="rule"))
        drawn.append(el("text", short(value), x=_LEFT - 7, y=_round(y + 4), text_anchor="end"))
    for value in ticks(x_low, x_high, 6):
        x = place(value, y_low)[0]
        drawn.append(el("text", short(value), x=_round(x), y=_HEIGHT - 8, text_anchor="middle"))
    base = _HEIGHT - _BOTTOM
    drawn.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=base, y2=base, class_="axis"))
    for index, one in enumerate(lines):
        means = moving_mean(one.y, max(1, len(one.y) // 12)) if smooth else list(one.y)
        if smooth and len(one.y) > 8:
            drawn.append(_polyline(one.x, one.y, place, colour(index), "raw"))
        drawn.append(_polyline(one.x, means, place, colour(index), None))
    image = el("svg", *drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=title)
    caption = legend([(one.name, colour(index)) for index, one in enumerate(lines)]) if len(lines) > 1 else None
    return el("figure", el("figcaption", title), image, caption)


def _finite(one: Series) -> Series:
    points = [(x, y) for x, y in zip(one.x, one.y, strict=True) if math.isfinite(y)]
    return Series(one.name, [x for x, _ in points], [y for _, y in points])


def _polyline(
    x: Sequence[float],
    y: Sequence[float],
    place: Callable[[float, float], tuple[float, float]],
    stroke: str,
    class_: str | None,
) -> Html:
    chosen = range(0, len(x), max(1, -(-len(x) // _MOST_POINTS)))
    points = [place(x[i], y[i]) for i in {*chosen, len(x) - 1}]
    if len(points) == 1:
        (across, down), *_ = points
        return el("circle", cx=_round(across), cy=_round(down), r=3, fill=stroke)
    text = " ".join(f"{_round(across)},{_round(down)}" for across, down in sorted(points))
    return el("polyline", points=text, stroke=stroke, class_=class_)


def _round(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def short(value: float) -> str:
    """Label of a tick."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:.6g}"


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """Swatches with names."""
    return el(
        "div", (el("span", el("i", style=f"background:{paint}"), name) for name, paint in entries), class_="legend"
    )


def stacked_bar(parts: Mapping[str, float], whole: float, title: str) -> Html:
    """A track whose segments (class -> amount) fill their shares of ``whole``."""
    segments = (
        el("i", class_=kind, style=f"width:{100 * amount / whole:.3f}%") for kind, amount in parts.items() if amount
    )
    return el("div", segments if whole else None, class_="track free", title=title)


def plain_bar(amount: float, whole: float, *, paint: str | None = None, mark: float | None = None) -> Html:
    """One bar, perhaps with a mark where it should end."""
    width = 100 * amount / whole if whole else 0.0
    style = f"width:{width:.3f}%" + (f";background:{paint}" if paint else "")
    bar = el("i", class_="plain", style=style)
    wanted = el("i", class_="mark", style=f"left:{100 * mark / whole:.3f}%") if mark is not None and whole else None
    return el("div", bar, wanted, class_="track")


def bars(rows: Iterable[tuple[Html | str, Html, Html | str]]) -> Html:
    """Rows of (label, track, value)."""
    return el(
        "div",
        (
            el("div", el("div", label, class_="label"), track, el("div", value, class_="value"), class_="bar")
            for label, track, value in rows
        ),
        class_="bars",
    )


def heat(text: str, share: float, title: str | None = None) -> Html:
    """A cell whose background says how much; ``share`` is in [0, 1]."""
    return el("span", text, class_="heat", style=f"--v:{min(1.0, max(0.0, share)) * 0.75:.3f}", title=title)


def heat_grid(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[tuple[str, float, str]]]]) -> Html:
    """A matrix of cells (text, share, title) with row and column labels."""
    head = el("tr", el("th"), (el("th", name) for name in columns))
    body = (
        el("tr", el("th", name), (el("td", heat(text, share, title)) for text, share, title in cells))
        for name, cells in rows
    )
    return el("div", el("table", el("thead", head), el("tbody", body), class_="grid"), class_="scroll")
