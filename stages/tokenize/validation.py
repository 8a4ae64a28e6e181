"""Which documents of a shard are held out, read from the ``split`` sidecar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.errors import DataError
from data_specs.view import ViewShard


def validation_flags(split: Path, shard: ViewShard) -> np.ndarray:
    """Boolean per base row: True for validation documents; rows outside the view are False.

    Raises when a document of the view has no mark: the split was made from another, smaller view.
    """
    column = pq.read_table(split, columns=["is_validation"]).column("is_validation")
    if len(column) != shard.rows:
        raise DataError(f"{split}: {len(column)} marks for a base shard of {shard.rows} documents")
    unmarked = pc.is_null(column).to_numpy(zero_copy_only=False) & shard.mask()
    if unmarked.any():
        raise DataError(
            f"{split}: {int(unmarked.sum())} documents of this view have no train/validation mark, the first in row "
            f"{int(unmarked.argmax())} of {shard.key}; give the split the same documents as this stage"
        )
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False)
