"""Raw records of formats whose reader frames them: tables and aligned files give what was ingested, by the locator."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_specs.document import DOCUMENTS
from data_specs.source import DigestCache, open_source, read_card
from pipelines.lineage.raw_record import read_raw_record
from stages.ingest.options import IngestConfig
from tests.stage_harness import Bench

FORMATS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "csv": ({"text": "body", "id": "key"}, {"table.csv": "key,body\n1,first row\n2,second row\n"}),
    "pairs": (
        {"sides": ["*.en.txt", "*.zh.txt"], "pair": ["en", "zh"]},
        {"a.en.txt": "one line\nanother\n", "a.zh.txt": "一行\n另一行\n"},
    ),
}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_document_is_read_again_from_its_file(tmp_path: Path, name: str) -> None:
    fields, files = FORMATS[name]
    (tmp_path / "dump").mkdir()
    for file, text in files.items():
        (tmp_path / "dump" / file).write_text(text, encoding="utf-8")
    card = {
        "name": name, "origin": "made here", "licence": "CC0-1.0", "domain": "en", "format": name,
        "languages": ["en", "zh"], "paths": ["dump/*"], "fields": fields,
    }  # fmt: skip
    (tmp_path / f"{name}.yaml").write_text(json.dumps(card))
    source = open_source(read_card(tmp_path / f"{name}.yaml"), tmp_path, DigestCache(tmp_path / "digests.json"))
    made = Bench(tmp_path / "bench").run("ingest", {}, {"sources": [source]})
    (shard,) = made.shards("documents")
    documents = pq.read_table(made.shard_path(shard), columns=DOCUMENTS.names).to_pylist()
    assert documents
    record = json.loads(json.dumps(dataclasses.asdict(source)))
    for document in documents:
        found = read_raw_record(record, document, IngestConfig())
        assert found.doc_id == document["doc_id"]
        assert found.text == document["text"]
