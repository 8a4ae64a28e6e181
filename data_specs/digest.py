"""Logical digest of a table: schema + canonical row bytes, whatever the file encoding or the batch cuts.

Identity, resume and tests compare logical digests; file bytes may change with a Parquet library, these may not.
Each column feeds three streams (validity, lengths, values), so the digest of one big batch equals that of many
small ones. xxh3-128 per stream keeps this near memory speed; the streams are bound together with sha256. It guards
against mistakes, not against an adversary who can write to the store.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash


def canonical_type(kind: pa.DataType) -> str:
    """Name of a type with storage variants (large, view, dictionary) folded together."""
    if pa.types.is_dictionary(kind):
        return canonical_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_large_binary(kind) or pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        return "binary"
    if _is_list(kind):
        return f"list<{canonical_type(kind.value_type)}>"
    return str(kind)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


class _Column:
    """Streams of one column; nested values recurse into a child."""

    def __init__(self, kind: pa.DataType) -> None:
        self.validity = xxhash.xxh3_128()
        self.lengths = xxhash.xxh3_128()
        self.values = xxhash.xxh3_128()
        # made at once, not with the first chunk: a table without chunks must equal one with an empty chunk
        self.child = _Column(kind.value_type) if _is_list(kind) else None

    def update(self, array: pa.Array) -> None:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
            array = array.cast(pa.large_binary())  # one buffer of bytes instead of scattered pieces
        kind = array.type
        valid = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=np.uint8)
        self.validity.update(valid.tobytes())
        present = array.drop_null()
        if self.child is not None:
            self._lengths(pc.list_value_length(present))
            self.child.update(present.flatten())
        elif canonical_type(kind) in ("string", "binary"):
            self._lengths(pc.binary_length(present))
            self._bytes(present)
        elif pa.types.is_fixed_size_binary(kind):
            self._bytes(present.cast(pa.binary()))
        elif pa.types.is_boolean(kind):
            self.values.update(np.asarray(present.to_numpy(zero_copy_only=False), dtype=np.uint8).tobytes())
        else:
            values = np.ascontiguousarray(present.to_numpy(zero_copy_only=False))
            if values.dtype.hasobject and len(values):
                # the bytes of such an array are memory addresses
                raise TypeError(f"a column of type {kind} has no canonical bytes; use flat columns or lists of them")
            self.values.update(values.tobytes())

    def _lengths(self, lengths: pa.Array) -> None:
        self.lengths.update(np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64).tobytes())

    def _bytes(self, array: pa.Array) -> None:
        if len(array) == 0:
            return
        width = np.int64 if str(array.type).startswith("large") else np.int32
        start = array.offset * width().itemsize
        offsets = np.frombuffer(array.buffers()[1], dtype=width, count=len(array) + 1, offset=start)
        data = array.buffers()[2]
        if data is not None:
            self.values.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])

    def digest(self) -> bytes:
        own = self.validity.digest() + self.lengths.digest() + self.values.digest()
        return own + (self.child.digest() if self.child is not None else b"")


class LogicalDigest:
    """Incremental digest of one table; feed it batches in row order."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.num_rows = 0
        self._columns = [_Column(field.type) for field in schema]

    def update(self, table: pa.Table) -> None:
        """Add the rows of ``table``; its columns must be those of the schema, in order."""
        if table.schema.names != self.schema.names:
            raise ValueError(f"columns {table.schema.names} differ from the schema's {self.schema.names}")
        self.num_rows += table.num_rows
        for stream, column in zip(self._columns, table.columns, strict=True):
            for chunk in column.chunks:
                stream.update(chunk)

    def hexdigest(self) -> str:
        """Digest of all rows so far, as 32 hex digits."""
        bound = hashlib.sha256()
        for field, column in zip(self.schema, self._columns, strict=True):
            bound.update(f"{field.name}:{canonical_type(field.type)};".encode())
            bound.update(column.digest())
        bound.update(str(self.num_rows).encode())
        return bound.hexdigest()[:32]


def table_digest(table: pa.Table) -> str:
    """Logical digest of a whole table."""
    digest = LogicalDigest(table.schema)
    digest.update(table)
    return digest.hexdigest()
