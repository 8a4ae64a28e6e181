"""Views: base text plus stacked decisions, read in order without rewriting any text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_specs.document import DECISIONS
from data_specs.errors import DataError
from data_specs.fingerprint import fingerprint
from data_specs.ledger import Ledger
from data_specs.manifest import Artifact, Manifest
from data_specs.shard_writer import ShardWriter
from data_specs.view import ViewShard, resolve_view

T, F = True, False


class Store:
    """Artifacts of a test by fingerprint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Artifact] = {}

    def open(self, digest: str) -> Artifact:
        return self.made[digest]

    def add(self, name: str, kind: str, shards: list, view: dict[str, list[str]]) -> Artifact:
        manifest = Manifest(
            kind=kind,
            stage=name,
            version=1,
            fingerprint=fingerprint(name),
            payload={},
            shards=tuple(shards),
            ledger=Ledger(),
            view=view,
        )
        self.made[manifest.fingerprint] = Artifact(self.folder / name, manifest)
        return self.made[manifest.fingerprint]

    def documents(self, name: str, *shards: list[str]) -> Artifact:
        """A base artifact; one shard per list of texts."""
        written = []
        for index, texts in enumerate(shards):
            writer = ShardWriter(
                self.folder / name, "documents", f"{index}.parquet", pa.schema({"text": pa.string()}), None
            )
            writer.write(pa.table({"text": pa.array(texts, pa.string())}))
            written.append(writer.close())
        return self.add(name, "documents", written, {})

    def decisions(self, name: str, upstream: list[Artifact], *keeps: list[bool | None]) -> Artifact:
        """A decision made on the view of ``upstream``; one list per base shard."""
        view = resolve_view(upstream, self.open)
        written = []
        for index, (base, keep) in enumerate(zip(view.shards(), keeps, strict=True)):
            writer = ShardWriter(self.folder / name, "decisions", f"{index}.parquet", DECISIONS, base.key)
            writer.write(pa.Table.from_pylist([{"keep": k} for k in keep], DECISIONS))
            written.append(writer.close())
        return self.add(name, "decisions", written, view.describe())

    def texts(self, *artifacts: Artifact) -> list[str]:
        shards = resolve_view(artifacts, self.open).shards()
        return [text for s in shards for batch in s.kept_batches(["text"]) for text in batch.column("text").to_pylist()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_documents_alone_are_the_whole_view(store: Store):
    base = store.documents("base", ["a", "b"], ["c"])
    assert store.texts(base) == ["a", "b", "c"]


def test_stacked_decisions_remove_one_after_the_other(store: Store):
    base = store.documents("base", ["a", "b", "c"], ["d"])
    short = store.decisions("short", [base], [T, F, T], [T])
    double = store.decisions("double", [short], [T, None, F], [T])
    assert store.texts(short) == ["a", "c", "d"]
    assert store.texts(double) == ["a", "d"]
    assert double.manifest.view == {"bases": [base.fingerprint], "decisions": [short.fingerprint]}


def test_masks_cover_every_base_row(store: Store):
    base = store.documents("base", ["a", "b", "c"])
    short = store.decisions("short", [base], [T, F, T])
    (seen,) = resolve_view([store.decisions("double", [short], [F, None, T])], store.open).shards()
    assert seen.mask().tolist() == [F, F, T]
    assert [(t.num_rows, m.tolist()) for t, m in seen.batches(["text"])] == [(3, [F, F, T])]
    assert seen.read(["text"]).num_rows == 3


def test_a_base_that_two_branches_share_counts_once(store: Store):
    """Two decisions over one text, joined again: both apply, and no document comes twice."""
    base = store.documents("base", ["a", "b", "c"])
    left = store.decisions("left", [base], [T, F, T])
    right = store.decisions("right", [base], [T, T, F])
    assert store.texts(left, right) == ["a"]


def test_a_decision_says_nothing_about_another_base(store: Store):
    one, two = store.documents("one", ["a", "b"]), store.documents("two", ["c"])
    first = store.decisions("first", [one], [F, T])
    assert store.texts(first, two) == ["b", "c"]


def test_masks_line_up_with_row_groups(store: Store, tmp_path: Path):
    base = store.documents("base", ["a", "b", "c", "d", "e"])
    path = tmp_path / "grouped.parquet"
    pq.write_table(pa.table({"text": list("abcde")}), path, row_group_size=2)
    decided = store.decisions("decided", [base], [T, F, F, T, T])
    (made,) = decided.shards("decisions")
    grouped = ViewShard("key", path, 5, 5, "", (decided.shard_path(made),))
    assert [(t.column("text").to_pylist(), m.tolist()) for t, m in grouped.batches(["text"])] == [
        (["a", "b"], [T, F]),
        (["c", "d"], [F, T]),
        (["e"], [T]),
    ]


def test_a_shard_without_documents_is_no_special_case(store: Store):
    base = store.documents("base", [], ["a"])
    decided = store.decisions("decided", [base], [], [T])
    assert store.texts(decided) == ["a"]
    assert resolve_view([decided], store.open).shards()[0].mask().dtype == np.bool_


def test_decisions_of_another_length_are_refused(store: Store):
    base = store.documents("base", ["a", "b"])
    wrong = store.decisions("wrong", [base], [T])
    with pytest.raises(DataError, match="1 decisions for a base shard of 2 documents"):
        store.texts(wrong)


def test_a_file_with_other_rows_than_the_manifest_says_is_refused(store: Store, tmp_path: Path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="1 rows, the manifest says 2"):
        list(ViewShard("key", tmp_path / "x.parquet", 2, 2, "", ()).batches(["text"]))


def test_a_kind_that_is_no_view_is_refused(store: Store):
    with pytest.raises(DataError, match="a tokens artifact is no view of documents"):
        resolve_view([store.add("tokens", "tokens", [], {})], store.open)
