"""Logical digests: equal for equal rows, whatever the storage; different for any visible difference."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.digest import LogicalDigest, canonical_type, table_digest

TABLE = pa.table(
    {
        "id": pa.array([b"0123456789abcdef", b"fedcba9876543210", None], pa.binary(16)),
        "text": ["春", None, ""],
        "score": [0.5, None, -1.0],
        "keep": [True, False, None],
        "tags": pa.array([["a", None], None, []], pa.list_(pa.string())),
    }
)


def digest_in_batches(table: pa.Table, cuts: list[int]) -> str:
    digest = LogicalDigest(table.schema)
    edges = [0, *cuts, table.num_rows]
    for start, stop in itertools.pairwise(edges):
        digest.update(table.slice(start, stop - start))
    return digest.hexdigest()


def test_batch_cuts_do_not_show():
    assert digest_in_batches(TABLE, [1]) == digest_in_batches(TABLE, [0, 1, 2, 3]) == table_digest(TABLE)


def test_a_parquet_round_trip_does_not_show(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=1)
    assert table_digest(pq.read_table(tmp_path / "t.parquet")) == table_digest(TABLE)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_storage_variants_of_text_are_one_type(kind: pa.DataType):
    plain = pa.table({"x": pa.array(["春眠", None, "", "春眠", "a longer text than a view keeps inline"])})
    assert table_digest(plain.cast(pa.schema({"x": kind}))) == table_digest(plain)
    assert canonical_type(kind) == "string"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.array(["ab", "c"]), pa.array(["a", "bc"])),  # the same bytes, cut elsewhere
        (pa.array([None, "a"]), pa.array(["", "a"])),  # null is not the empty text
        (pa.array([None, "a"]), pa.array(["a", None])),
        (pa.array([0, 1]), pa.array([0, None])),
        (pa.array([[1], [2]]), pa.array([[1, 2], []])),
        (pa.array([1, 2]), pa.array([2, 1])),
        (pa.array([1, 2], pa.int32()), pa.array([1, 2], pa.int64())),
        (pa.array([b"a"]), pa.array(["a"])),
    ],
)
def test_a_visible_difference_changes_the_digest(left: pa.Array, right: pa.Array):
    assert table_digest(pa.table({"x": left})) != table_digest(pa.table({"x": right}))


def test_names_and_their_order_are_part_of_it():
    a, b = pa.array([1]), pa.array([2])
    digests = {
        table_digest(pa.table({"a": a, "b": b})),
        table_digest(pa.table({"b": a, "a": b})),
        table_digest(pa.table({"b": b, "a": a})),
    }
    assert len(digests) == 3


def test_bytes_under_a_null_do_not_show():
    """Arrow leaves whatever stood in a slot that became null."""
    hidden = pa.Array.from_buffers(
        pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer((7).to_bytes(8, "little") + (9).to_bytes(8, "little"))]
    )
    assert hidden.to_pylist() == [7, None]
    assert table_digest(pa.table({"x": hidden})) == table_digest(pa.table({"x": pa.array([7, None])}))


def test_an_empty_table_of_another_schema_differs():
    empty = pa.table({"x": pa.array([], pa.int64())})
    assert table_digest(empty) != table_digest(pa.table({"y": pa.array([], pa.int64())}))
    assert len(table_digest(empty)) == 32


@pytest.mark.parametrize(
    "column", [pa.array([{"a": 1}]), pa.array([[1, 2]], pa.list_(pa.int64(), 2))], ids=["struct", "fixed"]
)
def test_a_type_without_canonical_bytes_is_refused(column: pa.Array):
    """NumPy would hand over memory addresses, and two runs would never agree."""
    with pytest.raises(TypeError, match="no canonical bytes"):
        table_digest(pa.table({"x": column}))


def test_columns_of_another_table_are_refused():
    with pytest.raises(ValueError, match="differ from the schema"):
        LogicalDigest(pa.schema({"a": pa.int64()})).update(pa.table({"b": [1]}))
