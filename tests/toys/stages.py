"""Tiny real stages for tests of planner, runner, store and engines: a number source, a text maker, a decider.

They are catalogued by the ``toy_catalog`` fixture only. Delays and crashes come from files, so that a test can kill
or slow any unit of any engine without touching product code.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from data_specs.config import execution
from data_specs.document import DECISIONS, DOCUMENTS, make_doc_id
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT
from stages.base import VIEW, Port, Stage, StageContext, Unit, UnitOutput

#: Set in the environment of an engine: a folder of instructions (see :func:`obey`).
INSTRUCTIONS = "KAITIAN_TEST_INSTRUCTIONS"


def obey(key: str) -> None:
    """Do what the instruction folder says about unit ``key``: log it, sleep, or kill this process once."""
    folder = os.environ.get(INSTRUCTIONS)
    if not folder:
        return
    root = Path(folder)
    with (root / "log").open("a") as log:
        log.write(f"{key}\n")
    delay = root / "delay"
    if delay.is_file():
        seed = xxhash.xxh3_64_intdigest(f"{delay.read_text()}{key}".encode())
        time.sleep((seed % 1000) / 1000 * float(delay.read_text().split()[0]))
    kill = root / f"kill-{key}"
    if kill.is_file():
        kill.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountConfig:
    """How many shards of how many numbered documents."""

    num_shards: int = 4
    num_documents: int = 10  # in shard 0; shard i has i times `uneven` more
    uneven: int = 3
    seed: int = 0


class Count(Stage[CountConfig]):
    """Makes documents out of nothing: "document 17 of shard 3"."""

    version, output, config_type = 1, "documents", CountConfig
    inputs: Mapping[str, Any] = {}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        cfg = self.config
        units = [
            Unit(
                key=f"shard-{i}", payload=(i, cfg.num_documents + i * cfg.uneven), size_bytes=100 * (1 + i * cfg.uneven)
            )
            for i in range(cfg.num_shards)
        ]
        results = ctx.run_units("count", units, partial(make_count, cfg.seed))
        return {"num_documents": sum(result.value for result in results)}


def make_count(seed: int) -> Callable[[Any, UnitOutput], int]:
    """Work of one shard."""

    def work(payload: tuple[int, int], out: UnitOutput) -> int:
        shard, num_documents = payload
        obey(f"shard-{shard}")
        texts = [f"document {row} of shard {shard} with seed {seed} " * (1 + row % 5) for row in range(num_documents)]
        out.write("documents", documents_table("toy", texts, shard))
        out.ledger.add("document", "toy", "en", EXPANDED, num_documents)
        out.ledger.add("document", "toy", "en", KEPT, num_documents, characters=sum(map(len, texts)))
        return num_documents

    return work


def documents_table(source: str, texts: list[str], file_index: int = 0, domain: str = "en") -> pa.Table:
    """A documents table of plain texts."""
    rows = len(texts)
    return pa.table(
        {
            "doc_id": pa.array([make_doc_id(source, f"{file_index}/{i}") for i in range(rows)], pa.binary(16)),
            "source": [source] * rows,
            "domain": [domain] * rows,
            "language": ["en"] * rows,
            "url": [f"toy:{file_index}/{i}" for i in range(rows)],
            "title": pa.nulls(rows, pa.string()),
            "file_index": pa.array([file_index] * rows, pa.int32()),
            "record_index": pa.array(range(rows), pa.int64()),
            "record_offset": pa.array([-1] * rows, pa.int64()),
            "metadata": pa.nulls(rows, pa.string()),
            "text": pa.array(texts, pa.string()),
        },
        schema=DOCUMENTS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShorterConfig:
    """Drop documents longer than ``max_chars`` characters."""

    max_chars: int = 100
    is_lossy: bool = False  # forget to book the dropped ones: the runner must refuse


class Shorter(Stage[ShorterConfig]):
    """A decision sidecar over any view."""

    version, output, config_type = 1, "decisions", ShorterConfig
    inputs = {"documents": VIEW}
    counts = {"documents": "document"}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        units = [Unit(key=s.key, payload=s, size_bytes=s.text_bytes) for s in ctx.view("documents").shards()]
        ctx.run_units("decide", units, partial(make_shorter, self.config))
        return {}


def make_shorter(config: ShorterConfig) -> Callable[[Any, UnitOutput], None]:
    """Work of one base shard."""

    def work(shard: Any, out: UnitOutput) -> None:
        obey(shard.key.rsplit("/", 1)[-1])
        for table, inside in shard.batches(["text"]):
            lengths = np.array([len(text) for text in table.column("text").to_pylist()], dtype=np.float64)
            keep = lengths <= config.max_chars
            rows = table.num_rows
            out.write(
                "decisions",
                pa.table(
                    {
                        "keep": pa.array(keep, mask=~inside),
                        "reason": pa.array(np.where(keep, "", "too_long"), mask=keep | ~inside),
                        "value": pa.array(lengths, mask=~inside),
                        "limit": pa.array([float(config.max_chars)] * rows),
                        "detail": pa.nulls(rows, pa.string()),
                    },
                    schema=DECISIONS,
                ),
                of=shard.key,
            )
            out.ledger.add("document", "toy", "en", IN, int(inside.sum()))
            out.ledger.add("document", "toy", "en", KEPT, int((inside & keep).sum()))
            if not config.is_lossy:
                out.ledger.add("document", "toy", "en", DROPPED, int((inside & ~keep).sum()), reason="too_long")

    return work


@dataclass(frozen=True, slots=True, kw_only=True)
class ClimbConfig:
    """A long node that climbs one journalled step after the other."""

    seed: int = 0
    num_steps: int = field(default=5, metadata=execution())


class Climb(Stage[ClimbConfig]):
    """Stands for training: keeps a journal, continues from it."""

    version, output, config_type, long = 1, "checkpoints", ClimbConfig, True
    inputs = {"documents": VIEW}

    def progress(self) -> dict[str, Any]:
        return {"num_steps": self.config.num_steps}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        journal = ctx.long_folder() / "journal"
        done = len(journal.read_text().splitlines()) if journal.is_file() else 0
        with journal.open("a") as handle:
            handle.writelines(f"step {step}\n" for step in range(done, self.config.num_steps))
        ctx.run_units("register", [Unit(key=f"step-{self.config.num_steps}", payload=str(journal))], make_register)
        return {"started_from": done}


def make_register() -> Callable[[Any, UnitOutput], None]:
    """Export the end of the journal."""

    def work(journal: str, out: UnitOutput) -> None:
        lines = Path(journal).read_text().splitlines()
        out.file("model", f"model-{len(lines):08d}.txt").write_text(lines[-1])

    return work


@dataclass(frozen=True, slots=True, kw_only=True)
class LookConfig:
    """Another salt is another look."""

    salt: int = 0


class Look(Stage[LookConfig]):
    """A consumer of a long node, as an evaluation is."""

    version, output, config_type = 1, "evaluation", LookConfig
    inputs = {"checkpoint": Port("checkpoints")}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        return {"num_steps": ctx.input("checkpoint").facts["progress"]["num_steps"]}


def make_failing() -> Callable[[Any, UnitOutput], None]:
    """Work that reads 100 records, of which as many fail as the payload says."""

    def work(num_failed: int, out: UnitOutput) -> None:
        out.ledger.add("record", "toy", "en", IN, 100)
        out.ledger.add("record", "toy", "en", KEPT, 100 - num_failed)
        out.ledger.add("record", "toy", "en", FAILED, num_failed, reason="broken")

    return work


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftConfig:
    """No options."""


class Drift(Stage[DriftConfig]):
    """Not repeatable on purpose: its output holds the time."""

    version, output, config_type = 1, "documents", DriftConfig
    inputs: Mapping[str, Any] = {}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        ctx.run_units("drift", [Unit(key="drift", payload=None)], make_drift)
        return {}


def make_drift() -> Callable[[Any, UnitOutput], None]:
    """Write the time."""

    def work(payload: None, out: UnitOutput) -> None:
        out.write("documents", documents_table("toy", [f"{time.time_ns()}"]))
        out.ledger.add("document", "toy", "en", EXPANDED, 1)
        out.ledger.add("document", "toy", "en", KEPT, 1)

    return work


TOYS = {
    "count": "tests.toys.stages:Count",
    "shorter": "tests.toys.stages:Shorter",
    "climb": "tests.toys.stages:Climb",
    "look": "tests.toys.stages:Look",
    "drift": "tests.toys.stages:Drift",
}
