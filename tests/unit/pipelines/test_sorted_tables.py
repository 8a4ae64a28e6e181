"""Look-ups over row groups against a plain filter, at every border."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.lineage.sorted_tables import last_at_most, rows_equal

#: Repeats inside a row group, over a border, over a whole group; gaps before, between and behind.
VALUES = [2, 2, 3, 3, 3, 3, 3, 3, 3, 7, 8, 8, 9]


@pytest.fixture(params=[1, 2, 3, 4, 13])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    table = pa.table({
        "row": pa.array(VALUES, pa.int64()),
        "number": pa.array(range(len(VALUES)), pa.int64()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=request.param, write_statistics=False)
    return tmp_path / "t.parquet"


@pytest.mark.parametrize("value", range(1, 11))
def test_every_value_there_or_not(path: Path, value: int) -> None:
    numbers = [number for number, found in enumerate(VALUES) if found == value]
    assert [row["number"] for row in rows_equal(path, "row", value)] == numbers
    below = [number for number, found in enumerate(VALUES) if found <= value]
    last = last_at_most(path, "row", value)
    assert (last and last["number"]) == (below[-1] if below else None)


def test_an_empty_table_holds_nothing(tmp_path: Path) -> None:
    empty = pa.schema([("row", pa.int64())]).empty_table()
    pq.write_table(empty, tmp_path / "t.parquet")
    assert rows_equal(tmp_path / "t.parquet", "row", 0) == []
    assert last_at_most(tmp_path / "t.parquet", "row", 0) is None
