"""Locks on files: released by the kernel when their owner dies, so there is no stale lock to break.

``flock`` works on local file systems and on NFS since Linux 2.6.12; a store on an object store needs one driver at a
time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from data_specs.errors import StoreError

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def hold(
    path: Path, *, shared: bool = False, wait: bool = True, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold a lock file, exclusively or shared. Without ``wait`` a taken lock raises, naming its owner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        told = False
        while True:
            try:
                fcntl.flock(handle, mode)
                break
            except BlockingIOError:
                if not wait:
                    raise StoreError(f"{path.name} is in use by another kaitian process; wait for it to end") from None
                if not told and on_wait is not None:
                    on_wait(owner(path))
                    told = True
                time.sleep(_POLL_SECONDS)
        if not shared:
            handle.seek(0)
            handle.truncate()
            json.dump({"pid": os.getpid(), "host": socket.gethostname()}, handle)
            handle.flush()
        yield


def owner(path: Path) -> str:
    """Who last took a lock exclusively, for messages."""
    try:
        body = json.loads(path.read_text("utf-8"))
        return f"process {body['pid']} on {body['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"
