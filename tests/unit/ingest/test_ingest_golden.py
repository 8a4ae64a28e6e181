"""Four tiny committed dumps and every row that must come out of them (tests/golden/ingest/expected.json).

A changed row is a changed corpus: raise the stage's version, check the difference by eye, and write the file anew with
``python -m tests.unit.ingest.test_ingest_golden``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from data_specs.source import Source, SourceCard, SourceFile
from tests.unit.ingest.dump_files import books, ingest, rows

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "ingest"
CARDS: dict[str, dict[str, Any]] = {
    "crawl.warc.gz": {"format": "warc", "languages": ("zh", "en"), "domain": "web"},
    "records.jsonl": {
        "format": "jsonl",
        "languages": ("zh",),
        "domain": "zh",
        "fields": {"text": "body", "id": "id", "title": "title", "language": "lang", "metadata": ["year"]},
    },
    "poems.json": {
        "format": "jsonl",
        "languages": ("zh",),
        "domain": "zh",
        "fields": {"records": "collection.poems", "text": "lines", "title": "title"},
    },
    "tree.tar.gz": {
        "format": "files",
        "languages": ("en",),
        "domain": "code",
        "fields": {"members": ["*.py", "*.bin"]},
    },
}


def result(folder: Path, name: str) -> dict[str, Any]:
    """Books, documents and failures of one golden dump, as JSON."""
    data = (GOLDEN / name).read_bytes()
    card = SourceCard(name=name.partition(".")[0], origin="tests", licence="none", paths=(name,), **CARDS[name])
    file = SourceFile(name, str(GOLDEN / name), len(data), hashlib.sha256(data).hexdigest())
    artifact = ingest(folder, Source(card, (file,)))
    documents = [{**row, "doc_id": row["doc_id"].hex()} for row in rows(artifact)]
    return {"books": books(artifact), "documents": documents, "quarantine": rows(artifact, "quarantine")}


@pytest.mark.parametrize("name", CARDS)
def test_golden_dumps_give_the_golden_rows(tmp_path: Path, name: str) -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
    assert result(tmp_path, name) == expected[name]


def write_expected() -> None:
    """Write ``expected.json`` anew from what the stage does now."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: result(Path(folder) / name, name) for name in CARDS}
    (GOLDEN / "expected.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write_expected()
