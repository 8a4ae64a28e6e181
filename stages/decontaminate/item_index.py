"""The evaluation items as arrays that every worker maps: which shingle belongs to which items, and where.

Items are the parts of the evaluation documents between blank lines, because that is how ``ingest`` joins the fields
of a record. They are numbered by (doc_id, part), so the order of the evaluation sets never shows. Items of equal
tokens are searched once and reported all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from data_specs.errors import StageError
from data_specs.view import ViewShard
from stages.decontaminate import kernel
from stages.decontaminate.folding import folding_table
from stages.decontaminate.overlap import MATCHES, TOO_SHORT, Overlaps
from stages.text.arrow_text import text_buffers

#: Items of one shingle that are looked at; the shingle of a later item finds its document through an earlier one.
MAX_POSTINGS = 64
#: 28 MB of Chinese evaluation sets hold 8 million tokens; this many take about 2 GB while the index is made.
MAX_TOKENS = 40_000_000
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
#: One row per item, in the order of their numbers.
ITEMS = pa.schema(
    [
        pa.field("item", pa.int64(), nullable=False),  # number of the item; evidence refers to it
        pa.field("doc_id", pa.binary(16), nullable=False),  # of the evaluation document
        pa.field("part", pa.int32(), nullable=False),  # place among the parts of that document
        pa.field("source", pa.string(), nullable=False),  # the evaluation set
        pa.field("url", pa.string()),
        pa.field("num_tokens", pa.int32(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),  # characters or words
        pa.field("match", pa.string(), nullable=False),  # overlap, whole or too_short
        pa.field("searched_as", pa.int64(), nullable=False),  # first item of equal tokens
    ]
)


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """Arrays of the index; I searched items, S distinct shingles, T postings, G shingle lengths."""

    table: np.ndarray  # folding table, uint32
    lengths: np.ndarray  # shingle lengths in use, int64 [G]
    hashes: np.ndarray  # sorted, uint64 [S]
    slots: np.ndarray  # hash table over ``hashes``, int32
    sieve: np.ndarray  # one bit per hash, uint8
    starts: np.ndarray  # postings of a shingle, int64 [S + 1]
    items: np.ndarray  # place of the item among the searched ones, int32 [T]
    places: np.ndarray  # first token of the shingle in that item, int32 [T]
    numbers: np.ndarray  # number of the item, int64 [I]
    item_lengths: np.ndarray  # its shingle length, int64 [I]
    item_needs: np.ndarray  # tokens to cover, int64 [I]
    item_windows: np.ndarray  # in tokens, int64 [I]

    def save(self, folder: Path) -> None:
        """Write every array, each by rename."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            temporary = folder / f".{field.name}.{os.getpid()}.tmp"
            with temporary.open("wb") as handle:
                np.save(handle, getattr(self, field.name))
            os.replace(temporary, folder / f"{field.name}.npy")

    @classmethod
    def load(cls, folder: Path) -> ItemIndex:
        """Map the arrays; the processes of a machine share the pages."""
        return cls(**{f.name: np.asarray(np.load(folder / f"{f.name}.npy", mmap_mode="r")) for f in fields(cls)})


@dataclass(frozen=True)
class _Part:
    """One item before it has a number."""

    doc_id: bytes
    part: int
    source: str
    url: str | None
    tokens: np.ndarray  # uint64
    is_characters: bool


def build_index(shards: Sequence[ViewShard], overlaps: Overlaps) -> tuple[ItemIndex, pa.Table, dict[str, int]]:
    """(index, rows of :data:`ITEMS`, counts: ``num_shingles`` and ``num_capped_shingles``) of evaluation shards."""
    table = folding_table()
    parts = sorted(_read_parts(shards, table), key=lambda part: (part.doc_id, part.part))
    sizes = np.array([len(part.tokens) for part in parts], dtype=np.int64)
    is_characters = np.array([part.is_characters for part in parts], dtype=bool)
    by_unit = [rule.needs(sizes) for rule in (overlaps.characters, overlaps.words)]
    match, length, need = (np.where(is_characters, *pair) for pair in zip(*by_unit, strict=True))
    window = np.where(is_characters, overlaps.characters.window, overlaps.words.window)
    searched_as = _first_of_equals(parts)
    numbers = np.flatnonzero((searched_as == np.arange(len(parts))) & (match != TOO_SHORT))
    postings = _postings(parts, numbers, length)
    hashes, starts, items, places, num_capped = _invert(*postings)
    size = 1 << max(4, int(2 * len(hashes)).bit_length())
    slots, sieve = np.full(size, -1, dtype=np.int32), np.zeros(size, dtype=np.uint8)
    kernel.fill_slots(hashes, slots, sieve)
    index = ItemIndex(
        table=table, lengths=np.unique(length[numbers]), hashes=hashes, slots=slots, sieve=sieve, starts=starts,
        items=items, places=places, numbers=numbers, item_lengths=length[numbers], item_needs=need[numbers],
        item_windows=window[numbers],
    )  # fmt: skip
    rows = {
        "item": np.arange(len(parts)),
        "doc_id": pa.array([part.doc_id for part in parts], pa.binary(16)),
        "part": [part.part for part in parts],
        "source": [part.source for part in parts],
        "url": [part.url for part in parts],
        "num_tokens": sizes,
        "unit": np.where(is_characters, "characters", "words").astype(object),
        "match": [MATCHES[number] for number in match.tolist()],
        "searched_as": searched_as,
    }
    counts = {"num_shingles": len(hashes), "num_capped_shingles": num_capped}
    return index, pa.table({name: pa.array(rows[name], ITEMS.field(name).type) for name in ITEMS.names}), counts


def _read_parts(shards: Sequence[ViewShard], table: np.ndarray) -> Iterator[_Part]:
    """Items of the evaluation documents with their tokens."""
    total = 0
    for shard in shards:
        for batch in shard.kept_batches(["doc_id", "source", "url", "text"]):
            for doc_id, source, url, text in zip(
                *(batch.column(n).to_pylist() for n in batch.column_names), strict=True
            ):
                pieces = [piece for piece in _BLANK_LINE.split(text) if piece.strip()]
                data, offsets = text_buffers(pa.array(pieces, pa.string()))
                for part in range(len(pieces)):
                    room = int(offsets[part + 1] - offsets[part]) + 2
                    tokens, begins = np.empty(room, np.uint64), np.empty(room, np.int64)
                    count, num_single = kernel.tokenise(data, offsets[part], offsets[part + 1], table, tokens, begins)
                    total += count
                    if total > MAX_TOKENS:
                        raise StageError(
                            f"the evaluation sets hold more than {MAX_TOKENS:,} tokens, which one index cannot; "
                            f"use several decontaminate nodes, one after the other"
                        )
                    yield _Part(doc_id, part, source, url, tokens[:count].copy(), 2 * num_single > count)


def _first_of_equals(parts: Sequence[_Part]) -> np.ndarray:
    """Per item the number of the first one with the same tokens, int64 [items]."""
    seen: dict[bytes, int] = {}
    digests = (xxhash.xxh3_128_digest(part.tokens.tobytes()) for part in parts)
    return np.array([seen.setdefault(digest, number) for number, digest in enumerate(digests)], dtype=np.int64)


def _postings(
    parts: Sequence[_Part], numbers: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hash, place among the searched items, place in the item) of every shingle, in item order."""
    counts = [len(parts[number].tokens) - int(lengths[number]) + 1 for number in numbers.tolist()]
    ends = np.cumsum(np.array([0, *counts], dtype=np.int64))
    hashes = np.empty(ends[-1], dtype=np.uint64)
    for place, number in enumerate(numbers.tolist()):
        tokens = parts[number].tokens
        kernel.shingle(tokens, len(tokens), int(lengths[number]), hashes[ends[place] : ends[place + 1]])
    items = np.repeat(np.arange(len(numbers), dtype=np.int32), counts)
    places = (np.arange(ends[-1]) - np.repeat(ends[:-1], counts)).astype(np.int32)
    return hashes, items, places


def _invert(
    hashes: np.ndarray, items: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """(distinct hashes, starts, items, places, capped shingles): the first :data:`MAX_POSTINGS` of every shingle."""
    order = np.argsort(hashes, kind="stable")
    distinct, starts, counts = np.unique(hashes[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    order = order[rank < MAX_POSTINGS]
    kept = np.concatenate([[0], np.cumsum(np.minimum(counts, MAX_POSTINGS))]).astype(np.int64)
    return distinct, kept, items[order], places[order], int((counts > MAX_POSTINGS).sum())
