"""What a person sees while a node works: a bar with rate and time left on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_SECONDS = 10.0


class NodeProgress:
    """Callable :class:`pipelines.execution.context.Progress` of one node; use it as a context manager."""

    def __init__(self, console: Console, node: str) -> None:
        self._console = console
        self._node = node
        self._started = time.perf_counter()
        self._phase_started = self._started
        self._phase = ""
        self._at_start = 0
        self._printed = self._started
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("  [bold]{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> NodeProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, phase: str, done: int, total: int, done_bytes: int, total_bytes: int) -> None:
        now = time.perf_counter()
        if phase != self._phase:
            self._phase, self._phase_started, self._at_start = phase, now, done_bytes
            if self._bar is not None:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(f"{self._node} {phase}", total=max(1, total), rate="")
        rate = _rate(done_bytes - self._at_start, now - self._phase_started)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=max(1, total), rate=rate)
        elif now - self._printed >= _LINE_SECONDS and done < total:
            self._printed = now
            left = (now - self._phase_started) * (total - done) / max(1, done)
            self._console.print(
                f"  {self._node} {phase}: {done}/{total} {rate} about {left:.0f} s left", highlight=False
            )


def _rate(num_bytes: int, seconds: float) -> str:
    return f"{num_bytes / 1e6 / seconds:.1f} MB/s" if num_bytes > 0 and seconds > 0.05 else ""
