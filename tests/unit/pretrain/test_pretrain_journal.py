"""The journal: what is published, kept, skipped and rebuilt."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from data_specs.fingerprint import file_digest
from stages.pretrain.journal import Entry, Journal


def _checkpoint(journal: Journal, step: int, *, keep_last: int = 10, keep_every: int | None = None) -> Entry:
    folder = f"step-{step:08d}.test"
    path = journal.folder / "checkpoints" / folder
    path.mkdir(parents=True)
    (path / "weights").write_bytes(b"w" * step)
    entry = Entry(step=step, folder=folder, files={"weights": file_digest(path / "weights")}, pinned={"plan": "p"})
    journal.publish(entry, keep_last, keep_every)
    return entry


def _folders(journal: Journal) -> list[str]:
    return sorted(path.name for path in (journal.folder / "checkpoints").iterdir())


def _steps(journal: Journal) -> list[int]:
    return [entry.step for entry in journal.entries()]


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path):
    assert Journal(tmp_path).entries() == []
    assert Journal(tmp_path).newest_good(100) is None


def test_what_is_published_is_read_back(tmp_path: Path):
    journal = Journal(tmp_path)
    one, two = _checkpoint(journal, 1), _checkpoint(journal, 2)
    assert journal.entries() == [one, two]
    assert journal.newest_good(100) == two
    assert journal.newest_good(2) == two
    assert journal.newest_good(1) == one
    assert journal.newest_good(0) is None


def test_the_newest_and_the_multiples_stay(tmp_path: Path):
    journal = Journal(tmp_path)
    for step in range(1, 11):
        _checkpoint(journal, step, keep_last=2, keep_every=4)
    assert _steps(journal) == [4, 8, 9, 10]
    assert _folders(journal) == [f"step-{step:08d}.test" for step in (4, 8, 9, 10)]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path: Path, caplog, damage):
    journal = Journal(tmp_path)
    good, bad = _checkpoint(journal, 4), _checkpoint(journal, 8)
    path = journal.path(bad) / "weights"
    if damage == "flip":
        path.write_bytes(b"W" + path.read_bytes()[1:])
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    with caplog.at_level(logging.WARNING):
        assert journal.newest_good(100) == good
    assert "step 8 is skipped" in caplog.text
    assert str(path) in caplog.text


def test_a_folder_without_an_entry_does_not_exist_and_is_swept(tmp_path: Path):
    journal = Journal(tmp_path)
    _checkpoint(journal, 4)
    stray = tmp_path / "checkpoints" / "step-00000008.killed"
    stray.mkdir()
    (stray / "weights").write_bytes(b"half")
    assert _steps(journal) == [4]
    journal.keep_until(100)
    assert _folders(journal) == ["step-00000004.test"]


def test_later_checkpoints_are_forgotten_when_a_run_starts_before_them(tmp_path: Path):
    journal = Journal(tmp_path)
    for step in (2, 4, 6):
        _checkpoint(journal, step)
    journal.keep_until(4)
    assert _steps(journal) == [2, 4]
    assert len(_folders(journal)) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "other format"])
def test_a_damaged_journal_is_rebuilt_from_whole_folders(tmp_path: Path, caplog, damage):
    journal = Journal(tmp_path)
    good, bad = _checkpoint(journal, 4), _checkpoint(journal, 8)
    (journal.path(bad) / "weights").write_bytes(b"?")
    path = tmp_path / "journal.json"
    text = path.read_text()
    if damage == "other format":
        path.write_text(json.dumps({**json.loads(text), "format": 99}))
    else:
        path.write_text(text[: len(text) // 2] if damage == "cut" else "")
    with caplog.at_level(logging.WARNING):
        assert journal.entries() == [good]
    assert "damaged" in caplog.text


def test_publishing_a_step_again_replaces_it(tmp_path: Path):
    journal = Journal(tmp_path)
    first = _checkpoint(journal, 4)
    journal.publish(Entry(step=4, folder=first.folder, files=first.files, pinned={"plan": "q"}), 10, None)
    (entry,) = journal.entries()
    assert entry.pinned == {"plan": "q"}
