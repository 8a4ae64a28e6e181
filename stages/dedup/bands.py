"""What datasketch decides: the permutations of a signature and how it is cut into bands. Needs no compiled kernel, so
the driver asks once and the workers are told. Importing datasketch pulls in SciPy, 0.6 to 1 s: it is asked only for
bands that it was not asked for before."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: (threshold, permutations, weight of a wrong proposal, of a missed pair) -> what datasketch chose. The defaults of
#: :class:`stages.dedup.minhash_stage.DedupMinHashConfig`; a test asks again.
CHOSEN = {(0.7, 128, 0.1, 0.9): (20, 6)}


@lru_cache(maxsize=8)
def permutations(num_permutations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(multipliers, increments), uint32 [P] each: the values that ``datasketch.MinHash`` (2.x, scheme affine32) draws
    for ``seed``. Odd multipliers make ``h * a + b mod 2**32`` a bijection. NumPy promises the stream of this generator
    for good (NEP 19)."""
    drawn = np.random.RandomState(seed)
    multipliers = drawn.randint(0, 1 << 31, num_permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multipliers, drawn.randint(0, 1 << 32, num_permutations, dtype=np.uint32)


def choose_bands(
    threshold: float, num_permutations: int, false_positive_weight: float, false_negative_weight: float
) -> tuple[int, int]:
    """(bands, rows per band) that datasketch finds best for a threshold and the weights of the two errors."""
    known = CHOSEN.get((threshold, num_permutations, false_positive_weight, false_negative_weight))
    if known is not None:
        return known
    from datasketch import MinHashLSH

    weights = (false_positive_weight, false_negative_weight)
    index = MinHashLSH(threshold=threshold, num_perm=num_permutations, weights=weights)
    return index.b, index.r


def proposal_probability(similarity: float, num_bands: int, rows_per_band: int) -> float:
    """Chance that a pair of this Jaccard similarity shares a bucket: ``1 - (1 - s**r)**b``."""
    return float(1.0 - (1.0 - similarity**rows_per_band) ** num_bands)
