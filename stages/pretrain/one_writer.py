"""Only one group of workers trains in a folder at a time.

A driver that is killed may leave workers behind for a few seconds. Were the same command given again at once, both
groups would write the journal and the metrics. So the first worker holds a file lock while it trains; the system
releases it with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_specs.errors import StageError

NAME = "training.lock"
_LOOK_SECONDS = 0.1


@contextmanager
def one_writer(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of ``folder``; wait for an earlier group to end, then raise :class:`StageError`."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with (folder / NAME).open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StageError(
                        f"{folder}: another training process has been writing here for the last {wait_seconds:g} "
                        f"seconds; wait for it, or stop it"
                    ) from None
                time.sleep(_LOOK_SECONDS)
        yield
