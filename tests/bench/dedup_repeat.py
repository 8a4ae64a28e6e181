"""The same answer every time: engines, orders of units, units done again, and the order of the input."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from data_specs.manifest import Artifact
from pipelines.execution.context import LocalContext
from pipelines.execution.ray_context import RayContext
from pipelines.execution.ray_start import start_local_ray
from pipelines.store.commit import build_manifest
from stages.base import Resources
from stages.catalog import stage_class
from stages.dedup import exact_stage, minhash_stage
from tests.bench.acceptance_table import Table
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed

STAGES: Mapping[str, Mapping[str, Any]] = {"dedup_exact": {}, "dedup_minhash": {"max_removed_ratio": None}}
#: Text that is deduplicated in every way.
TEXT_BYTES = 20_000_000
_SHARDS, _OTHER_SHARDS = 7, 4


def repeat(texts: Sequence[Text], work: Path, table: Table) -> None:
    """One row per stage and way; partitions are made small, so that every phase has several units."""
    texts = _beginning(texts)
    # the corpus has no exact copies: every twentieth document gets one
    texts += [text._replace(source="copies", text=f" {text.text}\n") for text in texts[::20]]
    shuffled = list(texts)
    random.Random(1).shuffle(shuffled)
    folder = work / "repeat"
    shutil.rmtree(folder, ignore_errors=True)
    bench = Bench(folder / "made")
    base = documents(bench, [texts[start::_SHARDS] for start in range(_SHARDS)], batch_rows=500)
    other = documents(bench, [shuffled[start::_OTHER_SHARDS] for start in range(_OTHER_SHARDS)])
    with (
        mock.patch.object(exact_stage, "_HASHES_PER_PARTITION", 2_000),
        mock.patch.object(minhash_stage, "_ENTRIES_PER_PARTITION", 40_000),
        mock.patch.object(minhash_stage, "_MEMBERS_PER_PARTITION", 2_000),
    ):
        one_process = {key: _run(bench, base, key, LocalContext, folder / key) for key in STAGES}
        with start_local_ray(num_cpus=2):
            ways: Mapping[str, Callable[..., Any]] = {
                "two workers": RayContext, "two workers, units backwards": partial(RayContext, reverse_order=True),
            }  # fmt: skip
            for way, context in ways.items():
                for key, expected in one_process.items():
                    found = _run(bench, base, key, context, folder / f"{key}-{len(table.rows)}")
                    _equal(table, f"{key}, {way}", found, expected)
        for key, expected in one_process.items():
            records = sorted((folder / key / "units").glob("*/*.json"))
            for record in random.Random(2).sample(records, len(records) // 3):
                record.unlink()
            _equal(
                table,
                f"{key}, a third of the units again",
                _run(bench, base, key, LocalContext, folder / key),
                expected,
            )
    for key, config in STAGES.items():
        first, second = (_outcome(bench.run(key, config, {"documents": [which]}), which) for which in (base, other))
        table.check(
            f"{key}, shuffled documents in other shards", "same documents removed, same keepers",
            f"{len(first)} and {len(second)} removed, {'equal' if first == second else 'DIFFERENT'}",
            first == second and bool(first),
        )  # fmt: skip


def _beginning(texts: Sequence[Text]) -> list[Text]:
    chosen, size = [], 0
    for text in texts:
        size += len(text.text.encode())
        if size > TEXT_BYTES:
            break
        chosen.append(text)
    return chosen


def _equal(table: Table, what: str, found: str, expected: str) -> None:
    table.check(what, "logical digest of one process", found[:12], found == expected)


def _run(bench: Bench, base: Artifact, key: str, context: Callable[..., Any], folder: Path) -> str:
    """Logical digest of one node that ran in ``folder``."""
    cls = stage_class(key)
    inputs = {"documents": (base,)}
    ctx = context(folder=folder, inputs=inputs, resources=Resources(), open_artifact=bench.open)
    facts = cls(cls.config_type(**STAGES[key])).run(ctx)
    return build_manifest(key, cls, {}, ctx, facts).logical_digest


def _outcome(made: Artifact, base: Artifact) -> dict[bytes, tuple[object, object]]:
    return {doc_id: (row["detail"], row["value"]) for doc_id, row in removed(made, base).items()}
