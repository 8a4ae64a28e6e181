"""Numbers of documents and the little that deduplication must know about each without its text.

A document is numbered by its place in the view's base shards: ``starts[shard] + row``. Numbers only link scratch
files; nothing that is decided depends on them. Labels are written once per base shard and looked up by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import DataError
from stages.dedup.partition_files import save_array

#: One base row. ``source`` and ``domain`` index the sorted names of the node's input; -1 outside the view.
LABEL = np.dtype(
    [
        ("doc_id_high", "<u8"),
        ("doc_id_low", "<u8"),
        ("characters", "<i8"),
        ("earlier", "<i4"),  # 1 for a document of an earlier corpus, which always precedes those of this one
        ("quality", "<f8"),  # larger is better, -inf where there is none; 0 when no signal was asked for
        ("source", "<i4"),
        ("domain", "<i4"),
    ]
)
#: A label as so many uint32: NumPy picks rows of a plain array three times as fast as records.
_LABEL_WORDS = LABEL.itemsize // 4


def doc_id_words(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(high, low) uint64 words of a binary(16) column, big-endian so that they sort as the bytes do."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if len(array) == 0:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    content = np.frombuffer(array.buffers()[1], dtype=">u8", count=2 * len(array), offset=16 * array.offset)
    words = content.reshape(-1, 2).astype(np.uint64)
    return words[:, 0], words[:, 1]


def doc_id_hex(high: int, low: int) -> str:
    """32 hex digits of a doc_id from its words."""
    return f"{int(high):016x}{int(low):016x}"


def words_to_binary(high: np.ndarray, low: np.ndarray) -> pa.Array:
    """binary(16) array of (high, low) words."""
    content = np.stack([high, low], axis=1).astype(">u8").tobytes()
    return pa.Array.from_buffers(pa.binary(16), len(high), [None, pa.py_buffer(content)])


def make_labels(
    table: pa.Table, inside: np.ndarray, sources: Sequence[str], domains: Sequence[str], where: Path
) -> np.ndarray:
    """Labels of the rows of one batch (columns doc_id, source, domain, and text for the number of characters)."""
    labels = np.zeros(table.num_rows, dtype=LABEL)
    labels["doc_id_high"], labels["doc_id_low"] = doc_id_words(table.column("doc_id"))
    if "text" in table.column_names:
        labels["characters"] = pc.utf8_length(table.column("text")).to_numpy()
    for name, known in (("source", sources), ("domain", domains)):
        index = pc.index_in(table.column(name), value_set=pa.array(known, pa.string())).fill_null(-1).to_numpy()
        if (index[inside] < 0).any():
            row = int(np.flatnonzero(inside & (index < 0))[0])
            raise DataError(f"{where}: {name} {table.column(name)[row].as_py()!r} is not in the ledgers upstream")
        labels[name] = np.where(inside, index, -1)
    return labels


class Labels:
    """Looks up labels by document number, reading just the rows it is asked for."""

    def __init__(self, paths: Sequence[Path], starts: Sequence[int]) -> None:
        self._paths = paths
        self._starts = np.asarray(starts, dtype=np.int64)  # [shards + 1]

    @staticmethod
    def write(path: Path, labels: Sequence[np.ndarray]) -> None:
        """Write the labels of one base shard, given batch by batch."""
        save_array(path, np.concatenate([np.empty(0, dtype=LABEL), *labels]))

    def place(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(shard, row) of document numbers."""
        shards = np.searchsorted(self._starts, numbers, side="right") - 1
        return shards, numbers - self._starts[shards]

    def gather(self, numbers: np.ndarray) -> np.ndarray:
        """Labels of ``numbers``, in their order."""
        found = np.empty((len(numbers), _LABEL_WORDS), dtype=np.uint32)
        shards, rows = self.place(numbers)
        order = np.argsort(shards, kind="stable")
        cuts = np.flatnonzero(np.diff(shards[order])) + 1
        for group in np.split(order, cuts):
            if len(group):
                known = np.load(self._paths[int(shards[group[0]])], mmap_mode="r")
                found[group] = known.view(np.uint32).reshape(-1, _LABEL_WORDS)[rows[group]]
        return found.view(LABEL).ravel()


def find_words(high: np.ndarray, low: np.ndarray, known_high: np.ndarray, known_low: np.ndarray) -> np.ndarray:
    """Place of every 128-bit value among known ones (distinct, sorted by high, then low); -1 where it is none."""
    if not len(known_high):
        return np.full(len(high), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known_high, high), len(known_high) - 1)
    while True:  # equal upper words with other lower ones: next to never, but what is removed must be sure
        step = (known_high[place] == high) & (known_low[place] < low) & (place + 1 < len(known_high))
        if not step.any():
            break
        place = place + step
    return np.where((known_high[place] == high) & (known_low[place] == low), place, -1)


def read_quality(path: Path, name: str, best: str, num_rows: int) -> np.ndarray:
    """Quality of every row of a base shard from its signals sidecar, float64, larger is better; -inf where it has no
    value. ``best`` says whether the "highest" or the "lowest" value of signal ``name`` is the best."""
    column = pq.read_table(path, columns=[name]).column(name)
    if len(column) != num_rows:
        raise DataError(f"{path}: {len(column)} signals for a base shard of {num_rows} documents")
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return np.where(np.isnan(values), -np.inf, values if best == "highest" else -values)


def source_matrix(removed: np.ndarray, keepers: np.ndarray, sources: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many documents of a source went because one of another (or the same) stayed: {removed: {keeper: count}}."""
    matrix: dict[str, dict[str, int]] = {}
    places, counts = np.unique(removed.astype(np.int64) * len(sources) + keepers, return_counts=True)
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        source, keeper = divmod(place, len(sources))
        matrix.setdefault(sources[source], {})[sources[keeper]] = count
    return matrix
