"""What datasketch decides: the permutations of a signature and how it is cut into bands. Needs no compiled kernel, so
the driver asks once and the workers, who would spend a second each on importing datasketch, are told."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from stages.dedup.shingles import SIGNATURE_SCHEME


@lru_cache(maxsize=8)
def permutations(num_permutations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(multipliers, increments), uint32 [P] each, as datasketch draws them for ``seed``."""
    from datasketch import MinHash

    drawn = MinHash(num_perm=num_permutations, seed=seed, scheme=SIGNATURE_SCHEME).permutations
    return np.ascontiguousarray(drawn[0], dtype=np.uint32), np.ascontiguousarray(drawn[1], dtype=np.uint32)


def choose_bands(
    threshold: float, num_permutations: int, false_positive_weight: float, false_negative_weight: float
) -> tuple[int, int]:
    """(bands, rows per band) that datasketch finds best for a threshold and the weights of the two errors."""
    from datasketch import MinHashLSH

    weights = (false_positive_weight, false_negative_weight)
    index = MinHashLSH(threshold=threshold, num_perm=num_permutations, weights=weights)
    return index.b, index.r


def proposal_probability(similarity: float, num_bands: int, rows_per_band: int) -> float:
    """Chance that a pair of this Jaccard similarity shares a bucket: ``1 - (1 - s**r)**b``."""
    return float(1.0 - (1.0 - similarity**rows_per_band) ** num_bands)
