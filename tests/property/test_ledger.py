"""Properties of the books: the order of work never shows, and no single change of an amount goes unseen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import LedgerError
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT, Ledger

NAMES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.lists(
    st.tuples(
        NAMES, NAMES, st.sampled_from([IN, EXPANDED, KEPT, DROPPED, FAILED]), st.integers(0, 9), st.integers(0, 99)
    ),
    max_size=20,
)


def booked(entries: list[tuple[str, str, str, int, int]]) -> Ledger:
    ledger = Ledger()
    for source, domain, outcome, count, characters in entries:
        reason = "why" if outcome in (DROPPED, FAILED) else ""
        ledger.add("document", source, domain, outcome, count, reason=reason, characters=characters)
    return ledger


@given(entries=ENTRIES, cut=st.integers(0, 20), order=st.randoms(use_true_random=False))
def test_books_of_parts_merged_in_any_order_equal_the_books_of_all(entries, cut, order):
    shuffled = list(entries)
    order.shuffle(shuffled)
    merged = booked(shuffled[:cut])
    merged.merge(booked(shuffled[cut:]))
    assert merged.to_rows() == booked(entries).to_rows()
    assert Ledger.from_rows(merged.to_rows()).to_rows() == merged.to_rows()


@given(
    sources=st.dictionaries(NAMES, st.tuples(*[st.integers(0, 50)] * 4), min_size=1),
    disturbed=NAMES,
    outcome=st.sampled_from([IN, KEPT, DROPPED]),
)
def test_a_balanced_ledger_passes_and_one_more_of_anything_does_not(sources, disturbed, outcome):
    ledger = Ledger()
    for source, (kept, dropped, failed, expanded) in sources.items():
        expanded = min(expanded, kept + dropped + failed)
        ledger.add("document", source, "zh", IN, kept + dropped + failed - expanded)
        ledger.add("document", source, "zh", EXPANDED, expanded)
        ledger.add("document", source, "zh", KEPT, kept)
        ledger.add("document", source, "zh", DROPPED, dropped, reason="why")
        ledger.add("document", source, "zh", FAILED, failed, reason="why")
    ledger.check_balance()
    ledger.add("document", disturbed, "zh", outcome, 1, reason="why" if outcome == DROPPED else "")
    with pytest.raises(LedgerError, match=f"source '{disturbed}'"):
        ledger.check_balance()
