"""Which component takes which document: by labels, and by the band of a stored signal or classifier's score.

Bands are quality-weighted sampling (Pangu Ultra, arXiv 2504.07866, data section: the higher the score, the more often a
document is seen): a component per band, and in the mixture epochs or a weight for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.errors import DataError, SpecError, nearest
from data_specs.manifest import Artifact
from data_specs.selector import matching_rows

#: Component names are file names.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
#: What :func:`assign` says of documents that stay out.
NO_COMPONENT, OUTSIDE_BANDS = -1, -2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBand:
    """Documents whose score lies in ``[at_least, below)``."""

    signal: str  # a column of a signals input: a measured signal, or a classifier's score such as quality_score
    at_least: float | None = None  # None: no lower limit
    below: float | None = None  # None: no upper limit

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.at_least, self.below) if limit is not None]
        if not limits or not all(map(isfinite, limits)) or limits != sorted(set(limits)):
            raise ValueError(
                f"band of {self.signal!r}: [{self.at_least}, {self.below}) holds nothing or everything; give at_least, "
                f"below, or both with at_least below it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSelector:
    """Documents that satisfy every list given and lie in the band; an empty list asks for nothing."""

    domains: tuple[str, ...] = ()  # labels that route
    sources: tuple[str, ...] = ()  # names of source cards
    languages: tuple[str, ...] = ()  # as card or record declare them
    band: ScoreBand | None = None  # of a score; needs the `signals` input that holds it


def check_name(name: str) -> None:
    """Raise ValueError for a component name that is no plain file name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"component {name!r}: a name is letters, digits and _ . + - (it becomes a file name); give "
            f"`components` with names of your own when a domain is called otherwise"
        )


def needed_signals(components: Mapping[str, ComponentSelector], signals: Sequence[Artifact]) -> list[str]:
    """Signals that bands read, sorted; raise :class:`SpecError` for one that no signals input holds."""
    known = sorted({name for artifact in signals for name in artifact.facts["signals"]})
    for name, selector in sorted(components.items()):
        if selector.band is not None and selector.band.signal not in known:
            way = (
                nearest(selector.band.signal, known)
                if known
                else " The node has no `signals` input; give it the nodes that measure or score, such as "
                "nodes.pack.inputs.signals=[scores]"
            )
            raise SpecError(f"components.{name}.band.signal: no input holds signal {selector.band.signal!r}.{way}")
    return sorted({selector.band.signal for selector in components.values() if selector.band is not None})


def read_scores(
    index: pa.Table, signals: Sequence[Artifact], names: Sequence[str], where: str
) -> dict[str, npt.NDArray[np.float64]]:
    """Score of every document of a token shard, by its base shard and row; NaN where none was measured.

    Raises :class:`DataError` where two signals inputs hold the same score of a document.
    """
    scores = {name: np.full(index.num_rows, np.nan) for name in names}
    if not names:
        return scores
    rows_N, bases = index.column("row").to_numpy(), index.column("base").combine_chunks().dictionary_encode()
    codes_N = bases.indices.to_numpy()
    for code, base in enumerate(bases.dictionary.to_pylist()):
        mine = np.flatnonzero(codes_N == code)
        for name in names:
            paths = [
                artifact.shard_path(shard)
                for artifact in signals
                if name in artifact.facts["signals"]
                for shard in artifact.shards("signals")
                if shard.of == base
            ]
            if len(paths) > 1:
                raise DataError(f"{where}: {len(paths)} signals inputs hold {name!r} of base shard {base}; give one")
            for path in paths:
                column = pq.read_table(path, columns=[name]).column(name)
                if len(column) <= int(rows_N[mine].max(initial=-1)):
                    raise DataError(f"{path}: {len(column)} rows, fewer than the documents of base shard {base}")
                values = column.cast(pa.float64()).to_numpy()  # a missing value becomes NaN
                scores[name][mine] = values[rows_N[mine]]
    return scores


def assign(
    index: pa.Table,
    components: Mapping[str, ComponentSelector],
    where: str,
    scores: Mapping[str, npt.NDArray[np.float64]],
) -> npt.NDArray[np.int32]:
    """Component of each document as an index into the sorted names. Where none takes it: :data:`OUTSIDE_BANDS` if only
    its score keeps it out of one, else :data:`NO_COMPONENT`.

    Raises :class:`SpecError` when two take the same document (it would be trained on twice), :class:`DataError` when a
    band has to judge a document without a score.
    """
    taken_N = np.full(index.num_rows, NO_COMPONENT, dtype=np.int32)
    names = sorted(components)
    for number, name in enumerate(names):
        selector = components[name]
        wanted = {"domain": selector.domains, "source": selector.sources, "language": selector.languages}
        mine = matching_rows(index, wanted)
        if selector.band is not None:
            inside = _inside(selector.band, scores[selector.band.signal], mine, index, f"component {name!r}, {where}")
            taken_N[mine & ~inside & (taken_N == NO_COMPONENT)] = OUTSIDE_BANDS
            mine &= inside
        both = np.flatnonzero(mine & (taken_N >= 0))
        if len(both):
            raise SpecError(
                f"components {names[taken_N[both[0]]]!r} and {name!r} both select {_called(index, int(both[0]))}, "
                f"{where}), {len(both)} in this shard; narrow one of the selectors"
            )
        taken_N[mine] = number
    return taken_N


def _inside(
    band: ScoreBand, score_N: npt.NDArray[np.float64], asked_N: npt.NDArray[np.bool_], index: pa.Table, where: str
) -> npt.NDArray[np.bool_]:
    missing = np.flatnonzero(asked_N & np.isnan(score_N))
    if len(missing):
        raise DataError(
            f"{where}: {_called(index, int(missing[0]))}) and {len(missing) - 1} more have no {band.signal!r}; score "
            f"the view that was tokenized, or narrow the component to documents that were scored"
        )
    inside = np.ones(len(score_N), dtype=bool)
    if band.at_least is not None:
        inside &= score_N >= band.at_least
    if band.below is not None:
        inside &= score_N < band.below
    return inside


def _called(index: pa.Table, row: int) -> str:
    document = index.slice(row, 1).to_pylist()[0]
    return f"document {document['doc_id'].hex()} (source {document['source']!r}, domain {document['domain']!r}"
