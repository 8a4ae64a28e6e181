"""What the node match_lists measures: the signals of every list, in the form of :mod:`stages.signals.definitions`.

As there, a ratio over zero is 0.0. PanGu-alpha (Zeng et al. 2021, 3.1.1) drops a document with more than three of its
724 words and does not say whether it counts each once: ``<list>_hits`` counts all, ``<list>_distinct`` each once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from stages.signals.definitions import OWN, Signal

PANGU = "PanGu-alpha (Zeng et al. 2021, 3.1.1)"
CHINESE_WEB_TEXT = "ChineseWebText (Chen et al. 2023)"
REFINED_WEB = "RefinedWeb (Penedo et al. 2023)"


class _Lists(Protocol):
    @property
    def lists(self) -> Mapping[str, Any]: ...

    @property
    def url_lists(self) -> Mapping[str, Any]: ...


def word_list_signals(name: str) -> tuple[Signal, ...]:
    """Signals of one word list; numerators and denominators are keys of :func:`list_counts`."""
    return (
        Signal(
            f"{name}_hits",
            f"places at which a phrase of the list {name} stands; of overlapping ones the first, then the longest",
            "hits",
            PANGU,
            f"{name}.hits",
        ),
        Signal(
            f"{name}_distinct", f"different phrases of the list {name} among the hits", "phrases", PANGU,
            f"{name}.distinct",
        ),
        Signal(
            f"{name}_per_line", "the hits over lines that are not blank", "hits per line", CHINESE_WEB_TEXT,
            f"{name}.hits", "lines",
        ),
        Signal(
            f"{name}_per_thousand", "the hits over characters, times 1,000", "hits per 1,000 characters", OWN,
            f"{name}.thousand_hits", "characters",
        ),
    )  # fmt: skip


def url_list_signals(name: str) -> tuple[Signal, ...]:
    """Signals of one block list."""
    return (
        Signal(
            f"url_{name}", f"1 when the address is in the block list {name}, by domain, address or piece", "0 or 1",
            REFINED_WEB, f"{name}.url",
        ),
        Signal(
            f"url_{name}_pieces", f"pieces of the block list {name} in the address, every place counted", "pieces",
            REFINED_WEB, f"{name}.pieces",
        ),
    )  # fmt: skip


def list_signals(config: _Lists) -> tuple[Signal, ...]:
    """All signals of the node with this config, in the order of its columns: by name, as mappings have no order."""
    words = [signal for name in sorted(config.lists) for signal in word_list_signals(name)]
    return (*words, *(signal for name in sorted(config.url_lists) for signal in url_list_signals(name)))


def list_schema(config: _Lists) -> pa.Schema:
    """Schema of the sidecar: one nullable column per signal."""
    return pa.schema(
        [pa.field(s.name, pa.int64() if s.denominator is None else pa.float64()) for s in list_signals(config)]
    )


def list_counts(
    hits: np.ndarray, sizes: np.ndarray, urls: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Counts of N documents by name, int64 [N] each, from what a lexicon found (its ``hits`` and ``sizes``)."""
    num_rows = len(sizes)
    counts = {"characters": sizes[:, 0], "lines": sizes[:, 1]}
    distinct = np.unique(hits[:, :3], axis=0)
    for of, name in enumerate(names):
        counts[f"{name}.hits"] = np.bincount(hits[hits[:, 1] == of, 0], minlength=num_rows).astype(np.int64)
        counts[f"{name}.thousand_hits"] = 1000 * counts[f"{name}.hits"]
        counts[f"{name}.distinct"] = np.bincount(distinct[distinct[:, 1] == of, 0], minlength=num_rows).astype(np.int64)
    for name, (listed, pieces) in urls.items():
        counts[f"{name}.url"], counts[f"{name}.pieces"] = listed, pieces
    return counts


def to_list_signals(config: _Lists, counts: Mapping[str, np.ndarray], inside: np.ndarray) -> pa.Table:
    """Signals of each document from its counts; null for rows that are not ``inside``."""
    columns = []
    for signal in list_signals(config):
        values = counts[signal.numerator]
        if signal.denominator is not None:
            total = counts[signal.denominator]
            values = np.divide(values, total, out=np.zeros(len(values)), where=total > 0)
        columns.append(pa.array(values, mask=~inside))
    return pa.table(columns, schema=list_schema(config))
