"""Documents and decisions artifacts for tests of signals and filter: texts in, committed artifacts out."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from data_specs.document import DECISIONS, DOCUMENTS, make_doc_id
from data_specs.fingerprint import fingerprint
from data_specs.ledger import DROPPED, IN, KEPT, Ledger
from data_specs.manifest import Artifact, Manifest
from data_specs.shard_writer import ShardWriter
from tests.stage_harness import Bench


def documents_artifact(
    bench: Bench, shards: Sequence[Sequence[tuple[str, str]]], titles: Sequence[Sequence[str | None]] | None = None
) -> Artifact:
    """A committed documents artifact of (text, domain) pairs, one shard per sequence; the source is the domain."""
    digest = fingerprint({"shards": [[list(pair) for pair in shard] for shard in shards], "titles": titles})
    folder = bench.folder / digest[:16]
    folder.mkdir(parents=True)
    ledger = Ledger()
    written = []
    for index, texts in enumerate(shards):
        rows = [
            {
                "doc_id": make_doc_id(domain, f"{index}/{position}"),
                "source": domain,
                "domain": domain,
                "language": "und",
                "url": None,
                "title": titles[index][position] if titles else None,
                "file_index": 0,
                "record_index": position,
                "record_offset": -1,
                "metadata": None,
                "text": text,
            }
            for position, (text, domain) in enumerate(texts)
        ]
        writer = ShardWriter(folder, "documents", f"{index:05d}-000.parquet", DOCUMENTS, None)
        writer.write(pa.Table.from_pylist(rows, DOCUMENTS))
        written.append(writer.close())
        for text, domain in texts:
            for outcome in (IN, KEPT):
                ledger.add("document", domain, domain, outcome, 1, characters=len(text))
    manifest = Manifest(
        kind="documents", stage="test", version=1, fingerprint=digest, payload={}, shards=tuple(written), ledger=ledger
    )
    manifest.save(folder)
    bench.made[digest] = Artifact(folder, manifest)
    return bench.made[digest]


def decisions_artifact(bench: Bench, base: Artifact, keeps: Sequence[Sequence[bool | None]], domain: str) -> Artifact:
    """Committed decisions over ``base``, whose documents are all of ``domain``; null means not in its view."""
    digest = fingerprint({"of": base.fingerprint, "keeps": [list(keep) for keep in keeps]})
    folder = bench.folder / digest[:16]
    folder.mkdir(parents=True)
    ledger = Ledger()
    written = []
    for shard, keep in zip(base.shards("documents"), keeps, strict=True):
        columns = {name: pa.nulls(len(keep), DECISIONS.field(name).type) for name in DECISIONS.names}
        writer = ShardWriter(folder, "decisions", shard.name, DECISIONS, base.shard_key(shard))
        writer.write(pa.table(columns | {"keep": pa.array(keep, pa.bool_())}, schema=DECISIONS))
        written.append(writer.close())
        for value in keep:
            if value is not None:
                ledger.add("document", domain, domain, IN, 1)
                ledger.add("document", domain, domain, KEPT if value else DROPPED, 1, reason="" if value else "test")
    manifest = Manifest(
        kind="decisions",
        stage="test",
        version=1,
        fingerprint=digest,
        payload={},
        shards=tuple(written),
        ledger=ledger,
        view={"bases": [base.fingerprint], "decisions": []},
    )
    manifest.save(folder)
    bench.made[digest] = Artifact(folder, manifest)
    return bench.made[digest]
