"""Cuts: a union of byte spans, applied to texts and turned back into places of the base text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.cuts import CUTS, Cuts, cuts_table
from data_specs.errors import DataError
from data_specs.view import ViewShard

HERE = Path("shard.parquet")


def make(*spans: tuple[int, int, int]) -> Cuts:
    table = np.array(spans, dtype=np.int64).reshape(-1, 3)
    return Cuts.union(*table.T)


def listed(cuts: Cuts) -> list[tuple[int, int, int]]:
    return list(zip(cuts.row.tolist(), cuts.start.tolist(), cuts.end.tolist(), strict=True))


def test_spans_that_touch_or_overlap_are_one_and_rows_stay_apart():
    assert listed(make((1, 4, 6), (0, 8, 9), (1, 0, 4), (0, 2, 2), (0, 3, 8), (2, 0, 1), (1, 9, 9))) == [
        (0, 3, 9),
        (1, 0, 6),
        (2, 0, 1),
    ]


def test_texts_lose_their_spans_in_any_batch():
    texts = pa.chunked_array([["汉字ab", ""], ["keep", "gone"]])
    cuts = make((0, 3, 7), (3, 0, 4))
    assert cuts.apply(texts, 0, HERE).to_pylist() == ["汉b", "", "keep", ""]
    assert cuts.apply(texts.slice(1), 1, HERE).to_pylist() == ["", "keep", ""]
    assert cuts.apply(texts.slice(1, 2), 1, HERE).to_pylist() == ["", "keep"]


@pytest.mark.parametrize("span", [(1, 0, 1), (1, 3, 5), (0, 0, 6)])
def test_a_span_that_does_not_fit_is_refused(span: tuple[int, int, int]):
    """Inside a character, or behind the end of its text."""
    with pytest.raises(DataError, match=rf"shard.parquet: a cut of row {span[0]} does not fit its text"):
        make(span).apply(pa.array(["plain", "汉字"]), 0, HERE)


ROWS = st.lists(st.text(alphabet="ab汉é", max_size=8), min_size=1, max_size=5)


@given(ROWS, st.data())
def test_applying_and_placing_equal_the_slow_definition(texts: list[str], data: st.DataObject):
    """Slow: per character, whether any span holds it; a seen character leads back to its own byte in the base."""
    spans, seen, origin = [], [], []
    for row, text in enumerate(texts):
        bounds = [len(text[:n].encode()) for n in range(len(text) + 1)]
        gone = set()
        for first, last in data.draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))))):
            if first < last:
                spans.append((row, bounds[first], bounds[last]))
                gone |= set(range(first, last))
        left = [n for n in range(len(text)) if n not in gone]
        seen.append("".join(text[n] for n in left))
        place = 0
        for n in left:
            size = bounds[n + 1] - bounds[n]
            origin.append((row, place, place + size, bounds[n], bounds[n + 1]))
            place += size
    cuts = make(*spans)
    assert cuts.apply(pa.array(texts), 0, HERE).to_pylist() == seen
    table = np.array(origin, dtype=np.int64).reshape(-1, 5)
    starts, ends = cuts.to_base(table[:, 0], table[:, 1], table[:, 2])
    assert starts.tolist() == table[:, 3].tolist()
    assert ends.tolist() == table[:, 4].tolist()


def test_two_sidecars_of_one_shard_cut_together(tmp_path: Path):
    """Positions are those of the base text, so the order of the two does not matter."""
    pq.write_table(pa.table({"doc": [1, 2, 3], "text": ["0123456789", "汉字", ""]}), tmp_path / "b", row_group_size=1)
    one = cuts_table(3, np.array([0, 0, 1]), np.array([0, 6, 3]), np.array([2, 8, 6]), ["x", "y", "z"])
    two = cuts_table(3, np.array([0]), np.array([1]), np.array([4]), ["w"])
    assert one.schema == CUTS
    assert one.column("detail").to_pylist() == [["x", "y"], ["z"], None]
    for name, table in (("one", one), ("two", two)):
        pq.write_table(table, tmp_path / name)
    for order in (("one", "two"), ("two", "one")):
        shard = ViewShard("key", tmp_path / "b", 3, 16, "", (), tuple(tmp_path / name for name in order))
        assert [t.column("text").to_pylist() for t, _ in shard.batches(["text"])] == [["4589"], ["汉"], [""]]
        assert [(n, t.to_pylist()) for n, t in shard.groups_with(["doc", "text"], [1])] == [
            (1, [{"doc": 2, "text": "汉"}])
        ]
        assert [t.num_rows for t, _ in shard.batches(["doc"])] == [1, 1, 1]
    pq.write_table(cuts_table(2, *(np.empty(0, np.int64),) * 3, []), tmp_path / "short")
    with pytest.raises(DataError, match="short: 2 rows of cuts for a base shard of 3 documents"):
        ViewShard("key", tmp_path / "b", 3, 16, "", (), (tmp_path / "short",)).spans()
