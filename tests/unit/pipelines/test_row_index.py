"""An index finds what a scan of the column finds, whatever its number of partitions; rows are read by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, StoreError
from data_specs.manifest import Artifact
from pipelines.store import row_index
from pipelines.store.collect import find_garbage
from pipelines.store.row_index import ENTRY, find_rows, rows_at, text_key
from pipelines.store.store import Store
from tests.unit.tokenize.corpus import commit

#: Keys at both ends of the range, keys that differ in the last byte, keys that come again in another file.
KEYS = [bytes(16), b"\xff" * 16, bytes(15) + b"\x01", b"\x7f" + b"\xff" * 15, b"\x80" + bytes(15)]
KEYS += [row.tobytes() for row in np.random.default_rng(3).integers(0, 256, (40, 16), dtype=np.uint8)]
FILES = [KEYS[:20], [], [*KEYS[15:], KEYS[0], KEYS[0]]]


@pytest.fixture
def place(tmp_path: Path) -> tuple[Store, Artifact, list[Path]]:
    store = Store.create(tmp_path / "store")
    paths = []
    for number, keys in enumerate(FILES):
        urls = [None if row % 3 == 0 else f"https://例.example/{row % 5}" for row in range(len(keys))]
        paths.append(tmp_path / f"{number}.parquet")
        columns = {"doc_id": pa.array(keys, pa.binary(16)), "url": pa.array(urls, pa.string())}
        pq.write_table(pa.table(columns), paths[-1], row_group_size=7)
    return store, commit(tmp_path / "artifact", "documents"), paths


@pytest.mark.parametrize("partition_entries", [1, 4, 1000])
def test_every_key_is_found_where_a_scan_finds_it(monkeypatch, place, partition_entries: int) -> None:
    monkeypatch.setattr(row_index, "PARTITION_ENTRIES", partition_entries)
    store, artifact, paths = place
    for key in [*KEYS, b"\x01" * 16, b"\xfe" * 16]:
        wanted = [(file, row) for file, keys in enumerate(FILES) for row, found in enumerate(keys) if found == key]
        assert list(find_rows(store, artifact, paths, "doc_id", key)) == wanted
    for number in range(6):
        url = f"https://例.example/{number}"
        wanted = [(f, r) for f, keys in enumerate(FILES) for r in range(len(keys)) if r % 3 and r % 5 == number]
        assert list(find_rows(store, artifact, paths, "url", text_key(url))) == wanted


def test_partitions_are_sorted_ranges_of_bounded_size(monkeypatch, place) -> None:
    monkeypatch.setattr(row_index, "PARTITION_ENTRIES", 8)
    store, artifact, paths = place
    list(find_rows(store, artifact, paths, "doc_id", KEYS[0]))
    (folder,) = (store.root / "lookup").glob("*/doc_id")
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [f"{n:05d}.bin" for n in range(8)]  # 52 rows: the next power of two
    entries = [np.fromfile(path, dtype=ENTRY) for path in files]
    keys = [(int(e["high"]), int(e["low"]), int(e["place"])) for part in entries for e in part]
    assert keys == sorted(keys)
    assert len(keys) == 52
    for number, part in enumerate(entries):
        assert all(int(high) >> 61 == number for high in part["high"])


def test_the_second_look_up_reads_no_table(place) -> None:
    store, artifact, paths = place
    first = list(find_rows(store, artifact, paths, "doc_id", KEYS[16]))
    for path in paths:
        path.unlink()
    assert list(find_rows(store, artifact, paths, "doc_id", KEYS[16])) == first == [(0, 16), (2, 1)]


def test_rows_are_read_by_number(place) -> None:
    _, _, paths = place
    found = rows_at(paths[0], [0, 6, 7, 19], ["doc_id"])
    assert [row["doc_id"] for row in found] == [KEYS[0], KEYS[6], KEYS[7], KEYS[19]]
    with pytest.raises(DataError, match="it has 20 rows, row 20 was asked for"):
        rows_at(paths[0], [20])


def test_an_index_that_cannot_be_written_is_said(place) -> None:
    store, artifact, paths = place
    (store.root / "lookup").write_text("in the way")
    with pytest.raises(StoreError, match="makes this index once, and it cannot be written"):
        list(find_rows(store, artifact, paths, "doc_id", KEYS[0]))


def test_an_index_of_an_artifact_that_is_gone_is_garbage(place) -> None:
    store, artifact, paths = place
    list(find_rows(store, artifact, paths, "doc_id", KEYS[0]))
    assert [item.path.parent.name for item in find_garbage(store)] == ["lookup"]
