"""Deduplication on Ray, in reverse order and after losing finished units gives what one process gives."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data_specs.manifest import Artifact
from pipelines.execution.context import LocalContext, NodeContext
from pipelines.execution.ray_context import RayContext
from pipelines.store.commit import build_manifest
from stages.base import Resources
from stages.catalog import stage_class
from stages.dedup import exact_stage, minhash_stage
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import documents
from tests.unit.dedup.test_dedup_minhash import corpus

STAGES: list[tuple[str, Mapping[str, Any]]] = [("dedup_exact", {}), ("dedup_minhash", {"max_links": 2})]


@pytest.fixture(autouse=True)
def _several_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_stage, "_HASHES_PER_PARTITION", 20)
    monkeypatch.setattr(minhash_stage, "_ENTRIES_PER_PARTITION", 400)
    monkeypatch.setattr(minhash_stage, "_MEMBERS_PER_PARTITION", 25)


def make_base(folder: Path) -> tuple[Bench, Artifact]:
    bench = Bench(folder)
    texts, _ = corpus()
    return bench, documents(bench, [texts[start : start + 9] for start in range(0, len(texts), 9)], batch_rows=4)


def run(bench: Bench, base: Artifact, key: str, config: Mapping[str, Any], context: Any, folder: Path) -> str:
    """Logical digest of one node that ran in ``folder``; what it left there can be met again by another run."""
    cls = stage_class(key)
    inputs = {"documents": (base,)}
    ctx: NodeContext = context(folder=folder, inputs=inputs, resources=Resources(), open_artifact=bench.open)
    facts = cls(cls.config_type(**config)).run(ctx)
    return build_manifest(key, cls, {}, ctx, facts).logical_digest


@pytest.mark.ray
@pytest.mark.parametrize(("key", "config"), STAGES)
def test_ray_workers_in_any_order_give_equal_digests(
    tmp_path: Path, ray_local: None, key: str, config: Mapping[str, Any]
) -> None:
    bench, base = make_base(tmp_path / "made")
    expected = run(bench, base, key, config, LocalContext, tmp_path / "local")
    for name, context in (("forward", RayContext), ("backward", partial(RayContext, reverse_order=True))):
        assert run(bench, base, key, config, context, tmp_path / name) == expected


@pytest.mark.parametrize(("key", "config"), STAGES)
def test_units_done_again_overwrite_what_they_left(tmp_path: Path, key: str, config: Mapping[str, Any]) -> None:
    bench, base = make_base(tmp_path / "made")
    folder = tmp_path / "node"
    expected = run(bench, base, key, config, LocalContext, folder)
    rng = random.Random(0)
    for _ in range(4):
        records = sorted((folder / "units").glob("*/*.json"))
        for record in rng.sample(records, len(records) // 3):
            record.unlink()
        assert run(bench, base, key, config, LocalContext, folder) == expected
