"""Compiled kernels stand per state of the code, below the user's cache or beside the store."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pipelines.kernel_cache import code_digest, open_kernel_folder, user_folder


def test_the_cache_home_of_the_user_is_taken(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "kaitian" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_folder() == tmp_path / "home" / ".cache" / "kaitian" / "kernels"


def test_two_stores_share_one_private_folder_of_this_code(tmp_path: Path) -> None:
    one = open_kernel_folder(tmp_path / "user", tmp_path / "store_1")
    other = open_kernel_folder(tmp_path / "user", tmp_path / "store_2")
    assert one == other == tmp_path / "user" / code_digest()
    assert one.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "store_1").exists()


def test_a_home_that_cannot_be_written_leaves_the_kernels_beside_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    folder = open_kernel_folder(tmp_path / "file" / "kernels", tmp_path / "store")
    assert folder == tmp_path / "store" / code_digest()
    assert folder.is_dir()


def test_kernels_of_other_code_go_after_a_month_unopened(tmp_path: Path) -> None:
    for name, days in (("old", 31), ("recent", 29)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kernel.nbc").write_bytes(b"x")
        stamp = time.time() - days * 86400
        os.utime(tmp_path / name, (stamp, stamp))
    folder = open_kernel_folder(tmp_path, tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["recent", folder.name])
