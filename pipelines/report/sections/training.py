"""How the training went: loss by domain, rates, expert load, and what the model knows in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_specs.errors import DataError
from data_specs.fingerprint import SHORT
from pipelines.lineage.backward import index_row, row_segments
from pipelines.report.charts import Series, bars, colour, heat_grid, line_chart, plain_bar
from pipelines.report.html import Child, Html, count, el, fold, number, section, table
from pipelines.report.summary import NodeSummary, RunSummary
from stages.pretrain.metrics import read_metrics

_MOST_EXPERTS = 64
_MOST_SPIKES, _MOST_DOCUMENTS = 20, 6
_TRACE = "kaitian trace --step S --row R --token K leads from a row to the raw records behind it."


def training(run: RunSummary) -> Html | None:
    """Curves of the last training node."""
    nodes = run.of_kind("checkpoints")
    if not nodes:
        return None
    node = nodes[-1]
    lines = _read(node)
    facts = node.artifact.facts
    charts: list[Html | None] = []
    if lines:
        steps = [float(line["step"]) for line in lines]
        charts = [
            line_chart("Loss by domain (nats per token)", _by_domain(lines), smooth=True),
            line_chart("Loss, all domains", [_series("loss", lines, steps)], smooth=True),
            line_chart("Learning rate", [_series("learning_rate", lines, steps)], from_zero=True),
            line_chart("Gradient norm", [_series("gradient_norm", lines, steps)], smooth=True, from_zero=True),
            line_chart("Tokens per second", [_series("tokens_per_second", lines, steps)], smooth=True, from_zero=True),
            line_chart("MFU", [_series("mfu", lines, steps)], smooth=True, from_zero=True),
            _step_parts(lines),
        ]
    return section(
        "training",
        "Training",
        el("div", charts, class_="pair") if charts else None,
        _spikes(run, lines),
        _first_and_last(facts),
        lead=f"{facts.get('num_steps', 0):,} steps, {count(facts.get('num_tokens', 0))} tokens.",
    )


def _read(node: NodeSummary) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl; none when the journal is gone (only the exported weights were kept)."""
    try:
        return read_metrics(node.artifact.path, int(node.artifact.facts.get("num_steps", 0)))
    except (OSError, DataError):
        return []


def _series(key: str, lines: Sequence[Mapping[str, Any]], steps: Sequence[float]) -> Series:
    return Series(key, steps, [_float(line.get(key)) for line in lines])


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _by_domain(lines: Sequence[Mapping[str, Any]]) -> list[Series]:
    domains = sorted({domain for line in lines for domain in line.get("loss_by_domain", {})})
    found = []
    for domain in domains:
        fed = [line for line in lines if domain in line.get("loss_by_domain", {})]
        points = [(float(line["step"]), line["loss_by_domain"][domain]) for line in fed]
        found.append(Series(domain, [x for x, _ in points], [float(y) for _, y in points]))
    return found


def _step_parts(lines: Sequence[Mapping[str, Any]]) -> Html | None:
    """Mean time of a step by part (waiting for data, forward, backward ...)."""
    sums: dict[str, float] = {}
    for line in lines:
        for part, spent in line.get("seconds", {}).items():
            sums[part] = sums.get(part, 0.0) + float(spent)
    if not sums:
        return None
    longest = max(sums.values()) or 1.0
    rows = [
        (part.replace("_", " "), plain_bar(spent, longest), f"{1000 * spent / len(lines):.1f} ms")
        for part, spent in sorted(sums.items(), key=lambda item: -item[1])
    ]
    return el("figure", el("figcaption", "Mean step by part"), bars(rows))


def _spikes(run: RunSummary, lines: Sequence[Mapping[str, Any]]) -> Html | None:
    """Losses that jumped, with the documents of the worst row of each."""
    found = [(line["step"], spike) for line in lines for spike in line.get("spikes", [])]
    if not found:
        return None
    body: list[Sequence[Child]] = []
    for step, spike in found[:_MOST_SPIKES]:
        worst = spike["rows"][0] if spike["rows"] else None
        body.append(
            (
                f"{step:,}",
                spike["domain"] or "all",
                number(spike["loss"]),
                number(spike["median"]),
                number(spike["score"]),
                "" if worst is None else f"{worst['row']}: {worst['component']} pool row {worst['pool_row']:,}",
                "" if worst is None else ", ".join(_documents_of(run, worst["component"], worst["pool_row"])),
            )
        )
    head = ("step", "domain", "loss", "median before", "score", "worst row", "its documents")
    name = f"Losses that jumped ({len(found):,})"
    return el("div", el("h3", name), table(head, body), el("p", _TRACE, class_="meta"))


def _documents_of(run: RunSummary, component: str, pool_row: int) -> list[str]:
    """Source and URL of the documents in a pool row; their ids where their index is not of this run."""
    pools = run.of_kind("pools")
    if not pools:
        return []
    try:
        segments = row_segments(pools[-1].artifact, component, pool_row)
    except (OSError, DataError):
        return []
    by_short = {node.artifact.fingerprint[:SHORT]: node.artifact for node in run.nodes}
    names = []
    for segment in segments[:_MOST_DOCUMENTS]:
        artifact = by_short.get(segment.tokens_shard.split("/", 1)[0])
        name = segment.doc_id.hex()
        if artifact is not None:
            try:
                index = index_row(artifact, Path(segment.tokens_shard).stem, segment)
                name = f"{index['source']} {index['url']}"
            except (OSError, DataError):
                pass
        names.append(name)
    more = len(segments) - _MOST_DOCUMENTS
    return [*names, f"{more} more"] if more > 0 else names


def _first_and_last(facts: Mapping[str, Any]) -> Html | None:
    first, last = facts.get("loss_first", {}), facts.get("loss_last", {})
    if not first or not last:
        return None
    window = facts.get("loss_window_steps", 1)
    body: list[Sequence[Child]] = [
        (domain, number(first.get(domain)), number(last.get(domain)), _change(first.get(domain), last.get(domain)))
        for domain in sorted({*first, *last})
    ]
    head = ("domain", f"loss, first {window} steps", f"loss, last {window} steps", "change")
    return fold("First and last loss", table(head, body))


def _change(first: float | None, last: float | None) -> str:
    return f"{last - first:+.3f}" if first is not None and last is not None else ""


def experts(run: RunSummary) -> Html | None:
    """Load of every routed expert, counted against the forecast of the pinned routing table."""
    trained, routed = run.of_kind("checkpoints"), run.of_kind("routing")
    if not trained or not routed:
        return None
    load = trained[-1].artifact.facts.get("expert_load") or []
    facts = routed[-1].artifact.facts
    domains, per_domain = list(facts.get("domains", [])), int(facts.get("experts_per_domain", 0))
    if not load or not domains or any(len(layer) != len(domains) * per_domain for layer in load):
        return None
    forecast = facts.get("forecast", {})
    parts = [
        _domain_load(domain, index, load, per_domain, forecast.get(domain, [])) for index, domain in enumerate(domains)
    ]
    return section(
        "experts",
        "Expert load",
        el("div", parts, class_="pair"),
        _kinds_of_table(facts),
        _from_plan(trained[-1]),
        lead="Share of a domain's tokens that each of its experts was given, layer by layer: counted in training, and "
        "as the routing table foretold from the corpus. An even load would be "
        f"{100 / per_domain:.3g} % each; full colour is twice that.",
    )


def _kinds_of_table(facts: Mapping[str, Any]) -> Html | None:
    """How hot the hottest expert of the first layer is under every kind of table, from the frozen counts."""
    kinds = facts.get("hottest_over_mean", {})
    if not kinds:
        return None
    body = [
        (
            f"{kind} (this run's)" if kind == facts.get("mode") else kind,
            *(f"{found[name]:.3f}" for name in sorted(found)),
        )
        for kind, found in kinds.items()
    ]
    names = sorted(next(iter(kinds.values())))
    return el(
        "div",
        el("p", "Hottest expert over the mean of its group, first layer, by kind of routing table:", class_="meta"),
        table(("table", *names), body, left=1),
    )


def _domain_load(
    domain: str, index: int, load: Sequence[Sequence[int]], per_domain: int, forecast: Sequence[Mapping[str, Any]]
) -> Html:
    rows: list[tuple[str, list[tuple[str, float, str]]]] = []
    shown = min(per_domain, _MOST_EXPERTS)
    hottest = []
    for layer, tokens in enumerate(load):
        mine = list(tokens[index * per_domain : (index + 1) * per_domain])
        total = sum(mine)
        shares = [amount / total if total else 0.0 for amount in mine]
        hottest.append(f"{max(shares) * per_domain:.2f}")
        rows.append(
            (
                f"layer {layer}",
                [
                    _cell(share, per_domain, f"{amount:,} tokens")
                    for share, amount in zip(shares[:shown], mine, strict=False)
                ],
            )
        )
        if layer < len(forecast):
            expected = list(forecast[layer].get("share", []))[:shown]
            rows.append(("forecast", [_cell(share, per_domain, "forecast") for share in expected]))
    columns = [str(expert) for expert in range(shown)]
    foot = f"hottest over mean: {', '.join(hottest)}"
    if forecast:
        foretold = [f"{float(one.get('hottest_over_mean', 0)):.2f}" for one in forecast]
        foot += f"; forecast {', '.join(foretold)}"
    caption = el("figcaption", el("i", style=f"color:{colour(index)}"), domain)
    return el("figure", caption, heat_grid(columns, rows), el("div", foot, class_="meta"))


def _cell(share: float, per_domain: int, title: str) -> tuple[str, float, str]:
    return f"{100 * share:.0f}", share * per_domain / 2, f"{100 * share:.2f} %, {title}"


def _from_plan(node: NodeSummary) -> Html | None:
    """Whether plan and table foretold the tokens of every step exactly."""
    lines = [line for line in _read(node) if line.get("expert_load_forecast")]
    if not lines:
        return None
    exact = sum(line["expert_load"] == line["expert_load_forecast"] for line in lines)
    return el(
        "p",
        f"Plan and routing table foretold the load of {exact:,} of {len(lines):,} steps to the token.",
        class_="lead",
    )


def evaluation(run: RunSummary) -> Html | None:
    """Perplexity on validation rows by domain."""
    nodes = run.of_kind("evaluation")
    if not nodes:
        return None
    facts = nodes[-1].artifact.facts
    found = {domain: float(value) for domain, value in facts.get("perplexity", {}).items()}
    if not found:
        return None
    most = max(found.values())
    bits, targets = facts.get("bits_per_token", {}), facts.get("num_targets", {})
    rows = [
        (domain, plain_bar(value, most, paint=colour(index)), _perplexity(value, bits.get(domain)))
        for index, (domain, value) in enumerate(sorted(found.items()))
    ]
    tokens = f" {count(sum(targets.values()))} tokens were predicted." if targets else ""
    lead = f"Validation documents were set apart by cluster before anything was sampled.{tokens}"
    return section("evaluation", "Perplexity by domain", bars(rows), lead=lead)


def _perplexity(value: float, bits: float | None) -> str:
    return number(value) + (f", {bits:.2f} bits per token" if bits is not None else "")
