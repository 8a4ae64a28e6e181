"""Stage ``train_classifier``: learn to tell texts apart, for the model-based filters of PanGu-alpha (3.1.2).

Either from labels (a JSONL file of {text, label}), or weakly: texts of the view ``good`` against texts of the view
``raw``, as GPT-3 did with curated corpora against a crawl (Brown et al. 2020, appendix A). Output: one model file and,
as facts, how good it is on texts that it never saw. ``classify`` scores documents with it, ``filter`` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.config import asset
from data_specs.errors import SpecError
from data_specs.fingerprint import file_digest
from data_specs.ledger import DROPPED, FAILED, IN, KEPT
from data_specs.permutation import derive_key, keyed_hashes
from data_specs.view import ViewShard
from stages.base import Port, Stage, StageContext, Unit, UnitOutput, Work
from stages.classify.examples import EXAMPLES, BadLine, read_examples, read_labels, text_key
from stages.classify.fasttext_model import Classifier, FastTextConfig, prepare_text, train_model
from stages.classify.metrics import held_out_report

#: The views that give weak labels; a port's name is the label.
GOOD, RAW = "good", "raw"
_LABELS_SOURCE = "labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainClassifierConfig:
    """Where the examples come from, what is scored, how the model is trained."""

    name: str = "quality"  # of the scores that `classify` will write: quality_score, quality_pareto
    #: JSONL file of {"text", "label"}; null takes the views `good` and `raw`
    labels: str | None = field(default=None, metadata=asset())
    #: the label whose probability is the score, e.g. "spam"; null for a classifier of kinds (law, news ...), which
    #: scores them all and singles out none
    positive: str | None = GOOD
    max_characters: int = 2000  # beginning of a text that counts, in training and in scoring (own choice: about a page)
    #: examples of one label at most; null takes all (PanGu-alpha had 10 K advert pages picked by hand). All of them
    #: stand in the memory of one worker: some 15 kB each at most
    max_per_label: int | None = 10_000
    held_out_ratio: float = 0.2  # share of the examples that test the model and never train it
    seed: int = 0  # chooses the examples and the held-out part
    model: FastTextConfig = field(default_factory=FastTextConfig)  # how fastText is trained

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name {self.name!r} becomes a column: letters, digits and underscores only")
        if self.max_characters < 1:
            raise ValueError(f"max_characters ({self.max_characters}) must be at least 1")
        if self.max_per_label is not None and self.max_per_label < 2:
            raise ValueError(f"max_per_label ({self.max_per_label}) must be at least 2: one trains, one tests")
        if not 0 < self.held_out_ratio < 1:
            raise ValueError(f"held_out_ratio ({self.held_out_ratio}) must lie in (0, 1)")
        if self.labels is None and self.positive not in (GOOD, RAW):
            raise ValueError(f"positive {self.positive!r}: without labels it is {GOOD!r} or {RAW!r}")


@dataclass(frozen=True, slots=True)
class ViewPart:
    """Payload of the first two phases over views."""

    shard: ViewShard
    label: str
    name: str  # of its scratch file


class TrainClassifier(Stage[TrainClassifierConfig]):
    """Labels, or two views -> a fastText model with its held-out figures."""

    version = 2  # 2: facts tell every label's figures
    config_type = TrainClassifierConfig
    inputs: ClassVar[Mapping[str, Port]] = {
        GOOD: Port("documents", "decisions", many=True, optional=True),
        RAW: Port("documents", "decisions", many=True, optional=True),
    }
    output = "classifier"
    # no ``counts``: a document may stand in both views and is then booked twice, as what it is, two examples
    libraries = ("fasttext-wheel",)

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        learn = Unit(key="learn", payload=self.prepare(ctx))
        (result,) = ctx.run_units("learn", [learn], partial(make_learn, self.config))
        facts: dict[str, Any] = result.value
        return facts

    def prepare(self, ctx: StageContext) -> list[Path]:
        """Write the examples into scratch files, for training here or for a search of settings; returns the files."""
        given = [port for port in (GOOD, RAW) if ctx.inputs.get(port)]
        if self.config.labels is not None:
            if given:
                raise SpecError(f"train_classifier: takes config.labels or views, not both (given: {', '.join(given)})")
            return self._label_examples(ctx, Path(self.config.labels).absolute())
        if len(given) < 2:
            raise SpecError("train_classifier: needs config.labels, or both inputs `good` and `raw`")
        return self._view_examples(ctx)

    def _label_examples(self, ctx: StageContext, path: Path) -> list[Path]:
        if not path.is_file():
            raise SpecError(f"train_classifier.labels: no such file: {path}")
        unit = Unit(key=file_digest(path), payload=path, size_bytes=path.stat().st_size)
        ctx.run_units("labels", [unit], partial(make_labels, self.config))
        return [ctx.scratch("examples/labels.parquet")]

    def _view_examples(self, ctx: StageContext) -> list[Path]:
        parts = [
            ViewPart(shard, port, f"{port}-{index:05d}")
            for port in (GOOD, RAW)
            for index, shard in enumerate(ctx.view(port).shards())
        ]
        units = [
            Unit(key=f"{part.label}/{part.shard.key}", payload=part, size_bytes=part.shard.text_bytes) for part in parts
        ]
        limits: dict[str, int] = {}
        if self.config.max_per_label is not None and parts:
            ctx.run_units("offer", units, partial(make_offer, self.config))
            for port in (GOOD, RAW):
                mine = [np.load(ctx.scratch(f"offers/{p.name}.npy")) for p in parts if p.label == port]
                offers = np.sort(np.concatenate(mine)) if mine else np.empty(0, dtype=np.uint64)
                if offers.size > self.config.max_per_label:
                    limits[port] = int(offers[self.config.max_per_label - 1])
        ctx.run_units("sample", units, partial(make_sample, self.config, limits))
        return [ctx.scratch(f"examples/{part.name}.parquet") for part in parts]


def make_labels(config: TrainClassifierConfig) -> Work:
    """Read the label file; lines that are no example go to quarantine."""

    def work(path: Path, out: UnitOutput) -> None:
        rows = []
        for item in read_labels(path):
            out.ledger.add("record", _LABELS_SOURCE, _LABELS_SOURCE, IN, 1)
            if isinstance(item, BadLine):
                out.ledger.add("record", _LABELS_SOURCE, _LABELS_SOURCE, FAILED, 1, reason=item.reason)
                out.quarantine(
                    source=_LABELS_SOURCE, file=path.name, record_index=item.index, record_offset=item.offset,
                    reason=item.reason, error=item.error, raw=item.raw,
                )  # fmt: skip
                continue
            line = prepare_text(item.text, config.max_characters)
            if line:
                rows.append({"key": text_key(line, config.seed), "label": item.label, "line": line})
                out.ledger.add("record", _LABELS_SOURCE, _LABELS_SOURCE, KEPT, 1)
            else:
                out.ledger.add("record", _LABELS_SOURCE, _LABELS_SOURCE, DROPPED, 1, reason="empty")
        pq.write_table(pa.Table.from_pylist(rows, EXAMPLES), out.scratch("examples/labels.parquet"))

    return work


def make_offer(config: TrainClassifierConfig) -> Work:
    """The smallest hashes of one shard, one more than can be in the sample: it tells a full shard from an exact one."""

    def work(part: ViewPart, out: UnitOutput) -> None:
        hashes = _hashes(part, config.seed)[part.shard.mask()]
        np.save(out.scratch(f"offers/{part.name}.npy"), np.sort(hashes)[: config.max_per_label + 1])

    return work


def make_sample(config: TrainClassifierConfig, limits: Mapping[str, int]) -> Work:
    """Prepare the chosen texts of one shard and book every document of its view."""

    def work(part: ViewPart, out: UnitOutput) -> None:
        limit = limits.get(part.label)
        hashes = _hashes(part, config.seed)
        start = 0
        with pq.ParquetWriter(out.scratch(f"examples/{part.name}.parquet"), EXAMPLES) as writer:
            for table, inside in part.shard.batches(["source", "domain", "text"]):
                chosen = inside.copy()
                if limit is not None:
                    chosen &= hashes[start : start + table.num_rows] <= np.uint64(limit)
                start += table.num_rows
                fates = np.where(chosen, "", np.where(inside, "not_sampled", "outside")).astype(object)
                rows = []
                for row in np.flatnonzero(chosen).tolist():
                    line = prepare_text(table.column("text")[row].as_py(), config.max_characters)
                    if line:
                        rows.append({"key": text_key(line, config.seed), "label": part.label, "line": line})
                    else:
                        fates[row] = "empty"
                writer.write_table(pa.Table.from_pylist(rows, EXAMPLES))
                _book(table.append_column("fate", pa.array(fates, pa.string())).filter(pa.array(inside)), out)

    return work


def _hashes(part: ViewPart, seed: int) -> np.ndarray:
    """Keyed hash of every base row, uint64 [rows]."""
    ids = part.shard.read(["doc_id"]).column("doc_id").to_pylist()
    return keyed_hashes(
        np.frombuffer(b"".join(ids), dtype=np.uint8).reshape(-1, 16), derive_key(seed, "classifier examples")
    )


def _book(documents: pa.Table, out: UnitOutput) -> None:
    for row in documents.group_by(["source", "domain", "fate"]).aggregate([([], "count_all")]).to_pylist():
        source, domain, fate, count = row["source"], row["domain"], row["fate"], row["count_all"]
        out.ledger.add("document", source, domain, IN, count)
        out.ledger.add("document", source, domain, DROPPED if fate else KEPT, count, reason=fate)


def make_learn(config: TrainClassifierConfig) -> Work:
    """Train on one part of the examples, test on the other."""

    def work(paths: list[Path], out: UnitOutput) -> dict[str, Any]:
        examples = read_examples(
            paths, positive=config.positive, max_per_label=config.max_per_label, held_out_ratio=config.held_out_ratio
        )
        held_N, label_N = examples.held_N, examples.label_N
        path = out.file("classifier", "model.bin")
        training = ((int(label_N[i]), examples.lines[i]) for i in np.flatnonzero(~held_N).tolist())
        train_model(training, config.model, examples_file=out.scratch("training/examples.txt"), model=path)
        model = Classifier(path, len(examples.labels))
        probabilities = model.probabilities([examples.lines[i] for i in np.flatnonzero(held_N).tolist()])
        counts = {
            label: {
                "train": int((~held_N & (label_N == number)).sum()),
                "held_out": int((held_N & (label_N == number)).sum()),
            }
            for number, label in enumerate(examples.labels)
        }
        positive = None if config.positive is None else examples.labels.index(config.positive)
        return {
            "name": config.name,
            "labels": list(examples.labels),
            "positive": config.positive,
            "max_characters": config.max_characters,
            "sha256": file_digest(path),
            "training": asdict(config.model),
            "examples": counts,
            "held_out": held_out_report(probabilities, label_N[held_N], positive),
        }

    return work
