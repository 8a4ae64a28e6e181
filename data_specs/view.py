"""A view: text shards plus a stack of decisions, read without rewriting any text.

A base shard is named by its key (``<fingerprint>/<port>/<name>``). Decision sidecars say by ``of`` which base shard
they belong to and have one row per document, so a row is in the view when no decision of the stack dropped it. Its text
is that of the base without the spans that decisions of the stack cut (:mod:`data_specs.cuts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs import cuts as cut_spans
from data_specs.errors import DataError
from data_specs.manifest import Artifact

#: Text bytes a reader holds at once; shards are streamed in row groups of about this size.
BATCH_BYTES = 16 << 20
_DECISION_PORT = "decisions"


@dataclass(frozen=True)
class ViewShard:
    """One base shard with the decision sidecars that apply to it. Picklable: this is what a work unit carries."""

    key: str
    path: Path
    rows: int
    text_bytes: int
    logical_digest: str
    decisions: tuple[Path, ...]
    cuts: tuple[Path, ...] = ()  # sidecars of spans that are not part of the text any more

    def mask(self) -> np.ndarray:
        """Boolean per base row: True where every decision kept the document."""
        inside = np.ones(self.rows, dtype=bool)
        for path in self.decisions:
            keep = pq.read_table(path, columns=["keep"]).column("keep")
            if len(keep) != self.rows:
                raise DataError(f"{path}: {len(keep)} decisions for a base shard of {self.rows} documents")
            inside &= keep.fill_null(False).to_numpy(zero_copy_only=False)
        return inside

    def read(self, columns: Sequence[str]) -> pa.Table:
        """All base rows of a few small columns (never ``text``: stream that with :meth:`batches`)."""
        return pq.read_table(self.path, columns=list(columns))

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """Stream ``(table, mask)`` row group by row group; ``mask`` tells which rows are in the view."""
        inside = self.mask()
        for start, table in self._groups(columns, None):
            yield table, inside[start : start + table.num_rows]

    def groups_with(self, columns: Sequence[str], rows: Iterable[int]) -> Iterator[tuple[int, pa.Table]]:
        """Stream ``(first base row, table)`` of just the row groups that hold one of ``rows``."""
        yield from self._groups(columns, np.unique(np.fromiter(rows, dtype=np.int64)))

    def spans(self) -> cut_spans.Cuts:
        """The spans of the base texts that the view leaves out."""
        return cut_spans.Cuts.read(self.cuts, self.rows)

    def _groups(self, columns: Sequence[str], rows: np.ndarray | None) -> Iterator[tuple[int, pa.Table]]:
        """Row groups, or those that hold one of the sorted ``rows``, with the text as the view has it."""
        cut = self.spans() if self.cuts and "text" in columns else None
        start = 0
        with pq.ParquetFile(self.path) as handle:
            for group in range(handle.num_row_groups):
                end = start + handle.metadata.row_group(group).num_rows
                if rows is None or np.searchsorted(rows, start) < np.searchsorted(rows, end):
                    table = handle.read_row_group(group, columns=list(columns))
                    if cut is not None:
                        place = table.schema.get_field_index("text")
                        texts = cut.apply(table.column(place), start, self.path)
                        table = table.set_column(place, table.schema.field(place), texts)
                    yield start, table
                start = end
        if start != self.rows:
            raise DataError(f"{self.path}: {start} rows, the manifest says {self.rows}")

    def kept_batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Stream only the rows that are in the view."""
        for table, inside in self.batches(columns):
            yield table.filter(pa.array(inside))


@dataclass(frozen=True)
class View:
    """Base artifacts in order and the decision artifacts stacked on them."""

    bases: tuple[Artifact, ...]
    decisions: tuple[Artifact, ...]

    def shards(self) -> list[ViewShard]:
        """Every base shard in order, with its decision sidecars."""
        sidecars = self._sidecars(_DECISION_PORT)
        cut = self._sidecars(cut_spans.PORT)
        found = []
        for base in self.bases:
            for shard in base.shards("documents"):
                key = base.shard_key(shard)
                found.append(
                    ViewShard(
                        key=key,
                        path=base.shard_path(shard),
                        rows=shard.rows,
                        text_bytes=shard.text_bytes,
                        logical_digest=shard.logical_digest,
                        decisions=tuple(sidecars.get(key, ())),
                        cuts=tuple(cut.get(key, ())),
                    )
                )
        return found

    def _sidecars(self, port: str) -> dict[str, list[Path]]:
        """Sidecars of every base shard in one port of the stack."""
        found: dict[str, list[Path]] = {}
        for decision in self.decisions:
            for shard in decision.shards(port):
                found.setdefault(str(shard.of), []).append(decision.shard_path(shard))
        return found

    def describe(self) -> dict[str, list[str]]:
        """What the manifest of a decision made on this view records, without itself."""
        return {
            "bases": [base.fingerprint for base in self.bases],
            "decisions": [decision.fingerprint for decision in self.decisions],
        }


def resolve_view(artifacts: Sequence[Artifact], open_artifact: Callable[[str], Artifact]) -> View:
    """View seen through ``artifacts``: documents stand for themselves, decisions for their base and stack.

    Several artifacts make one view of all their documents; a base or decision that two of them share counts once.
    """
    bases: dict[str, Artifact] = {}
    decisions: dict[str, Artifact] = {}
    for artifact in artifacts:
        if artifact.kind == "documents":
            bases.setdefault(artifact.fingerprint, artifact)
            continue
        if artifact.kind != "decisions":
            raise DataError(f"{artifact.path}: a {artifact.kind} artifact is no view of documents")
        for digest in artifact.manifest.view["bases"]:
            if digest not in bases:
                bases[digest] = open_artifact(digest)
        for digest in artifact.manifest.view["decisions"]:
            if digest not in decisions:
                decisions[digest] = open_artifact(digest)
        decisions.setdefault(artifact.fingerprint, artifact)
    return View(tuple(bases.values()), tuple(decisions.values()))
