"""The tokenize node with renderers: what stands in the store, in the books and in the index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_specs.errors import SpecError
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.pair import Side, join_pair
from data_specs.token_store import IndexedTokens
from stages.tokenize import shard_tokens
from stages.tokenize.byte_bpe import load
from stages.tokenize.sequences import RenderRule
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import document, inputs

RULES = {
    "tasks": {"renderer": "docstring_code", "domains": ["code"]},
    "translations": {"renderer": "pair_both", "domains": ["zh_en"]},
}


def translation(number: int, **more: Any) -> dict[str, Any]:
    text, entries = join_pair([Side("en", f"Sky {number} <|eod|> [zh]"), Side("zh", f"天{number}<|pad|>")])
    return {**document("zh_en", number, text), "metadata": json.dumps({"pair": entries}), **more}


def module(number: int, *names: str) -> dict[str, Any]:
    text = "".join(f'def {name}():\n    """Say {name} <|eod|>."""\n    return {number}\n\n' for name in names)
    return document("code", number, text or "x = 1\n", source="git")


def shards() -> list[list[dict[str, Any]]]:
    first = [document("en", n, f"Plain text number {n}, [zh] and all.") for n in range(6)]
    second = [
        *(translation(n) for n in range(5)),
        translation(5, metadata=None),  # record 5: no pair
        module(6, "one", "two", "three"),
        module(7, "four"),  # held out, like every fourth
        module(8),
        document("en", 9, ""),
    ]
    return [first, second]


class Line:
    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "bench")
        self.given = {port: [artifact] for port, artifact in inputs(folder, shards()).items()}
        self.tokenizer = self.bench.run("tokenizer", {"vocab_size": 400}, self.given)
        self.tokens = self.run(renderers=RULES)

    def run(self, **config: Any) -> Artifact:
        return self.bench.run("tokenize", config, {**self.given, "tokenizer": [self.tokenizer]})

    def sequences(self, tokens: Artifact, shard: int) -> list[dict[str, Any]]:
        """Index rows with the text of all ids, of those that are learned, and the ids."""
        codec = load(self.tokenizer.file("tokenizer"))
        store = IndexedTokens.open(tokens.path / "tokens" / f"{shard:05d}")
        found = []
        for number, row in enumerate(pq.read_table(tokens.sidecar("index", f"{shard:05d}")).to_pylist()):
            ids = store[number].tolist()
            assert store.tokens[row["offset"] : row["offset"] + row["length"]].tolist() == ids
            assert ids[-1] == 0, "an end of document"
            assert ids.count(0) == 1, "and no other, whatever the text says"
            bounds = row["masked_spans"]
            masked = {t for a, b in zip(bounds[::2], bounds[1::2], strict=True) for t in range(a, b)}
            learned = [i for place, i in enumerate(ids[:-1]) if place not in masked]
            assert len(ids) - 1 not in masked, "the end is learned"
            found.append({**row, "text": codec.decode(ids[:-1]), "learned": codec.decode(learned)})
        return found


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("rendered"))


def test_sequences_of_every_renderer(line: Line) -> None:
    found = line.sequences(line.tokens, 1)
    pairs, tasks, (empty,) = found[:10], found[10:14], found[14:]
    for number in range(5):
        en, zh = f"[en] Sky {number} <|eod|> [zh]", f"[zh] 天{number}<|pad|>"
        forth, back = pairs[2 * number : 2 * number + 2]
        assert (forth["text"], back["text"]) == (f"{en}\n{zh}", f"{zh}\n{en}")
        assert (forth["learned"], back["learned"]) == (forth["text"], back["text"])
        assert forth["doc_id"] == back["doc_id"]
        assert [row[name] for row in (forth, back) for name in ("row", "part")] == [number, 0, number, 1]
        assert forth["masked_spans"] == []
        assert forth["characters"] == len(forth["text"])
    assert [(row["row"], row["part"], row["is_validation"]) for row in tasks] == [
        (6, 0, False), (6, 1, False), (6, 2, False), (7, 0, True),
    ]  # fmt: skip
    for row, name in zip(tasks, ("one", "two", "three", "four"), strict=True):
        assert row["learned"] == f"def {name}():\n    return {row['row']}"
        assert row["text"] == f"[docstring]\nSay {name} <|eod|>.\n[python]\n{row['learned']}"
        assert row["masked_spans"][0] == 0
        assert len(row["masked_spans"]) == 2
    assert (empty["text"], empty["length"], empty["renderer"]) == ("", 1, "plain")
    assert {row["renderer"] for row in pairs} == {"pair_both"}


def test_documents_that_nobody_selects_are_what_they_were(line: Line) -> None:
    without = line.run()
    assert line.sequences(without, 0) == line.sequences(line.tokens, 0)
    assert all(row["masked_spans"] == [] for row in line.sequences(without, 1))
    assert (without.path / "tokens" / "00000.bin").read_bytes() == (
        line.tokens.path / "tokens" / "00000.bin"
    ).read_bytes()


def test_every_document_is_booked_once_whatever_was_made_of_it(line: Line) -> None:
    books = line.tokens.manifest.ledger
    assert [books.total("document", side) for side in (IN, EXPANDED, KEPT, DROPPED, FAILED)] == [16, 7, 21, 1, 1]
    reasons = {(e.domain, e.outcome, e.reason) for e, _ in books.items() if e.reason}
    assert reasons == {("zh_en", FAILED, "no_pair"), ("code", DROPPED, "no_docstring")}
    (quarantine,) = line.tokens.shards("quarantine")
    (bad,) = pq.read_table(line.tokens.shard_path(quarantine)).to_pylist()
    assert (bad["record_index"], bad["reason"], bad["source"]) == (5, "no_pair", "web")
    assert "renderer pair_both: its metadata speak of no pair" in bad["error"]
    lengths = sum(row["length"] for shard in (0, 1) for row in line.sequences(line.tokens, shard))
    assert books.total("token", KEPT) == books.total("token", EXPANDED) == lengths


def test_facts_count_rules_and_languages(line: Line) -> None:
    facts = line.tokens.facts
    assert facts["rendered"] == {
        "tasks": {"renderer": "docstring_code", "documents": 3, "sequences": 4},
        "translations": {"renderer": "pair_both", "documents": 6, "sequences": 10},
    }
    rows = [row for shard in (0, 1) for row in line.sequences(line.tokens, shard)]
    for language in ("en", "und"):
        mine = [row for row in rows if row["language"] == language]
        assert facts["languages"][language] == {
            "sequences": len(mine),
            "tokens": sum(row["length"] - 1 for row in mine),
            "characters": sum(len(row["text"]) for row in mine),
        }
    counts = np.load(line.tokens.file("counts"))
    assert counts.sum() == sum(row["length"] for row in rows if not row["is_validation"])
    assert counts[facts["domains"].index("code"), 0] == 3  # ends of three training sequences


def test_the_cut_into_stretches_does_not_show(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_tokens, "_PIECE_CHARACTERS", 40)
    again = Bench(line.bench.folder.parent / "again").run(
        "tokenize", {"renderers": RULES}, {**line.given, "tokenizer": [line.tokenizer]}
    )
    assert again.manifest.logical_digest == line.tokens.manifest.logical_digest


def test_rules_that_cannot_be_are_refused(line: Line) -> None:
    with pytest.raises(SpecError, match=r"renderers 'a' and 'tasks' both select document [0-9a-f]{32} \(source 'git'"):
        line.run(renderers={**RULES, "a": {"renderer": "plain", "sources": ["git"]}})
    with pytest.raises(SpecError, match=r"renderers\.b: no document has domains \['cod'\]"):
        line.run(renderers={"b": {"renderer": "plain", "domains": ["cod"]}})
    with pytest.raises(SpecError, match="Did you mean 'docstring_code'"):
        line.run(renderers={"b": {"renderer": "docstrings_code"}})
    RenderRule(renderer="code_file")


def test_sequences_of_one_document_stand_apart_in_a_pool(line: Line) -> None:
    """Shuffled by document and part: were it by document alone, every pair would stand beside its mirror."""
    from stages.pack.pool import DOCUMENT, order_hashes

    entries = np.zeros(200, dtype=DOCUMENT)
    random = np.random.default_rng(0)
    entries["doc_id"] = np.repeat(random.integers(0, 256, (100, 16), dtype=np.uint8), 2, axis=0)
    entries["part"] = np.tile([0, 1], 100)
    order = np.argsort(order_hashes(entries, 0))
    beside = np.abs(np.diff(np.argsort(order).reshape(100, 2))).ravel() == 1
    assert beside.sum() <= 6  # one expected
