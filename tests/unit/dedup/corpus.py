"""Documents artifacts for tests of deduplication and split: texts in, a committed view out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.document import DOCUMENTS, make_doc_id
from data_specs.fingerprint import fingerprint
from data_specs.ledger import IN, KEPT, Ledger
from data_specs.manifest import Artifact, Manifest
from data_specs.shard_writer import ShardWriter
from tests.stage_harness import Bench


class Text(NamedTuple):
    """One document of a test corpus; ``name`` makes its doc_id."""

    name: str
    text: str
    source: str = "web"
    domain: str = "en"

    @property
    def doc_id(self) -> bytes:
        return make_doc_id(self.source, self.name)

    @property
    def digest(self) -> str:
        """16 hex digits of the text alone."""
        return hashlib.blake2b(self.text.encode(), digest_size=8).hexdigest()


def documents(bench: Bench, shards: Sequence[Sequence[Text]], batch_rows: int | None = None) -> Artifact:
    """A committed documents artifact with one shard per sequence, cut into row groups of ``batch_rows``."""
    payload = {"texts": [[list(text) for text in shard] for shard in shards], "batch_rows": batch_rows}
    digest = fingerprint(payload)
    folder = bench.folder / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger()
    written = []
    for index, texts in enumerate(shards):
        table = pa.Table.from_pylist([_row(position, text) for position, text in enumerate(texts)], DOCUMENTS)
        writer = ShardWriter(folder, "documents", f"{index:05d}-000.parquet", DOCUMENTS, None)
        writer.write(table)
        shard = writer.close()
        if batch_rows is not None:
            pq.write_table(table, folder / "documents" / shard.name, row_group_size=batch_rows)
        written.append(shard)
        for text in texts:
            for outcome in (IN, KEPT):
                ledger.add("document", text.source, text.domain, outcome, 1, characters=len(text.text))
    manifest = Manifest(
        kind="documents", stage="test", version=1, fingerprint=digest, payload={}, shards=tuple(written), ledger=ledger
    )
    manifest.save(folder)
    bench.made[digest] = Artifact(folder, manifest)
    return bench.made[digest]


def _row(position: int, text: Text) -> dict[str, object]:
    return {
        "doc_id": text.doc_id,
        "source": text.source,
        "domain": text.domain,
        "language": "und",
        "url": None,
        "title": None,
        "file_index": 0,
        "record_index": position,
        "record_offset": -1,
        "metadata": None,
        "text": text.text,
    }


def sidecar(artifact: Artifact, port: str) -> list[dict[str, object]]:
    """All rows of a sidecar port, in the order of the base shards."""
    shards = sorted(artifact.shards(port), key=lambda shard: str(shard.of))
    return [row for shard in shards for row in pq.read_table(artifact.shard_path(shard)).to_pylist()]


def removed(artifact: Artifact, base: Artifact) -> dict[bytes, dict[str, object]]:
    """Decision of every removed document by its doc_id."""
    ids = [
        row["doc_id"]
        for shard in base.shards("documents")
        for row in pq.read_table(base.shard_path(shard), columns=["doc_id"]).to_pylist()
    ]
    decisions = sidecar(artifact, "decisions")
    assert len(ids) == len(decisions)
    return {doc_id: row for doc_id, row in zip(ids, decisions, strict=True) if row["keep"] is False}
