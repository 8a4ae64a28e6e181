"""A full disk or a read-only store ends a run with one clear message, and the same command goes on from there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main

_CARD = (
    'name: lines\norigin: made here\nlicence: none\nlanguages: [en]\ndomain: en\nformat: jsonl\npaths: ["*.jsonl"]\n'
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 900 kB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or not _mount("tmpfs", "-t", "tmpfs", "-o", "size=900k", folder)
    ):
        pytest.skip("needs the right to mount a file system of its own")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _mount(*words: object) -> bool:
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode == 0


def run(tmp_path: Path, store: Path) -> int:
    return main(
        ["run", "pipeline=corpus", "cluster=inline", "targets=[ingest]", f"store={store}",
         f"data_root={tmp_path / 'dump'}", f"cards=[{tmp_path / 'cards'}]",
         "nodes.ingest.inputs.sources=[source:lines]", "nodes.ingest.config.group_bytes=1024"]
    )  # fmt: skip


@pytest.fixture
def dump(tmp_path: Path) -> None:
    """Four files, each a unit, of 600 kB that no compressor makes smaller than half."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "lines.yaml").write_text(_CARD)
    (tmp_path / "dump").mkdir()
    rng = np.random.default_rng(3)
    for number in range(4):
        lines = [f'{{"text": "{rng.bytes(300).hex()}"}}\n' for _ in range(1000)]
        (tmp_path / "dump" / f"{number}.jsonl").write_text("".join(lines))


def test_a_full_disk_is_one_message_and_the_same_command_goes_on(
    tmp_path: Path, small_disk: Path, dump: None, capsys: pytest.CaptureFixture[str]
) -> None:
    store = small_disk / "store"
    assert run(tmp_path, store) == 1
    told = capsys.readouterr().err
    assert "StoreError: the disk is full while writing" in told
    assert "give the same command again" in told
    assert "Traceback" not in told
    finished = sorted(path.name for path in store.glob("building/ingest/*/units/ingest/*.json"))
    assert 0 < len(finished) < 4  # what was done stays done
    assert not list(store.glob("artifacts/ingest/*"))
    assert _mount("-o", "remount,size=64m", small_disk)
    before = {path: path.stat().st_mtime_ns for path in store.glob("building/ingest/*/units/ingest/*.json")}
    assert run(tmp_path, store) == 0
    (artifact,) = store.glob("artifacts/ingest/*")
    assert (artifact / "manifest.json").is_file()
    assert len(before) == len(finished)


def test_a_read_only_store_is_one_message(
    tmp_path: Path, small_disk: Path, dump: None, capsys: pytest.CaptureFixture[str]
) -> None:
    store = small_disk / "store"
    store.mkdir()
    assert _mount("-o", "remount,ro", small_disk)
    assert run(tmp_path, store) == 1
    told = capsys.readouterr().err
    assert "StoreError" in told
    assert "read-only" in told.lower()
    assert "Traceback" not in told
    assert _mount("-o", "remount,rw,size=64m", small_disk)
    assert run(tmp_path, store) == 0
