"""The loop of a stage that measures documents of a view beside their text: sidecars of base shards, and books."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.view import ViewShard
from stages.base import UnitOutput
from stages.signals.books import book_all

#: (documents) -> one array [num_documents] for each column of the schema.
Measure = Callable[[pa.Table], Mapping[str, np.ndarray]]


def measure_shard(
    shard: ViewShard,
    out: UnitOutput,
    schema: pa.Schema,
    measure: Measure,
    *,
    columns: Sequence[str] = (),
    domains: Collection[str] | None = None,
) -> None:
    """Write one row of signals per base row of ``shard``: measured where the document is in the view and of one of
    ``domains`` (None: of any), null elsewhere. ``measure`` sees ``columns``, ``source``, ``domain`` and ``text``.

    Every document of the view comes in and stays, measured or not.
    """
    out.write("signals", schema.empty_table(), of=shard.key)  # an empty shard has a sidecar too
    for table, inside in shard.batches([*columns, "source", "domain", "text"]):
        chosen = inside
        if domains is not None:
            among = pc.is_in(table.column("domain"), value_set=pa.array(sorted(domains), pa.string()))
            chosen = inside & np.asarray(among)
        measured = measure(table.filter(pa.array(chosen)))
        filled = []
        for field in schema:
            column = np.zeros(table.num_rows, dtype=field.type.to_pandas_dtype())
            column[chosen] = measured[field.name]
            filled.append(pa.array(column, mask=~chosen))
        out.write("signals", pa.table(filled, schema=schema), of=shard.key)
        documents = table.filter(pa.array(inside))
        book_all(documents, pc.utf8_length(documents.column("text")).cast(pa.int64()), out)
