"""The journal of a long node: which checkpoints exist, and proof that their files are whole.

    <folder>/journal.json                                   the published checkpoints, oldest first
    <folder>/checkpoints/step-00000100.3f9a1c22/            one fresh folder per checkpoint, never written twice
        model-00000-of-00002.safetensors ...                pieces of every worker (:mod:`stages.pretrain.pieces`)
        state.json                                          step, shape, layout
        entry.json                                          step, digests of the files, digests that must match

A checkpoint exists once its entry stands in the journal, which is replaced by rename after every file is on disk. A
worker killed at any moment leaves at most a folder that no entry names. Should the journal itself be damaged, it is
made again from the folders whose ``entry.json`` and files agree. No torch here: the stage and reports read it too.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from data_specs.fingerprint import file_digest
from data_specs.manifest import write_json

NAME = "journal.json"
FOLDER = "checkpoints"
_ENTRY = "entry.json"
_FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One published checkpoint."""

    step: int  # updates made
    folder: str  # name below ``checkpoints``
    files: dict[str, str]  # file name -> sha256
    pinned: dict[str, str]  # digests of tokenizer, routing table, pools, config and the plan's past


class Journal:
    """Reads and publishes checkpoints below the folder of a long node. One writer at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, entry: Entry) -> Path:
        """Folder of a checkpoint."""
        return self.folder / FOLDER / entry.folder

    def entries(self) -> list[Entry]:
        """Published checkpoints, oldest first; rebuilt from the folders when the journal is damaged."""
        try:
            body = json.loads((self.folder / NAME).read_text("utf-8"))
            if body["format"] != _FORMAT:
                raise ValueError(f"format {body['format']}, this version reads {_FORMAT}")
            return [Entry(**entry) for entry in body["checkpoints"]]
        except FileNotFoundError:
            return self._from_folders()
        except (ValueError, KeyError, TypeError) as error:
            found = self._from_folders()
            _log.warning(
                "%s is damaged (%s); rebuilt from the checkpoint folders: steps %s",
                self.folder / NAME, error, [entry.step for entry in found],
            )  # fmt: skip
            return found

    def newest_good(self, no_later_than: int, fault_of: Callable[[Path], str | None] | None = None) -> Entry | None:
        """The newest checkpoint up to a step whose files are all whole and in whose folder ``fault_of`` finds no fault;
        each one skipped is logged with the cause."""
        for entry in reversed(self.entries()):
            if entry.step > no_later_than:
                continue
            fault = self.fault(entry)
            if fault is None and fault_of is not None:
                fault = fault_of(self.path(entry))
            if fault is None:
                return entry
            _log.warning("checkpoint of step %d is skipped: %s; trying the one before it", entry.step, fault)
        return None

    def fault(self, entry: Entry) -> str | None:
        """What is wrong with a checkpoint's files, or None."""
        for name, digest in entry.files.items():
            path = self.path(entry) / name
            if not path.is_file():
                return f"{path} is missing"
            if file_digest(path) != digest:
                return f"{path} is damaged (its digest differs from the one in the journal)"
        return None

    def publish(self, entry: Entry, keep_last: int, keep_every_steps: int | None) -> None:
        """Add a finished folder; then remove the checkpoints that are not to be kept."""
        write_json(self.path(entry) / _ENTRY, asdict(entry))
        _sync_folder(self.path(entry))
        entries = [other for other in self.entries() if other.step != entry.step] + [entry]
        entries.sort(key=lambda other: other.step)
        recent = {other.step for other in entries[-keep_last:]}
        self._replace(
            other
            for other in entries
            if other.step in recent or (keep_every_steps is not None and other.step % keep_every_steps == 0)
        )

    def keep_until(self, step: int) -> None:
        """Forget checkpoints after ``step`` and every folder that no entry names: what a run that starts there does."""
        self._replace(entry for entry in self.entries() if entry.step <= step)

    def _replace(self, entries: Iterable[Entry]) -> None:
        kept = list(entries)
        write_json(self.folder / NAME, {"format": _FORMAT, "checkpoints": [asdict(entry) for entry in kept]})
        _sync_folder(self.folder)
        named = {entry.folder for entry in kept}
        if (self.folder / FOLDER).is_dir():
            for path in (self.folder / FOLDER).iterdir():
                if path.name not in named:
                    # a worker of a killed group may still be writing there; what it leaves goes with the next one
                    shutil.rmtree(path, ignore_errors=True)

    def _from_folders(self) -> list[Entry]:
        found = []
        for path in sorted((self.folder / FOLDER).glob(f"*/{_ENTRY}")):
            try:
                entry = Entry(**json.loads(path.read_text("utf-8")))
            except (ValueError, TypeError):
                continue
            if entry.folder == path.parent.name and self.fault(entry) is None:
                found.append(entry)
        return sorted(found, key=lambda entry: entry.step)


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, so that a power cut cannot undo a rename."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
