"""Near-duplicates in real text whose truth is known by brute force."""

from __future__ import annotations

import tarfile
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed
from tests.unit.dedup.slow_reference import jaccard, shingle_set

pytestmark = pytest.mark.shared
LENGTHS = {"words": 5, "characters": 5, "code": 7}


def true_pairs(texts: list[Text], threshold: float) -> dict[frozenset[bytes], float]:
    """All pairs at the threshold, by comparing everything with everything."""
    sets = [shingle_set(text.text, False, LENGTHS) for text in texts]
    owners: dict[tuple[str, ...], list[int]] = {}
    for number, one in enumerate(sets):
        for shingle in one:
            owners.setdefault(shingle, []).append(number)
    common: dict[tuple[int, int], int] = {}
    for group in owners.values():
        for pair in combinations(group, 2):
            common[pair] = common.get(pair, 0) + 1
    found = {}
    for (a, b), shared in common.items():
        similarity = shared / (len(sets[a]) + len(sets[b]) - shared)
        if similarity >= threshold:
            found[frozenset((texts[a].doc_id, texts[b].doc_id))] = similarity
    return found


def test_news_articles_all_ten_planted_pairs_and_no_other(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "labelled" / "neardup-articles"
    lines = (folder / "articles_1000.train").read_text("utf-8").splitlines()
    texts = [Text(*line.split(" ", 1)) for line in lines]
    truth = [line.split() for line in (folder / "articles_1000.truth").read_text("utf-8").splitlines()]
    bench = Bench(tmp_path)
    base = documents(bench, [texts[:400], texts[400:]])
    made = bench.run("dedup_minhash", {}, {"documents": [base]})
    names = {text.doc_id: text.name for text in texts}
    gone = removed(made, base)
    found = {frozenset((names[doc_id], names[bytes.fromhex(str(row["detail"]))])) for doc_id, row in gone.items()}
    assert found == {frozenset(pair) for pair in truth}
    assert made.facts["num_verified_pairs"] == len(truth) == 10


def test_laws_every_reported_pair_is_true_and_recall_follows_the_bands(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "text-zh" / "laws"
    with tarfile.open(folder / "laws-sample.tar.gz") as archive:
        texts = [
            Text(member.name, archive.extractfile(member).read().decode("utf-8"), "laws", "zh")  # type: ignore[union-attr]
            for member in archive.getmembers()
            if member.isfile()
        ]
    assert len(texts) == 296
    threshold = 0.7
    truth = true_pairs(texts, threshold)
    bench = Bench(tmp_path)
    base = documents(bench, [texts[:100], texts[100:]])
    made = bench.run("dedup_minhash", {"threshold": threshold}, {"documents": [base]})
    pairs = [row for shard in made.shards("pairs") for row in pq.read_table(made.shard_path(shard)).to_pylist()]
    assert min(row["similarity"] for row in pairs) >= threshold - 0.05  # the stored margin
    found = {frozenset((r["doc_id"], r["better"])): r["similarity"] for r in pairs if r["similarity"] >= threshold}
    assert found.items() <= truth.items()
    facts = made.facts["signature"]
    curve = [1 - (1 - s ** facts["rows_per_band"]) ** facts["num_bands"] for s in truth.values()]
    missed = len(truth) - len(found)
    expected = sum(1 - p for p in curve)
    spread = sum(p * (1 - p) for p in curve) ** 0.5
    assert missed <= expected + 3 * spread + 1e-9
    by_id = {text.doc_id: text for text in texts}
    for doc_id, row in removed(made, base).items():
        keeper = by_id[bytes.fromhex(str(row["detail"]))]
        sets = [shingle_set(text.text, False, LENGTHS) for text in (by_id[doc_id], keeper)]
        assert row["value"] == jaccard(*sets) >= threshold
    # the table beside the data used raw characters; where it sees near-identity, so must we
    table = [line.split("\t") for line in (folder / "exact-pairs-laws.tsv").read_text("utf-8").splitlines()[1:]]
    names = {text.name.removeprefix("laws/"): text.doc_id for text in texts}
    high = [frozenset(_find(names, name) for name in line[:2]) for line in table if float(line[2]) >= 0.9]
    assert len(high) > 5
    assert set(high) <= set(found)


def _find(names: dict[str, bytes], name: str) -> bytes:
    (found,) = [doc_id for key, doc_id in names.items() if key.endswith(name)]
    return found
