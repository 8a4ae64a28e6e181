"""Labelled examples for a classifier: from a file of labels, or weakly from two views, good text against raw text.

Every example has a key, a hash of its text under the seed. Keys choose the sample and the held-out part, so equal
texts are on one side, and nothing depends on the order of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from data_specs.errors import DataError

#: What the phases hand to the trainer. ``line`` is a prepared text.
EXAMPLES = pa.schema([("key", pa.uint64()), ("label", pa.string()), ("line", pa.string())])


@dataclass(frozen=True, slots=True)
class Examples:
    """Chosen examples in key order; N of them."""

    labels: tuple[str, ...]  # sorted; a label's place is its number
    label_N: np.ndarray  # int64
    lines: list[str]  # prepared texts
    key_N: np.ndarray  # uint64
    held_N: np.ndarray  # bool: tests the model and never trains it


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


def read_examples(
    paths: Iterable[Path], *, positive: str | None, max_per_label: int | None, held_out_ratio: float
) -> Examples:
    """The examples of parquet files of :data:`EXAMPLES`, chosen and split.

    Raises :class:`DataError` where there are no two labels, ``positive`` is none of them, or one has none to train on.
    """
    tables = [EXAMPLES.empty_table(), *(pq.read_table(path) for path in paths)]
    chosen = choose_examples(pa.concat_tables(tables), max_per_label)
    labels = tuple(sorted(pc.unique(chosen.column("label")).to_pylist()))
    if len(labels) < 2 or (positive is not None and positive not in labels):
        named = "" if positive is None else f", and positive ({positive!r}) among them"
        raise DataError(
            f"examples have the labels {', '.join(map(repr, labels)) or '(none)'}; at least two are needed{named}"
        )
    numbers = {label: number for number, label in enumerate(labels)}
    key_N = chosen.column("key").to_numpy()
    examples = Examples(
        labels=labels,
        label_N=np.array([numbers[label] for label in chosen.column("label").to_pylist()], dtype=np.int64),
        lines=chosen.column("line").to_pylist(),
        key_N=key_N,
        held_N=is_held_out(key_N, held_out_ratio),
    )
    for number, label in enumerate(labels):
        if not (~examples.held_N & (examples.label_N == number)).any():
            raise DataError(f"label {label!r} has no example to train on: all of its few are held out; give more")
    return examples
