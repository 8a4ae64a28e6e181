"""Tokens without loss, from the renderer out to every format, and back in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_specs.manifest import Artifact
from data_specs.plan import Plan
from data_specs.source import DigestCache, SourceCard, open_source
from data_specs.token_store import SPLITS, IndexedTokens, PoolReader
from stages.interchange import token_export
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import document, inputs

RULES = {"tasks": {"renderer": "docstring_code", "domains": ["code"]}}


class Line:
    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "bench")
        shards = [
            [document("en", n, f"Plain text {n}.") for n in range(8)],
            [
                document("code", n, f'def f{n}():\n    """Give {n}."""\n    return {n}\n', source="git")
                for n in range(9)
            ],
        ]
        given = {port: [artifact] for port, artifact in inputs(folder, shards).items()}
        tokenizer = self.bench.run("tokenizer", {"vocab_size": 300}, given)
        self.tokens = self.bench.run("tokenize", {"renderers": RULES}, {**given, "tokenizer": [tokenizer]})
        self.pools = self.run("pack", {"context_length": 16}, tokens=self.tokens)
        self.plan = self.run("mix", {"global_batch_rows": 4, "window_steps": 4}, pools=self.pools)

    def run(self, stage: str, config: Any = None, **given: Artifact) -> Artifact:
        return self.bench.run(stage, config or {}, {port: [artifact] for port, artifact in given.items()})


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("masks"))


def documents_of(tokens: Artifact) -> list[dict[str, Any]]:
    """Index rows with ids, and the mask token by token."""
    found = []
    for shard in tokens.shards("index"):
        store = IndexedTokens.open(tokens.path / "tokens" / str(shard.of))
        for number, row in enumerate(pq.read_table(tokens.shard_path(shard)).to_pylist()):
            mask = [True] * row["length"]
            for first, stop in zip(row["masked_spans"][::2], row["masked_spans"][1::2], strict=True):
                mask[first:stop] = [False] * (stop - first)
            found.append({**row, "ids": store[number].tolist(), "mask": mask})
    return found


@pytest.mark.parametrize("piece_tokens", [7, 1 << 22])
def test_every_format_says_which_tokens_are_not_learned(
    line: Line, monkeypatch: pytest.MonkeyPatch, piece_tokens: int
) -> None:
    monkeypatch.setattr(token_export, "_PIECE_TOKENS", piece_tokens)
    made = line.run("publish_tokens", {"formats": ["megatron", "npy", "parquet"]}, tokens=line.tokens)
    everything = documents_of(line.tokens)
    num_masked = {}
    for split in SPLITS:
        mine = [row for row in everything if row["is_validation"] == (split == "validation")]
        num_masked[split] = sum(row["mask"].count(False) for row in mine)
        table = [
            row
            for shard in made.shards(f"parquet-{split}")
            for row in pq.read_table(made.shard_path(shard)).to_pylist()
        ]
        assert [row["masked_spans"] for row in table] == [row["masked_spans"] for row in mine]
        for form in ("megatron", "npy"):
            assert not (made.path / form / f"{split}-00000-masked.npy").exists(), "plain text has no mask"
            spans = np.load(made.path / form / f"{split}-00001-masked.npy")
            stream = [flag for row in mine if row["domain"] == "code" for flag in row["mask"]]
            rebuilt = np.ones(len(stream), dtype=bool)
            for first, stop in spans.tolist():
                rebuilt[first:stop] = False
            assert rebuilt.tolist() == stream
    assert made.facts["num_masked_tokens"] == num_masked
    assert min(num_masked.values()) > 0


def test_what_goes_out_comes_in_again(line: Line, tmp_path: Path) -> None:
    made = line.run("publish_tokens", {"formats": ["megatron"]}, tokens=line.tokens)
    card = SourceCard(
        name="back", origin="made here", licence="CC0-1.0", languages=("en",), domain="en", format="files",
        paths=("megatron/*",),
    )  # fmt: skip
    source = open_source(card, made.path, DigestCache(tmp_path / "digests.json"))
    facts = line.tokens.facts
    ids = {name: facts[name] for name in ("vocab_size", "eod_id", "pad_id", "tokenizer_sha256")}
    again = line.bench.run("import_tokens", ids, {"sources": [source]})

    def said(artifact: Artifact) -> list[tuple[list[int], list[int]]]:
        return sorted((row["ids"], row["masked_spans"]) for row in documents_of(artifact))

    assert said(again) == said(line.tokens)


def test_rows_in_plan_order_stand_beside_their_masks(line: Line) -> None:
    made = line.run("publish_rows", {"num_steps": 5, "steps_per_file": 2}, pools=line.pools, plan=line.plan)
    plan, reader = Plan.load(line.plan.file("plan")), PoolReader.open(line.pools)
    for first, last in ((1, 2), (3, 4), (5, 5)):
        rows, masks = (np.load(made.path / port / f"steps-{first:08d}-{last:08d}.npy") for port in ("rows", "masks"))
        assert rows.shape == masks.shape
        steps = [plan.rows_of_step(step - 1) for step in range(first, last + 1)]
        assert np.array_equal(rows, np.concatenate([reader.gather(*step) for step in steps]))
        for place, (component, row) in enumerate((c, r) for step in steps for c, r in zip(*step, strict=True)):
            counted = reader.counted(reader.components[component], [row])
            assert masks[place].tolist() == ([1] * 17 if counted is None else counted[0].astype(int).tolist())
    assert 0 in masks
