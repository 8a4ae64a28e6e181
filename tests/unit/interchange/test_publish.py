"""What is published holds what stands inside, and nothing that was dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_specs.errors import SpecError
from data_specs.ledger import DROPPED, KEPT
from data_specs.manifest import Artifact
from data_specs.plan import Plan
from data_specs.token_store import SPLITS, IndexedTokens, PoolReader
from stages.interchange import token_export
from stages.interchange.corpus_export import PublishConfig
from stages.interchange.row_export import PublishRowsConfig
from stages.interchange.token_export import PublishTokensConfig
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import document, inputs, small_corpus


class Line:
    """A small corpus up to its plan."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "bench")
        self.shards = small_corpus()
        repeated = document("en", 500, self.shards[0][1]["text"]) | {
            "metadata": '{"licence":"CC0-1.0","stars":3}', "title": "Twice",
        }  # fmt: skip
        self.shards[1].append(repeated)
        found = inputs(folder, self.shards)
        self.bench.made.update({artifact.fingerprint: artifact for artifact in found.values()})
        self.given = {port: [artifact] for port, artifact in found.items()}
        self.exact = self.run("dedup_exact", documents=self.given["documents"][0])
        self.tokenizer = self.bench.run("tokenizer", {"vocab_size": 420}, self.given)
        self.tokens = self.run("tokenize", **self.single, tokenizer=self.tokenizer)
        self.pools = self.run("pack", {"context_length": 32}, tokens=self.tokens)
        self.plan = self.run("mix", {"global_batch_rows": 6, "window_steps": 4}, pools=self.pools)

    @property
    def single(self) -> dict[str, Artifact]:
        return {port: artifacts[0] for port, artifacts in self.given.items()}

    def run(self, stage: str, config: Any = None, **given: Artifact) -> Artifact:
        return self.bench.run(stage, config or {}, {port: [artifact] for port, artifact in given.items()})


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("line"))


def rows_of(made: Artifact, port: str) -> list[dict[str, Any]]:
    """Published rows, from Parquet or from lines, read with nothing of ours."""
    found: list[dict[str, Any]] = []
    for shard in made.shards(port):
        path = made.shard_path(shard)
        if path.suffix == ".jsonl":
            found += [json.loads(text) for text in path.read_text("utf-8").splitlines()]
        else:
            found += pq.read_table(path).to_pylist()
    return found


def test_a_view_as_parquet_holds_the_kept_documents(line: Line) -> None:
    made = line.run("publish", documents=line.exact)
    rows = rows_of(made, "documents")
    texts = [row["text"] for row in rows]
    everything = [row["text"] for shard in line.shards for row in shard]
    assert sorted(texts) == sorted(set(everything))
    assert len(texts) == len(everything) - 1  # the planted repetition
    assert made.facts["num_documents"] == {"documents": len(texts)}
    assert made.manifest.ledger.total("document", KEPT) == len(texts)
    assert {row["id"] for row in rows} <= {row["doc_id"].hex() for shard in line.shards for row in shard}


def test_lines_say_the_same_and_sides_stand_apart(line: Line) -> None:
    parquet = line.run("publish", **line.single)
    lines = line.run("publish", {"format": "jsonl"}, **line.single)
    for split in SPLITS:
        table, text = rows_of(parquet, split), rows_of(lines, split)
        assert table
        for row, found in zip(table, text, strict=True):
            row["metadata"] = json.loads(row["metadata"]) if row["metadata"] else None
            assert found == {name: value for name, value in row.items() if value is not None}
    numbers = [row["record_index"] % 4 == 3 for shard in line.shards for row in shard]
    assert lines.facts["num_documents"] == {"train": numbers.count(False), "validation": numbers.count(True)}
    (extra,) = [row for row in rows_of(lines, "train") if row.get("title") == "Twice"]
    assert extra["metadata"] == {"licence": "CC0-1.0", "stars": 3}


def test_what_is_not_chosen_is_booked(line: Line) -> None:
    made = line.run("publish", {"splits": ["validation"], "domains": ["zh"]}, **line.single)
    rows = rows_of(made, "validation")
    assert {row["domain"] for row in rows} == {"zh"}
    books = made.manifest.ledger
    assert books.total("document", KEPT) == len(rows) == 3
    assert books.total("document", DROPPED) == sum(map(len, line.shards)) - 3
    with pytest.raises(SpecError, match="need a split input"):
        line.run("publish", {"splits": ["train"]}, documents=line.exact)


def documents_of(tokens: Artifact, split: str) -> list[tuple[str, list[int]]]:
    found = []
    for shard in tokens.shards("index"):
        store = IndexedTokens.open(tokens.path / "tokens" / str(shard.of))
        for sequence, row in enumerate(pq.read_table(tokens.shard_path(shard)).to_pylist()):
            if row["is_validation"] == (split == "validation"):
                found.append((row["doc_id"].hex(), store[sequence].tolist()))
    return found


@pytest.mark.parametrize("piece_tokens", [7, 1 << 22])
def test_every_format_holds_the_same_tokens(line: Line, monkeypatch: pytest.MonkeyPatch, piece_tokens: int) -> None:
    monkeypatch.setattr(token_export, "_PIECE_TOKENS", piece_tokens)
    made = line.run("publish_tokens", {"formats": ["megatron", "npy", "parquet"]}, tokens=line.tokens)
    for split in SPLITS:
        wanted = documents_of(line.tokens, split)
        assert [(row["id"], row["input_ids"]) for row in rows_of(made, f"parquet-{split}")] == wanted
        found_npy: list[list[int]] = []
        found_bin: list[list[int]] = []
        for shard in range(2):
            flat = np.load(made.path / "npy" / f"{split}-{shard:05d}.npy", mmap_mode="r")
            assert flat.dtype == np.uint16
            ends = np.load(made.path / "npy" / f"{split}-{shard:05d}-ends.npy")
            found_npy += [part.tolist() for part in np.split(flat, ends[:-1])]
            store = IndexedTokens.open(made.path / "megatron" / f"{split}-{shard:05d}")
            found_bin += [store[number].tolist() for number in range(len(store))]
        assert found_npy == found_bin == [ids for _, ids in wanted]
        assert made.facts["num_documents"][split] == len(wanted)
        assert made.facts["num_tokens"][split] == sum(len(ids) for _, ids in wanted)


def test_a_split_or_domain_without_documents_is_an_empty_file(line: Line) -> None:
    made = line.run(
        "publish_tokens", {"formats": ["megatron", "npy", "parquet"], "domains": ["zh"]}, tokens=line.tokens
    )  # fmt: skip
    assert {row["domain"] for row in rows_of(made, "parquet-train")} == {"zh"}
    assert np.load(made.path / "npy" / "train-00001.npy").tolist() == []  # the second shard has no Chinese
    assert len(IndexedTokens.open(made.path / "megatron" / "train-00001")) == 0
    books = made.manifest.ledger
    assert books.total("token", KEPT) == sum(made.facts["num_tokens"].values())
    with pytest.raises(SpecError, match="no token has domain 'zg'"):
        line.run("publish_tokens", {"domains": ["zg"]}, tokens=line.tokens)


def test_what_is_published_for_megatron_comes_back_as_it_was(line: Line, tmp_path: Path) -> None:
    """Out and in again: the same documents, the same ids."""
    from data_specs.source import DigestCache, SourceCard, open_source

    made = line.run("publish_tokens", {"formats": ["megatron"], "splits": ["train"]}, tokens=line.tokens)
    card = SourceCard(
        name="again", origin="made here", licence="CC0-1.0", languages=("en",), domain="en", format="files",
        paths=("megatron/*",),
    )  # fmt: skip
    source = open_source(card, made.path, DigestCache(tmp_path / "digests.json"))
    again = line.bench.run(
        "import_tokens", {"validation_ratio": 0}, {"sources": [source], "tokenizer": [line.tokenizer]}
    )
    assert [ids for _, ids in documents_of(again, "train")] == [ids for _, ids in documents_of(line.tokens, "train")]
    assert set(again.facts["imported"].values()) == {0}  # every document had its EOD


@pytest.mark.parametrize("steps_per_file", [1, 3, 100])
def test_rows_lie_in_the_order_in_which_training_sees_them(line: Line, steps_per_file: int) -> None:
    plan, reader = Plan.load(line.plan.file("plan")), PoolReader.open(line.pools)
    config = {"num_steps": 7, "steps_per_file": steps_per_file}
    made = line.run("publish_rows", config, pools=line.pools, plan=line.plan)
    files = sorted(shard.name for shard in made.shards("rows"))
    flat = np.concatenate([np.load(made.path / "rows" / name) for name in files])
    wanted = np.concatenate([reader.gather(*plan.rows_of_step(step)) for step in range(7)])
    np.testing.assert_array_equal(flat, wanted)
    order = rows_of(made, "order")
    assert [(row["step"], row["place"]) for row in order] == [(1 + n // 6, n % 6) for n in range(42)]
    for row, ids in zip(order, flat, strict=True):
        np.testing.assert_array_equal(reader.rows(row["component"], [row["pool_row"]])[0], ids)
    assert sum(made.facts["num_rows"].values()) == made.manifest.ledger.total("row", KEPT) == 42
    assert len(files) == -(-7 // steps_per_file)


def test_files_follow_the_phases(line: Line) -> None:
    """Two steps whole, three steps in quarters, the rest whole: the order of training, file after file."""
    length = line.pools.facts["context_length"]
    phases = [
        {"name": "a", "num_steps": 2}, {"name": "b", "num_steps": 3, "context_length": length // 4}, {"name": "c"}
    ]  # fmt: skip
    plan_made = line.run("mix", {"global_batch_rows": 6, "stages": phases}, pools=line.pools)
    plan, reader = Plan.load(plan_made.file("plan")), PoolReader.open(line.pools)
    made = line.run("publish_rows", {"num_steps": 7, "steps_per_file": 2}, pools=line.pools, plan=plan_made)
    found = [(f["first"], f["last"], f["context_length"]) for f in made.facts["files"]]
    short = length // 4
    assert found == [(1, 2, length), (3, 4, short), (5, 5, short), (6, 7, length)]
    order, at = rows_of(made, "order"), 0
    for file in made.facts["files"]:
        rows = np.load(made.path / "rows" / file["name"])
        assert rows.shape[1] == file["context_length"] + 1
        for ids in rows:
            row = order[at]
            first = row["first_id"]
            whole = reader.rows(row["component"], [row["pool_row"]])[0]
            np.testing.assert_array_equal(ids, whole[first : first + file["context_length"] + 1])
            at += 1
    assert at == len(order) == 6 * (2 + 3 * 4 + 2)
    taken = [(row["step"] - 1, row["component"], row["pool_row"]) for row in order if row["first_id"] == 0]
    names = [component.name for component in plan.components]
    assert taken == [
        (step, names[index], row)
        for step in range(7)
        for index, row in zip(*(part.tolist() for part in plan.rows_of_step(step)), strict=True)
    ]


def test_rows_of_other_pools_are_refused(line: Line) -> None:
    others = line.run("pack", {"context_length": 16}, tokens=line.tokens)
    with pytest.raises(SpecError, match="was made for the pools"):
        line.run("publish_rows", {"num_steps": 1}, pools=others, plan=line.plan)
    capped = line.run("mix", {"global_batch_rows": 6, "max_epochs": 1}, pools=line.pools)
    with pytest.raises(SpecError, match="the plan can serve 7 steps"):
        line.run("publish_rows", {"num_steps": 10_000}, pools=line.pools, plan=capped)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PublishConfig(format="xml"), "unknown"),
        (lambda: PublishConfig(splits=("test",)), "unknown"),
        (lambda: PublishConfig(splits=()), "empty"),
        (lambda: PublishTokensConfig(formats=()), "at least one"),
        (lambda: PublishTokensConfig(formats=("npy", "npy")), "each once"),
        (lambda: PublishTokensConfig(splits=("trian",)), "Did you mean 'train'"),
        (lambda: PublishRowsConfig(num_steps=0), "at least 1"),
    ],
)
def test_settings_that_cannot_be(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_files_follow_batches_that_grow(line: Line) -> None:
    """Two steps of 2 rows, then 6 rows a step: a file holds steps of one size."""
    phases = [{"name": "a", "num_steps": 2, "batch_rows": 2}, {"name": "b"}]
    plan_made = line.run("mix", {"global_batch_rows": 6, "stages": phases}, pools=line.pools)
    made = line.run("publish_rows", {"num_steps": 5, "steps_per_file": 4}, pools=line.pools, plan=plan_made)
    assert [(f["first"], f["last"], f["rows_per_step"]) for f in made.facts["files"]] == [(1, 2, 2), (3, 5, 6)]
    assert [len(np.load(made.path / "rows" / f["name"])) for f in made.facts["files"]] == [4, 18]
    places = [(row["step"], row["place"]) for row in rows_of(made, "order")]
    assert places == [(step, place) for step in range(1, 6) for place in range(2 if step < 3 else 6)]
