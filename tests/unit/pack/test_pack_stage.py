"""The pack node: rows, lineage, books, and selectors that cannot be."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import fingerprint
from data_specs.ledger import DROPPED, EXPANDED, IN, KEPT
from data_specs.loss_spans import SPANS_TYPE
from data_specs.manifest import Artifact
from data_specs.permutation import derive_key, keyed_hashes
from data_specs.token_store import INDEX, SPLITS, IndexedTokens, PoolReader
from stages.pack import pool
from stages.pack import rows as pack_rows
from stages.pack.rows import num_rows
from stages.pack.stage import PackConfig
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import document, inputs, small_corpus


class Packed:
    """A tokenized corpus, ready to be packed in several ways."""

    def __init__(self, folder: Path, shards: Any) -> None:
        self.bench = Bench(folder / "bench")
        given = {port: [artifact] for port, artifact in inputs(folder, shards).items()}
        self.given = given
        self.tokenizer = self.bench.run("tokenizer", {"vocab_size": 420}, given)
        self.tokens = self.bench.run("tokenize", {}, {**given, "tokenizer": [self.tokenizer]})

    def run(self, *more: Artifact, **config: Any) -> Artifact:
        return self.bench.run("pack", {"context_length": 32, **config}, {"tokens": [self.tokens, *more]})


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return Packed(tmp_path_factory.mktemp("packed"), small_corpus())


def documents_of(tokens: Artifact) -> list[dict[str, Any]]:
    """Index rows with their ids."""
    found = []
    for shard in tokens.shards("index"):
        store = IndexedTokens.open(tokens.path / "tokens" / str(shard.of))
        for sequence, row in enumerate(pq.read_table(tokens.shard_path(shard)).to_pylist()):
            found.append({**row, "ids": store[sequence].tolist()})
    return found


def test_a_pool_is_its_documents_in_keyed_hash_order(packed: Packed) -> None:
    pools = packed.run()
    everything = documents_of(packed.tokens)
    for split in SPLITS:
        reader = PoolReader.open(pools, split)
        for name in ("zh", "en", "code"):
            mine = [d for d in everything if d["domain"] == name and d["is_validation"] == (split == "validation")]
            ids = np.array([list(d["doc_id"]) for d in mine], dtype=np.uint8)
            order = np.argsort(keyed_hashes(ids, derive_key(0, "pack")))
            stream = [token for place in order for token in mine[place]["ids"]]
            rows = reader.rows(name, np.arange(reader.num_rows(name)))
            kept = [int(rows[0, 0]), *rows[:, 1:].reshape(-1).tolist()]
            assert kept[: len(stream)] == stream
            assert set(kept[len(stream) :]) <= {1}
            facts = pools.facts["components"][name]
            assert facts["num_tokens" if split == "train" else "num_validation_tokens"] == len(stream)
            assert len(rows) == num_rows(len(stream), 32)


def test_every_id_of_every_row_leads_back_to_its_document(packed: Packed) -> None:
    pools = packed.run()
    texts = {d["doc_id"]: d for d in documents_of(packed.tokens)}
    keys = {packed.tokens.shard_key(s): s for s in packed.tokens.shards("tokens")}
    for split, name in itertools.product(SPLITS, ("zh", "en", "code")):
        reader = PoolReader.open(pools, split)
        rows = reader.rows(name, np.arange(reader.num_rows(name)))
        covered = np.zeros(rows.shape, dtype=int)
        for segment in pq.read_table(PoolReader.segments_path(pools, name, split)).to_pylist():
            shard = packed.tokens.shard_path(keys[segment["tokens_shard"]]).with_suffix("")
            span = slice(segment["start"], segment["start"] + segment["length"])
            offset = segment["token_offset"]
            found = IndexedTokens.open(shard).tokens[offset : offset + segment["length"]]
            assert rows[segment["row"], span].tolist() == found.tolist()
            owner = texts[segment["doc_id"]]
            assert owner["domain"] == name
            assert owner["offset"] <= offset
            assert offset + segment["length"] <= owner["offset"] + owner["length"]
            covered[segment["row"], span] += 1
        assert (covered == (rows != 1)).all()


def test_facts_say_what_readers_need(packed: Packed) -> None:
    pools = packed.run()
    assert pools.facts["context_length"] == 32
    assert pools.facts["dtype"] == "uint16"
    assert pools.facts["domains"] == ["code", "en", "zh"]
    for name in ("vocab_size", "eod_id", "pad_id", "tokenizer_sha256"):
        assert pools.facts[name] == packed.tokens.facts[name]
    assert {c: f["domain"] for c, f in pools.facts["components"].items()} == {"zh": "zh", "en": "en", "code": "code"}


def test_selectors_split_a_domain_by_source_and_the_books_keep_the_rest(packed: Packed) -> None:
    pools = packed.run(components={"web-en": {"domains": ["en"], "sources": ["web"]}, "chinese": {"languages": ["zh"]}})
    assert set(pools.facts["components"]) == {"web-en", "chinese"}
    ledger = pools.manifest.ledger
    dropped = {
        (e.source, e.domain, e.reason): count
        for e, (count, _) in ledger.items()
        if e.unit == "document" and e.outcome == DROPPED
    }
    assert dropped == {("git", "code", "no_component"): 12, ("git", "en", "no_component"): 12}
    facts = pools.facts["components"].values()
    assert ledger.total("token", KEPT) == sum(f["num_tokens"] + f["num_validation_tokens"] for f in facts)
    assert ledger.total("token", IN) == packed.tokens.manifest.ledger.total("token", KEPT)
    rows = {name: f["num_rows"] + f["num_validation_rows"] for name, f in pools.facts["components"].items()}
    assert ledger.by_source("row", KEPT) == ledger.by_source("row", EXPANDED) == rows


def test_a_component_keeps_its_rows_whatever_stands_beside_it(packed: Packed) -> None:
    def digests(pools: Artifact) -> dict[str, str]:
        return {s.name: s.logical_digest for s in pools.shards("rows") if s.name.startswith("zh")}

    assert digests(packed.run()) == digests(packed.run(components={"zh": {"domains": ["zh"]}}))


def test_another_seed_orders_the_same_documents_otherwise(packed: Packed) -> None:
    one, other = (PoolReader.open(packed.run(seed=seed)).rows("zh", np.arange(3)) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_two_token_artifacts_make_one_pool(packed: Packed, tmp_path: Path) -> None:
    more = inputs(tmp_path, [[document("zh", 900 + i, "天地初开。" * 3, source="books") for i in range(8)]])
    given = {port: [artifact] for port, artifact in more.items()}
    second = packed.bench.run("tokenize", {}, {**given, "tokenizer": [packed.tokenizer]})
    pools = packed.run(second)
    alone = packed.run()
    added = second.facts["num_tokens"]["zh"]["train"]
    zh = "zh"
    total = pools.facts["components"][zh]["num_tokens"]
    assert total == alone.facts["components"][zh]["num_tokens"] + added
    assert set(pools.manifest.ledger.by_source("token", KEPT)) == {"web", "git", "books"}


def masked_tokens(packed: Packed, spans: dict[int, list[int]]) -> Artifact:
    """The tokens again, with spans without loss in some sequences of every shard."""
    folder = packed.bench.folder / f"masked-{len(packed.bench.made)}"
    shutil.copytree(packed.tokens.path, folder)
    manifest = packed.tokens.manifest
    for shard in packed.tokens.shards("index"):
        table = pq.read_table(packed.tokens.shard_path(shard))
        column = pa.array([spans.get(number, []) for number in range(table.num_rows)], SPANS_TYPE)
        place = table.schema.get_field_index("masked_spans")
        pq.write_table(table.set_column(place, INDEX.field("masked_spans"), column), folder / "index" / shard.name)
    manifest = dataclasses.replace(manifest, fingerprint=fingerprint({"masked": str(spans)}))
    manifest.save(folder)
    return Artifact.open(folder)


SPANS = {0: [0, 3], 1: [1, 2, 5, 20], 5: [2, 4], 7: [0, 12]}


def test_masks_of_rows_are_those_of_their_documents(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Document by document over segments, token by token, whatever the size of the pieces it was written in."""
    tokens = masked_tokens(packed, SPANS)
    bench = packed.bench
    bench.made[tokens.fingerprint] = tokens
    for name, piece_tokens in (("whole", 1 << 21), ("pieces", 40)):
        monkeypatch.setattr(pool, "PIECE_TOKENS", piece_tokens)
        monkeypatch.setattr(pack_rows, "PIECE_TOKENS", piece_tokens)
        made = bench.run("pack", {"context_length": 32}, {"tokens": [tokens]}, name=name)
        entries = {(row["doc_id"], row["part"]): row for row in documents_of(tokens)}
        num_masked = {}
        for split, component in itertools.product(SPLITS, ("zh", "en", "code")):
            reader = PoolReader.open(made, split)
            everything = np.arange(reader.num_rows(component))
            counted = reader.counted(component, everything)
            if counted is None:
                continue
            assert counted.shape == reader.rows(component, everything).shape
            wanted = np.zeros(counted.shape, dtype=bool)  # padding is 0
            for segment in pq.read_table(PoolReader.segments_path(made, component, split)).to_pylist():
                owner = entries[segment["doc_id"], 0]
                bounds = owner["masked_spans"]
                masked = {t for a, b in zip(bounds[::2], bounds[1::2], strict=True) for t in range(a, b)}
                first = segment["token_offset"] - owner["offset"]
                for place in range(segment["length"]):
                    wanted[segment["row"], segment["start"] + place] = first + place not in masked
            assert np.array_equal(counted, wanted)
            num_masked[f"{component}-{split}"] = sum(
                sum(row["masked_spans"][1::2]) - sum(row["masked_spans"][::2])
                for row in entries.values()
                if row["domain"] == component and row["is_validation"] == (split == "validation")
            )
        assert made.facts["masked_tokens"] == num_masked
        assert {s.name for s in made.shards("masks")} == {f"{name}.bin" for name in num_masked}
        assert len(num_masked) == 4
        component_B = np.array([0, 1, 2, 1])  # code, en, zh, en
        gathered = PoolReader.open(made).gather_counted(component_B, [0, 1, 0, 0])
        assert gathered is not None
        for place, (component, row) in enumerate(zip(("code", "en", "zh", "en"), (0, 1, 0, 0), strict=True)):
            mine = PoolReader.open(made).counted(component, [row])
            assert (gathered[place] == (True if mine is None else mine[0])).all()


def test_without_masks_a_pool_is_what_it_was(packed: Packed) -> None:
    made, masked = packed.run(), masked_tokens(packed, SPANS)
    assert not made.shards("masks")
    assert "masked_tokens" not in made.facts
    assert PoolReader.open(made).gather_counted([0, 1], [0, 0]) is None
    packed.bench.made[masked.fingerprint] = masked
    other = packed.bench.run("pack", {"context_length": 32}, {"tokens": [masked]})
    rows = [{s.name: s.logical_digest for s in pools.shards("rows")} for pools in (made, other)]
    assert rows[0] == rows[1], "a mask moves no token"


def test_tokens_of_two_vocabularies_are_refused(packed: Packed) -> None:
    other = packed.bench.run("tokenizer", {"vocab_size": 300}, packed.given)
    tokens = packed.bench.run("tokenize", {}, {**packed.given, "tokenizer": [other]})
    with pytest.raises(DataError, match="vocab_size 300"):
        packed.run(tokens)


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ({"a": {"domains": ["en"]}, "b": {"sources": ["web"]}}, "'a' and 'b' both select document [0-9a-f]{32}"),
        ({"a": {"sources": ["web"]}}, "'a' selects documents of domains en, zh"),
        ({"a": {"domains": ["eng"]}}, "no token has domain 'eng'. Did you mean 'en'"),
        ({"a": {"sources": ["nowhere"]}}, "'a' selects no document"),
    ],
)
def test_selectors_that_cannot_be_are_refused(packed: Packed, components: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        packed.run(components=components)


@pytest.mark.parametrize(
    ("config", "message"),
    [({"context_length": 0}, "at least 1"), ({"components": {"a/b": None}}, "becomes a file name")],
)
def test_impossible_configs_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PackConfig(**config)
    PackConfig(context_length=1)


def test_the_number_of_rows_at_the_edges() -> None:
    # 8 targets a row: 9 tokens fill one row, the tenth needs another
    assert [num_rows(tokens, 8) for tokens in (0, 1, 2, 9, 10, 17, 18)] == [0, 1, 1, 1, 2, 2, 3]
