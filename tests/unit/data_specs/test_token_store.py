"""The .bin/.idx layout byte for byte, pools, and what a row means, by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from data_specs.errors import DataError
from data_specs.token_store import IndexedTokens, PoolReader, index_bytes, row_dtype, row_layout, token_dtype

EOD, PAD = 0, 1


def by_hand(lengths: list[int], code: int, item_bytes: int) -> bytes:
    """The index as the layout's text says, number by number."""
    raw = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + struct.pack("<B", code)
    raw += struct.pack("<Q", len(lengths)) + struct.pack("<Q", len(lengths) + 1)
    for length in lengths:
        raw += struct.pack("<i", length)
    pointer = 0
    for length in lengths:
        raw += struct.pack("<q", pointer)
        pointer += length * item_bytes
    for document in range(len(lengths) + 1):
        raw += struct.pack("<q", document)
    return raw


@pytest.mark.parametrize("lengths", [[], [1], [3, 1, 7], list(range(1, 200))])
@pytest.mark.parametrize(("dtype", "code", "item_bytes"), [("uint16", 8, 2), ("int32", 4, 4)])
def test_index_bytes_follow_the_layout(lengths: list[int], dtype: str, code: int, item_bytes: int) -> None:
    assert index_bytes(lengths, dtype) == by_hand(lengths, code, item_bytes)


def test_dtypes_change_where_ids_stop_fitting() -> None:
    assert (token_dtype(65535), token_dtype(65536)) == ("uint16", "int32")
    assert (row_dtype(65535), row_dtype(65536)) == ("uint16", "uint32")


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_documents_read_back(tmp_path: Path, dtype: str) -> None:
    documents = [[5, 6, 0], [0], [7, 8, 9, 10, 0]]
    np.array([token for document in documents for token in document], dtype=f"<{np.dtype(dtype).str[1:]}").tofile(
        tmp_path / "x.bin"
    )
    (tmp_path / "x.idx").write_bytes(index_bytes([len(document) for document in documents], dtype))
    store = IndexedTokens.open(tmp_path / "x")
    assert len(store) == 3
    assert [store[i].tolist() for i in range(3)] == documents
    assert store.documents.tolist() == [0, 1, 2, 3]
    assert store.tokens.dtype == np.dtype(dtype)


def test_an_empty_store_reads_back(tmp_path: Path) -> None:
    (tmp_path / "x.bin").touch()
    (tmp_path / "x.idx").write_bytes(index_bytes([], "uint16"))
    assert len(IndexedTokens.open(tmp_path / "x")) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:20], "too few for a header"),
        (lambda raw: b"X" + raw[1:], "not an index of this layout"),
        (lambda raw: raw[:17] + b"\x63" + raw[18:], "unknown dtype code 99"),
        (lambda raw: raw[:-1], "too few for 2 sequences"),
        (lambda raw: raw.replace(struct.pack("<i", 4), struct.pack("<i", 44)), "was it cut off"),
    ],
)
def test_damaged_indexes_are_refused(tmp_path: Path, damage: object, message: str) -> None:
    np.arange(7, dtype="<u2").tofile(tmp_path / "x.bin")
    (tmp_path / "x.idx").write_bytes(damage(index_bytes([3, 4], "uint16")))  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        IndexedTokens.open(tmp_path / "x")


def test_a_row_by_hand() -> None:
    # two documents (5 6 EOD and 7 EOD), then a third that goes on in the next row
    row = np.array([[5, 6, EOD, 7, EOD, 8, 9]], dtype=np.uint16)
    layout = row_layout(row, EOD, PAD)
    assert layout.inputs_BL.tolist() == [[5, 6, EOD, 7, EOD, 8]]
    assert layout.targets_BL.tolist() == [[6, EOD, 7, EOD, 8, 9]]
    # after an EOD the next document's first token is nobody's to predict
    assert layout.loss_mask_BL.tolist() == [[True, True, False, True, False, True]]
    assert layout.position_ids_BL.tolist() == [[0, 1, 2, 0, 1, 0]]
    assert layout.segment_ids_BL.tolist() == [[0, 0, 0, 1, 1, 2]]


def test_padding_has_no_loss_and_an_eod_at_either_edge_is_no_trap() -> None:
    layout = row_layout(np.array([[EOD, 5, EOD, PAD, PAD]]), EOD, PAD)
    assert layout.loss_mask_BL.tolist() == [[False, True, False, False]]
    assert layout.position_ids_BL.tolist() == [[0, 0, 1, 0]]
    assert layout.segment_ids_BL.tolist() == [[0, 1, 1, 2]]
    last = row_layout(np.array([[5, 6, 7, EOD]]), EOD, PAD)
    assert last.loss_mask_BL.tolist() == [[True, True, True]]
    assert last.segment_ids_BL.tolist() == [[0, 0, 0]]


def pool(folder: Path, rows: int = 3) -> dict[str, object]:
    folder.mkdir()
    for name, start in (("a", 10), ("b", 50)):
        for split in ("train", "validation"):
            np.arange(start, start + rows * 5, dtype="<u2").tofile(folder / f"{name}-{split}.bin")
    count = {"num_rows": rows, "num_validation_rows": rows, "num_tokens": 9, "num_validation_tokens": 9}
    components = {"b": {"domain": "y", **count}, "a": {"domain": "x", **count}}
    return {
        "context_length": 4, "vocab_size": 100, "eod_id": 0, "pad_id": 1, "dtype": "uint16", "components": components,
    }  # fmt: skip


def test_pool_rows_by_name_and_in_plan_order(tmp_path: Path) -> None:
    reader = PoolReader(tmp_path / "rows", pool(tmp_path / "rows"))
    assert reader.components == ("a", "b")
    assert reader.domains == ("x", "y")
    assert reader.num_rows("a") == 3
    assert reader.rows("b", [2, 0]).tolist() == [[60, 61, 62, 63, 64], [50, 51, 52, 53, 54]]
    assert reader.gather([1, 0, 1], [0, 1, 2])[:, 0].tolist() == [50, 15, 60]


def test_a_pool_of_another_size_than_its_facts_is_refused(tmp_path: Path) -> None:
    facts = pool(tmp_path / "rows")
    with (tmp_path / "rows" / "a-train.bin").open("ab") as handle:
        handle.write(b"\x00\x00")
    with pytest.raises(DataError, match=r"a-train.bin: 16 ids are not 3 rows of 5"):
        PoolReader(tmp_path / "rows", facts)


def test_an_empty_pool_opens(tmp_path: Path) -> None:
    reader = PoolReader(tmp_path / "rows", pool(tmp_path / "rows", rows=0), "validation")
    assert reader.num_rows("a") == 0
