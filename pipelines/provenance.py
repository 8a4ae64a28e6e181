"""Who made an artifact, when, with which code: kept beside manifests, never inside their identity."""

from __future__ import annotations

import datetime
import getpass
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "kaitian",
    "ray",
    "torch",
    "pyarrow",
    "numpy",
    "numba",
    "datasketch",
    "sentencepiece",
    "tokenizers",
    "tiktoken",
    "hydra-core",
    "resiliparse",
    "fastwarc",
    "ftfy",
    "safetensors",
)


def collect_provenance() -> dict[str, Any]:
    """Commit, command, versions, machine and time of this process."""
    return {
        "time": now(),
        "argv": sys.argv,
        "user": _user(),
        "host": platform.node(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "num_cpus": os.cpu_count(),
        "commit": git_commit(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def now() -> str:
    """Present time, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def git_commit() -> str:
    """Commit of the code, with ``-dirty`` when the tree differs; "unknown" outside a checkout."""
    folder = Path(__file__).resolve().parent.parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
