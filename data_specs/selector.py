"""Which documents a rule or a component means: those whose labels stand in every list that it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def matching_rows(table: pa.Table, wanted: Mapping[str, Sequence[str]]) -> npt.NDArray[np.bool_]:
    """True for rows whose value of every column in ``wanted`` is one of its list; an empty list asks for nothing."""
    mine = np.ones(table.num_rows, dtype=bool)
    for column, values in wanted.items():
        if values:
            found = pc.is_in(table.column(column), value_set=pa.array(values, pa.string()))
            mine &= found.to_numpy(zero_copy_only=False)
    return mine
