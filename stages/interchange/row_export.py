"""Stage ``publish_rows``: the rows of a plan's first steps, laid down in the order in which training sees them.

For a trainer that reads files from front to back. ``rows/steps-A-B.npy`` holds ids ``[rows, context_length + 1]`` of
the updates A to B, counted from 1; ``order`` says of every row the step, its place in the batch, its component and
domain, the row of the pool and its first id there, so that lineage does not end here. Files follow the phases of the
plan: where rows get another length or a step another number of rows another file begins, and the fact ``files`` names
steps, context length and rows of a step of each.
What a row means (targets, mask, positions) follows from its ids: :func:`data_specs.token_store.row_layout`. Where
the pools hold tokens without loss, ``masks/`` holds a file of the same name and shape as each of ``rows/``, in uint8: 1
for an id that is a target, 0 for one that is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa

from data_specs.errors import SpecError
from data_specs.ledger import EXPANDED, KEPT
from data_specs.plan import Plan
from data_specs.token_store import PoolReader, shorten_rows
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work

ORDER = pa.schema([
    pa.field("step", pa.int64(), nullable=False), pa.field("place", pa.int32(), nullable=False),
    pa.field("component", pa.string(), nullable=False), pa.field("domain", pa.string(), nullable=False),
    pa.field("pool_row", pa.int64(), nullable=False), pa.field("first_id", pa.int32(), nullable=False),
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRowsConfig:
    """Which steps, and how many stand in one file."""

    num_steps: int  # updates 1 to num_steps
    steps_per_file: int = 1000  # 1000 steps of 64 rows of 1025 ids of 2 bytes are 131 MB

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.steps_per_file < 1:
            raise ValueError(
                f"num_steps ({self.num_steps}) and steps_per_file ({self.steps_per_file}) must be at least 1"
            )


@dataclass(frozen=True)
class Steps:
    """Payload of one unit: updates first .. last, counted from 1."""

    plan: Plan
    rows: Path
    facts: Mapping[str, Any]
    first: int
    last: int

    @property
    def num_cuts(self) -> int:
        """Rows that each row of a pool becomes in these steps."""
        return self.plan.cuts_of_step(self.first - 1)

    @property
    def batch_rows(self) -> int:
        """Rows of the pools in each of these steps."""
        return self.plan.batch_rows_of_step(self.first - 1)

    @property
    def rows_per_step(self) -> int:
        """Rows of the files in each of these steps."""
        return self.batch_rows * self.num_cuts

    @property
    def context_length(self) -> int:
        """Tokens of the rows in these steps."""
        return self.plan.context_length // self.num_cuts

    @property
    def file_name(self) -> str:
        return f"steps-{self.first:08d}-{self.last:08d}.npy"


def runs_of_steps(plan: Plan, num_steps: int, steps_per_file: int) -> list[tuple[int, int]]:
    """(first, last) update of every file, counted from 1; a file never spans two context lengths or batch sizes."""
    found: list[tuple[int, int]] = []
    edges = [start + 1 for start in plan.starts if start < num_steps]
    kinds = [(plan.cuts_of_step(edge - 1), plan.batch_rows_of_step(edge - 1)) for edge in edges]
    begins = [edge for edge, before, now in zip(edges, [None, *kinds], kinds, strict=False) if before != now]
    for begin, end in zip(begins, [*begins[1:], num_steps + 1], strict=True):
        found += [(first, min(first + steps_per_file, end) - 1) for first in range(begin, end, steps_per_file)]
    return found


class PublishRows(Stage[PublishRowsConfig]):
    """See the module's text."""

    version = 3
    config_type = PublishRowsConfig
    inputs: ClassVar[Mapping[str, Port]] = {"pools": Port("pools"), "plan": Port("plan")}
    output = "published"

    def run(self, ctx: StageContext) -> dict[str, Any]:
        pools, plan = ctx.input("pools"), Plan.load(ctx.input("plan").file("plan"))
        wanted = {name: facts["num_rows"] for name, facts in pools.facts["components"].items()}
        planned = {component.name: component.num_rows for component in plan.components}
        if wanted != planned or int(pools.facts["context_length"]) != plan.context_length:
            raise SpecError(f"publish_rows: the plan was made for the pools {planned}, these are {wanted}")
        available = plan.num_available_steps
        if available is not None and self.config.num_steps > available:
            raise SpecError(
                f"publish_rows: num_steps {self.config.num_steps}, but the plan can serve {available} steps"
            )
        units = []
        for first, last in runs_of_steps(plan, self.config.num_steps, self.config.steps_per_file):
            payload = Steps(plan, pools.path / "rows", dict(pools.facts), first, last)
            size = (last - first + 1) * payload.batch_rows * (plan.context_length + 1) * 2
            units.append(Unit(key=f"{plan.past_digest(last)[:24]}-{first}-{last}", payload=payload, size_bytes=size))
        ctx.run_units("publish", units, make_publish)
        draws = plan.draws_before(self.config.num_steps)
        return {
            "num_steps": self.config.num_steps,
            "global_batch_rows": plan.global_batch_rows,  # of phases that name no batch_rows
            "context_length": plan.context_length,
            "files": [
                {
                    "name": u.payload.file_name,
                    "first": u.payload.first,
                    "last": u.payload.last,
                    "context_length": u.payload.context_length,
                    "rows_per_step": u.payload.rows_per_step,
                }
                for u in units
            ],
            "num_rows": {c.name: int(n) for c, n in zip(plan.components, draws, strict=True)},
            **{name: pools.facts[name] for name in ("dtype", "vocab_size", "eod_id", "pad_id", "tokenizer_sha256")},
        }


def make_publish() -> Work:
    """Writes the rows of some steps, one step in memory at a time."""

    def work(payload: Steps, out: UnitOutput) -> None:
        plan, reader = payload.plan, PoolReader(payload.rows, payload.facts)
        names = np.array([component.name for component in plan.components], dtype=object)
        domains = np.array(plan.domains, dtype=object)
        dtype = np.dtype(str(payload.facts["dtype"])).newbyteorder("<")
        num_cuts = payload.num_cuts
        batch_rows = payload.rows_per_step
        shape = ((payload.last - payload.first + 1) * batch_rows, payload.context_length + 1)
        totals = np.zeros(len(names), dtype=np.int64)
        with (
            out.file("rows", payload.file_name).open("wb") as handle,
            out.file("masks", payload.file_name).open("wb") if reader.has_masks else nullcontext() as masks,
        ):
            _write_header(handle, dtype, shape)
            if masks is not None:
                _write_header(masks, np.dtype("u1"), shape)
            for step in range(payload.first, payload.last + 1):
                component_B, row_B = plan.rows_of_step(step - 1)
                rows = shorten_rows(reader.gather(component_B, row_B), num_cuts)
                handle.write(np.ascontiguousarray(rows, dtype=dtype).data)
                if masks is not None:
                    counted = reader.gather_counted(component_B, row_B)
                    if counted is None:
                        masks.write(np.ones(rows.shape, dtype=bool).data)
                    else:
                        masks.write(np.ascontiguousarray(shorten_rows(counted, num_cuts)).data)
                totals += np.bincount(component_B, minlength=len(names))
                columns = {
                    "step": np.full(batch_rows, step),
                    "place": np.arange(batch_rows, dtype=np.int32),
                    "component": pa.array(np.repeat(names[component_B], num_cuts), pa.string()),
                    "domain": pa.array(np.repeat(domains[component_B], num_cuts), pa.string()),
                    "pool_row": np.repeat(row_B, num_cuts),
                    "first_id": np.tile(np.arange(num_cuts, dtype=np.int32), len(row_B)) * payload.context_length,
                }
                out.write("order", pa.table(columns).cast(ORDER))
        for name, domain, count in zip(names, domains, totals.tolist(), strict=True):
            for outcome in (EXPANDED, KEPT):  # a later epoch brings a row again
                out.ledger.add("row", name, domain, outcome, count)

    return work


def _write_header(handle: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)
