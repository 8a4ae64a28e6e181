"""One table shard: bounded row groups, digests of what was written, nothing visible before the end."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.digest import table_digest
from data_specs.document import DECISIONS
from data_specs.fingerprint import file_digest
from data_specs.shard_writer import ROW_GROUP_BYTES, ShardWriter

SCHEMA = pa.schema({"n": pa.int64(), "text": pa.string()})


def rows(*numbers: int) -> pa.Table:
    return pa.table({"n": list(numbers), "text": ["春" * number for number in numbers]}, schema=SCHEMA)


def test_a_shard_describes_the_file_it_wrote(tmp_path: Path):
    writer = ShardWriter(tmp_path, "documents", "00000-000.parquet", SCHEMA, None)
    writer.write(rows(1, 2))
    writer.write(rows(3))
    shard = writer.close()
    path = tmp_path / "documents" / "00000-000.parquet"
    assert pq.read_table(path).to_pylist() == rows(1, 2, 3).to_pylist()
    assert (shard.rows, shard.text_bytes, shard.kept) == (3, 3 * (1 + 2 + 3), None)
    assert shard.num_bytes == path.stat().st_size
    assert shard.file_digest == file_digest(path)
    assert shard.logical_digest == table_digest(rows(1, 2, 3))


def test_nothing_stands_under_the_name_before_close(tmp_path: Path):
    writer = ShardWriter(tmp_path, "documents", "x.parquet", SCHEMA, None)
    writer.write(rows(1))
    assert not (tmp_path / "documents" / "x.parquet").exists()
    writer.abandon()
    assert list((tmp_path / "documents").iterdir()) == []


def test_the_same_rows_in_other_batches_give_the_same_file(tmp_path: Path):
    files = []
    for name, batches in (("one", [rows(1, 2, 3, 4)]), ("two", [rows(1), rows(), rows(2, 3), rows(4)])):
        writer = ShardWriter(tmp_path, "documents", name, SCHEMA, None)
        for batch in batches:
            writer.write(batch)
        files.append(writer.close())
    assert files[0].logical_digest == files[1].logical_digest
    assert files[0].file_digest == files[1].file_digest


def test_row_groups_are_bounded(tmp_path: Path):
    """A reader holds one row group at a time, so its size is the reader's memory."""
    writer = ShardWriter(tmp_path, "documents", "big.parquet", SCHEMA, None)
    megabyte = pa.table({"n": [0], "text": ["x" * (1 << 20)]}, schema=SCHEMA)
    for _ in range(20):
        writer.write(megabyte)
    writer.close()
    meta = pq.ParquetFile(tmp_path / "documents" / "big.parquet").metadata
    sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    assert sizes == [16, 4]
    assert ROW_GROUP_BYTES == 16 << 20


def test_columns_are_ordered_and_cast_and_a_missing_one_raises(tmp_path: Path):
    writer = ShardWriter(tmp_path, "documents", "x.parquet", SCHEMA, None)
    writer.write(pa.table({"text": pa.array(["a"], pa.large_string()), "n": pa.array([1], pa.int32())}))
    with pytest.raises(KeyError):
        writer.write(pa.table({"n": [1]}))
    with pytest.raises(pa.ArrowInvalid):
        writer.write(pa.table({"n": ["not a number"], "text": ["a"]}))
    assert writer.close().rows == 1


def test_decisions_count_what_they_keep(tmp_path: Path):
    """null means an earlier decision removed the row: it is not kept here either."""
    writer = ShardWriter(tmp_path, "decisions", "x.parquet", DECISIONS, "abc/documents/x.parquet")
    writer.write(pa.Table.from_pylist([{"keep": True}, {"keep": False}, {"keep": None}, {"keep": True}], DECISIONS))
    shard = writer.close()
    assert (shard.rows, shard.kept, shard.of) == (4, 2, "abc/documents/x.parquet")


def test_an_empty_shard_is_a_readable_table(tmp_path: Path):
    """A base shard without documents still needs its sidecar."""
    writer = ShardWriter(tmp_path, "decisions", "x.parquet", DECISIONS, "key")
    writer.write(DECISIONS.empty_table())
    shard = writer.close()
    assert (shard.rows, shard.kept) == (0, 0)
    assert pq.read_table(tmp_path / "decisions" / "x.parquet").schema.names == DECISIONS.names
