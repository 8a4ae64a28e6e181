"""A new dump against an earlier corpus: what goes, what is never touched, what is read, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_specs.errors import SpecError
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed, sidecar
from tests.unit.dedup.test_dedup_minhash import edited, words


def dumps(seed: int = 0) -> tuple[list[Text], list[Text]]:
    """30 old documents with two copies inside; 30 new ones: 10 copies of old ones, 5 copies of new ones, 15 others."""
    rng = random.Random(seed)
    old = [Text(f"old-{n}", words(rng, 150), "old") for n in range(28)]
    old += [Text(f"old-copy-{n}", edited(old[n].text, [40]), "old") for n in range(2)]
    new = [Text(f"new-{n}", words(rng, 150), "new") for n in range(15)]
    new += [Text(f"of-new-{n}", edited(new[n].text, [60]), "new") for n in range(5)]
    # longer than what they copy: only that the old one came first makes it the keeper
    new += [Text(f"of-old-{n}", edited(old[n].text, [80]) + " one two", "new") for n in range(10)]
    return old, new


def test_new_documents_go_for_old_ones_and_among_themselves(tmp_path: Path) -> None:
    old, new = dumps()
    bench = Bench(tmp_path)
    base, dump = documents(bench, [old[:9], [], old[9:]], batch_rows=4), documents(bench, [new[:20], [], new[20:]])
    earlier = bench.run("dedup_minhash", {}, {"documents": [base]})
    assert len(removed(earlier, base)) == 2
    made = bench.run("dedup_minhash", {}, {"documents": [dump], "earlier": [earlier]})
    names = {text.doc_id: text.name for text in old + new}
    kept_for = {names[doc_id]: names[bytes.fromhex(str(row["detail"]))] for doc_id, row in removed(made, dump).items()}
    stayed = {text.name for text in old if text.doc_id not in removed(earlier, base)}
    assert {name for name in kept_for if name.startswith("of-old")} == {f"of-old-{n}" for n in range(10)}
    assert len([name for name in kept_for if "old" not in name]) == 5
    assert {kept_for[f"of-old-{n}"] for n in range(10)} <= stayed  # never one that the earlier run removed
    assert made.facts["num_earlier_documents"] == 28
    assert made.facts["removals"] == {"new": {"new": 5, "old": 10}}
    assert made.manifest.ledger.total("document", "in") == 30
    assert {row["cluster"] for row in sidecar(made, "clusters")} <= set(names)
    assert {shard.of for shard in made.shards("signatures")} == {dump.shard_key(s) for s in dump.shards("documents")}


def test_the_same_goes_as_when_both_dumps_are_read_at_once(tmp_path: Path) -> None:
    old, new = dumps(1)
    bench = Bench(tmp_path)
    base, dump = documents(bench, [old]), documents(bench, [new[::-1]])
    earlier = bench.run("dedup_minhash", {}, {"documents": [base]})
    made = bench.run("dedup_minhash", {}, {"documents": [dump], "earlier": [earlier]})
    both = documents(bench, [old, new])
    at_once = bench.run("dedup_minhash", {"source_priority": ["old"]}, {"documents": [both]})
    assert set(removed(earlier, base)) | set(removed(made, dump)) == set(removed(at_once, both))


def test_a_third_dump_is_held_against_the_first_two(tmp_path: Path) -> None:
    rng = random.Random(3)
    first, second = Text("a", words(rng, 150)), Text("b", words(rng, 150))
    third = [Text("of-a", edited(first.text, [9])), Text("of-b", edited(second.text, [9])), Text("c", words(rng, 150))]
    bench = Bench(tmp_path)
    one = bench.run("dedup_minhash", {}, {"documents": [documents(bench, [[first]])]})
    two = bench.run("dedup_minhash", {}, {"documents": [documents(bench, [[second]])], "earlier": [one]})
    dump = documents(bench, [third])
    three = bench.run("dedup_minhash", {}, {"documents": [dump], "earlier": [one, two]})
    assert set(removed(three, dump)) == {third[0].doc_id, third[1].doc_id}


def test_old_row_groups_without_candidates_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = dumps()
    bench = Bench(tmp_path)
    base = documents(bench, [old], batch_rows=2)
    earlier = bench.run("dedup_minhash", {}, {"documents": [base]})
    dump = documents(bench, [[new[20], new[0]]])  # of-old-0, whose original stands in the first row group
    read: list[int] = []
    original = pq.ParquetFile.read_row_group

    def spy(self: pq.ParquetFile, group: int, columns: Any = None, **other: Any) -> Any:
        if self.metadata.num_row_groups == 15 and "text" in columns:
            read.append(group)
        return original(self, group, columns=columns, **other)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    bench.run("dedup_minhash", {}, {"documents": [dump], "earlier": [earlier]})
    assert set(read) <= {0, 14}  # the original and the copy of it that the earlier run compared
    assert read


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    old, new = dumps()
    bench = Bench(tmp_path)
    base, dump = documents(bench, [old]), documents(bench, [new])
    earlier = bench.run("dedup_minhash", {}, {"documents": [base]})
    exact = bench.run("dedup_exact", {}, {"documents": [base]})
    for config, inputs, message in (
        ({"seed": 2}, {"documents": [dump], "earlier": [earlier]}, "signature seed 1, this node 2"),
        ({"shingles": {"words": 6}}, {"documents": [dump], "earlier": [earlier]}, "shingle lengths"),
        ({}, {"documents": [dump], "earlier": [exact]}, "dedup_exact"),
        ({}, {"documents": [base], "earlier": [earlier]}, "share base shard"),
    ):
        with pytest.raises(SpecError, match=message):
            bench.run("dedup_minhash", config, inputs)
    bench.run("dedup_minhash", {"threshold": 0.9}, {"documents": [dump], "earlier": [earlier]})  # other bands are fine
