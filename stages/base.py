"""The stage contract: what a stage is, what it may touch, and how it names its work.

A stage turns committed input artifacts into one committed output artifact. It is stateless and safe to run twice.
Its maths lives in pure functions beside it; the class only wires them to work units:

    class Shout(Stage[ShoutConfig]):
        version, output, inputs = 1, "documents", {"documents": Port("documents", "decisions")}

        def run(self, ctx):
            units = shard_units(ctx.view("documents").shards())
            ctx.run_units("shout", units, partial(make_shout, self.config))
            return {}

``make_shout(config)`` runs once per worker (load a model there) and returns ``work(payload, out)``, which runs once
per unit, writes through ``out`` and may return a small JSON value. Units finish in any order, on any worker, possibly
after a restart: what they write must depend on their payload only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa

from data_specs.ledger import Ledger
from data_specs.manifest import Artifact, Shard
from data_specs.view import View, ViewShard

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, slots=True)
class Port:
    """A named input: the artifact kinds it takes, and whether several edges may enter it."""

    kinds: tuple[str, ...]
    many: bool = False
    optional: bool = False

    def __init__(self, *kinds: str, many: bool = False, optional: bool = False) -> None:
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "many", many)
        object.__setattr__(self, "optional", optional)


#: A port that takes a view of documents: documents themselves or any stack of decisions over them.
VIEW = Port("documents", "decisions", many=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Execution only, never identity: how a node's units are run."""

    num_cpus: float = 1.0  # CPUs one unit holds while it runs
    memory_bytes: int | None = None  # scheduling hint per unit; None leaves it to Ray
    max_in_flight: int = 0  # units submitted at once; 0 means twice the CPUs
    max_retries: int = 3  # times a unit is tried again after its worker died (never after an exception)
    max_failed_ratio: float = 0.2  # stop when more than this share of a source's records failed (and at least 20)
    num_workers: int = 0  # training workers for a long node; 0 means one per CPU, at most 2
    deadline_seconds: float = 6 * 3600.0  # no unit finished for so long: the stage stops instead of hanging

    def __post_init__(self) -> None:
        if self.num_cpus <= 0:
            raise ValueError(f"num_cpus ({self.num_cpus}) must be positive")
        if not 0 <= self.max_failed_ratio <= 1:
            raise ValueError(f"max_failed_ratio ({self.max_failed_ratio}) must lie in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One piece of work. ``key`` is unique in its phase and derives from content, never from a rank or a path."""

    key: str
    payload: Any  # picklable; paths are welcome here
    size_bytes: int = 0  # for progress, rates and largest-first scheduling


class UnitOutput(Protocol):
    """Where one unit writes. Everything appears at once when the unit ends, or not at all."""

    ledger: Ledger

    def write(self, port: str, table: pa.Table, *, of: str | None = None) -> None:
        """Append rows to ``port``. With ``of`` the unit's rows form one sidecar file of that base shard; without it
        files roll over at a fixed number of text bytes, deterministically."""

    def file(self, port: str, name: str) -> Path:
        """A path to write any other file to; it is published as ``port/name`` when the unit ends."""

    def scratch(self, name: str) -> Path:
        """A path for intermediate data (see :meth:`StageContext.scratch`); removed when the node commits."""

    def quarantine(
        self,
        *,
        source: str,
        file: str,
        record_index: int,
        record_offset: int,
        reason: str,
        error: str,
        raw: bytes,
    ) -> None:
        """Put a bad record aside with its locator, cause and digest. The caller books it as failed(reason)."""


Work = Callable[[Any, UnitOutput], Any]


def shard_units(shards: Iterable[ViewShard]) -> list[Unit]:
    """One unit per base shard of a view, with the shard itself as payload."""
    return [Unit(key=shard.key, payload=shard, size_bytes=shard.text_bytes) for shard in shards]


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What a finished unit left behind."""

    key: str
    value: Any  # the JSON value that the work returned
    shards: tuple[Shard, ...]


class StageContext(Protocol):
    """All that a running stage may touch."""

    inputs: Mapping[str, tuple[Artifact, ...]]
    resources: Resources

    def view(self, port: str) -> View:
        """The view of documents that enters ``port``."""

    def input(self, port: str) -> Artifact:
        """The one artifact of a single-edge port."""

    def run_units(self, phase: str, units: Sequence[Unit], make_work: Callable[[], Work]) -> list[UnitResult]:
        """Run all units, resumable; results come in unit order. ``make_work`` must be picklable (``functools.partial``
        of a module-level function)."""

    def scratch(self, name: str) -> Path:
        """Path of intermediate data that an earlier phase wrote, below the node's scratch folder."""

    def long_folder(self) -> Path:
        """Folder of a long node's journal; it persists across runs."""

    def launch(self, train: Callable[[dict[str, Any]], Any], payload: dict[str, Any]) -> Any:
        """Run ``train(payload)`` on a group of training workers and return rank 0's JSON value."""


class Stage(ABC, Generic[ConfigT]):
    """One kind of pipeline node: committed inputs -> one committed output."""

    version: ClassVar[int] = 1  # bump when the same config may now give other output
    config_type: ClassVar[type]
    inputs: ClassVar[Mapping[str, Port]] = {}
    output: ClassVar[str]  # artifact kind
    counts: ClassVar[Mapping[str, str]] = {}  # port -> ledger unit whose `in` must equal `kept` upstream
    libraries: ClassVar[tuple[str, ...]] = ()  # distributions whose version defines the output
    long: ClassVar[bool] = False  # journals checkpoints; more steps continue the same artifact

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @abstractmethod
    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Produce the output through ``ctx``; the returned facts stand in the manifest. Must be safe to run twice."""

    def progress(self) -> dict[str, Any]:
        """For long nodes: how far this config wants to go (e.g. {"num_steps": 200}); enters downstream identity."""
        return {}
