"""Manifests: round trip, the only proof of completion, and edits that are seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from data_specs.errors import DataError
from data_specs.fingerprint import fingerprint
from data_specs.ledger import IN, KEPT, Ledger
from data_specs.manifest import NAME, Artifact, Manifest, Shard, write_json

PAYLOAD = {"stage": "clean", "version": 1, "config": {"a": 1}, "inputs": {}}


def shard(name: str, digest: str = "d", *, port: str = "documents", of: str | None = None) -> Shard:
    return Shard(port=port, name=name, rows=2, num_bytes=10, file_digest="f", logical_digest=digest, of=of)


def manifest(*shards: Shard, facts: dict[str, Any] | None = None) -> Manifest:
    ledger = Ledger()
    ledger.add("document", "web", "zh", IN, 4, characters=9)
    ledger.add("document", "web", "zh", KEPT, 4, characters=9)
    return Manifest(
        kind="documents",
        stage="clean",
        version=1,
        fingerprint=fingerprint(PAYLOAD),
        payload=PAYLOAD,
        shards=shards or (shard("0"), shard("1")),
        ledger=ledger,
        facts=facts or {"languages": ["中文"]},
    )


def edit(folder: Path, **changes: Any) -> None:
    path = folder / NAME
    body = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(body | changes), "utf-8")


def test_what_is_saved_is_what_is_loaded(tmp_path: Path):
    saved = manifest()
    saved.save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded.ledger.to_rows() == saved.ledger.to_rows()
    assert dataclasses.replace(loaded, ledger=saved.ledger) == saved
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_without_a_manifest_is_not_complete(tmp_path: Path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "0").write_text("rows")
    with pytest.raises(DataError, match="not complete; run its node again"):
        Artifact.open(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"facts": {"languages": ["en"]}},
        {"ledger": [["document", "web", "zh", "in", "", 5, 9]]},
        {"shards": [dataclasses.asdict(shard("0"))]},
        {"shards": [dataclasses.asdict(shard("0", "other")), dataclasses.asdict(shard("1"))]},
    ],
    ids=["facts", "ledger", "a shard removed", "a digest changed"],
)
def test_an_edited_manifest_is_refused(tmp_path: Path, changes: dict[str, Any]):
    manifest().save(tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(DataError, match="was edited"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"format": 1}'])
def test_a_damaged_manifest_is_refused_with_a_way_out(tmp_path: Path, body: str):
    (tmp_path / NAME).write_text(body)
    with pytest.raises(DataError, match=r"damaged manifest .* run its node again"):
        Manifest.load(tmp_path)


def test_another_format_is_refused_by_number(tmp_path: Path):
    manifest().save(tmp_path)
    edit(tmp_path, format=2)
    with pytest.raises(DataError, match="format 2, this version reads 1"):
        Manifest.load(tmp_path)


def test_the_logical_digest_ignores_how_files_are_encoded_but_not_what_they_hold():
    base = manifest()
    recompressed = [dataclasses.replace(s, num_bytes=99, file_digest="other") for s in base.shards]
    assert manifest(*recompressed).logical_digest == base.logical_digest
    assert manifest(shard("0"), shard("1", "other")).logical_digest != base.logical_digest
    assert manifest(shard("1"), shard("0")).logical_digest != base.logical_digest


def test_shards_are_found_by_port_name_and_base(tmp_path: Path):
    manifest(shard("0"), shard("s0", port="signals", of="base/documents/0"), shard("t.json", port="tokenizer")).save(
        tmp_path
    )
    artifact = Artifact.open(tmp_path)
    assert artifact.shard_key(artifact.shards("documents")[0]) == f"{fingerprint(PAYLOAD)[:16]}/documents/0"
    assert artifact.sidecar("signals", "base/documents/0") == tmp_path / "signals" / "s0"
    assert artifact.file("tokenizer") == tmp_path / "tokenizer" / "t.json"
    with pytest.raises(DataError, match="no sidecar of base shard elsewhere"):
        artifact.sidecar("signals", "elsewhere")
    with pytest.raises(DataError, match=r"expected one file tokens/\*, the manifest lists 0"):
        artifact.file("tokens")


def test_writing_json_replaces_the_old_file_or_leaves_it(tmp_path: Path):
    write_json(tmp_path / "x.json", {"n": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"n": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == {"n": 1}
    write_json(tmp_path / "x.json", {"n": 2})
    assert json.loads((tmp_path / "x.json").read_text()) == {"n": 2}
