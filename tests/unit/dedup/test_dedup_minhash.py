"""The near-duplicate chain on small corpora with known truth."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash

from data_specs.errors import SpecError, StageError
from stages.dedup import minhash_stage
from stages.dedup.minhash_stage import DedupMinHashConfig
from stages.dedup.shingles import UNITS
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed, sidecar
from tests.unit.dedup.slow_reference import jaccard, shingle_set

LENGTHS = {"words": 5, "characters": 5, "code": 7}


def han(rng: random.Random, length: int) -> str:
    """Random ideographs: two such texts share no shingle."""
    return "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(length))


def words(rng: random.Random, length: int) -> str:
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(length))


def edited(text: str, places: list[int]) -> str:
    """``text`` with the characters or words at ``places`` replaced."""
    parts = text.split(" ") if " " in text else list(text)
    for place in places:
        parts[place] = "改" if " " not in text else "edited"
    return (" " if " " in text else "").join(parts)


def corpus(seed: int = 0) -> tuple[list[Text], set[str]]:
    """60 documents: originals in three units, near copies of ten of them; returns the names of the copies."""
    rng = random.Random(seed)
    texts, copies = [], set()
    for number in range(50):
        domain = ("zh", "en", "code")[number % 3]
        text = han(rng, 300 + number) if domain == "zh" else words(rng, 200 + number)
        texts.append(Text(f"original-{number}", text + ("。" if domain == "zh" else " end"), "web", domain))
    for number in range(10):
        original = texts[number]
        copies.add(f"copy-{number}")
        texts.append(Text(f"copy-{number}", edited(original.text[:-1], [20, 90]), "mirror", original.domain))
    return texts, copies


def test_planted_copies_go_and_nothing_else(tmp_path: Path) -> None:
    texts, copies = corpus()
    bench = Bench(tmp_path)
    base = documents(bench, [texts[:25], [], texts[25:]])
    made = bench.run("dedup_minhash", {"source_priority": ["web"]}, {"documents": [base]})
    gone = removed(made, base)
    by_id = {text.doc_id: text for text in texts}
    assert {by_id[doc_id].name for doc_id in gone} == copies
    for doc_id, row in gone.items():
        copy, keeper = by_id[doc_id], by_id[bytes.fromhex(str(row["detail"]))]
        assert keeper.name == copy.name.replace("copy", "original")
        is_code = copy.domain == "code"
        truth = jaccard(shingle_set(copy.text, is_code, LENGTHS), shingle_set(keeper.text, is_code, LENGTHS))
        assert row["value"] == truth >= 0.7
        assert (row["reason"], row["limit"]) == ("near_duplicate", 0.7)
    assert made.facts["num_documents_by_unit"] == {"characters": 21, "code": 19, "words": 20}
    assert made.facts["num_verified_pairs"] == made.facts["num_clusters"] == made.facts["num_removed"] == 10
    assert made.facts["cluster_sizes"] == {"2": 10}
    assert made.facts["removals"] == {"mirror": {"web": 10}}
    assert made.facts["capped"] == {"max_links": 32, "num_buckets": 0, "num_pairs_left_out": 0}


def test_the_removed_set_does_not_depend_on_the_order_of_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, _ = corpus()
    rng = random.Random(1)
    texts += [
        Text(f"copy-of-copy-{n}", edited(texts[50 + n].text, [150 + n]), "third", texts[n].domain) for n in range(5)
    ]
    seen = []
    for trial, cuts in enumerate(((65,), (10, 30), (1, 2, 64), (33,))):
        shuffled = texts[:]
        if trial:
            rng.shuffle(shuffled)
            monkeypatch.setattr(minhash_stage, "_ENTRIES_PER_PARTITION", 300)  # several key and member ranges
            monkeypatch.setattr(minhash_stage, "_MEMBERS_PER_PARTITION", 11)
        edges = [0, *cuts, len(shuffled)]
        bench = Bench(tmp_path / f"{trial}")
        base = documents(bench, [shuffled[a:b] for a, b in pairwise(edges)], batch_rows=7)
        made = bench.run("dedup_minhash", {"max_links": 1}, {"documents": [base]})
        clusters = {row["cluster"] for row in sidecar(made, "clusters")}
        seen.append((removed(made, base), clusters, made.facts))
    assert len(seen[0][0]) == 15
    assert all(one == seen[0] for one in seen[1:])


def test_short_chinese_texts_that_differ_all_stay(tmp_path: Path) -> None:
    lines = [
        "你好",
        "你好吗",
        "今天天气很好",
        "今天天气不好",
        "谢谢",
        "谢谢你",
        "再见。",
        "再见！",
        "第一章",
        "第二章",
        "",
        "。",
    ]
    bench = Bench(tmp_path)
    base = documents(bench, [[Text(line, line, "web", "zh") for line in lines]])
    made = bench.run("dedup_minhash", {}, {"documents": [base]})
    assert removed(made, base) == {}


def test_only_a_document_that_stays_keeps_another_out(tmp_path: Path) -> None:
    """a~b and b~c, but a and c differ too much: b goes for a (or c), and c is not dragged along."""
    text = [f"w{n}" for n in range(200)]
    middle = text[:]
    middle[40] = middle[80] = "x"
    far = middle[:]
    for place in (10, 20, 60, 100, 120):
        far[place] = "y"
    chain = [Text(name, " ".join(part) + " " + "!" * extra) for name, part, extra in
             (("a", text, 9), ("b", middle, 5), ("c", far, 1))]  # fmt: skip
    sets = [shingle_set(one.text, False, LENGTHS) for one in chain]
    limit = 0.75
    assert jaccard(sets[0], sets[1]) > limit < jaccard(sets[1], sets[2])
    assert jaccard(sets[0], sets[2]) < limit
    bench = Bench(tmp_path)
    base = documents(bench, [chain])
    config = {"threshold": limit, "num_bands": 64, "rows_per_band": 2}  # proposes practically every pair
    made = bench.run("dedup_minhash", config, {"documents": [base]})
    assert set(removed(made, base)) == {chain[1].doc_id}
    assert {row["cluster"] for row in sidecar(made, "clusters")} == {min(one.doc_id for one in chain)}
    (pairs,) = (pq.read_table(made.shard_path(shard)).to_pylist() for shard in made.shards("pairs"))
    assert {(row["doc_id"], row["better"]) for row in pairs} == {
        (chain[1].doc_id, chain[0].doc_id), (chain[2].doc_id, chain[1].doc_id),
    }  # fmt: skip


def test_both_sides_of_the_threshold(tmp_path: Path) -> None:
    text = [f"w{n}" for n in range(104)]  # 100 shingles
    other = [*text[:50], "x", *text[51:]]  # 5 of them differ
    pair = [Text("a", " ".join(text) + "!"), Text("b", " ".join(other))]
    similarity = 95 / 105
    for threshold, expected in ((similarity, 1), (similarity + 1e-9, 0)):
        bench = Bench(tmp_path / f"{expected}")
        base = documents(bench, [pair])
        made = bench.run("dedup_minhash", {"threshold": threshold}, {"documents": [base]})
        assert len(removed(made, base)) == expected


def test_a_giant_bucket_is_capped_and_said(tmp_path: Path) -> None:
    rng = random.Random(3)
    text = words(rng, 120)
    crowd = [Text(f"{n}", text + "!" * (n % 5)) for n in range(80)]
    bench = Bench(tmp_path)
    base = documents(bench, [crowd])
    made = bench.run("dedup_minhash", {"max_links": 3, "cluster_alarm": 50}, {"documents": [base]})
    assert len(removed(made, base)) == 79
    num_bands = made.facts["signature"]["num_bands"]
    linked = 3 * 80 - 6
    assert made.facts["capped"]["num_buckets"] == num_bands
    assert made.facts["capped"]["num_pairs_left_out"] == num_bands * (80 * 79 // 2 - linked)
    assert made.facts["num_candidate_pairs"] == linked
    assert made.facts["num_alarming_clusters"] == 1
    assert made.facts["largest_clusters"][0]["num_documents"] == 80
    assert made.facts["cluster_sizes"] == {"65-128": 1}


def test_a_wiped_out_source_stops_the_stage(tmp_path: Path) -> None:
    text = words(random.Random(4), 100)
    crowd = [Text(f"{n}", text, "mirror") for n in range(10)] + [Text("best", text, "web")]
    bench = Bench(tmp_path)
    base = documents(bench, [crowd])
    config = {"source_priority": ["web"], "min_removed_documents": 10}
    with pytest.raises(
        StageError, match=r"source 'mirror': 10 of 10 documents would go .*100%, limit .* 90%"
    ) as caught:
        bench.run("dedup_minhash", config, {"documents": [base]})
    assert crowd[-1].doc_id.hex() in str(caught.value)
    for change in ({"max_removed_ratio": 1.0}, {"max_removed_ratio": None}, {"min_removed_documents": 11}):
        made = bench.run("dedup_minhash", {**config, **change}, {"documents": [base]})
        assert len(removed(made, base)) == 10
    # the breaker says whether a result is accepted, not what it is
    assert len({one.fingerprint for one in bench.made.values()}) == 2


def test_signatures_are_stored_for_the_view_only(tmp_path: Path) -> None:
    texts, _ = corpus()
    bench = Bench(tmp_path)
    base = documents(bench, [[texts[0], texts[0]._replace(name="z"), texts[1]]])
    exact = bench.run("dedup_exact", {}, {"documents": [base]})
    made = bench.run("dedup_minhash", {"num_permutations": 64, "seed": 5}, {"documents": [exact]})
    rows = sidecar(made, "signatures")
    decisions = sidecar(exact, "decisions")
    assert [row["signature"] is None for row in rows] == [not row["keep"] for row in decisions]
    kept = [row for row in rows if row["signature"] is not None]
    assert [UNITS[int(str(row["unit"]))] for row in kept] == ["characters", "words"]
    values = np.frombuffer(bytes(kept[0]["signature"]), dtype="<u4")  # type: ignore[arg-type]
    assert (
        MinHash(hashvalues=values, seed=5, scheme="affine32").jaccard(
            MinHash(hashvalues=values, seed=5, scheme="affine32")
        )
        == 1.0
    )
    assert len(values) == 64


@pytest.mark.parametrize(
    "shards", [[], [[]], [[], []], [[Text("a", "")]], [[Text("a", "one document only, of some words")]]]
)
def test_empty_input_and_a_single_document(tmp_path: Path, shards: list[list[Text]]) -> None:
    bench = Bench(tmp_path)
    base = documents(bench, shards)
    made = bench.run("dedup_minhash", {}, {"documents": [base]})
    assert removed(made, base) == {}
    for port in ("decisions", "clusters", "signatures"):
        assert len(made.shards(port)) == len(shards)
    assert made.facts["num_clusters"] == 0
    assert [row["cluster"] for row in sidecar(made, "clusters")] == [text.doc_id for shard in shards for text in shard]


def test_an_empty_view_of_documents(tmp_path: Path) -> None:
    """Everything was dropped before: sidecars of nulls, nothing booked."""
    bench = Bench(tmp_path)
    texts = [Text("a", "some words of a text"), Text("b", "some words of a text")]
    base = documents(bench, [texts])
    made = bench.run("dedup_exact", {}, {"documents": [base]})
    last = bench.run("dedup_minhash", {}, {"documents": [made]})
    assert sorted(str(row["keep"]) for row in sidecar(last, "decisions")) == ["None", "True"]
    assert sorted(row["cluster"] is None for row in sidecar(last, "clusters")) == [False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0.0}, r"threshold \(0.0\) must lie in \(0, 1\]"),
        ({"threshold": 1.01}, r"threshold \(1.01\)"),
        ({"num_permutations": 0}, r"num_permutations \(0\)"),
        ({"num_bands": 4}, r"num_bands \(4\) and rows_per_band \(None\) go together"),
        ({"num_bands": 43, "rows_per_band": 3}, r"43 x 3\) must not exceed num_permutations \(128\)"),
        ({"num_bands": 0, "rows_per_band": 3}, r"start at 1"),
        ({"false_positive_weight": 0.5}, r"must add up to 1"),
        ({"source_priority": ("a", "a")}, r"names a source twice"),
        ({"max_links": 0}, r"max_links \(0\)"),
        ({"max_removed_ratio": 0.0}, r"max_removed_ratio \(0.0\)"),
        ({"min_removed_documents": 0}, r"min_removed_documents \(0\)"),
        ({"cluster_alarm": 1}, r"cluster_alarm \(1\)"),
        ({"seed": -1}, r"seed \(-1\)"),
    ],
)
def test_wrong_configs_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DedupMinHashConfig(**values)  # type: ignore[arg-type]


def test_the_widest_bands_are_allowed(tmp_path: Path) -> None:
    assert DedupMinHashConfig(num_bands=32, rows_per_band=4).num_permutations == 128
    bench = Bench(tmp_path)
    texts, copies = corpus()
    base = documents(bench, [texts])
    made = bench.run("dedup_minhash", {"num_bands": 32, "rows_per_band": 4}, {"documents": [base]})
    assert made.facts["signature"]["num_bands"] == 32
    assert len(removed(made, base)) == len(copies)


def near_pair(rng: random.Random) -> list[Text]:
    """Two near-duplicates: the one with the larger name is longer and of the worse source."""
    text = words(rng, 200)
    return [Text("first", text, "trusted"), Text("second", text + " and a tail", "other")]


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({}, "second"),  # sources are equals, the longest stays
        ({"source_priority": ["trusted"]}, "first"),
        ({"source_priority": ["trusted"], "keeper_order": ["characters", "source_priority"]}, "second"),
        ({"keeper_order": ["quality", "characters"], "quality_signal": "num_characters"}, "second"),
        (
            {"keeper_order": ["quality"], "quality_signal": "num_characters", "quality_best": "lowest"},
            "first",
        ),
    ],
)
def test_the_keeper_follows_the_configured_criteria(tmp_path: Path, config: dict[str, object], kept: str) -> None:
    texts = near_pair(random.Random(5))
    bench = Bench(tmp_path)
    base = documents(bench, [[texts[0]], [], [texts[1]]])
    inputs = {"documents": [base]}
    if "quality_signal" in config:
        inputs["signals"] = [bench.run("signals", {}, {"documents": [base]})]
    made = bench.run("dedup_minhash", config, inputs)
    (gone,) = removed(made, base)
    assert {text.name for text in texts if text.doc_id != gone} == {kept}


def test_a_quality_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    base = documents(bench, [near_pair(random.Random(5))])
    signals = bench.run("signals", {}, {"documents": [base]})
    quality = {"keeper_order": ["quality"], "quality_signal": "num_charakters"}
    with pytest.raises(SpecError, match="num_characters"):
        bench.run("dedup_minhash", quality, {"documents": [base], "signals": [signals]})
    with pytest.raises(SpecError, match="both or neither"):
        bench.run("dedup_minhash", quality, {"documents": [base]})
    with pytest.raises(SpecError, match="both or neither"):
        bench.run("dedup_minhash", {}, {"documents": [base], "signals": [signals]})
    for wrong in ({"keeper_order": ["quality"]}, {"keeper_order": ["length"]}, {"quality_signal": "num_characters"}):
        with pytest.raises(SpecError, match="keeper_order"):
            bench.run("dedup_minhash", wrong, {"documents": [base]})
