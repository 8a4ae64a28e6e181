"""What a person sees of a training that runs: steps as progress, and a word when a loss jumps."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.execution.context import NodeContext
from stages.pretrain.spikes import spike_sentence

_LOOK_SECONDS = 1.0


class MetricsFollower:
    """Reads what was added to ``metrics.jsonl`` since it last looked. What stood there before is not told again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size if path.is_file() else 0
        self.step = 0  # of the last line

    def spikes(self) -> list[str]:
        """A sentence for every spike of the new lines."""
        found: list[str] = []
        if not self._path.is_file():
            return found
        with self._path.open("rb") as handle:
            if handle.seek(0, 2) < self._place:  # cut, by a run that goes on from an earlier step
                self._place = 0
            handle.seek(self._place)
            for raw in handle:
                if not raw.endswith(b"\n"):
                    break
                self._place += len(raw)
                with contextlib.suppress(ValueError, KeyError):
                    line = json.loads(raw)
                    self.step = int(line["step"])
                    found += [spike_sentence(self.step, spike) for spike in line.get("spikes", [])]
        return found


@contextlib.contextmanager
def follow_training(ctx: NodeContext, wanted: Mapping[str, Any], tell: Callable[[str], None]) -> Iterator[None]:
    """Report training steps as progress, and spikes by ``tell``, from a thread."""
    total = int(wanted.get("num_steps", 0))
    follower = MetricsFollower(ctx.folder / "metrics.jsonl")
    done = threading.Event()

    def look() -> None:
        with contextlib.suppress(OSError):
            for sentence in follower.spikes():
                tell(sentence)
            ctx.progress("train", min(follower.step, total), total, 0, 0)

    def follow() -> None:
        while not done.wait(_LOOK_SECONDS):
            look()
        look()

    thread = threading.Thread(target=follow, name="follow-training", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
