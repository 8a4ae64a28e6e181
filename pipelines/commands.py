"""What each verb does. Small functions over planner, runner, store and report."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_specs.errors import SpecError
from data_specs.fingerprint import SHORT
from pipelines.compose import compose_run
from pipelines.model_size import print_model_size
from pipelines.planner import REUSE, Plan, PlannedNode, describe_plan, make_plan
from pipelines.progress import NodeProgress
from pipelines.runner import NodeOutcome, Run, RunObserver
from pipelines.spec import RunConfig
from pipelines.store.store import Store

#: Columns of tables and lines where the output is no terminal (a file, a log).
_PLAIN_WIDTH = 160
_STATE_STYLE = {"reuse": "green", "run": "yellow", "extend": "cyan"}


def make_console() -> Console:
    """Standard output for people; wide where no terminal says how wide."""
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


class ConsoleObserver(RunObserver):
    """Prints one line per node and a bar while it works."""

    def __init__(self, console: Console, num_nodes: int) -> None:
        self._console = console
        self._num_nodes = num_nodes
        self._position = 0

    def _next(self) -> str:
        self._position += 1
        return f"[{self._position}/{self._num_nodes}]"

    def node_reused(self, planned: PlannedNode) -> None:
        self._console.print(
            f"{escape(self._next())} {planned.name}: reused {planned.fingerprint[:SHORT]}", highlight=False
        )

    @contextlib.contextmanager
    def _started(self, planned: PlannedNode) -> Iterator[NodeProgress]:
        why = f" ({escape('; '.join(planned.reasons))})" if planned.reasons else ""
        self._console.print(f"{escape(self._next())} {planned.name}: {planned.state}{why}", highlight=False)
        with NodeProgress(self._console, planned.name) as progress:
            yield progress

    def node_started(self, planned: PlannedNode) -> contextlib.AbstractContextManager[Any]:
        return self._started(planned)

    def node_finished(self, planned: PlannedNode, outcome: NodeOutcome) -> None:
        shards = outcome.artifact.manifest.shards
        rows = sum(shard.rows for shard in shards if shard.port != "quarantine")
        reused = sum(int(phase["num_reused"]) for phase in outcome.phases)
        resumed = f", {reused} units taken over from an interrupted run" if reused else ""
        self._console.print(
            f"  done in {outcome.seconds:.1f} s: {rows:,} rows in {len(shards)} shards{resumed}", highlight=False
        )

    def waiting_for(self, planned: PlannedNode, owner: str) -> None:
        self._console.print(f"  {planned.name}: another run is building it ({owner}); waiting", highlight=False)

    def warn(self, message: str) -> None:
        self._console.print(f"[bold red]WARNING[/]: {escape(message)}", highlight=False)


def _configure(options: argparse.Namespace, overrides: Sequence[str]) -> tuple[RunConfig, Store]:
    config = compose_run(overrides, options.config_dir)
    return config, Store.create(Path(config.store))


def _print_plan(console: Console, plan: Plan) -> None:
    table = Table(title=f"plan of {plan.pipeline}: {plan.num_to_run} of {len(plan.nodes)} nodes to run", box=None)
    for column in ("node", "stage", "fingerprint", "fate", "why"):
        table.add_column(column, no_wrap=column != "why", overflow="fold")
    for name, stage, digest, state, why in describe_plan(plan):
        table.add_row(name, stage, digest, f"[{_STATE_STYLE[state]}]{state}[/]", escape(why))
    console.print(table)


def plan(options: argparse.Namespace) -> None:
    """`kaitian plan`."""
    config, store = _configure(options, options.overrides)
    _print_plan(make_console(), make_plan(config, store))


def run(options: argparse.Namespace) -> None:
    """`kaitian run`."""
    config, store = _configure(options, options.overrides)
    execute(make_console(), config, store, make_plan(config, store), options.overrides)


def preview(options: argparse.Namespace) -> None:
    """`kaitian preview`."""
    from pipelines.inspect.preview import make_preview
    from pipelines.inspect.preview_output import preview_page, print_preview

    config, store = _configure(options, options.overrides)
    console = make_console()
    if options.node is not None and config.nodes.get(options.node, {}).get("stage") == "dedup_minhash":
        from pipelines.inspect.dedup_preview import make_dedup_preview  # compiled kernels
        from pipelines.inspect.dedup_preview_output import dedup_preview_page, print_dedup_preview

        decided = make_dedup_preview(config, store, node=options.node, run_id=options.run)
        print_dedup_preview(console, decided)
        page = dedup_preview_page(decided)
    else:
        made = make_preview(config, store, node=options.node, run_id=options.run)
        print_preview(console, made)
        page = preview_page(made)
    if options.html is not None:
        options.html.write_text(page, encoding="utf-8")
        console.print(f"page: {options.html}", highlight=False, soft_wrap=True)


def rerun(options: argparse.Namespace) -> None:
    """`kaitian rerun NODE`."""
    names = [word for word in options.overrides if "=" not in word]
    overrides = [word for word in options.overrides if "=" in word]
    if not names:
        raise SpecError("rerun: name the node to force, e.g. `kaitian rerun filter pipeline=demo`")
    config, store = _configure(options, overrides)
    console = make_console()
    made = make_plan(config, store, force=names, force_dependants=not options.only)
    finished = execute(console, config, store, made, overrides, force=True)
    if not finished.warnings:
        console.print(f"{', '.join(names)}: repeatable, every logical digest is equal to that of the old output")


def execute(
    console: Console, config: RunConfig, store: Store, made: Plan, overrides: Sequence[str], *, force: bool = False
) -> Run:
    """Run a plan and show its end: funnel, warnings, place of the report."""
    from pipelines.engine import start_engine
    from pipelines.report.funnel import print_funnel
    from pipelines.report.page import write_report
    from pipelines.report.summary import summarise

    observer = ConsoleObserver(console, len(made.nodes))
    current = Run(store=store, plan=made, overrides=list(overrides), observer=observer, force=force)
    current.execute(lambda: start_engine(config.cluster, store.root))
    summary = summarise(current)
    print_funnel(console, {name: outcome.artifact.manifest for name, outcome in current.outcomes.items()})
    page = store.run_folder(current.run_id) / "report.html"
    write_report(page, summary)
    num_reused = sum(outcome.state == REUSE for outcome in current.outcomes.values())
    console.print(
        f"run {current.run_id}: {len(current.outcomes) - num_reused} nodes run, {num_reused} reused, "
        f"{current.seconds:.1f} s\nreport: {page}",
        highlight=False,
        soft_wrap=True,
    )
    return current


def demo(options: argparse.Namespace) -> None:
    """`kaitian demo`."""
    from pipelines.demo.dump import write_demo_dump

    console = make_console()
    folder = options.folder.absolute()
    overrides = ["pipeline=demo", f"data_root={folder / 'dump'}", f"store={folder / 'store'}", *options.overrides]
    if not (folder / "dump" / "truth.json").is_file():
        console.print(f"writing the demo dump to {folder / 'dump'}", highlight=False)
        write_demo_dump(folder / "dump")
    config, store = _configure(options, overrides)
    execute(console, config, store, make_plan(config, store), overrides)


def show(options: argparse.Namespace) -> None:
    """`kaitian show`."""
    from pipelines.inspect.lookup import find_artifact, find_run
    from pipelines.inspect.show import show_artifact, show_run

    store = Store.existing(options.store)
    console = make_console()
    if ":" in options.what or not (options.what == "last" or store.run_folder(options.what).is_dir()):
        show_artifact(console, store, find_artifact(store, options.what), num_samples=options.samples)
    else:
        show_run(console, store, find_run(store, options.what), num_samples=options.samples)


def explain(options: argparse.Namespace) -> None:
    """`kaitian explain`."""
    from pipelines.inspect.explain import explain_document
    from pipelines.inspect.lookup import find_run

    store = Store.existing(options.store)
    explain_document(make_console(), store, find_run(store, options.run), options.document)


def sample(options: argparse.Namespace) -> None:
    """`kaitian sample`."""
    from pipelines.inspect.lookup import find_artifact
    from pipelines.inspect.sample import draw_sample
    from pipelines.inspect.sample_page import sample_page

    store = Store.existing(options.store)
    artifact = find_artifact(store, options.what)
    drawn = draw_sample(
        store, artifact, count=options.count, seed=options.seed, decile_of=options.decile, max_characters=4000
    )
    title = f"{len(drawn)} documents of {options.what}, {artifact.fingerprint[:SHORT]}, seed {options.seed}"
    file_name = f"{options.html.stem}.labels.jsonl"
    options.html.write_text(sample_page(drawn, title, file_name), encoding="utf-8")
    make_console().print(f"{len(drawn)} documents: {options.html}", highlight=False, soft_wrap=True)


def tune_classifier(options: argparse.Namespace) -> None:
    """`kaitian tune-classifier`."""
    from pipelines.tune.command import tune_classifier as search_settings

    search_settings(options)


def trace(options: argparse.Namespace) -> None:
    """`kaitian trace`."""
    from pipelines.lineage.command import trace as run_trace

    run_trace(options)


def mixture(options: argparse.Namespace) -> None:
    """`kaitian mixture`, `kaitian preview mixture=...`."""
    from pipelines.mixture.command import show_mixture

    show_mixture(options)


def forecast(options: argparse.Namespace) -> None:
    """`kaitian forecast`."""
    from pipelines.forecast.command import forecast as show_forecast

    show_forecast(options)


def gc(options: argparse.Namespace) -> None:
    """`kaitian gc`."""
    from pipelines.store.collect import find_garbage, remove_garbage

    store = Store.existing(options.store)
    console = make_console()
    with store.collecting() if options.delete else store.in_use():
        garbage = find_garbage(store, keep_runs=options.keep_runs)
        for item in garbage:
            console.print(
                f"{item.num_bytes / 1e6:10.1f} MB  {item.path.relative_to(store.root)}  {item.why}", highlight=False
            )
        total = sum(item.num_bytes for item in garbage) / 1e6
        if options.delete:
            remove_garbage(garbage)
            console.print(f"removed {len(garbage)} folders, {total:.1f} MB", highlight=False)
        else:
            console.print(f"{len(garbage)} folders, {total:.1f} MB; give --delete to remove them", highlight=False)


def pin(options: argparse.Namespace) -> None:
    """`kaitian pin`."""
    from pipelines.inspect.lookup import find_artifact

    store = Store.existing(options.store)
    artifact = find_artifact(store, options.what)
    store.pin(options.name, artifact)
    make_console().print(
        f"pin:{options.name} names {artifact.manifest.stage}/{artifact.fingerprint[:SHORT]}", highlight=False
    )


def model_size(options: argparse.Namespace) -> None:
    """`kaitian model-size`."""
    print_model_size(options.overrides, options.config_dir, make_console())


def extract(options: argparse.Namespace) -> None:
    """`kaitian extract`."""
    from pipelines.inspect.lookup import find_artifact
    from stages.pretrain.extract import extract_domain  # torch

    store = Store.existing(options.store)
    checkpoint, routing = find_artifact(store, options.checkpoint), find_artifact(store, options.routing)
    card = extract_domain(checkpoint, routing, options.domain, options.out)
    make_console().print(
        f"{options.out}: domain {options.domain}, {card['num_parameters']:,} of "
        f"{card['extracted_from']['num_parameters']:,} parameters",
        highlight=False,
    )
