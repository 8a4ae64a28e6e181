"""The forecast behind a run, as rows and as a table.

Legend: S steps, L RRE layers, G domains, E experts, W workers, X experts or workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from data_specs.errors import SpecError
from data_specs.token_store import PoolReader
from pipelines.lineage.ancestry import open_ancestry
from pipelines.store.store import Store
from stages.model.routing_table import RoutingTable
from stages.pretrain.forecast import IntArray, LoadForecast

SCHEMA = pa.schema([
    pa.field("step", pa.int64(), nullable=False), pa.field("layer", pa.int32(), nullable=False),
    pa.field("kind", pa.string(), nullable=False), pa.field("number", pa.int32(), nullable=False),
    pa.field("tokens", pa.int64(), nullable=False),
])  # fmt: skip


def open_forecast(folder: Path, what: str) -> LoadForecast:
    """The forecast of a run or checkpoint, from plan, pools and routing table behind it."""
    ancestry = open_ancestry(Store.existing(folder), what)
    routing = ancestry.only("routing")
    size = int(routing.facts["experts_per_domain"])
    table = RoutingTable.open(routing, size)
    if not len(table.experts_LGU):
        raise SpecError(f"forecast: the model of {what} has no layer of random routed experts, so there is no load")
    pools = PoolReader.open(ancestry.only("pools"))
    return LoadForecast(ancestry.plan, pools, table, tuple(routing.facts["domains"]), size)


class LoadFile:
    """Writes every integer of every step as rows of :data:`SCHEMA`; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._writer = None if path is None else pq.ParquetWriter(path, SCHEMA)

    def __enter__(self) -> LoadFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, step: int, **load_LX: IntArray) -> None:
        """Loads of one update by kind, layers first."""
        if self._writer is None:
            return
        for kind, load in load_LX.items():
            layers, numbers = np.indices(load.shape)
            columns = [
                np.full(load.size, step), layers.ravel(), pa.repeat(kind, load.size), numbers.ravel(), load.ravel(),
            ]  # fmt: skip
            self._writer.write_table(pa.table(columns, names=SCHEMA.names).cast(SCHEMA))


def fullest_over_mean(loads: LoadForecast, expert_LE: IntArray, rank_LW: IntArray) -> npt.NDArray[np.float64]:
    """Fullest over mean of each domain's experts, of all experts and of the workers; [L, G + 2]. A group without a
    token counts as even."""
    of_domains = expert_LE.reshape(len(expert_LE), len(loads.domains), -1)
    groups = [*np.moveaxis(of_domains, 1, 0), expert_LE, rank_LW]
    return np.stack(
        [
            np.where(load_LX.any(-1), load_LX.max(-1) * load_LX.shape[-1] / np.maximum(1, load_LX.sum(-1)), 1.0)
            for load_LX in groups
        ],
        axis=1,
    )


def print_ratios(console: Console, loads: LoadForecast, title: str, ratios: Sequence[npt.NDArray[np.float64]]) -> None:
    """A line for each layer: the middle step and the worst of what :func:`fullest_over_mean` gave."""
    ratio_SLX = np.stack(ratios)
    table = Table(title=f"{title}: fullest over mean, the middle step and the worst", box=None)
    names = [*(f"experts of {domain}" for domain in loads.domains), "all experts", "workers"]
    for column in ("layer", *names):
        table.add_column(column, justify="right")
    for layer in range(ratio_SLX.shape[1]):
        cells = [f"{np.median(r):.3f} {r.max():.3f}" for r in ratio_SLX[:, layer].T]
        table.add_row(str(layer), *cells)
    console.print(table)
