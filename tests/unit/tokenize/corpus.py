"""Tiny corpora as committed artifacts: documents in shards, and the train/validation marks beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_specs.document import DOCUMENTS, make_doc_id
from data_specs.fingerprint import fingerprint
from data_specs.ledger import IN, KEPT, Ledger
from data_specs.manifest import Artifact, Manifest, Shard
from pipelines.execution.unit_output import FolderOutput

SPLIT = pa.schema([pa.field("cluster", pa.binary(16)), pa.field("is_validation", pa.bool_())])

CHINESE = "开天辟地的故事在中国流传很久。盘古用斧头劈开了混沌，天和地就这样分开了。"
ENGLISH = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. "
CODE = "def add(left, right):\n    return left + right\n\n\nfor number in range(1024):\n    print(add(number, 7))\n"


def document(domain: str, number: int, text: str, source: str = "web", language: str | None = None) -> dict[str, Any]:
    """One row of a documents shard."""
    return {
        "doc_id": make_doc_id(source, f"{domain}/{number}"),
        "source": source,
        "domain": domain,
        "language": language or {"zh": "zh", "en": "en"}.get(domain, "und"),
        "url": f"https://example.org/{domain}/{number}",
        "file_index": 0,
        "record_index": number,
        "record_offset": -1,
        "text": text,
    }


def small_corpus(num_documents: int = 12) -> list[list[dict[str, Any]]]:
    """Two shards: Chinese and English in the first, code and English in the second; texts differ in length."""
    first, second = [], []
    for number in range(num_documents):
        first.append(document("zh", number, CHINESE * (1 + number % 3) + str(number)))
        first.append(document("en", number, ENGLISH * (1 + number % 4) + f"No. {number}."))
        second.append(document("code", number, CODE.replace("add", f"add_{number}"), source="git"))
        second.append(document("en", 100 + number, f"<|eod|> is text, {number} <|pad|> too. " + ENGLISH, source="git"))
    return [first, second]


def commit(
    folder: Path,
    kind: str,
    shards: Sequence[Shard] = (),
    ledger: Ledger | None = None,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write a manifest over shards that stand in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    payload = {"kind": kind, "name": name, "digests": [shard.logical_digest for shard in shards], "facts": facts}
    manifest = Manifest(
        kind=kind,
        stage=kind,
        version=1,
        fingerprint=fingerprint(payload),
        payload=payload,
        shards=tuple(shards),
        ledger=ledger or Ledger(),
        facts=facts or {},
    )
    manifest.save(folder)
    return Artifact.open(folder)


def documents_artifact(folder: Path, shards: Sequence[Sequence[Mapping[str, Any]]], name: str = "docs") -> Artifact:
    """A ``documents`` artifact with these shards."""
    listed: list[Shard] = []
    ledger = Ledger()
    for index, rows in enumerate(shards):
        out = FolderOutput(folder, index)
        out.write("documents", pa.Table.from_pylist(list(rows), DOCUMENTS))
        listed.extend(out.finish())
        for row in rows:
            for outcome in (IN, KEPT):
                ledger.add("document", row["source"], row["domain"], outcome, 1, characters=len(row["text"]))
    return commit(folder, "documents", listed, ledger, name)


def split_artifact(
    folder: Path, documents: Artifact, shards: Sequence[Sequence[Mapping[str, Any]]], held_out: Callable[[Any], Any]
) -> Artifact:
    """A ``split`` artifact; ``held_out(row)`` is the mark of a document (None: outside the view)."""
    listed: list[Shard] = []
    for index, (base, rows) in enumerate(zip(documents.shards("documents"), shards, strict=True)):
        out = FolderOutput(folder, index)
        marks = [{"cluster": row["doc_id"], "is_validation": held_out(row)} for row in rows]
        out.write("split", pa.Table.from_pylist(marks, SPLIT), of=documents.shard_key(base))
        listed.extend(out.finish())
    return commit(folder, "split", listed, Ledger(), f"split of {documents.fingerprint}")


def every_fourth(row: Mapping[str, Any]) -> bool:
    """Hold out records 3, 7, 11 ..."""
    return row["record_index"] % 4 == 3


def inputs(folder: Path, shards: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Artifact]:
    """{documents, split} below ``folder``, every fourth document held out."""
    documents = documents_artifact(folder / "documents", shards)
    return {"documents": documents, "split": split_artifact(folder / "split", documents, shards, every_fourth)}
