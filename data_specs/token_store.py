"""Tokens on disk: the Megatron ``.bin/.idx`` layout, pools of packed rows, and what a row means.

Shape suffixes: B rows, L context length, L1 = L + 1, N documents.

``.bin`` is the flat array of ids. ``.idx`` (magic MMIDIDX, version 1, all little-endian) is

    9 bytes  b"MMIDIDX\\0\\0"   magic
    uint64   1                 version
    uint8    code              8 = uint16, 4 = int32 (the codes that we write)
    uint64   N                 sequences
    uint64   N + 1             entries of the document index
    int32    [N]               tokens of each sequence
    int64    [N]               byte offset of each sequence in .bin
    int64    [N + 1]           first sequence of each document, and N

Pools hold rows of ``context_length + 1`` ids in which the last id of one row is the first of the next: inputs are
``row[:-1]``, targets ``row[1:]``, and every token but a pool's first is a target exactly once. Where a pool holds
documents with tokens that are no targets, ``masks/<pool>.bin`` beside it has one bit for every id of every row, 1 for a
target, rows padded to whole bytes; a pool without that file (``facts["masked_tokens"]`` does not name it) is learned
whole.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_specs.errors import DataError
from data_specs.loss_spans import SPANS_TYPE
from data_specs.manifest import Artifact

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
#: dtype -> code of the layout; reading knows them all, writing uses uint16 and int32.
DTYPE_CODES: Mapping[str, int] = {
    "uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "float64": 6, "float32": 7, "uint16": 8,
}  # fmt: skip
#: From a sequence of a ``.bin`` back to its text: one row per sequence, in order. A renderer may make several sequences
#: of one document; ``part`` tells them apart.
INDEX = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("is_validation", pa.bool_(), nullable=False),
        pa.field("base", pa.string(), nullable=False),  # key of the base shard that holds the text
        pa.field("row", pa.int64(), nullable=False),  # row in that shard
        pa.field("offset", pa.int64(), nullable=False),  # first token in the .bin
        pa.field("length", pa.int64(), nullable=False),  # tokens, EOD included
        pa.field("characters", pa.int64(), nullable=False),  # of the text that was encoded
        pa.field("renderer", pa.string(), nullable=False),  # what laid the document out; "" where nobody knows
        pa.field("part", pa.int32(), nullable=False),  # number among the sequences of its document
        pa.field("masked_spans", SPANS_TYPE, nullable=False),  # tokens that are no target: first, stop, first, stop ...
    ]
)
#: From a row of a pool back to its documents: one row per document and pool row that it reaches into.
SEGMENTS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # row of the pool
        pa.field("start", pa.int32(), nullable=False),  # first id in the row, 0 .. context_length
        pa.field("length", pa.int32(), nullable=False),  # ids, the one shared with the next row included
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("tokens_shard", pa.string(), nullable=False),  # key of the .bin: <fingerprint>/tokens/NNNNN.bin
        pa.field("token_offset", pa.int64(), nullable=False),  # token in that .bin of the segment's first id
    ]
)
_HEADER = struct.Struct("<9sQBQQ")
SPLITS = ("train", "validation")


def token_dtype(vocab_size: int) -> str:
    """dtype of a ``.bin``: uint16 where every id fits, else int32 (the layout has no uint32)."""
    return "uint16" if vocab_size <= 65535 else "int32"


def row_dtype(vocab_size: int) -> str:
    """dtype of a pool: uint16 where every id fits, else uint32."""
    return "uint16" if vocab_size <= 65535 else "uint32"


def index_bytes(lengths: npt.ArrayLike, dtype: str) -> bytes:
    """The whole ``.idx`` of documents with these token counts, one sequence per document."""
    lengths_N = np.asarray(lengths, dtype=np.int64)
    if lengths_N.size and int(lengths_N.max()) > np.iinfo(np.int32).max:
        raise DataError(f"a document of {int(lengths_N.max())} tokens does not fit the layout's int32 length")
    ends = np.cumsum(lengths_N)
    pointers_N = (ends - lengths_N) * np.dtype(dtype).itemsize
    num = len(lengths_N)
    return b"".join(
        (
            _HEADER.pack(MAGIC, VERSION, DTYPE_CODES[dtype], num, num + 1),
            lengths_N.astype("<i4").tobytes(),
            pointers_N.astype("<i8").tobytes(),
            np.arange(num + 1, dtype="<i8").tobytes(),
        )
    )


@dataclass(frozen=True)
class IndexedTokens:
    """Memory-mapped reader of one ``.bin/.idx`` pair, ours or any trainer's of the Megatron line."""

    tokens: npt.NDArray[Any]  # flat, memory-mapped
    lengths_N: npt.NDArray[np.int32]  # tokens per sequence
    pointers_N: npt.NDArray[np.int64]  # byte offsets
    documents: npt.NDArray[np.int64]  # first sequence of each document, and the number of sequences

    @classmethod
    def open(cls, prefix: Path) -> IndexedTokens:
        """Open ``<prefix>.bin`` and ``<prefix>.idx``; raise :class:`DataError` when they disagree."""
        index_path = prefix.with_name(prefix.name + ".idx")
        data_path = prefix.with_name(prefix.name + ".bin")
        raw = index_path.read_bytes()
        if len(raw) < _HEADER.size:
            raise DataError(f"{index_path}: {len(raw)} bytes are too few for a header of {_HEADER.size}")
        magic, version, code, num, num_documents = _HEADER.unpack_from(raw)
        if magic != MAGIC or version != VERSION:
            raise DataError(f"{index_path}: not an index of this layout (magic {magic!r}, version {version})")
        names = {value: name for name, value in DTYPE_CODES.items()}
        if code not in names:
            raise DataError(f"{index_path}: unknown dtype code {code}")
        # a trailing byte per sequence (the "mode" of multimodal sets) may follow; it is not ours to read
        if len(raw) < _HEADER.size + 12 * num + 8 * num_documents:
            raise DataError(f"{index_path}: {len(raw)} bytes are too few for {num} sequences")
        lengths = np.frombuffer(raw, "<i4", num, _HEADER.size)
        pointers = np.frombuffer(raw, "<i8", num, _HEADER.size + 4 * num)
        documents = np.frombuffer(raw, "<i8", num_documents, _HEADER.size + 12 * num)
        tokens = _map(data_path, np.dtype(names[code]).newbyteorder("<"))
        if num and int(pointers[-1]) // tokens.itemsize + int(lengths[-1]) > len(tokens):
            raise DataError(f"{data_path}: {len(tokens)} tokens, its index speaks of more; was it cut off?")
        return cls(tokens, lengths, pointers, documents)

    def __len__(self) -> int:
        return len(self.lengths_N)

    def __getitem__(self, sequence: int) -> npt.NDArray[Any]:
        start = int(self.pointers_N[sequence]) // self.tokens.itemsize
        return self.tokens[start : start + int(self.lengths_N[sequence])]


def _map(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Flat memory map of a file; an empty file gives an empty array (the system refuses to map it)."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


class PoolReader:
    """Memory-mapped rows of a ``pools`` artifact. Components are addressed by name, or by index in sorted order,
    which is the component order of every plan made from the same pools."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], split: str = "train") -> None:
        if split not in SPLITS:
            raise ValueError(f"split {split!r} must be one of {SPLITS}")
        self.context_length = int(facts["context_length"])
        self.vocab_size = int(facts["vocab_size"])
        self.eod_id, self.pad_id = int(facts["eod_id"]), int(facts["pad_id"])
        self.components: tuple[str, ...] = tuple(sorted(facts["components"]))
        self.domains: tuple[str, ...] = tuple(facts["components"][name]["domain"] for name in self.components)
        self._rows: dict[str, npt.NDArray[Any]] = {}
        self._masks: dict[str, npt.NDArray[Any]] = {}  # of the pools that have tokens without loss
        count = "num_rows" if split == "train" else "num_validation_rows"
        for name in self.components:
            path = folder / f"{name}-{split}.bin"
            flat = _map(path, np.dtype(str(facts["dtype"])).newbyteorder("<"))
            expected = int(facts["components"][name][count])
            if len(flat) != expected * (self.context_length + 1):
                raise DataError(f"{path}: {len(flat)} ids are not {expected} rows of {self.context_length + 1}")
            self._rows[name] = flat.reshape(expected, self.context_length + 1)
            if f"{name}-{split}" in facts.get("masked_tokens", {}):
                self._masks[name] = self._map_mask(folder.parent / "masks" / f"{name}-{split}.bin", expected)

    def _map_mask(self, path: Path, num_rows: int) -> npt.NDArray[Any]:
        flat, width = _map(path, np.dtype("u1")), mask_bytes(self.context_length)
        if len(flat) != num_rows * width:
            raise DataError(f"{path}: {len(flat)} bytes are not the masks of {num_rows} rows of {width} bytes")
        return flat.reshape(num_rows, width)

    @classmethod
    def open(cls, artifact: Artifact, split: str = "train") -> PoolReader:
        """Rows of one split of a committed ``pools`` artifact."""
        return cls(artifact.path / "rows", artifact.facts, split)

    @staticmethod
    def segments_path(artifact: Artifact, component: str, split: str = "train") -> Path:
        """The :data:`SEGMENTS` table of a component: which documents its rows are made of."""
        return artifact.sidecar("segments", f"{component}-{split}")

    @property
    def has_masks(self) -> bool:
        """Whether some id of some component is no target."""
        return bool(self._masks)

    def num_rows(self, component: str) -> int:
        """Rows of one component."""
        return len(self._rows[component])

    def rows(self, component: str, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """Copies of rows; uint16 or uint32 ``[len(indices), L1]``."""
        return np.asarray(self._rows[component][np.asarray(indices, dtype=np.int64)])

    def counted(self, component: str, indices: npt.ArrayLike) -> npt.NDArray[np.bool_] | None:
        """True for every id of these rows that is a target, bool ``[len(indices), L1]``; None where all are."""
        if component not in self._masks:
            return None
        packed = self._masks[component][np.asarray(indices, dtype=np.int64)]
        return np.unpackbits(packed, axis=1, count=self.context_length + 1).view(np.bool_)

    def gather_counted(self, component_B: npt.ArrayLike, row_B: npt.ArrayLike) -> npt.NDArray[np.bool_] | None:
        """:meth:`counted` of rows in the order of ``Plan.rows_of_step``, bool ``[B, L1]``; None where all count."""
        components, rows = np.asarray(component_B), np.asarray(row_B, dtype=np.int64)
        masked = [index for index in np.unique(components) if self.components[index] in self._masks]
        if not masked:
            return None
        gathered = np.ones((len(components), self.context_length + 1), dtype=bool)
        for index in masked:
            mine = components == index
            gathered[mine] = self.counted(self.components[index], rows[mine])
        return gathered

    def gather(self, component_B: npt.ArrayLike, row_B: npt.ArrayLike) -> npt.NDArray[Any]:
        """Rows in the order of ``Plan.rows_of_step``; uint16 or uint32 ``[B, L1]``."""
        components, rows = np.asarray(component_B), np.asarray(row_B, dtype=np.int64)
        dtype = next(iter(self._rows.values())).dtype
        gathered = np.empty((len(components), self.context_length + 1), dtype=dtype)
        for index in np.unique(components):
            mine = components == index
            gathered[mine] = self._rows[self.components[index]][rows[mine]]
        return gathered


def shorten_rows(rows_BL1: npt.NDArray[Any], num_cuts: int) -> npt.NDArray[Any]:
    """Every row as ``num_cuts`` shorter ones, in order; ``[B * num_cuts, L / num_cuts + 1]``. As in a pool, the last id
    of one is the first of the next: no target is lost or doubled. ``num_cuts`` divides L."""
    length = (rows_BL1.shape[1] - 1) // num_cuts
    places = np.arange(num_cuts)[:, None] * length + np.arange(length + 1)
    return rows_BL1 if num_cuts == 1 else rows_BL1[:, places].reshape(-1, length + 1)


class RowLayout(NamedTuple):
    """What a packed row means to a model; every array is ``[B, L]``."""

    inputs_BL: npt.NDArray[np.int64]
    targets_BL: npt.NDArray[np.int64]
    loss_mask_BL: npt.NDArray[np.bool_]  # True where the target counts
    position_ids_BL: npt.NDArray[np.int64]  # restart at 0 after every end of document
    segment_ids_BL: npt.NDArray[np.int64]  # documents of a row: 0, 1, 2 ...; attention stays inside one


def mask_bytes(context_length: int) -> int:
    """Bytes of a row's mask: one bit for each of its ids."""
    return -(-(context_length + 1) // 8)


def row_layout(
    rows_BL1: npt.NDArray[Any], eod_id: int, pad_id: int, counted_BL1: npt.NDArray[np.bool_] | None = None
) -> RowLayout:
    """Everything a training step needs, derived from the ids and, where there is one, the mask of the pool.

    A document ends *with* its EOD. A target is left out when its input is EOD (it is the next document's first token,
    which nothing before it may predict) or padding, or when it is padding itself, or when the mask says so.
    """
    rows = np.asarray(rows_BL1).astype(np.int64)
    inputs, targets = rows[:, :-1], rows[:, 1:]
    ends = inputs == eod_id
    loss_mask = ~ends & (inputs != pad_id) & (targets != pad_id)
    if counted_BL1 is not None:
        loss_mask &= counted_BL1[:, 1:]
    segment_ids = np.cumsum(ends, axis=1) - ends
    places = np.broadcast_to(np.arange(inputs.shape[1]), inputs.shape)
    starts = np.zeros_like(inputs)
    starts[:, 1:] = np.where(ends[:, :-1], places[:, 1:], 0)
    position_ids = places - np.maximum.accumulate(starts, axis=1)
    return RowLayout(inputs, targets, loss_mask, position_ids, segment_ids)
