"""The frozen sample a tokenizer learns from: per domain, documents in keyed-hash order until a budget of bytes is met.

The choice depends on each document's own hash and on its domain's budget alone, so shards, workers and other domains
never show. A domain poorer than its budget gives all it has; its rest is not handed to the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data_specs.errors import SpecError, nearest
from data_specs.mixture import largest_remainder


def domain_budgets(domains: Sequence[str], shares: Mapping[str, float], sample_bytes: int) -> dict[str, int]:
    """Bytes per domain: equal, or in proportion to ``shares`` (a domain without a share gives nothing)."""
    unknown = sorted(set(shares) - set(domains))
    if unknown:
        raise SpecError(f"shares: no training document has domain {unknown[0]!r}.{nearest(unknown[0], domains)}")
    names = sorted(domains)
    if not names:
        return {}
    weights = [shares.get(name, 0) for name in names] if shares else [1] * len(names)
    return dict(zip(names, largest_remainder(sample_bytes, weights), strict=True))


def smallest_until(hashes_N: np.ndarray, sizes_N: np.ndarray, budget: int) -> np.ndarray:
    """Indices of the smallest hashes, in their order, up to and with the one that meets ``budget`` bytes."""
    order = np.argsort(hashes_N, kind="stable")
    reached = np.cumsum(sizes_N[order])
    return order[: int(np.searchsorted(reached, budget)) + 1] if budget > 0 else order[:0]


def cut_bytes(text: str, limit: int) -> str:
    """The longest beginning of ``text`` of at most ``limit`` UTF-8 bytes."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")
