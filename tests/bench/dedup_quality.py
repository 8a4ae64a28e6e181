"""Near-duplicate removal against the truth: all pairs of real documents at the configured unit and threshold."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.manifest import Artifact
from stages.dedup.bands import permutations, proposal_probability
from stages.dedup.minhash_stage import DedupMinHashConfig
from stages.dedup.signature import Signer
from stages.text.arrow_text import text_buffers
from tests.bench.acceptance_table import Table
from tests.bench.all_pairs import all_pairs
from tests.bench.measure import Results
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents, removed
from tests.unit.dedup.slow_reference import jaccard, shingle_set

MIN_DOCUMENTS = 20_000
#: By how much recall may fall behind the band curve.
SLACK = 0.02
#: Removals of which the similarity is worked out a second time, by the slow reference in plain Python.
_NUM_SLOW = 300
_SHARDS = 8


def quality(texts: Sequence[Text], work: Path, table: Table, results: Results) -> None:
    """One row per script for recall and for deletions; domains stand for scripts."""
    for domain in ("en", "zh", "code"):
        chosen = [text for text in texts if text.domain == domain][:MIN_DOCUMENTS]
        if chosen:
            _one_script(domain, chosen, work, table, results)
        else:
            table.skip(f"quality, {domain}", "recall as the band curve predicts", "no such documents in the input")


def shingle_sets(texts: Sequence[Text], config: DedupMinHashConfig) -> list[np.ndarray]:
    """Distinct shingles of every document as the stage sees them."""
    signer = Signer(config.shingles, permutations(config.num_permutations, config.seed))
    data, offsets = text_buffers(pa.array([text.text for text in texts]))
    return [
        signer.shingle_set(data, offsets, row, text.domain in config.code_domains) for row, text in enumerate(texts)
    ]


def _one_script(domain: str, texts: list[Text], work: Path, table: Table, results: Results) -> None:
    config = DedupMinHashConfig(max_removed_ratio=None)
    sets = shingle_sets(texts, config)
    left, right, similarity = all_pairs(sets, config.threshold)
    ids = [text.doc_id for text in texts]
    truth = {
        _pair(ids[a], ids[b]): s for a, b, s in zip(left.tolist(), right.tolist(), similarity.tolist(), strict=True)
    }
    with tempfile.TemporaryDirectory(dir=work) as folder:
        bench = Bench(Path(folder))
        base = documents(bench, [texts[start::_SHARDS] for start in range(_SHARDS)])
        # the band curve speaks of all pairs of a bucket, so its row lifts the cap on giant ones; the others keep it
        uncapped = bench.run(
            "dedup_minhash", {"max_removed_ratio": None, "max_links": len(texts)}, {"documents": [base]}
        )
        found = _verified(uncapped, config.threshold)
        made = bench.run("dedup_minhash", {"max_removed_ratio": None}, {"documents": [base]})
        capped = _verified(made, config.threshold)
        gone = {doc_id: (bytes.fromhex(str(r["detail"])), float(str(r["value"]))) for doc_id, r in
                removed(made, base).items()}  # fmt: skip
        facts = made.facts
    bands = facts["signature"]
    curve = np.array([proposal_probability(s, bands["num_bands"], bands["rows_per_band"]) for s in similarity])
    predicted = float(curve.mean()) if len(curve) else 1.0
    recall = len(found & truth.keys()) / max(1, len(truth))
    few = "" if len(texts) >= MIN_DOCUMENTS else f" (only {len(texts)} documents)"
    results.add(f"quality.{domain}.true_pairs", len(truth), "pairs", len(texts))
    results.add(f"quality.{domain}.recall", recall, "of true pairs", len(truth))
    results.add(f"quality.{domain}.predicted", predicted, "by the band curve", len(truth))
    results.add(f"quality.{domain}.capped_recall", len(capped & truth.keys()) / max(1, len(truth)), "of true pairs")
    left_out = facts["capped"]["num_pairs_left_out"]
    results.add(f"quality.{domain}.left_out", left_out, "pairs of giant buckets", len(texts))
    together = sum(not (a in gone or b in gone) for a, b in truth) / max(1, len(truth))
    results.add(f"quality.{domain}.left_together", together, "of true pairs", len(truth))
    table.check(
        f"pair recall, {domain}{few}",
        f">= band curve - {SLACK:g}, on >= {MIN_DOCUMENTS:,} documents",
        f"{recall:.4f} of {len(truth):,} pairs, curve {predicted:.4f}",
        recall >= predicted - SLACK and len(texts) >= MIN_DOCUMENTS,
    )
    table.check(
        f"true pairs of which both stay, {domain}, giant buckets capped{few}", f"<= 1 - curve + {SLACK:g}",
        f"{together:.4f}, curve {1 - predicted:.4f}; {left_out:,} pairs of {facts['capped']['num_buckets']:,} buckets "
        f"not compared, {len(capped & truth.keys()):,} of {len(truth):,} true pairs found",
        together <= 1 - predicted + SLACK,
    )  # fmt: skip
    wrong = _wrong_removals(texts, sets, gone, config)
    false_pairs = len((found | capped) - truth.keys())
    kept_keepers = sum(keeper not in gone for keeper, _ in gone.values())
    table.check(
        f"deletions, {domain}{few}", f"all at >= {config.threshold:g} of a document that stays",
        f"{len(gone):,} removed, {wrong} wrong, {len(gone) - kept_keepers} of a removed keeper; {false_pairs} of "
        f"{len(found | capped):,} verified pairs not in the truth",
        wrong == 0 and kept_keepers == len(gone) and false_pairs == 0,
    )  # fmt: skip


def _verified(made: Artifact, threshold: float) -> set[tuple[bytes, bytes]]:
    """The pairs that the stage found at the threshold; it stores those close below as well."""
    rows = [row for shard in made.shards("pairs") for row in pq.read_table(made.shard_path(shard)).to_pylist()]
    return {_pair(row["doc_id"], row["better"]) for row in rows if row["similarity"] >= threshold}


def _pair(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    return (one, other) if one < other else (other, one)


def _wrong_removals(
    texts: Sequence[Text],
    sets: Sequence[np.ndarray],
    gone: dict[bytes, tuple[bytes, float]],
    config: DedupMinHashConfig,
) -> int:
    """Removals whose similarity, taken again, is below the threshold or other than what was written down."""
    places = {text.doc_id: place for place, text in enumerate(texts)}
    wrong = 0
    lengths = {"words": config.shingles.words, "characters": config.shingles.characters, "code": config.shingles.code}
    for number, (doc_id, (keeper, told)) in enumerate(sorted(gone.items())):
        pair = [places[doc_id], places[keeper]]
        one, other = (sets[place] for place in pair)
        common = len(np.intersect1d(one, other, assume_unique=True))
        again = common / (len(one) + len(other) - common)
        if number < _NUM_SLOW:
            slow = [
                shingle_set(texts[place].text, texts[place].domain in config.code_domains, lengths) for place in pair
            ]
            wrong += jaccard(*slow) != again
        wrong += again < config.threshold or again != told
    return wrong
