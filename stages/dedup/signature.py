"""MinHash signatures of Arrow text, equal value for value to ``datasketch.MinHash`` (2.x, scheme affine32).

datasketch stays the authority: it draws the permutations and chooses the bands (:mod:`stages.dedup.bands`); only
the loop over shingles is ours. A signature made here loads there with
``MinHash(hashvalues=..., seed=..., scheme="affine32")``. The input hash of a shingle is the upper half of its 64-bit
hash.
"""

from __future__ import annotations

import numpy as np

from stages.dedup import kernel
from stages.dedup.folding import folding_table
from stages.dedup.shingles import ShingleLengths


class Signer:
    """Signatures of batches of documents, with the scratch buffer that they share; ``drawn`` are the permutations of
    :func:`stages.dedup.bands.permutations`."""

    def __init__(self, lengths: ShingleLengths, drawn: tuple[np.ndarray, np.ndarray]) -> None:
        self._table = folding_table()
        self._lengths = np.array(lengths.by_unit(), dtype=np.int64)
        self._multipliers, self._increments = drawn
        self._tokens = np.empty(0, dtype=np.uint64)

    def _reserve(self, num_bytes: int) -> None:
        """Room for the tokens of a document of that size."""
        needed = num_bytes + 2
        if self._tokens.shape[0] < needed:
            self._tokens = np.empty(needed, dtype=np.uint64)

    def sign(
        self, data: np.ndarray, offsets: np.ndarray, inside: np.ndarray, is_code: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Signatures uint32 [N, P] and units int8 [N] of texts given as ``stages.text.arrow_text.text_buffers`` does;
        rows that are not ``inside`` hold zeros and unit -1."""
        signatures = np.zeros((inside.shape[0], self._multipliers.shape[0]), dtype=np.uint32)
        units = np.full(inside.shape[0], -1, dtype=np.int8)
        self._reserve(int(np.diff(offsets).max(initial=0)))
        kernel.sign(
            data, offsets, inside, is_code, self._table, self._lengths,
            self._multipliers, self._increments, self._tokens, signatures, units,
        )  # fmt: skip
        return signatures, units

    def shingle_set(self, data: np.ndarray, offsets: np.ndarray, row: int, is_code: bool) -> np.ndarray:
        """Sorted distinct shingle hashes (uint64) of one document."""
        self._reserve(int(offsets[row + 1] - offsets[row]))
        count, _ = kernel.shingle(
            data, offsets[row], offsets[row + 1], self._table, is_code, self._lengths, self._tokens
        )
        found = self._tokens[:count]
        found.sort()  # np.unique would build a hash table first, at several times the cost
        return found[: kernel.distinct(found)].copy()


def band_keys(signatures: np.ndarray, inside: np.ndarray, num_bands: int, rows_per_band: int) -> np.ndarray:
    """Keys uint64 [N, B]; rows that are not ``inside`` hold zeros."""
    keys = np.zeros((signatures.shape[0], num_bands), dtype=np.uint64)
    kernel.band_keys(signatures, inside, num_bands, rows_per_band, keys)
    return keys
