"""The mixture: what training was to see, what it saw, and how often the same rows came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.charts import bars, colour, legend, plain_bar
from pipelines.report.html import Child, Html, count, el, fold, section, table
from pipelines.report.summary import RunSummary


def wanted_rows(facts: Mapping[str, Any], num_steps: int) -> dict[str, float]:
    """Rows by component that the weights of a plan ask for in ``num_steps`` steps, before any rounding."""
    rows: dict[str, float] = {}
    for stage in facts["stages"]:
        start = int(stage["first_step"])
        stop = num_steps if stage.get("open") else min(num_steps, start + int(stage["num_steps"]))
        weights = {name: int(body["weight"]) for name, body in stage["components"].items()}
        drawn = max(0, stop - start) * int(stage.get("batch_rows", facts["global_batch_rows"]))
        for name, weight in weights.items():
            rows[name] = rows.get(name, 0.0) + drawn * weight / sum(weights.values())
    return rows


def mixture(run: RunSummary) -> Html | None:
    """Realised against wanted shares by component; the plan alone where nothing was trained."""
    plans, trained, pools = run.of_kind("plan"), run.of_kind("checkpoints"), run.of_kind("pools")
    if not plans or "stages" not in plans[-1].artifact.facts:
        return None
    facts = plans[-1].artifact.facts
    num_steps = int(trained[-1].artifact.facts.get("num_steps", 0)) if trained else int(facts.get("num_steps") or 0)
    if not num_steps:  # an open plan that nobody has trained by
        last = facts["stages"][-1]
        num_steps = int(last["first_step"]) + int(last["num_steps"])
    wanted = wanted_rows(facts, num_steps)
    realised = {name: int(n) for name, n in trained[-1].artifact.facts.get("num_rows", {}).items()} if trained else {}
    shown = realised or wanted
    components = pools[-1].artifact.facts.get("components", {}) if pools else {}
    total, total_wanted = sum(shown.values()) or 1, sum(wanted.values()) or 1
    domains = sorted({body.get("domain", "") for body in components.values()})
    most = max([n / total for n in shown.values()] + [n / total_wanted for n in wanted.values()] or [1.0])
    rows, body = [], list[Sequence[Child]]()
    context_length, used_up = int(facts.get("context_length", 0)), facts.get("used_up_after", {})
    for name in sorted(wanted, key=lambda n: (-wanted[n], n)):
        share, want = shown.get(name, 0) / total, wanted[name] / total_wanted
        domain = components.get(name, {}).get("domain", "")
        paint = colour(domains.index(domain)) if domain in domains else None
        rows.append((name, plain_bar(share, most, paint=paint, mark=want), f"{share:.2%} of {want:.2%} wanted"))
        in_pool = int(components.get(name, {}).get("num_rows", 0))
        body.append(
            (
                name,
                domain,
                f"{shown.get(name, 0):,.0f}",
                f"{wanted[name]:,.1f}",
                f"{in_pool:,}" if in_pool else "",
                f"{shown.get(name, 0) / in_pool:.2f}" if in_pool else "",
                count(components.get(name, {}).get("num_tokens", 0)),
                count(max(0, in_pool - int(shown.get(name, 0))) * context_length) if in_pool else "",
                _used_up(used_up.get(name), num_steps),
            )
        )
    verb = "Rows seen" if realised else "Rows planned"
    return section(
        "mixture",
        "Mixture",
        legend([(domain, colour(i)) for i, domain in enumerate(domains)]) if domains else None,
        bars(rows),
        el("p"),
        fold(
            "Rows, epochs and pools",
            table(
                (
                    "component",
                    "domain",
                    verb.lower(),
                    "wanted",
                    "rows in pool",
                    "epochs",
                    "tokens in pool",
                    "unseen tokens left",
                    "used up after step",
                ),
                body,
                left=2,
            ),
        ),
        lead=f"{verb} in {num_steps:,} steps of {_batch_sizes(facts, num_steps)} rows; the mark is the share that the "
        "weights ask for.",
    )


def _batch_sizes(facts: Mapping[str, Any], num_steps: int) -> str:
    """Rows of a step, from the smallest to the largest where stages differ."""
    shown = [stage for stage in facts["stages"] if int(stage["first_step"]) < num_steps]
    sizes = sorted({int(stage.get("batch_rows", facts["global_batch_rows"])) for stage in shown})
    return f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"


def _used_up(step: int | None, num_steps: int) -> str:
    """The step after which a pool has no unseen row, and whether that is still to come."""
    if step is None:
        return ""
    return f"{step:,}" if step <= num_steps else f"{step:,} (to come)"
