"""`kaitian tune-classifier` on the command line: options, and what is printed. The maths is in
:mod:`stages.classify.search`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from data_specs.errors import DataError, SpecError

if TYPE_CHECKING:
    from stages.classify.search import Trial

SUMMARY = "search the settings under which a classifier learns best; prints a config"
DETAILS = """\
Try settings of a `train_classifier` node on its own examples, each by cross-validation, and print the best as YAML.
Give the words of `kaitian run`. The examples that the node holds out take no part: their figures, in the report of a
run with the new settings, stay honest. Weak labels (inputs good and raw) are read from the store: run what makes them
first. The same words and seed try the same settings and give the same answer.

  kaitian tune-classifier pipeline=corpus experiment=trained_filter nodes.classifier.config.labels=ticks.jsonl
  kaitian tune-classifier pipeline=corpus experiment=trained_filter ... --tries 60 --out best.yaml"""
#: Rows of the table that a terminal can hold; --out has them all.
_MOST_ROWS = 40


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    command.add_argument("--node", metavar="NODE", help="which classifier, where the pipeline has several")
    command.add_argument("--tries", type=int, default=20, metavar="N", help="settings to try, the present first (20)")
    command.add_argument("--parts", type=int, default=5, metavar="K", help="parts that are asked about in turn (5)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="another number tries other settings (0)")
    command.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="W",
        help="trainings at the same time (one per CPU)",
    )  # fmt: skip
    command.add_argument("--out", type=Path, metavar="FILE", help="write the YAML with every try there, too")


def tune_classifier(options: argparse.Namespace) -> None:
    """Check what was asked for, search, and print the table and the best config."""
    from pipelines.commands import make_console
    from pipelines.compose import compose_run
    from pipelines.progress import NodeProgress
    from pipelines.store.store import Store
    from pipelines.tune.node_examples import classifier_node, read_node_examples
    from stages.classify.search import best_first, draw_configs, search

    for name, least in (("tries", 1), ("parts", 2), ("workers", 1)):
        if getattr(options, name) < least:
            raise SpecError(f"tune-classifier: --{name} ({getattr(options, name)}) must be at least {least}")
    composed = compose_run(options.overrides, options.config_dir)
    store = Store.create(Path(composed.store))
    console = make_console()
    node = classifier_node(composed, options.node)
    with tempfile.TemporaryDirectory() as scratch, NodeProgress(console, node.name) as progress:
        examples = read_node_examples(composed, store, node, Path(scratch))
        settings = node.stage.config
        started = time.perf_counter()
        trials = search(
            examples,
            draw_configs(settings.model, options.tries, options.seed),
            positive=settings.positive,
            num_parts=options.parts,
            folder=Path(scratch),
            num_workers=options.workers,
            progress=lambda done, total: progress("trainings", done, total, 0, 0),
        )
    ordered = best_first(trials)
    if ordered[0].mean is None:
        raise DataError(f"tune-classifier: none of {len(trials)} settings could be trained: {ordered[0].refusal}")
    num_held = int(examples.held_N.sum())
    console.print(
        f"{node.name}: {len(trials)} settings, {len(examples.lines) - num_held:,} examples in {options.parts} parts, "
        f"{time.perf_counter() - started:.0f} s; {num_held:,} held out were not looked at",
        highlight=False,
    )  # fmt: skip
    worth = "AUC" if settings.positive is not None else "mean F1"
    console.print(_table(ordered[:_MOST_ROWS], worth))
    page = found_yaml(node.name, ordered, worth=worth, num_parts=options.parts, seed=options.seed)
    console.print(escape(page), highlight=False, soft_wrap=True, end="")
    if options.out is not None:
        rows = "".join(f"# {' '.join(row)}\n" for row in _rows(ordered))
        options.out.write_text(page + f"# every try: number, {worth}, deviation, settings\n" + rows, encoding="utf-8")


def found_yaml(node: str, ordered: Sequence[Trial], *, worth: str, num_parts: int, seed: int) -> str:
    """The best settings as a file of conf/experiment, or as lines to paste into one; all fields, defaults too, so that
    a later default changes nothing."""
    from dataclasses import asdict

    import yaml

    best, start = ordered[0], next(trial for trial in ordered if trial.number == 0)
    before = "could not be trained" if start.mean is None else f"{start.mean:.4f}"
    values = {"nodes": {node: {"config": {"model": asdict(best.config)}}}}
    return (
        "# @package _global_\n"
        f"# Best of {len(ordered)} settings (seed {seed}): {worth} {best.mean:.4f}, deviation {best.deviation:.4f} "
        f"over {num_parts} parts; before: {before}.\n" + yaml.safe_dump(values, sort_keys=False)
    )


def _rows(trials: Sequence[Trial]) -> list[tuple[str, str, str, str]]:
    """Number, worth, deviation and settings of each try."""
    from stages.classify.search import changed_fields

    rows = []
    for trial in trials:
        settings = ", ".join(f"{name} {value}" for name, value in changed_fields(trial.config).items())
        worth = trial.refusal if trial.mean is None else f"{trial.mean:.4f}"
        spread = "" if trial.mean is None else f"{trial.deviation:.4f}"
        rows.append((str(trial.number), worth, spread, settings or "the defaults"))
    return rows


def _table(trials: Sequence[Trial], worth: str) -> Table:
    shown = Table(title="settings, best first; 0 is the config given; only what differs from the defaults", box=None)
    for name, justify in (("try", "right"), (worth, "right"), ("deviation", "right"), ("settings", "left")):
        shown.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in _rows(trials):
        shown.add_row(*(escape(cell) for cell in row))
    return shown
