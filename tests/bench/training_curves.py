"""What the models of issue F learn from real text: RRE, a learned top-2 router and the dense twin, side by side.

One training of each kind and seed. The rate stays at its peak after the warmup, so that a run read off at any step is a
fair run of that length: "equal tokens" reads all kinds at the last step of the slowest, "equal time" each at its own
last step. A loss is the mean over the last steps of the span, every counted target with equal weight.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from data_specs.config import parse_config
from data_specs.manifest import Artifact
from pipelines.report.charts import Series, line_chart
from pipelines.report.html import Html, el, section
from pipelines.report.style import CSS
from stages.model.config import ModelConfig
from stages.pretrain.config import PretrainConfig
from stages.pretrain.export import mean_losses
from stages.pretrain.job import make_payload
from stages.pretrain.journal import Journal
from stages.pretrain.metrics import read_metrics
from stages.pretrain.train import train
from tests.bench.acceptance_table import Table
from tests.bench.dedup_corpus import corpus
from tests.bench.measure import Results
from tests.bench.training_inputs import read_texts, text_inputs

NUM_DOMAINS, EXPERTS_PER_DOMAIN, VOCAB, CONTEXT, ROWS = 4, 4, 8192, 256, 16
_BYTES_PER_DOMAIN = 12_000_000
_WARM_STEPS, _WINDOW = 6, 20
_SHARED = {
    "d_model": 256, "num_heads": 4, "d_feed_forward": 1024, "experts_per_domain": EXPERTS_PER_DOMAIN,
    "context_length": CONTEXT, "query_layer": False,
}  # fmt: skip
#: Two layers of experts above two dense ones; the learned router has the same experts, two of half the width per token,
#: so that all kinds do the same work per token.
MODELS: dict[str, dict[str, Any]] = {
    "rre": {**_SHARED, "num_dense_layers": 2, "num_rre_layers": 2},
    "top2": {
        **_SHARED, "num_dense_layers": 2, "num_rre_layers": 0, "num_learned_layers": 2,
        "router": {"num_experts": NUM_DOMAINS * EXPERTS_PER_DOMAIN, "top_k": 2, "d_expert": 512,
                   "num_shared_experts": 0, "scale": 1.0},
    },
    "dense": {**_SHARED, "num_dense_layers": 4, "num_rre_layers": 0},
}  # fmt: skip


def curves(
    given: Sequence[Path], work: Path, minutes: float, rre_minutes: float, seeds: int, table: Table, results: Results
) -> None:
    """Train, compare, and write the curves as ``curves.jsonl`` and ``curves.html`` below ``work``."""
    place = work / "curves"
    texts = read_texts(given, work, results, _BYTES_PER_DOMAIN, NUM_DOMAINS) if given else corpus((), work, results)
    inputs = {
        num_layers: text_inputs(
            place / f"inputs-{num_layers}", texts, vocab_size=VOCAB, num_domains=NUM_DOMAINS,
            experts_per_domain=EXPERTS_PER_DOMAIN, num_rre_layers=num_layers, context_length=CONTEXT, batch_rows=ROWS,
        )
        for num_layers in (2, 0)
    }  # fmt: skip
    lines: dict[str, list[list[dict[str, Any]]]] = {kind: [] for kind in MODELS}
    for seed in range(seeds):
        for kind, model in MODELS.items():
            wanted = max(minutes, rre_minutes) if kind == "rre" and seed == 0 else minutes
            folder = place / f"{kind}-{seed}"
            lines[kind].append(_train(kind, inputs[model["num_rre_layers"]], folder, seed, wanted))
    with (place / "curves.jsonl").open("w", encoding="utf-8") as handle:
        for kind, runs in lines.items():
            for seed, run in enumerate(runs):
                spent = 0.0
                for line in run:
                    spent += line["step_seconds"]
                    point = {"kind": kind, "seed": seed, "step": line["step"], "seconds": round(spent, 3)}
                    handle.write(json.dumps({**point, "loss_by_domain": line["loss_by_domain"]}) + "\n")
    _page(lines, place / "curves.html")
    falls(lines["rre"][0], f"RRE over {rre_minutes:g} minutes", table)
    _compare(lines, minutes, table, results)


def _train(kind: str, inputs: dict[str, Artifact], folder: Path, seed: int, minutes: float) -> list[dict[str, Any]]:
    """Lines of a training of at least ``minutes``; it goes on from what an earlier call left in ``folder``. Steps are
    asked for by the pace of the last ones until the time is over: the first few are slower than the rest."""

    def payload(num_steps: int) -> dict[str, Any]:
        config = PretrainConfig(
            model=parse_config(ModelConfig, MODELS[kind], kind), seed=seed, precision="bf16", micro_batch_rows=ROWS,
            num_steps=num_steps, num_threads_per_worker=2, device="cpu", peak_learning_rate=1e-3, warmup_steps=50,
            schedule="constant_decay", decay_share=1e-6, decay_steps=10_000_000, checkpoint_every_steps=1_000_000,
        )  # fmt: skip
        return make_payload(config, inputs, folder)

    done = max((entry.step for entry in Journal(folder).entries()), default=0)
    lines = _train_to(payload(max(_WARM_STEPS, done)))
    while (left := 60 * minutes - sum(line["step_seconds"] for line in lines)) > 0:
        pace = statistics.median(line["step_seconds"] for line in lines[-_WINDOW:])
        lines = _train_to(payload(len(lines) + math.ceil(left / pace)))
    seconds = sum(line["step_seconds"] for line in lines)
    print(f"{kind}, seed {seed}: {len(lines)} steps in {seconds:.0f} s", flush=True)
    return lines


def _train_to(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines of a training from its first step to the last that the payload asks for."""
    train(payload)
    return read_metrics(Path(payload["folder"]), payload["config"]["num_steps"])


def falls(lines: list[dict[str, Any]], name: str, table: Table) -> None:
    """Whether a training learnt in every domain: mean losses of its first and of its last steps."""
    window = max(1, min(_WINDOW, len(lines) // 3))
    first, last = mean_losses(lines[:window]), mean_losses(lines[-window:])
    said = ", ".join(f"{domain} {first[domain]:.3f} -> {last[domain]:.3f}" for domain in sorted(first))
    table.check(
        name, "loss falls in each of four domains", said,
        len(first) == NUM_DOMAINS and all(last[domain] < first[domain] for domain in first),
    )  # fmt: skip


def _compare(lines: dict[str, list[list[dict[str, Any]]]], minutes: float, table: Table, results: Results) -> None:
    """Mean loss over seeds of each kind, at equal tokens and at equal time; no demand, so the rows always hold."""
    shortest = min(len(_until(run, 60 * minutes)) for runs in lines.values() for run in runs)
    for name, cut in (("tokens", lambda run: run[:shortest]), ("time", lambda run: _until(run, 60 * minutes))):
        said = []
        for kind, runs in lines.items():
            losses = [_loss(cut(run)) for run in runs]
            spread = f" (seeds differ by {max(losses) - min(losses):.3f})" if len(losses) > 1 else ""
            said.append(f"{kind} {statistics.mean(losses):.4f}{spread} after {len(cut(runs[0]))} steps")
            results.add(f"loss at equal {name}: {kind}", statistics.mean(losses), "nats/token", len(losses))
        table.check(f"losses at equal {name}", "told", "; ".join(said), True)


def _page(lines: dict[str, list[list[dict[str, Any]]]], path: Path) -> None:
    """Curves of the first seed by tokens and by time, and by domain, as one self-contained page."""
    runs = {kind: runs[0] for kind, runs in lines.items()}

    def series(x: str, y: Callable[[dict[str, Any]], float | None]) -> list[Series]:
        found = []
        for kind, run in runs.items():
            points = zip(accumulate(line[x] for line in run), map(y, run), strict=True)
            known = [(place, value) for place, value in points if value is not None]
            found.append(Series(kind, [place for place, _ in known], [value for _, value in known]))
        return found

    charts = []
    for name, x in (("tokens", "num_tokens"), ("seconds", "step_seconds")):
        overall = series(x, lambda line: line["loss"])
        charts.append(line_chart(f"Loss over {name}, nats per token", overall, smooth=True))
    for domain in sorted({domain for run in runs.values() for line in run for domain in line["loss_by_domain"]}):
        of_domain = series("step_seconds", lambda line, domain=domain: line["loss_by_domain"].get(domain))
        charts.append(line_chart(f"Loss of {domain} over seconds", of_domain, smooth=True))
    title = "RRE, learned top-2 and dense"
    viewport = el("meta", name="viewport", content="width=device-width, initial-scale=1")
    head = el("head", el("meta", charset="utf-8"), viewport, el("title", title), el("style", Html(CSS)))
    body = el("body", el("main", section("curves", title, el("div", charts, class_="pair"))))
    path.write_text("<!doctype html>\n" + el("html", head, body, lang="en").markup, encoding="utf-8")


def _until(lines: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """The steps that were made within some seconds; at least one."""
    spent, count = 0.0, 0
    for line in lines:
        spent += line["step_seconds"]
        if spent > seconds and count:
            break
        count += 1
    return lines[:count]


def _loss(lines: list[dict[str, Any]]) -> float:
    """Mean loss per target over the last steps."""
    last = lines[-_WINDOW:]
    targets = [sum(line["targets_by_domain"].values()) for line in last]
    return sum(line["loss"] * count for line, count in zip(last, targets, strict=True)) / sum(targets)
