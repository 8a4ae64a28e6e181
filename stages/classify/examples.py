"""Labelled examples for a classifier: from a file of labels, or weakly from two views, good text against raw text.

Every example has a key, a hash of its text under the seed. Keys choose the sample and the held-out part, so equal
texts are on one side, and nothing depends on the order of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

#: What the phases hand to the trainer. ``line`` is a prepared text.
EXAMPLES = pa.schema([("key", pa.uint64()), ("label", pa.string()), ("line", pa.string())])


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One good line of a label file."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line of a label file that is no example."""

    index: int
    offset: int  # byte where the line starts
    reason: str
    error: str
    raw: bytes


def read_labels(path: Path) -> Iterator[LabelledText | BadLine]:
    """Every non-blank line of a JSONL file of ``{"text": ..., "label": ...}``; further keys are allowed."""
    offset = index = 0
    with path.open("rb") as handle:
        for raw in handle:
            if raw.strip():
                yield _read_line(raw, index, offset)
                index += 1
            offset += len(raw)


def _read_line(raw: bytes, index: int, offset: int) -> LabelledText | BadLine:
    try:
        record = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        return BadLine(index, offset, "bad_json", f"no JSON: {error}", raw)
    text, label = (record.get("text"), record.get("label")) if isinstance(record, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(label, str) or not label:
        return BadLine(index, offset, "bad_label", 'a line needs "text" and "label", both text; label not empty', raw)
    # half of a surrogate pair, which JSON can spell, is no character
    return LabelledText(text.encode("utf-8", "replace").decode("utf-8"), label)


def text_key(line: str, seed: int) -> int:
    """64-bit key of a prepared text."""
    return xxhash.xxh3_64_intdigest(line.encode("utf-8"), seed=seed & 0xFFFFFFFFFFFFFFFF)


def is_held_out(keys: np.ndarray, ratio: float) -> np.ndarray:
    """Which examples test the model: ``keys`` uint64 [N], a share of about ``ratio`` is True. Uses the low bits, so
    that a sample of small keys is split like any other."""
    low = keys & np.uint64(0xFFFFFF)
    return low < np.uint64(int(ratio * (1 << 24)))


def choose_examples(examples: pa.Table, max_per_label: int | None) -> pa.Table:
    """Examples in key order, equal texts of one label once, at most ``max_per_label`` of each label."""
    ordered = examples.sort_by([("key", "ascending"), ("label", "ascending"), ("line", "ascending")])
    keys = ordered.column("key").to_numpy()
    _, labels = np.unique(ordered.column("label").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    keep = np.ones(len(keys), dtype=bool)
    keep[1:] = (keys[1:] != keys[:-1]) | (labels[1:] != labels[:-1])
    if max_per_label is not None:
        for label in range(labels.max(initial=-1) + 1):
            mine = np.flatnonzero(keep & (labels == label))
            keep[mine[max_per_label:]] = False
    return ordered.filter(pa.array(keep))
