"""Stage ``classify``: score every document of a view with a trained classifier, beside the text.

The output is a signals sidecar like any other, so ``filter`` takes it as a further edge of its port ``signals`` and
its rules name the columns: ``quality_score`` (probability of the positive label), ``quality_pareto`` (GPT-3's rule,
see :mod:`stages.classify.pareto`) and, for three labels and more, ``quality_score_<label>`` of each. A classifier of
kinds, which has no positive label, gives ``domain_score_<label>`` of each and ``domain_confidence``, the largest of
them: a document is of the label whose score equals it. A text without any token scores 0 throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.ledger import IN, KEPT
from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, UnitOutput, Work, shard_units
from stages.classify.fasttext_model import Classifier, prepare_text
from stages.classify.pareto import pareto_limits, uniform_draws


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyConfig:
    """What is scored, and how a text is prepared, is the classifier's."""

    seed: int = 0  # of the draws behind the pareto column


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker needs to know of the classifier."""

    model: Path
    name: str
    labels: tuple[str, ...]
    positive: str | None
    max_characters: int

    @property
    def columns(self) -> list[str]:
        """Columns of the sidecar."""
        each = [f"{self.name}_score_{label}" for label in self.labels]
        if self.positive is None:
            return [f"{self.name}_confidence", *each]
        return [f"{self.name}_score", f"{self.name}_pareto", *(each if len(self.labels) > 2 else [])]


class Classify(Stage[ClassifyConfig]):
    """View of documents and a classifier -> one row of scores per document."""

    version = 1
    config_type = ClassifyConfig
    inputs: ClassVar[Mapping[str, Port]] = {"documents": VIEW, "classifier": Port("classifier")}
    output = "signals"
    counts: ClassVar[Mapping[str, str]] = {"documents": "document"}
    libraries = ("fasttext-wheel",)

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        classifier = ctx.input("classifier")
        facts = classifier.facts
        recipe = Recipe(
            classifier.file("classifier"), facts["name"], tuple(facts["labels"]), facts["positive"],
            facts["max_characters"],
        )  # fmt: skip
        units = shard_units(ctx.view("documents").shards())
        ctx.run_units("classify", units, partial(make_classify, self.config, recipe))
        return {"signals": recipe.columns}


def make_classify(config: ClassifyConfig, recipe: Recipe) -> Work:
    """Load the model once per worker."""
    model = Classifier(recipe.model, len(recipe.labels))
    schema = pa.schema([(name, pa.float64()) for name in recipe.columns])

    def work(shard: ViewShard, out: UnitOutput) -> None:
        out.write("signals", schema.empty_table(), of=shard.key)  # an empty shard has a sidecar too
        for table, inside in shard.batches(["doc_id", "source", "domain", "text"]):
            documents = table.filter(pa.array(inside))
            columns = score_documents(model, recipe, config.seed, documents)
            filled = np.zeros((len(columns), table.num_rows))
            filled[:, inside] = columns
            out.write("signals", pa.table([pa.array(c, mask=~inside) for c in filled], schema=schema), of=shard.key)
            _book(documents, out)

    return work


def score_documents(model: Classifier, recipe: Recipe, seed: int, documents: pa.Table) -> Sequence[np.ndarray]:
    """The columns of ``recipe`` for every document, each float64 [N]."""
    lines = [prepare_text(text.as_py(), recipe.max_characters) for text in documents.column("text")]
    probabilities = model.probabilities(lines)
    if recipe.positive is None:
        return [probabilities.max(axis=1), *probabilities.T]
    scores = probabilities[:, recipe.labels.index(recipe.positive)]
    ids = np.frombuffer(b"".join(documents.column("doc_id").to_pylist()), dtype=np.uint8).reshape(-1, 16)
    several = list(probabilities.T) if len(recipe.labels) > 2 else []
    return [scores, pareto_limits(scores, uniform_draws(ids, recipe.name, seed)), *several]


def _book(documents: pa.Table, out: UnitOutput) -> None:
    """Every document of the view comes in and stays."""
    books = documents.select(["source", "domain"])
    books = books.append_column("characters", pc.utf8_length(documents.column("text")).cast(pa.int64()))
    sums = books.group_by(["source", "domain"]).aggregate([("characters", "sum"), ("characters", "count")])
    for row in sums.to_pylist():
        for outcome in (IN, KEPT):
            out.ledger.add(
                "document", row["source"], row["domain"], outcome, row["characters_count"],
                characters=row["characters_sum"],
            )  # fmt: skip
