"""The passes of exact deduplication over one base shard and over one hash partition."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from stages.base import UnitOutput
from stages.dedup import kernel
from stages.dedup.folding import folding_table
from stages.dedup.keeper import keeper_order
from stages.dedup.labels import Labels, make_labels, source_matrix
from stages.dedup.partition_files import PartitionWriter, read_partition
from stages.dedup.removals import REMOVAL
from stages.dedup.view_input import ShardPayload, ViewInput
from stages.text.arrow_text import text_buffers

#: A document and the two words of its hash.
HASH_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("number", "<i8")])


def normal_form_hashes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """xxh3-128 of the normal form of every text, uint64 [N, 2] as (high, low) words."""
    num_texts = offsets.shape[0] - 1
    out = np.empty(max(1, int(offsets[-1] - offsets[0])), dtype=np.uint8)
    cuts = np.zeros(num_texts + 1, dtype=np.int64)
    composes = np.zeros(num_texts, dtype=bool)
    kernel.collapse_spaces(data, offsets, folding_table(), out, cuts, composes)
    view = memoryview(out)
    bounds = cuts.tolist()
    digests = []
    for row, unsure in enumerate(composes.tolist()):
        form: bytes | memoryview = view[bounds[row] : bounds[row + 1]]
        if unsure:  # rare: most texts hold no character that NFC could touch
            form = unicodedata.normalize("NFC", bytes(form).decode("utf-8")).encode("utf-8")
        digests.append(xxhash.xxh3_128_digest(form))
    return np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2).astype(np.uint64)


def range_partition(words: np.ndarray, parts: int) -> np.ndarray:
    """Partition of 64-bit hash values: equal ranges of their upper half."""
    return ((words >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32)


def hash_shard(view: ViewInput, parts: int, payload: ShardPayload, out: UnitOutput) -> None:
    """Write labels and hash entries of one base shard."""
    labels = []
    row = view.starts[payload.index]
    path = out.scratch(f"hashes/{payload.index:05d}.bin")
    with PartitionWriter(path, HASH_ENTRY, parts) as writer:
        for table, inside in payload.shard.batches(["doc_id", "source", "domain", "text"]):
            labels.append(make_labels(table, inside, view.sources, view.domains, payload.shard.path))
            hashes = normal_form_hashes(*text_buffers(table.column("text")))[inside]
            entries = np.empty(len(hashes), dtype=HASH_ENTRY)
            entries["high"], entries["low"] = hashes[:, 0], hashes[:, 1]
            entries["number"] = row + np.flatnonzero(inside)
            writer.append(range_partition(entries["high"], parts), entries)
            row += table.num_rows
    Labels.write(out.scratch(f"labels/{payload.index:05d}.npy"), labels)


def group_partition(
    view: ViewInput, ranks: list[int], label_paths: list[Path], hash_paths: list[Path], part: int, out: UnitOutput
) -> dict[str, Any]:
    """Keep the first document of every group in keeper order, remove the others."""
    labels = Labels(label_paths, view.starts)
    entries = read_partition(hash_paths, HASH_ENTRY, part)
    entries = entries[np.lexsort((entries["low"], entries["high"]))]
    same = (entries["high"][1:] == entries["high"][:-1]) & (entries["low"][1:] == entries["low"][:-1])
    group = np.concatenate([[0], np.cumsum(~same)]) if len(entries) else np.empty(0, np.int64)
    grouped = np.zeros(len(entries), dtype=bool)
    grouped[1:] |= same
    grouped[:-1] |= same
    numbers, group = entries["number"][grouped], group[grouped]
    found = labels.gather(numbers)
    order = keeper_order(found, np.asarray(ranks))
    order = order[np.argsort(group[order], kind="stable")]  # by group, in keeper order inside
    group = group[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = group[1:] != group[:-1]
    keeper = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))] if len(order) else order
    gone, kept = order[~first], keeper[~first]
    shards, rows = labels.place(numbers[gone])
    removals = np.empty(len(gone), dtype=REMOVAL)
    removals["row"], removals["similarity"] = rows, 1.0
    removals["keeper_high"], removals["keeper_low"] = found["doc_id_high"][kept], found["doc_id_low"][kept]
    with PartitionWriter(out.scratch(f"removals/{part:05d}.bin"), REMOVAL, len(view.shards)) as writer:
        writer.append(shards, removals)
    return {
        "num_groups": int(first.sum()),
        "num_removed": len(gone),
        "removals": source_matrix(found["source"][gone], found["source"][kept], view.sources),
    }
