"""From texts to the table of TEXT_SIGNALS: one compiled scan, and zstd.

Importing this module loads Numba and OpenCC; workers do, the planner does not.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import zstandard

from stages.signals.text_definitions import TEXT_NAMES
from stages.signals.text_kernel import COUNTS, TRADITIONAL, scan_texts
from stages.text.arrow_text import text_buffers
from stages.text.characters import HAN, class_table

ZSTD_LEVEL = 3
_BASIC_PLANE = 0x10000
_ENTROPY_PLACES = 6  # logarithms differ in the last bits from one mathematics library to another


@functools.cache
def text_table() -> np.ndarray:
    """Character classes with the mark of characters that stand in traditional text only, uint8."""
    from opencc import OpenCC

    table = class_table().copy()
    codes = [code for code in range(_BASIC_PLANE) if table[code] == HAN]
    # one a line, so that no phrase forms
    simplified = OpenCC("t2s").convert("\n".join(map(chr, codes))).split("\n")
    for code, converted in zip(codes, simplified, strict=True):
        if converted != chr(code):
            table[code] |= TRADITIONAL
    table.flags.writeable = False
    return table


def measure_texts(documents: pa.Table, *, max_compressed_bytes: int) -> Mapping[str, np.ndarray]:
    """Columns of TEXT_SIGNALS for documents with ``text``; zstd sees the first ``max_compressed_bytes``."""
    data, offsets = text_buffers(documents.column("text"))
    counts, entropies = scan_texts(data, offsets, text_table())
    count = {name: counts[:, index] for index, name in enumerate(COUNTS)}
    measured = (
        _compression(data, offsets, max_compressed_bytes),
        _share(count["distinct"], count["non_space"]),
        np.round(entropies, _ENTROPY_PLACES),
        _share(count["bracketed"], count["non_space"]),
        _share(count["read_more_lines"], count["lines"]),
        _share(count["hex_characters"], count["characters"]),
        _share(count["replacements"], count["characters"]),
        count["sentences"],
        _share(count["tokens"], count["sentences"]),
        _share(count["traditional"], count["han"]),
    )
    return dict(zip(TEXT_NAMES, measured, strict=True))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _compression(data: np.ndarray, offsets: np.ndarray, max_bytes: int) -> np.ndarray:
    """Compressed over plain bytes of each text, float64 [num_documents]; 0 for the empty one."""
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=False)
    sizes = np.minimum(np.diff(offsets), max_bytes)
    compressed = np.zeros(len(sizes), dtype=np.int64)
    for row in np.flatnonzero(sizes).tolist():
        start = offsets[row]
        compressed[row] = len(compressor.compress(data[start : start + sizes[row]]))
    return _share(compressed, sizes)
