"""How a signature is cut into bands: datasketch chooses, this file asks it. Needs no compiled kernel."""

from __future__ import annotations


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
