"""`kaitian mixture`, also called by `kaitian preview mixture=NAME`, on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from data_specs.errors import SpecError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from data_specs.mixture import Mixture
    from data_specs.plan import Plan

SUMMARY = "what a mixture or a plan takes: tokens, weights, epochs, when a pool is used up"
DETAILS = """\
Without --pools a mixture is solved alone, at any scale: the table of PanGu-alpha (Table 4), PanGu-Sigma, Pangu Ultra.
With --pools it is planned over the pools of a run: rows and epochs that training would take, to the integer.
Without a mixture the plan of a run is shown.

  kaitian preview mixture=pangu_alpha_200b
  kaitian preview mixture=pangu_ultra scale=1/1000
  kaitian preview mixture=my/own.yaml
  kaitian preview mixture=pangu_sigma --pools last:pack                  as much as one epoch allows
  kaitian preview mixture=pangu_sigma --pools last:pack --max-epochs 4 --batch-rows 64
  kaitian mixture --of last                                              the plan that a run trains by"""
_KEYS = ("mixture", "scale")
#: Of a plan's table; rows and tokens left are those that no step has seen by the stage's end.
_COLUMNS = ("component", "tokens", "weight", "rows", "epochs", "rows left", "tokens left", "used up after step")


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    command.add_argument("words", nargs="*", metavar="key=value", help="mixture=NAME or FILE, scale=NUMBER or 1/1000")
    command.add_argument("--pools", metavar="WHAT", help="pools to plan over: RUN:NODE, fingerprint")
    command.add_argument("--of", metavar="WHAT", help="show the plan of a run, checkpoint or plan instead")
    command.add_argument("--steps", type=int, metavar="N", help="with --of: the first N steps")
    command.add_argument("--as", dest="names", action="append", default=[], metavar="COMPONENT=POOL")
    command.add_argument("--batch-rows", type=int, default=64, metavar="B", help="rows of a step (64)")
    command.add_argument("--max-epochs", metavar="E", help="repetition cap of every pool")


def redirect(words: Sequence[str]) -> list[str]:
    """`preview mixture=...` is this verb: a preview of a mixture, whatever else can be previewed."""
    if words[:1] and words[0] == "preview" and any(word.startswith("mixture=") for word in words):
        return ["mixture", *words[1:]]
    return list(words)


def show_mixture(options: argparse.Namespace) -> None:
    """Check what was asked for and print it."""
    from data_specs.mixture import exact, table
    from pipelines.commands import make_console
    from pipelines.inspect.lookup import find_artifact
    from pipelines.lineage.ancestry import open_ancestry
    from pipelines.lineage.forward import horizon
    from pipelines.mixture.plan_table import plan_of_mixture
    from pipelines.store.store import Store

    values = _pairs(options.words, _KEYS, "mixture")
    console = make_console()
    try:
        scale = exact(values["scale"]) if "scale" in values else None
        max_epochs = exact(options.max_epochs) if options.max_epochs is not None else None
    except (ValueError, ZeroDivisionError) as error:
        raise SpecError(f"mixture: scale and --max-epochs are numbers like 2, 0.001 or 1/1000: {error}") from None
    if any(number is not None and number <= 0 for number in (scale, max_epochs)) or options.batch_rows < 1:
        raise SpecError("mixture: scale, --max-epochs and --batch-rows must be above 0")
    if "mixture" not in values:
        if options.of is None or options.pools is not None or scale is not None:
            raise SpecError("mixture: give mixture=NAME, or --of RUN for the plan of a run")
        ancestry = open_ancestry(Store.existing(options.store), options.of)
        _print_plan(console, ancestry.plan, horizon(ancestry, options.steps), f"plan of {options.of}")
        return
    if options.of is not None or options.steps is not None:
        raise SpecError("mixture: --of and --steps show the plan of a run; leave them out beside mixture=NAME")
    mixture = _mixture(values["mixture"])
    if options.pools is None:
        if options.names or max_epochs is not None:
            raise SpecError("mixture: --as and --max-epochs are about pools; give --pools too")
        console.print(f"{mixture.reference}\n", highlight=False, markup=False)
        console.print(table(mixture, 1 if scale is None else scale), highlight=False, markup=False, soft_wrap=True)
        return
    pools = find_artifact(Store.existing(options.store), options.pools)
    if pools.kind != "pools":
        raise SpecError(f"--pools {options.pools}: is a {pools.kind} artifact; name the node of stage pack")
    plan, factor = plan_of_mixture(
        mixture,
        pools.facts,
        names=_pairs(options.names, None, "--as"),
        scale=scale,
        global_batch_rows=options.batch_rows,
        window_steps=16,
        max_epochs=max_epochs,
    )
    assert plan.num_steps is not None
    _print_plan(console, plan, plan.num_steps, f"{mixture.name} at scale {_number(factor)} over {options.pools}")


def _mixture(name: str) -> Mixture:
    from data_specs.mixture import load_mixture

    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise SpecError(f"mixture={name}: there is no such file")
        return load_mixture(path.stem, [path.parent])
    return load_mixture(name)


def _pairs(words: list[str], known: tuple[str, ...] | None, where: str) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise SpecError(f"{where}: {word!r} is not key=value")
        if known is not None and key not in known:
            raise SpecError(f"{where}: unknown key {key!r}.{nearest(key, known)}")
        found[key] = value
    return found


def _number(number: Fraction) -> str:
    return str(number) if number.denominator <= 10**6 else f"{float(number):.6g}"


def _print_plan(console: Console, plan: Plan, num_steps: int, title: str) -> None:
    """Stage by stage, then what is left."""
    from rich.markup import escape
    from rich.table import Table

    from pipelines.mixture.plan_table import plan_rows

    sizes = plan.batch_sizes(0, num_steps) or (plan.global_batch_rows,)
    console.print(
        f"{escape(title)}: {num_steps:,} steps of {' to '.join(map(str, sorted({sizes[0], sizes[-1]})))} rows of "
        f"{plan.context_length} tokens, {int(plan.draws_before(num_steps).sum()) * plan.context_length:,} tokens",
        highlight=False,
        soft_wrap=True,
    )
    stages: dict[str, Table] = {}
    planned = {stage.name: stage for stage in plan.stages}
    for row in plan_rows(plan, num_steps):
        if row.stage not in stages:
            cut, batch_rows = planned[row.stage].context_length, planned[row.stage].batch_rows
            title = f"stage {row.stage}: {row.num_steps:,} steps"
            title += "" if cut is None else f", rows cut to {cut:,} tokens"
            title += "" if batch_rows is None else f", {batch_rows:,} rows a step"
            stages[row.stage] = Table(title=title, box=None)
            for column in _COLUMNS:
                stages[row.stage].add_column(column, justify="left" if column == "component" else "right", no_wrap=True)
        stages[row.stage].add_row(
            escape(row.component),
            f"{row.tokens:,}",
            f"{float(row.weight):.2%}",
            f"{row.rows:,}",
            "-" if row.epochs is None else f"{float(row.epochs):.3f}",
            f"{row.rows_left:,}",
            f"{row.rows_left * plan.context_length:,}",
            "-" if row.used_up_after is None else f"{row.used_up_after:,}",
        )
    for found in stages.values():
        console.print(found)
