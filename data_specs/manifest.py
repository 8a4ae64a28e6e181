"""Artifacts and their manifests: the JSON file that makes an artifact exist.

A manifest is written last and is the only proof of completion. Readers open only the shards that it lists. It holds
nothing about where, when or by whom the artifact was made: that is ``provenance.json`` beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_specs.errors import DataError
from data_specs.fingerprint import SHORT, fingerprint
from data_specs.ledger import Ledger

#: Raised when the layout on disk changes; a store of another format is refused.
FORMAT = 1
NAME = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of an artifact."""

    port: str  # folder inside the artifact: "documents", "decisions", "tokens", "quarantine" ...
    name: str  # file name, unique inside the port
    rows: int  # rows of a table; 0 for other files
    kept: int | None = None  # rows with keep = true, for decision sidecars
    text_bytes: int = 0  # UTF-8 bytes of its text column, for documents
    num_bytes: int  # file size
    file_digest: str  # sha256 of the file
    logical_digest: str  # schema + canonical rows for tables; sha256 of the bytes for other files
    of: str | None = None  # key of the base shard this is a sidecar of


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an artifact is, what it holds and what became of everything that entered."""

    kind: str  # "documents", "signals", "decisions", "tokens", "pools", "checkpoints" ...
    stage: str
    version: int
    fingerprint: str
    payload: Mapping[str, Any]  # what the fingerprint was computed from
    shards: tuple[Shard, ...]
    ledger: Ledger
    view: Mapping[str, list[str]] = field(default_factory=dict)  # {"bases": [...], "decisions": [...]} fingerprints
    facts: Mapping[str, Any] = field(default_factory=dict)  # small results that downstream stages and reports read

    @property
    def logical_digest(self) -> str:
        """Digest of everything a reader can see: shard digests, ledger and facts; equal for any worker count."""
        return fingerprint(
            {
                "shards": [[s.port, s.name, s.rows, s.logical_digest, s.of] for s in self.shards],
                "ledger": self.ledger.to_rows(),
                "facts": self.facts,
            }
        )

    def save(self, folder: Path) -> None:
        """Write ``manifest.json`` by rename, synced to disk."""
        body = {
            "format": FORMAT,
            "kind": self.kind,
            "stage": self.stage,
            "version": self.version,
            "fingerprint": self.fingerprint,
            "logical_digest": self.logical_digest,
            "payload": self.payload,
            "view": self.view,
            "facts": self.facts,
            "ledger": self.ledger.to_rows(),
            "shards": [asdict(shard) for shard in self.shards],
        }
        write_json(folder / NAME, body)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read a manifest; raise :class:`DataError` when it is absent, of another format or damaged."""
        path = folder / NAME
        try:
            body = json.loads(path.read_text("utf-8"))
            if body["format"] != FORMAT:
                raise DataError(f"{path}: format {body['format']}, this version reads {FORMAT}; rebuild the store")
            manifest = cls(
                kind=body["kind"],
                stage=body["stage"],
                version=body["version"],
                fingerprint=body["fingerprint"],
                payload=body["payload"],
                shards=tuple(Shard(**shard) for shard in body["shards"]),
                ledger=Ledger.from_rows(body["ledger"]),
                view=body["view"],
                facts=body["facts"],
            )
        except FileNotFoundError:
            raise DataError(f"{path}: no manifest, so the artifact is not complete; run its node again") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged manifest ({error}); remove the folder and run its node again") from error
        if manifest.logical_digest != body["logical_digest"]:
            raise DataError(f"{path}: the manifest was edited: its content does not match its logical digest")
        return manifest


@dataclass(frozen=True)
class Artifact:
    """A committed, immutable stage output: a folder and its manifest."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Open a committed artifact folder."""
        return cls(path, Manifest.load(path))

    @property
    def kind(self) -> str:
        return self.manifest.kind

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.manifest.facts

    def shards(self, port: str) -> list[Shard]:
        """Shards of one port, in order."""
        return [shard for shard in self.manifest.shards if shard.port == port]

    def file(self, port: str, name: str | None = None) -> Path:
        """Path of a named shard, or of the only shard of a port."""
        found = [s for s in self.shards(port) if name in (None, s.name)]
        if len(found) != 1:
            raise DataError(f"{self.path}: expected one file {port}/{name or '*'}, the manifest lists {len(found)}")
        return self.path / port / found[0].name

    def shard_path(self, shard: Shard) -> Path:
        """Path of a listed shard."""
        return self.path / shard.port / shard.name

    def sidecar(self, port: str, key: str) -> Path:
        """Path of the sidecar of base shard ``key`` in ``port``; raise when there is none."""
        for shard in self.shards(port):
            if shard.of == key:
                return self.shard_path(shard)
        raise DataError(f"{self.path}: port {port!r} has no sidecar of base shard {key}; is it of another view?")

    def shard_key(self, shard: Shard) -> str:
        """Name of a shard across the store: ``<short fingerprint>/<port>/<name>``; sidecars refer to it by ``of``."""
        return f"{self.fingerprint[:SHORT]}/{shard.port}/{shard.name}"


def write_json(path: Path, body: object) -> None:
    """Write JSON atomically: temporary file beside it, sync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # paths of raw files may hold bytes that are no UTF-8: they go out as they came in
    with temporary.open("w", encoding="utf-8", errors="surrogateescape") as handle:
        json.dump(body, handle, ensure_ascii=False, indent=1, sort_keys=False)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
