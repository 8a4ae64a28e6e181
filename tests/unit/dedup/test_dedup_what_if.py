"""Decided again from stored similarities: the same as a run with the changed config."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_specs.errors import SpecError
from data_specs.manifest import Artifact
from data_specs.view import resolve_view
from stages.dedup.labels import doc_id_hex
from stages.dedup.minhash_stage import DedupMinHashConfig
from stages.dedup.view_input import ViewInput
from stages.dedup.what_if import Decision, StoredPairs, check_change, complete, decide, read_pairs, with_quality
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed
from tests.unit.dedup.test_dedup_minhash import edited, han, words


def families(seed: int) -> list[Text]:
    """Ten families of five at many similarities, from three sources, in Han and in words."""
    rng = random.Random(seed)
    texts = []
    for family in range(10):
        original = han(rng, 200) if family % 2 else words(rng, 150)
        for number in range(5):
            places = rng.sample(range(len(original.split(" ")) if " " in original else 200), rng.randrange(7))
            text = edited(original, places) + " tail" * rng.randrange(3)
            texts.append(Text(f"{family}-{number}", text, ("web", "books", "news")[rng.randrange(3)]))
    rng.shuffle(texts)
    return texts


def stored_pairs(bench: Bench, made: Artifact, base: list[Artifact], earlier: list[Artifact]) -> StoredPairs:
    old = resolve_view(earlier, bench.open).shards()
    view = ViewInput.read([*old, *resolve_view(base, bench.open).shards()], [*earlier, *base])
    return read_pairs(made, earlier, view, len(old))


def gone(stored: StoredPairs, decision: Decision) -> dict[bytes, tuple[float, str]]:
    """Similarity and keeper of every document that goes."""
    names = [doc_id_hex(*one) for one in zip(stored.labels["doc_id_high"], stored.labels["doc_id_low"], strict=True)]
    places = np.flatnonzero(decision.keeper >= 0).tolist()
    return {bytes.fromhex(names[n]): (float(decision.similarity[n]), names[decision.keeper[n]]) for n in places}


def truth(made: Artifact, base: Artifact) -> dict[bytes, tuple[float, str]]:
    return {doc_id: (row["value"], row["detail"]) for doc_id, row in removed(made, base).items()}  # type: ignore[misc]


#: Of a higher threshold a run chooses other bands and may propose fewer pairs than are stored.
BANDS = {"num_bands": 20, "rows_per_band": 6}
CHANGES: list[dict[str, Any]] = [
    {},
    {"threshold": 0.8},
    {"threshold": 0.93},
    {"source_priority": ["news", "books"]},
    {"keeper_order": ["characters"]},
    {"keeper_order": ["quality"], "quality_signal": "num_characters", "quality_best": "lowest", "threshold": 0.75},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: ",".join(change) or "nothing")
def test_it_equals_a_run_with_the_change(tmp_path: Path, change: dict[str, Any]):
    bench = Bench(tmp_path)
    texts = families(1)
    base = documents(bench, [texts[:20], [], texts[20:]], batch_rows=6)
    made = bench.run("dedup_minhash", BANDS, {"documents": [base]})
    inputs = {"documents": [base]}
    signals = bench.run("signals", {}, {"documents": [base]})
    if "quality_signal" in change:
        inputs["signals"] = [signals]
    again = bench.run("dedup_minhash", BANDS | change, inputs)
    config = DedupMinHashConfig(**{name: tuple(v) if isinstance(v, list) else v for name, v in change.items()})
    check_change(DedupMinHashConfig(), config)
    stored = with_quality(stored_pairs(bench, made, [base], []), config, signals)
    decision = decide(stored, config)
    assert gone(stored, decision) == truth(again, base)
    assert decision.num_clusters == again.facts["num_clusters"]
    # no bucket was capped, so a pair that shares one has been compared: of those only such below the margin lack
    full, completed = complete(stored, config, (20, 6))
    assert gone(full, completed) == truth(again, base)
    assert completed.num_found == 0


def test_an_earlier_corpus_still_comes_first(tmp_path: Path):
    bench = Bench(tmp_path)
    texts = families(2)
    old, new = documents(bench, [texts[:25]]), documents(bench, [texts[25:]])
    before = bench.run("dedup_minhash", BANDS, {"documents": [old]})
    change = {"threshold": 0.85, "source_priority": ["books"]}
    made, again = (
        bench.run("dedup_minhash", BANDS | config, {"documents": [new], "earlier": [before]}) for config in ({}, change)
    )
    stored = stored_pairs(bench, made, [new], [before])
    config = DedupMinHashConfig(threshold=0.85, source_priority=("books",))
    assert stored.labels["earlier"].any()
    assert gone(stored, decide(stored, config)) == truth(again, new) != {}


def test_pairs_that_a_cap_left_out_are_compared_on_demand(tmp_path: Path):
    """Twelve of a kind, each linked to one only. The one that all were linked to is worst under another order."""
    bench = Bench(tmp_path)
    text = words(random.Random(4), 150)
    crowd = [Text("hub", text + " of the worst source", "worst")]
    crowd += [Text(f"{n}", edited(text, [10 + n]), "web") for n in range(12)]
    base = documents(bench, [crowd[:7], crowd[7:]])
    made = bench.run("dedup_minhash", {"max_links": 1}, {"documents": [base]})
    assert len(removed(made, base)) == 12
    assert made.facts["capped"]["num_buckets"] > 0
    stored = stored_pairs(bench, made, [base], [])
    config = DedupMinHashConfig(max_links=1, source_priority=("web",))
    check_change(DedupMinHashConfig(max_links=1), config)
    hasty = decide(stored, config)
    assert (hasty.keeper >= 0).sum() < 12  # not all of the others were compared with each other
    full, decision = complete(stored, config, (20, 6))
    again = bench.run("dedup_minhash", {"max_links": 1, "source_priority": ["web"]}, {"documents": [base]})
    assert set(gone(full, decision)) == set(truth(again, base))
    assert len(gone(full, decision)) == 12
    assert decision.num_compared >= decision.num_found > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 0.6}, r"threshold: 0\.7 -> 0\.6 asks for pairs that were never looked for"),
        ({"num_permutations": 256}, r"num_permutations: 128 -> 256 changes which documents are compared"),
        ({"code_domains": ()}, r"code_domains: .* answer only changes of threshold, source_priority, keeper_order"),
    ],
)
def test_what_the_store_cannot_answer_is_refused(change: dict[str, Any], message: str):
    with pytest.raises(SpecError, match=message):
        check_change(DedupMinHashConfig(), DedupMinHashConfig(**change))


def test_an_artifact_of_an_older_version_is_refused(tmp_path: Path):
    from dataclasses import replace

    bench = Bench(tmp_path)
    base = documents(bench, [families(3)])
    made = bench.run("dedup_minhash", {}, {"documents": [base]})
    old = Artifact(made.path, replace(made.manifest, version=1))
    with pytest.raises(SpecError, match="made by version 1 of dedup_minhash"):
        stored_pairs(bench, old, [base], [])
    config = DedupMinHashConfig(keeper_order=("quality",), quality_signal="num_characters")
    stored = stored_pairs(bench, made, [base], [])
    with pytest.raises(SpecError, match=r"quality_signal \(num_characters\) needs the port signals"):
        with_quality(stored, config, None)
