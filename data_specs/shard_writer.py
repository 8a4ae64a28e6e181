"""Write one table shard: Parquet, bounded row groups, digests made while writing, published by rename."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.digest import LogicalDigest
from data_specs.fingerprint import file_digest
from data_specs.manifest import Shard

#: Bytes of Arrow data per row group: what a reader must hold at once.
ROW_GROUP_BYTES = 16 << 20
_COMPRESSION = "zstd"
_LEVEL = 3


def text_bytes(table: pa.Table) -> int:
    """UTF-8 bytes of the ``text`` column; 0 for a table without one."""
    if "text" not in table.schema.names:
        return 0
    return int(pc.sum(pc.binary_length(table.column("text"))).as_py() or 0)


class ShardWriter:
    """Collects batches into row groups of :data:`ROW_GROUP_BYTES`; :meth:`close` syncs and renames."""

    def __init__(self, folder: Path, port: str, name: str, schema: pa.Schema, of: str | None) -> None:
        self.schema = schema
        self.port, self.name, self.of = port, name, of
        self.text_bytes = 0
        self._final = folder / port / name
        self._temporary = self._final.with_name(f".{name}.{os.getpid()}.tmp")
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._digest = LogicalDigest(schema)
        self._kept = 0
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._writer = pq.ParquetWriter(
            self._temporary, schema, compression=_COMPRESSION, compression_level=_LEVEL, write_statistics=False
        )

    def write(self, table: pa.Table) -> None:
        """Append rows; columns are cast to the schema, and a missing or unknown one raises."""
        table = table.select(self.schema.names).cast(self.schema)
        self._digest.update(table)
        self.text_bytes += text_bytes(table)
        if "keep" in self.schema.names:
            self._kept += int(pc.sum(table.column("keep")).as_py() or 0)
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            # slices can drag whole parents along; combining copies just these rows
            table = pa.concat_tables(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._pending, self._pending_bytes = [], 0

    def close(self) -> Shard:
        """Finish the file, publish it under its name and describe it."""
        self._flush()
        self._writer.close()
        with self._temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        digest = file_digest(self._temporary)
        num_bytes = self._temporary.stat().st_size
        os.replace(self._temporary, self._final)
        return Shard(
            port=self.port,
            name=self.name,
            rows=self._digest.num_rows,
            kept=self._kept if "keep" in self.schema.names else None,
            text_bytes=self.text_bytes,
            num_bytes=num_bytes,
            file_digest=digest,
            logical_digest=self._digest.hexdigest(),
            of=self.of,
        )

    def abandon(self) -> None:
        """Drop an unfinished file."""
        self._writer.close()
        self._temporary.unlink(missing_ok=True)
