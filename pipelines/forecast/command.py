"""`kaitian forecast` on the command line: options, steps, layout."""

from __future__ import annotations

import argparse
from pathlib import Path

from data_specs.errors import SpecError

SUMMARY = "tokens per expert and per worker of any step and layout, before training"
DETAILS = """\
Rows are a function of the step, and a token's expert one of domain and ids; so the load of every random routed expert
is known beforehand, as exact integers. Training stops when what it counts differs by one token.

  kaitian forecast last                                            the first 20 steps, one worker
  kaitian forecast last --steps 1001:1100 --world-size 64 --expert-parallel 16
  kaitian forecast last --steps 1:1000 --out loads.parquet         step, layer, kind (expert or rank), number, tokens

Workers are numbered as in training: --expert-parallel neighbours share one set of experts and bring it their rows. Of
pipelines, --world-size counts pipelines, each of them a reader of rows."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    command.add_argument(
        "what", metavar="WHAT", nargs="?", default="last", help="run, or checkpoint (default: last run)"
    )
    command.add_argument("--steps", default="1:20", metavar="A:B", help="updates A to B, counted from 1 (1:20)")
    command.add_argument("--world-size", type=int, default=1, metavar="W", help="workers, or pipelines (1)")
    command.add_argument("--expert-parallel", type=int, default=1, metavar="P", help="workers that share experts (1)")
    command.add_argument("--out", type=Path, metavar="FILE", help="write every integer as Parquet")


def forecast(options: argparse.Namespace) -> None:
    """Check what was asked for, compute it step by step and print it."""
    from pipelines.commands import make_console
    from pipelines.forecast.loads import LoadFile, fullest_over_mean, open_forecast, print_ratios

    loads = open_forecast(options.store, options.what)
    first, last = steps_of(options.steps, loads.plan.num_available_steps)
    for step in [first, *(start + 1 for start in loads.plan.starts if first <= start < last)]:
        loads.of_ranks(step, options.world_size, options.expert_parallel)  # refuses a layout before a file is begun
    ratios = []
    with LoadFile(options.out) as file:
        for step in range(first, last + 1):
            expert_LE = loads.of_step(step)
            rank_LW = loads.of_ranks(step, options.world_size, options.expert_parallel)
            file.write(step, expert=expert_LE, rank=rank_LW)
            ratios.append(fullest_over_mean(loads, expert_LE, rank_LW))
    layout = f"{options.world_size} workers, {options.expert_parallel} to a set of experts"
    print_ratios(make_console(), loads, f"updates {first:,} to {last:,}; {layout}", ratios)


def steps_of(text: str, available: int | None) -> tuple[int, int]:
    """First and last update of ``A:B`` or ``A``; no more than the plan can serve."""
    first, colon, last = text.partition(":")
    if not first.isdecimal() or (colon and not last.isdecimal()) or int(first) < 1:
        raise SpecError(f"forecast: --steps {text!r} is not A:B with updates counted from 1, such as 1:100")
    begin, end = int(first), int(last or first)
    if end < begin or (available is not None and begin > available):
        raise SpecError(f"forecast: --steps {text!r} holds no step; the plan can serve {available} steps")
    return begin, end if available is None else min(end, available)
