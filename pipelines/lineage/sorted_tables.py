"""Look-ups in the tables that lead from rows to documents, reading as few row groups as their order allows.

Shards carry no Parquet statistics, but segments stand in the order of rows and an index in the order of offsets: a
binary search over the row groups reads one column of a handful of them.
"""

from __future__ import annotations

import bisect
import functools
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq


def rows_equal(path: Path, column: str, value: int) -> list[dict[str, Any]]:
    """Rows of a table sorted by ``column`` (ascending, repeats allowed) where it is ``value``, in order."""
    found: list[dict[str, Any]] = []
    with pq.ParquetFile(path) as handle:
        ends = functools.cache(functools.partial(_ends, handle, column))
        groups = range(handle.num_row_groups if handle.metadata.num_rows else 0)
        for group in groups[bisect.bisect_left(groups, value, key=lambda number: ends(number)[1]) :]:
            if ends(group)[0] > value:
                break
            table = handle.read_row_group(group)
            found += table.filter(pc.equal(table.column(column), value)).to_pylist()
    return found


def last_at_most(path: Path, column: str, value: int) -> dict[str, Any] | None:
    """The last row of a table sorted by ``column`` where it is at most ``value``; None when there is none."""
    with pq.ParquetFile(path) as handle:
        ends = functools.cache(functools.partial(_ends, handle, column))
        groups = range(handle.num_row_groups if handle.metadata.num_rows else 0)
        group = bisect.bisect_right(groups, value, key=lambda number: ends(number)[0]) - 1
        if group < 0:
            return None
        table = handle.read_row_group(group)
        num = int(pc.sum(pc.less_equal(table.column(column), value)).as_py())
        return dict(table.slice(num - 1, 1).to_pylist()[0])


def _ends(handle: pq.ParquetFile, column: str, group: int) -> tuple[int, int]:
    """First and last value of a column in one row group."""
    values = handle.read_row_group(group, columns=[column]).column(0)
    return values[0].as_py(), values[-1].as_py()
