"""Train or validation: pure, per domain, and never through the middle of a cluster."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import xxhash

from data_specs.errors import DataError
from data_specs.ledger import DROPPED, IN, KEPT
from stages.split.sides import cluster_hashes, is_validation
from stages.split.stage import SplitConfig
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, sidecar

RATIO = 0.25


def texts(count: int, domain: str = "en") -> list[Text]:
    return [
        Text(f"{domain}-{n}", f"{domain} text number {n} with a few more words", "web", domain) for n in range(count)
    ]


def test_the_side_is_the_keyed_hash_of_the_doc_id(tmp_path: Path) -> None:
    bench, corpus = Bench(tmp_path), texts(300)
    base = documents(bench, [corpus[:100], [], corpus[100:]], batch_rows=17)
    made = bench.run("split", {"validation_ratio": RATIO, "seed": 9}, {"documents": [base]})
    rows = sidecar(made, "split")
    for text, row in zip(corpus, rows, strict=True):
        assert row == {
            "cluster": text.doc_id,
            "is_validation": xxhash.xxh3_64_intdigest(text.doc_id, 9) < RATIO * 2**64,
        }
    num_characters = sum(len(text.text) for text in corpus)
    aside = [text for text, row in zip(corpus, rows, strict=True) if row["is_validation"]]
    aside_characters = sum(len(text.text) for text in aside)
    assert 45 < len(aside) < 105  # 75 expected, standard deviation 7.5
    assert made.facts["domains"] == {
        "en": {
            "train": {"documents": 300 - len(aside), "characters": num_characters - aside_characters},
            "validation": {"documents": len(aside), "characters": aside_characters},
        }
    }
    ledger = made.manifest.ledger
    assert ledger.total("document", IN) == ledger.total("document", KEPT) == 300
    assert ledger.total("document", DROPPED) == 0
    assert ledger.total("document", KEPT, characters=True) == num_characters


def test_more_documents_and_a_higher_ratio_move_nobody_to_train(tmp_path: Path) -> None:
    sides = []
    for count, ratio in ((50, 0.1), (200, 0.1), (200, 0.4)):
        bench, corpus = Bench(tmp_path / f"{count}-{ratio}"), texts(count)
        made = bench.run("split", {"validation_ratio": ratio}, {"documents": [documents(bench, [corpus])]})
        sides.append({row["cluster"]: row["is_validation"] for row in sidecar(made, "split")})
    few, many, higher = sides
    assert all(many[cluster] == side for cluster, side in few.items())
    assert all(higher[cluster] >= side for cluster, side in many.items())
    assert sum(higher.values()) > sum(many.values())


def test_domains_have_their_own_ratios(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents(bench, [[*texts(100, "en"), *texts(100, "zh"), *texts(100, "code")]])
    config = {"validation_ratio": 0.0, "domain_ratios": {"zh": 0.5, "absent": 0.9}}
    made = bench.run("split", config, {"documents": [base]})
    aside = {domain: sides["validation"]["documents"] for domain, sides in made.facts["domains"].items()}
    assert aside["en"] == aside["code"] == 0
    assert 30 < aside["zh"] < 70


def test_near_duplicates_never_straddle_even_across_domains(tmp_path: Path) -> None:
    """b goes for a, c stays (too far from a): a and c share a cluster, in different domains with different ratios."""
    corpus = []
    for n in range(60):
        base = [f"w{n}x{i}" for i in range(200)]
        near = [*base[:40], "y", *base[41:80], "y", *base[81:]]
        far = [f"z{i}" if i in (10, 20, 60, 100, 120) else word for i, word in enumerate(near)]
        for name, part, domain, extra in (("a", base, "en", 9), ("b", near, "en", 5), ("c", far, "web", 1)):
            corpus.append(Text(f"{name}{n}", " ".join(part) + " " + "!" * extra, "web", domain))
    bench = Bench(tmp_path)
    base_artifact = documents(bench, [corpus[:90], corpus[90:]])
    config = {"threshold": 0.75, "num_bands": 64, "rows_per_band": 2}
    near_duplicates = bench.run("dedup_minhash", config, {"documents": [base_artifact]})
    made = bench.run(
        "split",
        {"domain_ratios": {"en": 0.5, "web": 0.1}},
        {"documents": [near_duplicates], "clusters": [near_duplicates]},
    )
    rows = sidecar(made, "split")
    assert [row["is_validation"] is None for row in rows] == [text.name[0] == "b" for text in corpus]
    for first, last in zip(rows[::3], rows[2::3], strict=True):
        assert first["cluster"] == last["cluster"]
        assert first["is_validation"] == last["is_validation"]
    assert {row["is_validation"] for row in rows} == {True, False, None}


def test_clusters_of_other_documents_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    here, there = documents(bench, [texts(3)]), documents(bench, [texts(4)])
    clusters = bench.run("dedup_minhash", {}, {"documents": [there]})
    with pytest.raises(DataError, match=r"port .clusters. has no sidecar of base shard"):
        bench.run("split", {}, {"documents": [here], "clusters": [clusters]})


def test_a_document_without_a_cluster_is_its_own(tmp_path: Path) -> None:
    """The clusters were made on a smaller view than the split."""
    bench = Bench(tmp_path)
    twins = [Text("a", "the same"), Text("b", "the same"), Text("c", "another")]
    base = documents(bench, [twins])
    exact = bench.run("dedup_exact", {}, {"documents": [base]})
    clusters = bench.run("dedup_minhash", {}, {"documents": [exact]})
    made = bench.run("split", {}, {"documents": [base], "clusters": [clusters]})
    assert [row["cluster"] for row in sidecar(made, "split")] == [text.doc_id for text in twins]


@pytest.mark.parametrize("shards", [[], [[]], [[], texts(1)]])
def test_empty_input_and_a_single_document(tmp_path: Path, shards: list[list[Text]]) -> None:
    bench = Bench(tmp_path)
    made = bench.run("split", {}, {"documents": [documents(bench, shards)]})
    assert len(made.shards("split")) == len(shards)
    assert sum(shard.rows for shard in made.shards("split")) == sum(map(len, shards))


def test_both_sides_of_the_limit() -> None:
    ids = pa.array([bytes(16), bytes(range(16))], pa.binary(16))
    hashes = cluster_hashes(ids, 3)
    assert hashes.tolist() == [xxhash.xxh3_64_intdigest(one, 3) for one in ids.to_pylist()]
    domains = pa.array(["en", "en"])
    just = [float(value) / 2**64 for value in sorted(hashes.tolist())]
    assert is_validation(hashes, domains, just[0] / 2, {}).tolist() == [False, False]
    assert sorted(is_validation(hashes, domains, (just[0] + just[1]) / 2, {}).tolist()) == [False, True]
    assert is_validation(hashes, domains, 0.0, {"en": 0.999_999_999_999}).tolist() == [True, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"validation_ratio": 1.0}, r"validation_ratio \(1.0\)"),
        ({"validation_ratio": -0.1}, r"validation_ratio \(-0.1\)"),
        ({"domain_ratios": {"zh": 2.0}}, r"zh \(2.0\)"),
        ({"seed": 2**64}, r"seed"),
    ],
)
def test_wrong_configs_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitConfig(**values)  # type: ignore[arg-type]
