"""Exchange files: what goes in comes out, by partition, in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.dedup import partition_files
from stages.dedup.partition_files import PartitionWriter, read_partition, save_array

RECORD = np.dtype([("key", "<u8"), ("number", "<i8")])


def records(*numbers: int) -> np.ndarray:
    made = np.zeros(len(numbers), dtype=RECORD)
    made["number"] = numbers
    return made


def test_records_come_back_by_partition_in_writing_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_files, "_CHUNK_BYTES", 3 * RECORD.itemsize)  # several chunks
    paths = [tmp_path / "a" / "0.bin", tmp_path / "a" / "1.bin"]
    for shift, path in enumerate(paths):
        with PartitionWriter(path, RECORD, 3) as writer:
            for start in range(0, 10, 2):
                numbers = np.arange(start, start + 2) + 100 * shift
                writer.append(numbers % 3, records(*numbers))
    for partition in range(3):
        expected = [n + 100 * shift for shift in range(2) for n in range(10) if (n + 100 * shift) % 3 == partition]
        assert read_partition(paths, RECORD, partition)["number"].tolist() == expected


def test_an_empty_file_has_empty_partitions(tmp_path: Path) -> None:
    with PartitionWriter(tmp_path / "x.bin", RECORD, 2) as writer:
        writer.append(np.empty(0, np.int64), records())
    assert len(read_partition([tmp_path / "x.bin"], RECORD, 1)) == 0
    assert len(read_partition([], RECORD, 0)) == 0


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    def work() -> None:
        with PartitionWriter(tmp_path / "x.bin", RECORD, 2) as writer:
            writer.append(np.array([0]), records(1))
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        work()
    assert list(tmp_path.iterdir()) == []


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    for value in (1, 2):
        with PartitionWriter(tmp_path / "x.bin", RECORD, 1) as writer:
            writer.append(np.array([0]), records(value))
        save_array(tmp_path / "y.npy", np.array([value]))
    assert read_partition([tmp_path / "x.bin"], RECORD, 0)["number"].tolist() == [2]
    assert np.load(tmp_path / "y.npy").tolist() == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.bin", "y.npy"]


def test_a_cut_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with PartitionWriter(path, RECORD, 1) as writer:
        writer.append(np.zeros(4, np.int64), records(1, 2, 3, 4))
    path.write_bytes(path.read_bytes()[RECORD.itemsize :])
    with pytest.raises(ValueError, match="the footer says 4"):
        read_partition([path], RECORD, 0)
