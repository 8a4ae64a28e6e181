"""The committed table of decisions in which our English presets and DataTrove's filters differ."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.bench.filter_agreement import CAUSES, DISAGREEMENTS, MIN_AGREEMENT, MIN_DOCUMENTS

TABLE = json.loads(DISAGREEMENTS.read_text("utf-8"))
FILTERS = ("gopher_quality", "gopher_repetition", "c4", "fineweb")


@pytest.mark.parametrize("name", FILTERS)
def test_the_table_holds_every_decision_that_is_not_equal(name: str) -> None:
    rows = [row for row in TABLE["disagreements"] if row["filter"] == name]
    assert TABLE["equal"][name] + len(rows) == TABLE["documents"] >= MIN_DOCUMENTS
    assert TABLE["equal"][name] >= MIN_AGREEMENT * TABLE["documents"]
    assert max(Counter(row["document"] for row in rows).values(), default=1) == 1


def test_every_disagreement_has_its_cause_and_no_text() -> None:
    for row in TABLE["disagreements"]:
        assert row["cause"] == CAUSES[row["rule"]]
        assert {row["ours"], row["theirs"]} == {"keep", "drop"}
        assert set(row) == {
            "document", "source", "filter", "rule", "ours", "our_value", "theirs", "their_value", "cause",
        }  # fmt: skip
