"""Where compiled kernels are kept: one folder for each state of the code, so that no stale one can run.

Compiling all kernels takes some ten seconds per worker. Runs on this machine share the user's cache folder whatever
store they write to; a cluster shares the folder beside its store, which all its machines see.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import stages

#: Kernels of a state of the code that no run has opened for so long are removed.
_KEPT_SECONDS = 30 * 86400


def user_folder() -> Path:
    """``$XDG_CACHE_HOME/kaitian/kernels``, by default below ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kaitian" / "kernels"


def open_kernel_folder(preferred: Path, fallback: Path) -> Path:
    """The folder of this state of the code below ``preferred``, or below ``fallback`` where that cannot be written (a
    home that is missing or read-only). Neighbours that were not opened for a month go."""
    digest = code_digest()
    try:
        folder = _make(preferred / digest)
    except (OSError, RuntimeError):
        folder = _make(fallback / digest)
    oldest = time.time() - _KEPT_SECONDS
    for neighbour in folder.parent.iterdir():
        if neighbour != folder and neighbour.is_dir() and neighbour.stat().st_mtime < oldest:
            shutil.rmtree(neighbour, ignore_errors=True)
    return folder


def _make(folder: Path) -> Path:
    """Create, or mark as opened now. Private: Numba unpickles what lies there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.utime(folder)
    return folder


def code_digest() -> str:
    """Digest of all stage sources. Numba's cache sees an edit of a kernel's own file only, not of the functions and
    constants that it takes from others, so each state of the code gets a folder of its own."""
    digest = hashlib.sha256()
    for path in sorted(Path(next(iter(stages.__path__))).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
