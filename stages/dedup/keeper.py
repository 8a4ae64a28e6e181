"""Which of several equal documents stays: the one keeper order of exact and near-duplicate removal.

Order: source priority (as configured; unlisted sources come last and are equal), then the longest, then the smallest
doc_id; near-duplicate removal may be told another order of criteria. Documents of an earlier corpus, which has been
decided, come before all of these. It depends on the documents alone, so neither
worker count nor the order of input shards can change a keeper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.dedup.criteria import DEFAULT_CRITERIA


def keeper_order(labels: np.ndarray, ranks: np.ndarray, criteria: Sequence[str] = DEFAULT_CRITERIA) -> np.ndarray:
    """Positions of ``labels`` (see :data:`stages.dedup.labels.LABEL`) in keeper order, the best keeper first;
    ``ranks`` holds the place of every source in the configured priority, ``criteria`` come most important first.

    Should two documents carry the same doc_id, the earlier one wins.
    """
    values = {
        "source_priority": ranks[labels["source"]],
        "characters": -labels["characters"],
        "quality": -labels["quality"],
    }
    keys = [labels["doc_id_low"], labels["doc_id_high"], *(values[name] for name in reversed(criteria))]
    return np.lexsort((*keys, -labels["earlier"]))  # lexsort is stable and takes its most important key last
