"""Near-duplicate documents over all sources together: MinHash proposes, true shingle Jaccard decides.

Phases, all resumable by unit and bounded in memory:

======== ============ ===================================================================== =======================
phase    unit         what it does                                                          holds in memory
======== ============ ===================================================================== =======================
sign     base shard   shingles -> signatures -> band keys, exchanged by key range           a slice of a row group
bucket   key range    documents of a bucket -> candidate pairs (member, better)             about 2 million entries
shingle  base shard   shingle sets of candidates, from their texts                          a row group, one set
compare  member range true Jaccard of every candidate pair; those at the threshold are edges 128 MiB of sets
walk     all edges    clusters, keeper walk                                                 some 100 bytes per edge
decide   base shard   decisions, clusters, books                                            the labels of one shard
======== ============ ===================================================================== =======================

Only the walk sees the whole corpus, and of it just the edges. Nothing is deleted that was not compared with a document
that stays (Broder 1997 for shingles and resemblance; Leskovec et al., Mining of Massive Datasets, chapter 3, for
bands). With the port ``earlier`` (the artifacts of this stage for earlier corpora) the documents are also held against
those that stayed there: their signatures are taken from the artifact (phase ``recall``) and only row groups with
candidates are read; an earlier document is always the keeper and never decided again. A cluster is named by its
smallest doc_id, earlier documents included.

Output ports beside the decisions: ``clusters`` (sidecar, with the characters of every document), ``signatures``
(sidecar), ``pairs`` (similarities at the threshold and close below it). From these ``kaitian preview`` decides again
at a higher threshold or for other keepers (:mod:`stages.dedup.what_if`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from data_specs.config import execution
from data_specs.errors import SpecError, StageError, nearest
from data_specs.view import ViewShard
from stages.base import VIEW, Port, Stage, StageContext, Work
from stages.dedup.criteria import CRITERIA, DEFAULT_CRITERIA, check_source_priority
from stages.dedup.earlier import check_apart, check_earlier, sidecar_path
from stages.dedup.shingles import SHINGLE_SCHEME, SIGNATURE_SCHEME, UNITS, ShingleLengths
from stages.dedup.view_input import ViewInput, partition_units

#: Band entries (16 bytes) that one bucket unit sorts.
_ENTRIES_PER_PARTITION = 2_000_000
#: Documents whose candidate pairs one compare unit takes; the pairs of each are at most cap x bands.
_MEMBERS_PER_PARTITION = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupMinHashConfig:
    """What counts as a near-duplicate, how it is looked for, and when to stop instead of deleting."""

    #: Jaccard similarity of shingle sets from which a document is a near-duplicate. 0.7 is the value of BigCode,
    #: Data-Juicer and text-dedup and where DataTrove's 14 x 8 bands turn; of a 200-word text it allows about 3 % edits.
    threshold: float = 0.7
    num_permutations: int = 128  # values in a signature; a similarity errs by at most 0.5 / sqrt(128) (one sigma)
    seed: int = 1  # of the permutations, as in datasketch
    #: Slices of the signature and their width; null lets datasketch choose for the threshold and the two weights.
    num_bands: int | None = None
    rows_per_band: int | None = None
    #: Weights of a wrong proposal and of a missed pair in that choice. Proposals are verified, so a wrong one costs a
    #: comparison only while a missed one stays in the corpus; 0.1 and 0.9 give 20 x 6: 92 % of pairs at 0.7 proposed.
    false_positive_weight: float = 0.1
    false_negative_weight: float = 0.9
    shingles: ShingleLengths = field(default_factory=ShingleLengths)  # tokens per shingle, by unit
    #: Domains whose documents are cut as code, whatever their script.
    code_domains: tuple[str, ...] = ("code",)
    #: Sources from most to least trusted; a document of an earlier one is kept. Unlisted sources come last, as equals.
    source_priority: tuple[str, ...] = ()
    #: What makes a document the better one of its near-duplicates, most important first; equals are decided by the
    #: smallest doc_id. ``quality`` needs the port ``signals`` and ``quality_signal``.
    keeper_order: tuple[str, ...] = DEFAULT_CRITERIA
    quality_signal: str | None = None  # column of the signals; a document without a value is the worst
    quality_best: str = "highest"  # whether the highest or the lowest value of it is the best
    #: Candidates per document and bucket: the best of the bucket in keeper order.
    max_links: int = 32
    #: Stop when more than this share of a source would go, and at least ``min_removed_documents`` of it; null: never.
    max_removed_ratio: float | None = field(default=0.9, metadata=execution())
    min_removed_documents: int = field(default=100, metadata=execution())
    #: Similarities this far below the threshold are stored too: who only just stays can be looked at.
    stored_margin: float = 0.05
    #: Clusters of at least this many documents are named in the facts.
    cluster_alarm: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold ({self.threshold}) must lie in (0, 1]")
        if not 1 <= self.num_permutations <= 4096:
            raise ValueError(f"num_permutations ({self.num_permutations}) must lie in [1, 4096]")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed ({self.seed}) must lie in [0, 2**32)")
        if (self.num_bands is None) != (self.rows_per_band is None):
            raise ValueError(
                f"num_bands ({self.num_bands}) and rows_per_band ({self.rows_per_band}) go together: give both or none"
            )
        if self.num_bands is not None and self.rows_per_band is not None:
            if self.num_bands < 1 or self.rows_per_band < 1:
                raise ValueError(f"num_bands ({self.num_bands}) and rows_per_band ({self.rows_per_band}) start at 1")
            if self.num_bands * self.rows_per_band > self.num_permutations:
                raise ValueError(
                    f"num_bands x rows_per_band ({self.num_bands} x {self.rows_per_band}) must not exceed "
                    f"num_permutations ({self.num_permutations})"
                )
        for name in ("false_positive_weight", "false_negative_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must lie in [0, 1]")
        if abs(self.false_positive_weight + self.false_negative_weight - 1) > 1e-9:
            raise ValueError(
                f"false_positive_weight ({self.false_positive_weight}) and false_negative_weight "
                f"({self.false_negative_weight}) must add up to 1"
            )
        check_source_priority(self.source_priority)
        for name in self.keeper_order:
            if name not in CRITERIA:
                raise ValueError(f"keeper_order: {name!r} is no criterion.{nearest(name, CRITERIA)}")
        if len(set(self.keeper_order)) != len(self.keeper_order):
            raise ValueError(f"keeper_order names a criterion twice: {', '.join(self.keeper_order)}")
        if ("quality" in self.keeper_order) != (self.quality_signal is not None):
            raise ValueError(
                f"keeper_order ({', '.join(self.keeper_order)}) and quality_signal ({self.quality_signal}) go "
                f"together: name the criterion quality and its signal, or neither"
            )
        if self.quality_best not in ("highest", "lowest"):
            raise ValueError(f"quality_best ({self.quality_best!r}) is highest or lowest")
        if self.max_links < 1:
            raise ValueError(f"max_links ({self.max_links}) must be at least 1")
        if self.max_removed_ratio is not None and not 0 < self.max_removed_ratio <= 1:
            raise ValueError(f"max_removed_ratio ({self.max_removed_ratio}) must lie in (0, 1], or be null for never")
        if self.min_removed_documents < 1:
            raise ValueError(f"min_removed_documents ({self.min_removed_documents}) must be at least 1")
        if not 0 <= self.stored_margin <= 1:
            raise ValueError(f"stored_margin ({self.stored_margin}) must lie in [0, 1]")
        if self.cluster_alarm < 2:
            raise ValueError(f"cluster_alarm ({self.cluster_alarm}) must be at least 2: one document is no cluster")


@dataclass(frozen=True)
class Chain:
    """Everything the phases share: the view's numbering, resolved bands, keeper ranks and scratch files."""

    view: ViewInput
    config: DedupMinHashConfig
    ranks: tuple[int, ...]
    num_earlier: int  # base shards of earlier corpora; they come first
    signatures: tuple[Path, ...]  # sidecars of these
    signals: tuple[Path | None, ...]  # per base shard; None where no quality was asked for
    permutations: tuple[Any, Any]  # arrays uint32 [P]: (multipliers, increments) of the signatures
    num_bands: int
    rows_per_band: int
    num_key_ranges: int
    num_member_ranges: int
    labels: tuple[Path, ...]  # per base shard
    bands: tuple[Path, ...]  # per base shard
    sets: tuple[Path, ...]  # per base shard
    pairs: tuple[Path, ...]  # per key range
    candidates: tuple[Path, ...]  # per key range
    edges: tuple[Path, ...]  # per member range
    removals: Path
    clusters: Path


class DedupMinHash(Stage[DedupMinHashConfig]):
    """View -> decisions, clusters, signatures, pairs; a removed document names its keeper in ``detail``."""

    version = 2
    config_type = DedupMinHashConfig
    inputs: Mapping[str, Port] = {
        "documents": VIEW,
        "signals": Port("signals", optional=True),
        "earlier": Port("decisions", many=True, optional=True),
    }
    output = "decisions"
    counts: Mapping[str, str] = {"documents": "document"}
    libraries = ("datasketch",)

    def run(self, ctx: StageContext) -> Mapping[str, Any]:
        """Facts: see :meth:`_facts`. Raises :class:`StageError` when a source would be wiped out."""
        chain = self._chain(ctx)
        view = chain.view
        recalled = ctx.run_units("recall", view.units(0, chain.num_earlier), partial(_make, "recall_shard", chain))
        signed = ctx.run_units("sign", view.units(chain.num_earlier), partial(_make, "sign_shard", chain))
        traffic = 16 * view.num_rows * chain.num_bands
        buckets = ctx.run_units(
            "bucket", partition_units(chain.num_key_ranges, traffic), partial(_make, "pair_buckets", chain)
        )
        ctx.run_units("shingle", view.units(), partial(_make, "write_sets", chain))
        compared = ctx.run_units(
            "compare", partition_units(chain.num_member_ranges, 0), partial(_make, "compare_pairs", chain)
        )
        (walked,) = ctx.run_units("walk", partition_units(1, 0), partial(_make, "walk_edges", chain))
        documents = _add_up(result.value["documents"] for result in signed)
        self._check_removals(documents, walked.value)
        ctx.run_units("decide", view.units(chain.num_earlier), partial(_make, "decide", chain))
        facts = self._facts(chain, signed, buckets, compared, walked.value)
        if recalled:
            facts["num_earlier_documents"] = sum(result.value["num_documents"] for result in recalled)
        return facts

    def _chain(self, ctx: StageContext) -> Chain:
        from stages.dedup import bands

        num_bands, rows_per_band = self._bands()
        shards = ctx.view("documents").shards()
        earlier = ctx.inputs.get("earlier", ())
        check_earlier(earlier, self._scheme(num_bands, rows_per_band))
        old = ctx.view("earlier").shards() if earlier else []
        check_apart(old, shards)
        view = ViewInput.read([*old, *shards], [*earlier, *ctx.inputs["documents"]])
        key_ranges = view.num_partitions(max(1, _ENTRIES_PER_PARTITION // num_bands))
        member_ranges = view.num_partitions(_MEMBERS_PER_PARTITION)

        def files(folder: str, count: int, suffix: str) -> tuple[Path, ...]:
            return tuple(ctx.scratch(f"{folder}/{index:05d}.{suffix}") for index in range(count))

        num_shards = len(view.shards)
        return Chain(
            view=view,
            config=self.config,
            ranks=tuple(view.ranks(self.config.source_priority)),
            num_earlier=len(old),
            signatures=tuple(sidecar_path(earlier, "signatures", shard.key) for shard in old),
            signals=(None,) * len(old) + self._signals(ctx, shards),
            permutations=bands.permutations(self.config.num_permutations, self.config.seed),
            num_bands=num_bands,
            rows_per_band=rows_per_band,
            num_key_ranges=key_ranges,
            num_member_ranges=member_ranges,
            labels=files("labels", num_shards, "npy"),
            bands=files("bands", num_shards, "bin"),
            sets=files("sets", num_shards, "bin"),
            pairs=files("pairs", key_ranges, "bin"),
            candidates=files("candidates", key_ranges, "bin"),
            edges=files("edges", member_ranges, "npy"),
            removals=ctx.scratch("removals.bin"),
            clusters=ctx.scratch("clusters.bin"),
        )

    def _signals(self, ctx: StageContext, shards: Sequence[ViewShard]) -> tuple[Path | None, ...]:
        """Sidecar of every base shard that holds the quality signal."""
        name = self.config.quality_signal
        if (name is not None) != bool(ctx.inputs.get("signals")):
            raise SpecError(f"quality_signal ({name}) and the port signals go together: give both or neither")
        if name is None:
            return (None,) * len(shards)
        artifact = ctx.input("signals")
        known = artifact.facts["signals"]
        if name not in known:
            raise SpecError(f"quality_signal: no signal {name!r}.{nearest(name, known)}")
        return tuple(artifact.sidecar("signals", shard.key) for shard in shards)

    def _bands(self) -> tuple[int, int]:
        config = self.config
        if config.num_bands is not None and config.rows_per_band is not None:
            return config.num_bands, config.rows_per_band
        from stages.dedup import bands

        return bands.choose_bands(
            config.threshold, config.num_permutations, config.false_positive_weight, config.false_negative_weight
        )

    def _check_removals(self, documents: Mapping[str, int], walked: Mapping[str, Any]) -> None:
        """The circuit breaker: a source that nearly vanishes is a wrong unit or threshold, not a dirty source."""
        if self.config.max_removed_ratio is None:
            return
        for source, row in walked["removals"].items():
            removed = sum(row.values())
            ratio = removed / documents[source]
            if removed >= self.config.min_removed_documents and ratio > self.config.max_removed_ratio:
                samples = "; ".join(
                    f"{sample['doc_id']} for {sample['keeper']} at {sample['similarity']:.3f}"
                    for sample in walked["samples"][source]
                )
                raise StageError(
                    f"source {source!r}: {removed} of {documents[source]} documents would go as near-duplicates "
                    f"({ratio:.0%}, limit max_removed_ratio {self.config.max_removed_ratio:.0%}). Look at some "
                    f"(document for keeper at similarity): {samples}. Raise threshold, give the source a lower place "
                    f"in source_priority, or raise the limit when the source really is a copy"
                )

    def _scheme(self, num_bands: int, rows_per_band: int) -> dict[str, Any]:
        """What signatures depend on, with the bands; a later corpus is held against it."""
        return {
            "signature": {
                "scheme": SIGNATURE_SCHEME,
                "seed": self.config.seed,
                "num_permutations": self.config.num_permutations,
                "num_bands": num_bands,
                "rows_per_band": rows_per_band,
            },
            "shingle": {
                "scheme": SHINGLE_SCHEME,
                "units": list(UNITS),
                "lengths": dict(zip(UNITS, self.config.shingles.by_unit(), strict=True)),
            },
        }

    def _facts(
        self, chain: Chain, signed: list[Any], buckets: list[Any], compared: list[Any], walked: Any
    ) -> dict[str, Any]:
        """Scheme, what was searched, what was capped, clusters by size, removals by source and keeper's source."""
        config = self.config
        return {
            **self._scheme(chain.num_bands, chain.rows_per_band),
            "threshold": config.threshold,
            "num_documents_by_unit": _add_up(result.value["units"] for result in signed),
            "num_candidate_pairs": sum(result.value["num_candidates"] for result in compared),
            "num_verified_pairs": sum(result.value["num_edges"] for result in compared),
            "largest_bucket": max(result.value["largest"] for result in buckets),
            "capped": {
                "max_links": config.max_links,
                "num_buckets": sum(result.value["num_capped"] for result in buckets),
                "num_pairs_left_out": sum(result.value["num_left_out"] for result in buckets),
            },
            "num_removed": walked["num_removed"],
            "num_clusters": walked["num_clusters"],
            "cluster_sizes": walked["cluster_sizes"],
            "largest_clusters": walked["largest_clusters"],
            "num_alarming_clusters": walked["num_alarming_clusters"],
            "removals": walked["removals"],
        }


def _make(phase: str, chain: Chain) -> Work:
    """Work of one phase; the compiled code behind it loads here, in the worker."""
    from stages.dedup import minhash_phases

    return partial(getattr(minhash_phases, phase), chain)


def _add_up(parts: Any) -> dict[str, int]:
    """Sum of counters."""
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
