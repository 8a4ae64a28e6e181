"""The funnel against sums done by hand, and the draw of sample documents."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from rich.console import Console

from data_specs.errors import DataError
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT, Ledger
from data_specs.manifest import Manifest
from data_specs.view import resolve_view
from pipelines.report.documents import sample_dropped, sample_kept
from pipelines.report.funnel import funnel_rows, name_reasons, node_totals, print_funnel, source_totals
from tests.unit.pipelines.report_example import HOSTILE, full_run


def _manifest(*accounts: tuple) -> Manifest:
    ledger = Ledger()
    for unit, source, domain, outcome, count, reason, characters in accounts:
        ledger.add(unit, source, domain, outcome, count, reason=reason, characters=characters)
    return Manifest(kind="x", stage="x", version=1, fingerprint="0" * 64, payload={}, shards=(), ledger=ledger)


FILTER = _manifest(
    ("document", "web", "zh", IN, 10, "", 1000),
    ("document", "web", "zh", KEPT, 6, "", 700),
    ("document", "web", "zh", DROPPED, 3, "too_short", 100),
    ("document", "web", "zh", DROPPED, 1, "spam", 200),
    ("document", "web", "en", IN, 4, "", 400),
    ("document", "web", "en", KEPT, 1, "", 100),
    ("document", "web", "en", DROPPED, 3, "spam", 300),
    ("document", "docs", "en", IN, 5, "", 50),
    ("document", "docs", "en", KEPT, 4, "", 40),
    ("document", "docs", "en", FAILED, 1, "broken", 10),
)
INGEST = _manifest(
    ("record", "web", "zh", IN, 12, "", 0),
    ("record", "web", "zh", KEPT, 10, "", 0),
    ("record", "web", "zh", FAILED, 2, "truncated", 0),
    ("document", "web", "zh", EXPANDED, 10, "", 1000),
    ("document", "web", "zh", KEPT, 10, "", 1000),
)
TOKENIZE = _manifest(
    ("document", "web", "zh", IN, 6, "", 700),
    ("document", "web", "zh", KEPT, 6, "", 700),
    ("token", "web", "zh", IN, 350, "", 0),
    ("token", "web", "zh", KEPT, 350, "", 0),
)


def test_rows_are_the_accounts_of_the_ledger():
    rows = funnel_rows({"filter": FILTER})
    assert [(r.source, r.domain, r.entered, r.kept, dict(r.dropped), dict(r.failed)) for r in rows] == [
        ("docs", "en", 5, 4, {}, {"broken": 1}),
        ("web", "en", 4, 1, {"spam": 3}, {}),
        ("web", "zh", 10, 6, {"too_short": 3, "spam": 1}, {}),
    ]
    assert [(r.characters_in, r.characters) for r in rows] == [(50, 40), (400, 100), (1000, 700)]


def test_every_row_balances():
    for row in funnel_rows({"ingest": INGEST, "filter": FILTER, "tokenize": TOKENIZE}):
        assert row.entered + row.expanded == row.kept + row.num_dropped + row.num_failed


def test_node_totals_add_sources_and_domains():
    (total,) = node_totals(funnel_rows({"filter": FILTER}))
    assert (total.entered, total.kept, total.num_dropped, total.num_failed) == (19, 11, 7, 1)
    assert list(total.dropped.items()) == [("spam", 4), ("too_short", 3)], "commonest first"
    assert (total.characters_in, total.characters) == (1450, 840)


def test_source_totals_add_domains_only():
    totals = {row.source: row for row in source_totals(funnel_rows({"filter": FILTER}))}
    assert (totals["web"].entered, totals["web"].kept) == (14, 7)
    assert dict(totals["web"].dropped) == {"spam": 4, "too_short": 3}
    assert totals["docs"].entered == 5


def test_line_order_and_units_are_kept():
    rows = node_totals(funnel_rows({"z_ingest": INGEST, "a_filter": FILTER}))
    assert [(row.node, row.unit) for row in rows] == [
        ("z_ingest", "record"), ("z_ingest", "document"), ("a_filter", "document"),
    ]  # fmt: skip


def test_tokens_stand_beside_their_documents():
    (row,) = funnel_rows({"tokenize": TOKENIZE})
    assert (row.unit, row.kept, row.tokens) == ("document", 6, 350)


def test_a_node_that_books_only_tokens_keeps_its_rows():
    (row,) = funnel_rows(
        {"cut": _manifest(("token", "web", "zh", IN, 9, "", 0), ("token", "web", "zh", KEPT, 9, "", 0))}
    )
    assert (row.unit, row.kept) == ("token", 9)


def test_reasons_are_named_commonest_first_and_the_rest_summed():
    accounts = [("document", "s", "d", DROPPED, n, f"r{n}", 0) for n in range(1, 7)]
    (row,) = funnel_rows(
        {"n": _manifest(("document", "s", "d", IN, 30, "", 0), *accounts, ("document", "s", "d", FAILED, 9, "bad", 0))}
    )
    assert name_reasons(row) == "bad! 9, r6 6, r5 5, r4 4, 3 more 6"


def test_printed_funnel_shows_totals_and_losses():
    out = io.StringIO()
    print_funnel(Console(file=out, width=200), {"ingest": INGEST, "filter": FILTER})
    text = out.getvalue()
    (filter_line,) = [line for line in text.splitlines() if line.startswith(("filter", " filter")) and "57.9%" in line]
    assert "19" in filter_line
    assert "840" in filter_line
    assert "spam 3" in text
    assert "broken! 1" in text
    assert "truncated! 2" in text


def test_printed_funnel_does_not_read_names_as_markup():
    out = io.StringIO()
    manifest = _manifest(
        ("document", "[red]s[/]", "d", IN, 1, "", 0), ("document", "[red]s[/]", "d", DROPPED, 1, "[b]", 0)
    )
    print_funnel(Console(file=out, width=200), {"[i]n": manifest})
    assert "[red]s[/]" in out.getvalue()
    assert "[i]n" in out.getvalue()
    assert "[b] 1" in out.getvalue()


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return full_run(tmp_path_factory.mktemp("run"))


def _open(example):
    return example.summary().open_artifact


def test_kept_samples_are_in_the_view_and_the_smallest_ids(example):
    dedup = example.nodes[2].artifact
    view = resolve_view([dedup], _open(example))
    documents = sample_kept(view, 5)
    (shard,) = view.shards()
    inside = shard.read(["doc_id"]).filter(pa.array(shard.mask())).column("doc_id").to_pylist()
    assert [one.doc_id for one in documents] == [key.hex() for key in sorted(inside)[:5]]
    assert all(one.reason == "" for one in documents)
    assert len(sample_kept(view, 1000)) == 31


def test_dropped_samples_carry_reason_value_and_limit(example):
    documents = sample_dropped(example.nodes[1].artifact, _open(example), 9)
    assert [one.reason for one in documents] == sorted([HOSTILE, "han_share", "too_short", "too_short"])
    values = sorted(one.value for one in documents if one.reason == "too_short")
    assert values == [12.0, 40.0]
    assert {one.limit for one in documents if one.reason == "too_short"} == {150.0}
    assert len(sample_dropped(example.nodes[1].artifact, _open(example), 1)) == 3, "one of every reason"


def test_excerpts_are_short_and_folded(example):
    view = resolve_view([example.nodes[0].artifact], _open(example))
    for one in sample_kept(view, 40):
        assert len(one.excerpt) <= 300
        assert "\n" not in one.excerpt
        assert one.source in one.headline


def test_samples_do_not_change_from_call_to_call(example):
    opened = _open(example)
    assert sample_dropped(example.nodes[2].artifact, opened, 3) == sample_dropped(example.nodes[2].artifact, opened, 3)


def test_documents_artifacts_have_no_dropped_samples(example):
    with pytest.raises(DataError, match="drops no documents"):
        sample_dropped(example.nodes[0].artifact, _open(example), 3)
