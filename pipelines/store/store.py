"""The artifact store: one folder that holds artifacts, runs, pins, locks and cached digests.

artifacts/<stage>/<fingerprint>/   committed: manifest.json, provenance.json and the shards it lists
building/<stage>/<fingerprint>/    unfinished work of a node; what it holds is reused by the next attempt
sources/<fingerprint>.json         card and listing of every raw dump that was read
runs/<id>/                         run.json, report.html and metrics of one command
pins/<name>.json                   names for artifacts that must not change or go away
lookup/<fingerprint>-<digest>/     indexes over an artifact's rows (row_index.py), made when first asked for
locks/                             one lock per node, one for the whole store
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_specs.errors import DataError, SpecError, StoreError, nearest
from data_specs.fingerprint import SHORT
from data_specs.manifest import FORMAT, NAME, Artifact, write_json
from data_specs.source import DigestCache, Source
from pipelines.store.locks import hold

_PIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SUFFIX_REPLACED = ".replaced"


class Store:
    """All reads and writes of the store's layout go through here."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @classmethod
    def existing(cls, root: Path) -> Store:
        """Open a store that must be there: for commands that only look."""
        if not (root / "format.json").is_file():
            raise StoreError(f"{root.absolute()}: no store here; give --store the folder that `kaitian run` wrote to")
        return cls.create(root)

    @classmethod
    def create(cls, root: Path) -> Store:
        """Open a store, making it when absent; a folder of another format or an unwritable one raises."""
        store = cls(root)
        marker = store.root / "format.json"
        try:
            store.root.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                write_json(marker, {"kaitian_store": FORMAT})
            found = json.loads(marker.read_text("utf-8")).get("kaitian_store")
        except (OSError, ValueError) as error:
            raise StoreError(f"{store.root}: cannot be used as a store: {error}") from None
        if found != FORMAT:
            raise StoreError(f"{store.root}: is a store of format {found}, this version reads {FORMAT}")
        return store

    # -- artifacts ---------------------------------------------------------------------------------------------------

    def artifact_folder(self, stage_key: str, digest: str) -> Path:
        """Where the artifact of a fingerprint stands once committed."""
        return self.root / "artifacts" / stage_key / digest[:SHORT]

    def building_folder(self, stage_key: str, digest: str, *, redo: bool = False) -> Path:
        """Where it is being built; a forced rerun builds beside the committed one."""
        return self.root / "building" / stage_key / (digest[:SHORT] + (".redo" if redo else ""))

    def find(self, stage_key: str, digest: str) -> Artifact | None:
        """The committed artifact of a fingerprint, if there is one."""
        folder = self.artifact_folder(stage_key, digest)
        if not (folder / NAME).is_file():
            return None
        artifact = Artifact.open(folder)
        if artifact.fingerprint != digest:
            raise DataError(f"{folder}: holds fingerprint {artifact.fingerprint}, expected {digest}")
        missing = [s for s in artifact.manifest.shards if not artifact.shard_path(s).is_file()]
        if missing:
            raise DataError(
                f"{folder}: its manifest lists {missing[0].port}/{missing[0].name}, which is gone ({len(missing)} of "
                f"{len(artifact.manifest.shards)} shards missing); remove the folder and run its node again"
            )
        return artifact

    def open(self, digest: str) -> Artifact:
        """A committed artifact by (the beginning of) its fingerprint."""
        matches = [
            path
            for path in sorted((self.root / "artifacts").glob(f"*/{digest[:SHORT]}*"))
            if (path / NAME).is_file() and _SUFFIX_REPLACED not in path.name
        ]
        if len(matches) != 1:
            what = "no artifact" if not matches else "several artifacts"
            raise SpecError(f"{what} {digest!r} in {self.root}" + "".join(f"\n  {m}" for m in matches))
        return Artifact.open(matches[0])

    def artifacts(self) -> Iterator[Artifact]:
        """Every committed artifact."""
        for path in sorted((self.root / "artifacts").glob(f"*/*/{NAME}")):
            if _SUFFIX_REPLACED not in path.parent.name:
                yield Artifact.open(path.parent)

    def publish(self, building: Path, stage_key: str, digest: str) -> Artifact:
        """Rename a built folder (manifest inside) into place; a committed one already there is kept aside."""
        final = self.artifact_folder(stage_key, digest)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            aside = final.with_name(f"{final.name}{_SUFFIX_REPLACED}")
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(final, aside)
        os.replace(building, final)
        return Artifact.open(final)

    # -- sources -----------------------------------------------------------------------------------------------------

    def digest_cache(self, *, verify: bool = False) -> DigestCache:
        """Remembered digests of raw files."""
        return DigestCache(self.root / "digests.json", verify=verify)

    def save_source(self, source: Source) -> None:
        """Remember card and listing of a dump: `explain` and lineage find the raw file by them."""
        path = self.root / "sources" / f"{source.fingerprint[:SHORT]}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, dataclasses.asdict(source) | {"fingerprint": source.fingerprint})

    def source_record(self, digest: str) -> dict[str, Any] | None:
        """What :meth:`save_source` remembered."""
        path = self.root / "sources" / f"{digest[:SHORT]}.json"
        return dict(json.loads(path.read_text("utf-8", "surrogateescape"))) if path.is_file() else None

    # -- pins --------------------------------------------------------------------------------------------------------

    def pins(self) -> dict[str, dict[str, str]]:
        """Name -> {stage, fingerprint}."""
        folder = self.root / "pins"
        return {p.stem: json.loads(p.read_text("utf-8")) for p in sorted(folder.glob("*.json"))}

    def pin(self, name: str, artifact: Artifact) -> None:
        """Give an artifact a name that edges (``pin:NAME``) can use; a name cannot be moved to another artifact."""
        if not _PIN_NAME.fullmatch(name):
            raise SpecError(f"pin {name!r}: a name is letters, digits, '_', '-' and '.', and starts with no dot")
        known = self.pins().get(name)
        if known is not None and known["fingerprint"] != artifact.fingerprint:
            raise SpecError(
                f"pin {name!r} already names {known['stage']}/{known['fingerprint'][:SHORT]}; choose another"
            )
        (self.root / "pins").mkdir(parents=True, exist_ok=True)
        write_json(
            self.root / "pins" / f"{name}.json",
            {"stage": artifact.manifest.stage, "fingerprint": artifact.fingerprint},
        )

    def open_pin(self, name: str) -> Artifact:
        """The artifact behind a pin."""
        pins = self.pins()
        if name not in pins:
            raise SpecError(f"no pin {name!r} in {self.root}.{nearest(name, pins)}")
        return self.open(pins[name]["fingerprint"])

    # -- runs --------------------------------------------------------------------------------------------------------

    def run_folder(self, run_id: str) -> Path:
        return self.root / "runs" / run_id

    def runs(self, pipeline: str | None = None) -> list[dict[str, Any]]:
        """Run records, newest last."""
        records = []
        for path in sorted((self.root / "runs").glob("*/run.json")):
            try:
                record = json.loads(path.read_text("utf-8"))
            except ValueError:
                continue  # a run that was killed while its record was first written
            if pipeline in (None, record["pipeline"]):
                records.append(record)
        return records

    # -- locks -------------------------------------------------------------------------------------------------------

    def node_lock(
        self, stage_key: str, digest: str, on_wait: Callable[[str], None]
    ) -> contextlib.AbstractContextManager[None]:
        """Exclusive right to build one artifact."""
        return hold(self.root / "locks" / f"{stage_key}-{digest[:SHORT]}.lock", on_wait=on_wait)

    def in_use(self) -> contextlib.AbstractContextManager[None]:
        """Held shared by every run, and while garbage is only listed: nothing is collected meanwhile."""
        return hold(self.root / "locks" / "store.lock", shared=True)

    def collecting(self) -> contextlib.AbstractContextManager[None]:
        """Held exclusively by `gc`."""
        return hold(self.root / "locks" / "store.lock", wait=False)
