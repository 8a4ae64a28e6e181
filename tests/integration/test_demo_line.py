"""The seeded demo dump through the command line: what was planted is found, and every verb tells the truth about it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_specs.document import DOCUMENTS
from data_specs.view import resolve_view
from pipelines.cli import main
from pipelines.demo.dump import CUT_URL, write_seeded_part
from pipelines.inspect.lookup import find_run, run_artifacts
from pipelines.store.store import Store

WEB = ("demo_web_zh", "demo_web_en")
SOURCES = "nodes.ingest.inputs.sources=[source:demo_web_zh,source:demo_web_en,source:demo_pairs]"


class Line:
    """A finished run of the data line on the seeded dump."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dump = folder / "dump"
        self.store = folder / "store"
        self.truth = write_seeded_part(self.dump, seed=7)
        assert self.kaitian("run", "targets=[mix,routing]") == 0
        store = Store.create(self.store)
        self.artifacts = run_artifacts(store, find_run(store, "last"))
        self.fate: dict[str, str] = {}
        for node in ("filter", "exact", "dedup", "paragraphs"):
            self._note_fates(store, node)

    def kaitian(self, verb: str, *words: str) -> int:
        return main(
            [verb, *words, "pipeline=demo", "cluster=inline", f"data_root={self.dump}", f"store={self.store}", SOURCES,
             "nodes.mix.config.stages=[{name: main, weights: {zh: 2, en: 1, zh_en: 1}}]",
             "nodes.tokenizer.config.vocab_size=1024", "nodes.tokenizer.config.sample_bytes=200000"]
        )  # fmt: skip

    def _note_fates(self, store: Store, node: str) -> None:
        """URL -> reason of every document that `node` dropped; "kept" for those that no node dropped."""
        import pyarrow.parquet as pq

        artifact = self.artifacts[node]
        for shard in resolve_view([artifact], store.open).shards():
            urls = shard.read(["url"]).column("url").to_pylist()
            decisions = pq.read_table(artifact.sidecar("decisions", shard.key)).to_pylist()
            for url, decision in zip(urls, decisions, strict=True):
                if decision["keep"] is not None:
                    self.fate[url] = "kept" if decision["keep"] else decision["reason"]

    def fates(self, kind: str) -> Counter[str]:
        """How the planted pages of a kind ended; "no document" when none came out of ingest."""
        return Counter(
            self.fate.get(page["url"], "no document")
            for page in self.truth["pages"]
            if page["source"] in WEB and page["kind"] == kind
        )


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("demo"))


def planted(line: Line, kind: str) -> int:
    return sum(line.truth["sources"][source]["kinds"][kind] for source in WEB)


def test_every_readable_record_becomes_a_document_and_the_broken_ones_are_put_aside(line: Line) -> None:
    ingest = line.artifacts["ingest"].manifest
    for source in (*WEB, "demo_pairs"):
        assert ingest.ledger.by_source("document", "kept")[source] == line.truth["sources"][source]["num_documents"]
    assert ingest.ledger.by_source("record", "failed") == {"demo_pairs": 1, "demo_web_zh": 1}
    assert line.truth["truncated"] == CUT_URL


def test_good_pages_survive_and_spam_adverts_and_short_pages_do_not(line: Line) -> None:
    good = line.fates("good")
    # a good page may give way to its copy (the families below), never to a rule
    assert set(good) <= {"kept", "exact_duplicate", "near_duplicate"}
    assert sum(good.values()) == planted(line, "good")
    for kind in ("spam", "advert", "short", "title_only"):
        fates = line.fates(kind)
        assert fates["kept"] == 0, (kind, fates)
        assert sum(fates.values()) == planted(line, kind)


@pytest.mark.parametrize("kind", ["legacy_charset", "wrong_charset", "mojibake", "nul", "invalid_bytes"])
def test_pages_of_broken_encoding_are_read_and_kept(line: Line, kind: str) -> None:
    assert line.fates(kind) == {"kept": planted(line, kind)}


def test_of_every_family_of_duplicates_exactly_one_member_stays(line: Line) -> None:
    """A family is a page and all that were copied from it, exactly or with edits."""
    families: dict[str, list[str]] = {}
    for page in line.truth["pages"]:
        if page["kind"] in ("exact_duplicate", "near_duplicate"):
            families.setdefault(page["of"], [page["of"]]).append(page["url"])
    assert len(families) > 50
    stayed = {head: sum(line.fate[url] == "kept" for url in urls) for head, urls in families.items()}
    assert {head: count for head, count in stayed.items() if count != 1} == {}


def test_pages_that_are_only_similar_stay(line: Line) -> None:
    fates = line.fates("similar_but_distinct")
    assert fates["exact_duplicate"] == fates["near_duplicate"] == 0


def test_planning_again_reuses_everything_and_a_changed_limit_is_named(line: Line, capsys: Any) -> None:
    assert line.kaitian("plan", "targets=[mix,routing]") == 0
    assert "0 of 13 nodes to run" in capsys.readouterr().out
    assert line.kaitian("plan", "targets=[split]", "nodes.filter.config.rules.zh.min_characters.limit=200") == 0
    out = capsys.readouterr().out
    assert "5 of 8 nodes to run" in out
    assert "filter.config.rules.zh.min_characters.limit 150 -> 200" in out


def test_explain_names_keeper_and_similarity_of_a_removed_page(line: Line, capsys: Any) -> None:
    page = next(p for p in line.truth["pages"] if line.fate.get(p["url"]) == "near_duplicate")
    assert main(["explain", page["url"], "--store", str(line.store)]) == 0
    out = capsys.readouterr().out
    assert "DROPPED: near_duplicate" in out
    assert "kept instead: " in out
    assert "record " in out
    assert ".warc.gz" in out


def test_explain_follows_a_kept_page_to_its_rows(line: Line, capsys: Any) -> None:
    page = next(p for p in line.truth["pages"] if line.fate.get(p["url"]) == "kept")
    assert main(["explain", page["url"], "--store", str(line.store)]) == 0
    out = capsys.readouterr().out
    for node in ("ingest", "clean", "signals", "filter", "exact", "dedup", "paragraphs", "split", "tokenize", "pack"):
        assert f"\n{node} " in f"\n{out}", node


def test_show_prints_ledger_samples_and_quarantine(line: Line, capsys: Any) -> None:
    for what in ("last", "last:ingest", "last:filter", line.artifacts["dedup"].fingerprint[:10]):
        assert main(["show", what, "--store", str(line.store), "--samples", "1"]) == 0
    out = capsys.readouterr().out
    assert "bad_json" in out
    assert "dropped" in out
    assert line.artifacts["dedup"].manifest.logical_digest in out


def test_the_report_holds_every_reason_that_dropped_a_document(line: Line) -> None:
    page = next((line.store / "runs").glob("*/report.html")).read_text("utf-8")
    for reason in {reason for reason in line.fate.values() if reason != "kept"}:
        assert reason in page


def test_unknown_documents_and_runs_are_one_clear_message(line: Line, capsys: Any) -> None:
    assert main(["explain", "https://nowhere.example", "--store", str(line.store)]) == 1
    assert "has no document 'https://nowhere.example'" in capsys.readouterr().err
    assert main(["show", "20000101-000000-x", "--store", str(line.store)]) == 1
    assert "kaitian show: SpecError" in capsys.readouterr().err


def test_pool_rows_lead_back_to_documents(line: Line) -> None:
    """Every segment of a pool names a document that the view holds."""
    import pyarrow.parquet as pq

    documents = {
        doc_id
        for shard in line.artifacts["clean"].shards("documents")
        for doc_id in pq.read_table(line.artifacts["clean"].shard_path(shard), columns=["doc_id"])["doc_id"].to_pylist()
    }
    pack = line.artifacts["pack"]
    seen = {
        doc_id
        for shard in pack.shards("segments")
        for doc_id in pq.read_table(pack.shard_path(shard), columns=["doc_id"])["doc_id"].to_pylist()
    }
    assert seen
    assert seen <= documents
    assert DOCUMENTS.names[0] == "doc_id"


def test_a_higher_threshold_is_previewed_as_it_is_run(line: Line, capsys: Any, tmp_path: Path) -> None:
    """Last here: the run that it is compared with becomes the newest one."""
    change = "nodes.dedup.config.threshold=0.9"
    page = tmp_path / "preview.html"
    assert line.kaitian("preview", "--node", "dedup", "--html", str(page), change) == 0
    out = capsys.readouterr().out
    assert "threshold: 0.7 -> 0.9" in out
    assert "bands from 20 x 6" in out  # said, because a run would choose others and propose less
    bands = "nodes.dedup.config.num_bands=20", "nodes.dedup.config.rows_per_band=6"
    assert line.kaitian("run", change, *bands, "targets=[dedup]") == 0
    store = Store.create(line.store)
    again = run_artifacts(store, find_run(store, "last"))["dedup"]
    before, after = line.artifacts["dedup"].facts["num_removed"], again.facts["num_removed"]
    assert 0 < after < before
    (total,) = (row.split()[1:] for row in out.splitlines() if row.strip().startswith("all "))
    documents = line.artifacts["dedup"].manifest.ledger.total("document", "in")
    assert total == [f"{n:,}" for n in (documents, before, after, before - after, 0)]
    assert "just above the threshold: removed" in out
    assert "just below the threshold: both stay" in out
    text = page.read_text("utf-8")
    assert text.count("<mark>") > 4
    assert "Just below the threshold: both stay" in text
    assert line.kaitian("preview", "--node", "dedup", "nodes.dedup.config.threshold=0.5") == 1
    assert "pairs that were never looked for" in " ".join(capsys.readouterr().err.split())
