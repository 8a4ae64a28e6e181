"""Where one unit of work writes: hidden files that appear together, then the unit's record.

The record (``units/<phase>/<index>.json``) is written last, by rename. A restart trusts a record and redoes what has
none; a hidden file of a killed worker is never listed by anything and is swept when the node commits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from data_specs.document import QUARANTINE
from data_specs.errors import StageError
from data_specs.fingerprint import file_digest, plain
from data_specs.ledger import Ledger
from data_specs.manifest import Shard, write_json
from data_specs.shard_writer import ShardWriter
from stages.base import UnitResult

#: Text bytes after which a shard without a base rolls over (DESIGN 3: about 128 MB of text).
SHARD_TEXT_BYTES = 128 << 20
_EXCERPT_CHARACTERS = 200


class FolderOutput:
    """The :class:`stages.base.UnitOutput` of one unit, writing below the node's build folder."""

    def __init__(self, folder: Path, index: int) -> None:
        self.ledger = Ledger()
        self._folder = folder
        self._index = index
        self._open: dict[tuple[str, str | None], ShardWriter] = {}
        self._sequence: dict[str, int] = {}
        self._shards: list[Shard] = []
        self._files: list[tuple[str, str, Path]] = []
        self._bad: list[dict[str, Any]] = []

    def write(self, port: str, table: pa.Table, *, of: str | None = None) -> None:
        writer = self._open.get((port, of))
        if writer is None:
            sequence = self._sequence.get(port, 0)
            self._sequence[port] = sequence + 1
            name = f"{self._index:05d}-{sequence:03d}.parquet"
            writer = self._open[(port, of)] = ShardWriter(self._folder, port, name, table.schema, of)
        writer.write(table)
        if of is None and writer.text_bytes >= SHARD_TEXT_BYTES:
            self._shards.append(self._open.pop((port, of)).close())

    def file(self, port: str, name: str) -> Path:
        hidden = self._folder / port / f".{name}.{os.getpid()}.tmp"
        hidden.parent.mkdir(parents=True, exist_ok=True)
        self._files.append((port, name, hidden))
        return hidden

    def scratch(self, name: str) -> Path:
        path = self._folder / "scratch" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def quarantine(
        self, *, source: str, file: str, record_index: int, record_offset: int, reason: str, error: str, raw: bytes
    ) -> None:
        excerpt = raw[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")[:_EXCERPT_CHARACTERS]
        self._bad.append(
            {
                "source": source,
                "file": file,
                "record_index": record_index,
                "record_offset": record_offset,
                "reason": reason,
                "error": error,
                "digest": xxhash.xxh3_128_hexdigest(raw),
                "excerpt": excerpt,
            }
        )

    def finish(self) -> list[Shard]:
        """Publish everything; returns the shards in (port, name) order."""
        if self._bad:
            self.write("quarantine", pa.Table.from_pylist(self._bad, schema=QUARANTINE))
        for writer in self._open.values():
            self._shards.append(writer.close())
        self._open.clear()
        for port, name, hidden in self._files:
            if not hidden.is_file():
                raise StageError(f"the work asked for file {port}/{name} and did not write it")
            digest = file_digest(hidden)
            size = hidden.stat().st_size
            with hidden.open("rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(hidden, self._folder / port / name)
            self._shards.append(
                Shard(port=port, name=name, rows=0, num_bytes=size, file_digest=digest, logical_digest=digest)
            )
        return sorted(self._shards, key=lambda shard: (shard.port, shard.name))

    def abandon(self) -> None:
        """Drop whatever an exception left unfinished."""
        for writer in self._open.values():
            writer.abandon()
        for _, _, hidden in self._files:
            hidden.unlink(missing_ok=True)


def record_path(folder: Path, phase: str, index: int) -> Path:
    """Where the completion record of unit ``index`` of ``phase`` stands."""
    return folder / "units" / phase / f"{index:05d}.json"


def run_unit(folder: Path, phase: str, index: int, key: str, work: Any, payload: Any) -> dict[str, Any]:
    """Run one unit and write its completion record; returns the record."""
    output = FolderOutput(folder, index)
    try:
        value = plain(work(payload, output))
        shards = output.finish()
    except BaseException as error:
        output.abandon()
        error.add_note(f"while working on unit {key} of phase {phase}")
        raise
    record = {
        "key": key,
        "value": value,
        "ledger": output.ledger.to_rows(),
        "shards": [asdict(shard) for shard in shards],
    }
    path = record_path(folder, phase, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    return record


def read_record(folder: Path, phase: str, index: int, key: str) -> dict[str, Any] | None:
    """The record of a finished unit, or None when it must be (re)done."""
    try:
        record = json.loads(record_path(folder, phase, index).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if record.get("key") != key:
        return None  # the units of this phase were cut differently: redo
    for shard in record["shards"]:
        path = folder / shard["port"] / shard["name"]
        if not path.is_file() or path.stat().st_size != shard["num_bytes"]:
            return None
    return dict(record)


def to_result(record: Mapping[str, Any]) -> UnitResult:
    """The part of a record that a stage sees."""
    return UnitResult(record["key"], record["value"], tuple(Shard(**shard) for shard in record["shards"]))
