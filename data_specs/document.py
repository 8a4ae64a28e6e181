"""Arrow schemas of documents and of the sidecars that stand beside them, and the stable identity of a document.

Text is written once, by ``ingest`` and ``clean``. Every later stage writes *sidecars*: tables with exactly one row
per document of a text shard, in the same order, so that a join is a zip.
"""

from __future__ import annotations

import pyarrow as pa
import xxhash

#: One text with metadata. The locator (source, file_index, record_index, record_offset) leads back to the raw record.
DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),  # xxh3-128 of source name and record key, never a position
        pa.field("source", pa.string(), nullable=False),  # name of the source card
        pa.field("domain", pa.string(), nullable=False),  # routes to an RRE expert group; from the card
        pa.field("language", pa.string(), nullable=False),  # declared by card or record; "und" when unknown
        pa.field("url", pa.string()),  # address or path of the record, for people and for `explain`
        pa.field("title", pa.string()),
        pa.field("file_index", pa.int32(), nullable=False),  # index in the source artifact's file listing
        pa.field("record_index", pa.int64(), nullable=False),  # ordinal of the record inside that file
        pa.field("record_offset", pa.int64(), nullable=False),  # byte a reader can seek to; -1 where it cannot
        pa.field("metadata", pa.string()),  # JSON object of further record fields (licence, date, repository ...)
        pa.field("text", pa.string(), nullable=False),
    ]
)
#: Columns that route and count a document; every stage that keeps books reads them.
LABELS = ("source", "domain", "language")

#: Sidecar of a decision. ``keep`` is null for a row that an earlier decision had already removed.
DECISIONS = pa.schema(
    [
        pa.field("keep", pa.bool_()),
        pa.field("reason", pa.string()),  # name of the rule or level that dropped it; null when kept
        pa.field("value", pa.float64()),  # the measured signal
        pa.field("limit", pa.float64()),  # the limit it broke
        pa.field("detail", pa.string()),  # e.g. the keeper's doc_id (hex) of a removed duplicate
    ]
)

#: Where records go that could not be read. ``excerpt`` is at most 200 characters and never the record.
QUARANTINE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("record_index", pa.int64(), nullable=False),
        pa.field("record_offset", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # short cause, counted in the ledger as failed(reason)
        pa.field("error", pa.string(), nullable=False),  # the full message with its remedy
        pa.field("digest", pa.string(), nullable=False),  # xxh3-128 of the record's raw bytes
        pa.field("excerpt", pa.string(), nullable=False),
    ]
)


def make_doc_id(source: str, record_key: str) -> bytes:
    """16 bytes that depend on the source's name and the record's own key (URL, path, id), never on a position."""
    return xxhash.xxh3_128_digest(f"{source}\x00{record_key}".encode("utf-8", "surrogatepass"))
