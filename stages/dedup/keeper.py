"""Which of several equal documents stays: the one keeper order of exact and near-duplicate removal.

Order: source priority (as configured; unlisted sources come last and are equal), then the longest, then the smallest
doc_id. It depends on the documents alone, so neither worker count nor the order of input shards can change a keeper.
"""

from __future__ import annotations

import numpy as np


def keeper_order(labels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Positions of ``labels`` (see :data:`stages.dedup.labels.LABEL`) in keeper order, the best keeper first;
    ``ranks`` holds the place of every source in the configured priority.

    Should two documents carry the same doc_id, the earlier one wins.
    """
    return np.lexsort(
        (labels["doc_id_low"], labels["doc_id_high"], -labels["characters"], ranks[labels["source"]])
    )  # lexsort is stable and takes its most important key last
