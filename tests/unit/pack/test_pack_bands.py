"""Components by bands of a score: every document in one of them, by the score of its own row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.errors import DataError, SpecError
from data_specs.ledger import DROPPED, KEPT
from data_specs.manifest import Artifact, Shard
from pipelines.compose import compose_run
from pipelines.execution.unit_output import FolderOutput
from pipelines.spec import build_nodes
from stages.pack.selection import ScoreBand
from tests.stage_harness import Bench
from tests.unit.tokenize.corpus import commit, inputs, small_corpus

SCHEMA = pa.schema([pa.field("quality_score", pa.float64())])


def score_of(row: dict[str, Any]) -> float:
    """Tenths, by number: 0.0 to 1.1."""
    return (row["record_index"] % 12) / 10


class Scored:
    """A tokenized corpus whose documents have a score each."""

    def __init__(self, folder: Path) -> None:
        self.bench, self.shards, self.folder = Bench(folder / "bench"), small_corpus(), folder
        made = inputs(folder, self.shards)
        self.documents = made["documents"]
        given = {port: [artifact] for port, artifact in made.items()}
        tokenizer = self.bench.run("tokenizer", {"vocab_size": 420}, given)
        self.tokens = self.bench.run("tokenize", {}, {**given, "tokenizer": [tokenizer]})

    def scores(self, name: str, unscored: tuple[str, ...] = (), shards: int = 2) -> Artifact:
        """A signals artifact; documents of the domains ``unscored`` have none."""
        listed: list[Shard] = []
        for number, (base, rows) in enumerate(zip(self.documents.shards("documents"), self.shards, strict=True)):
            if number < shards:
                out = FolderOutput(self.folder / name, number)
                values = [None if row["domain"] in unscored else score_of(row) for row in rows]
                out.write("signals", pa.table([values], schema=SCHEMA), of=self.documents.shard_key(base))
                listed.extend(out.finish())
        return commit(self.folder / name, "signals", listed, name=name, facts={"signals": ["quality_score"]})

    def run(self, components: dict[str, Any], *signals: Artifact) -> Artifact:
        given = {"tokens": [self.tokens], **({"signals": list(signals)} if signals else {})}
        return self.bench.run("pack", {"context_length": 32, "components": components}, given)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    return Scored(tmp_path_factory.mktemp("scored"))


def band(domain: str, at_least: float | None = None, below: float | None = None) -> dict[str, Any]:
    return {"domains": [domain], "band": {"signal": "quality_score", "at_least": at_least, "below": below}}


def test_every_document_lies_in_the_band_of_its_score(scored: Scored) -> None:
    components = {
        "en_high": band("en", 0.8),
        "en_mid": band("en", 0.3, 0.8),  # a score on the limit belongs above it
        "en_low": band("en", below=0.3),
        "zh_high": band("zh", 0.5),
        "code": {"domains": ["code"]},
    }
    pools = scored.run(components, scored.scores("all"))
    by_id = {row["doc_id"]: row for shard in scored.shards for row in shard}
    found: dict[str, set[bytes]] = {}
    for name in components:
        for split in ("train", "validation"):
            table = pq.read_table(pools.sidecar("segments", f"{name}-{split}"))
            found.setdefault(name, set()).update(table.column("doc_id").to_pylist())

    def wanted(domain: str, low: float, high: float) -> set[bytes]:
        return {i for i, row in by_id.items() if row["domain"] == domain and low <= score_of(row) < high}

    assert found == {
        "en_high": wanted("en", 0.8, 9),
        "en_mid": wanted("en", 0.3, 0.8),
        "en_low": wanted("en", -9, 0.3),
        "zh_high": wanted("zh", 0.5, 9),
        "code": wanted("code", -9, 9),
    }
    dropped = {
        (e.domain, e.reason): n
        for e, (n, _) in pools.manifest.ledger.items()
        if e.unit == "document" and e.outcome == DROPPED
    }
    assert dropped == {("zh", "outside_bands"): len(wanted("zh", -9, 0.5))}
    facts = pools.facts["components"]
    assert facts["en_mid"]["band"] == {"signal": "quality_score", "at_least": 0.3, "below": 0.8}
    assert "band" not in facts["code"]
    kept = sum(f["num_tokens"] + f["num_validation_tokens"] for f in facts.values())
    assert pools.manifest.ledger.total("token", KEPT) == kept
    plan = scored.bench.run(
        "mix",
        {"global_batch_rows": 2, "stages": [{"name": "a", "epochs": {"en_high": 3, "en_mid": 1, "en_low": 0.5}}]},
        {"pools": [pools]},
    )
    (stage,) = plan.facts["stages"]
    epochs = {name: found["epochs_at_end"] for name, found in stage["components"].items()}
    rows = sum(facts[name]["num_rows"] * times for name, times in (("en_high", 3), ("en_mid", 1), ("en_low", 0.5)))
    assert stage["num_steps"] == rows // 2
    assert epochs["en_high"] == pytest.approx(3, abs=0.2)
    assert epochs["zh_high"] == 0


def test_documents_without_a_score_are_refused_where_a_band_asks(scored: Scored) -> None:
    signals = scored.scores("no_code", unscored=("code",))
    pools = scored.run({"en": band("en", 0.5), "code": {"domains": ["code"]}}, signals)
    assert pools.facts["components"]["code"]["num_tokens"] > 0
    with pytest.raises(DataError, match=r"component 'code'.* document [0-9a-f]{32} .*11 more have no 'quality_score'"):
        scored.run({"code": band("code", 0.5)}, signals)
    with pytest.raises(DataError, match="have no 'quality_score'"):
        scored.run({"code": band("code", 0.5)}, scored.scores("first_shard", shards=1))


def test_two_artifacts_may_score_two_dumps_but_not_one_twice(scored: Scored) -> None:
    with pytest.raises(DataError, match="2 signals inputs hold 'quality_score' of base shard"):
        scored.run({"en": band("en", 0.5)}, scored.scores("one"), scored.scores("two", unscored=("zh",)))


@pytest.mark.parametrize(
    ("components", "signals", "message"),
    [
        ({"a": band("en", 0.5)}, False, "components.a.band.signal: .*no `signals` input; give it"),
        ({"a": {"band": {"signal": "qualty_score", "below": 1}}}, True, "Did you mean 'quality_score'"),
        ({"a": band("en", 0.5), "b": band("en", below=0.6)}, True, "'a' and 'b' both select document"),
        ({"a": band("en", 0.5, 0.5)}, True, "holds nothing or everything"),
    ],
)
def test_bands_that_cannot_be_are_refused(scored: Scored, components: Any, signals: bool, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        scored.run(components, *([scored.scores("all")] if signals else []))


@pytest.mark.parametrize("limits", [{}, {"at_least": 2.0, "below": 1.0}, {"below": float("nan")}])
def test_a_band_needs_limits_that_hold_something(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="holds nothing or everything"):
        ScoreBand(signal="s", **limits)


def test_the_experiment_that_ships_composes(tmp_path: Path) -> None:
    run = compose_run([
        "pipeline=corpus", "experiment=quality_bands", "nodes.ingest.inputs.sources=[source:yours]",
        f"nodes.classifier.config.labels={tmp_path / 'ticks.jsonl'}",
    ])  # fmt: skip
    nodes = {node.name: node for node in build_nodes(run.nodes)}
    config = nodes["pack"].stage.config
    named = {name for stage in nodes["mix"].stage.config.stages for name in stage.epochs}
    assert named <= set(config.components)
    assert nodes["pack"].inputs["signals"] == ("scores",)
    assert np.isclose(config.components["zh_mid"].band.below, config.components["zh_high"].band.at_least)
