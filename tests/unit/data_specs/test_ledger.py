"""The books: in + expanded = kept + dropped(reason) + failed(reason), and messages that show the numbers."""

from __future__ import annotations

import pytest

from data_specs.errors import LedgerError
from data_specs.ledger import DROPPED, EXPANDED, FAILED, IN, KEPT, Ledger


def books(*entries: tuple[str, str, int, str]) -> Ledger:
    """Documents of domain ``zh``; entries are (source, outcome, count, reason)."""
    ledger = Ledger()
    for source, outcome, count, reason in entries:
        ledger.add("document", source, "zh", outcome, count, reason=reason)
    return ledger


def test_ten_in_two_made_of_them_seven_kept_four_dropped_one_failed():
    ledger = books(
        ("web", IN, 10, ""),
        ("web", EXPANDED, 2, ""),
        ("web", KEPT, 7, ""),
        ("web", DROPPED, 3, "short"),
        ("web", DROPPED, 1, "spam"),
        ("web", FAILED, 1, "decode"),
    )
    ledger.check_balance()
    assert ledger.total("document", DROPPED) == 4


def test_one_lost_document_is_named_with_its_source_and_numbers():
    ledger = books(
        ("a", IN, 5, ""), ("a", KEPT, 5, ""), ("web", IN, 10, ""), ("web", KEPT, 8, ""), ("web", DROPPED, 1, "short")
    )
    with pytest.raises(LedgerError) as caught:
        ledger.check_balance()
    assert str(caught.value) == (
        "documents of source 'web' do not balance: in 10 + expanded 0 != kept 8 + dropped 1 + failed 0"
    )


def test_one_source_cannot_cover_for_another():
    with pytest.raises(LedgerError, match="'a'"):
        books(("a", IN, 2, ""), ("a", KEPT, 1, ""), ("b", IN, 1, ""), ("b", KEPT, 2, "")).check_balance()


def test_each_unit_balances_alone():
    ledger = books(("a", IN, 1, ""), ("a", KEPT, 1, ""))
    ledger.add("token", "a", "zh", IN, 100)
    with pytest.raises(LedgerError, match="tokens of source 'a'"):
        ledger.check_balance()


def test_what_came_in_must_be_what_stands_upstream():
    ledger = books(("a", IN, 3, ""), ("b", IN, 2, ""))
    ledger.check_upstream("document", {"a": 3, "b": 2, "never_seen": 0})
    with pytest.raises(LedgerError, match="source 'b' in 2, upstream 4; source 'c' in 0, upstream 1"):
        ledger.check_upstream("document", {"a": 3, "b": 4, "c": 1})
    with pytest.raises(LedgerError, match="source 'b' in 2, upstream 0"):
        ledger.check_upstream("document", {"a": 3})


@pytest.mark.parametrize(("outcome", "reason"), [(DROPPED, ""), (FAILED, ""), (KEPT, "short"), (IN, "short")])
def test_exactly_dropped_and_failed_carry_a_reason(outcome: str, reason: str):
    with pytest.raises(LedgerError, match="carry a reason"):
        books(("a", outcome, 1, reason))


def test_an_unknown_outcome_is_refused():
    with pytest.raises(LedgerError, match="unknown outcome 'lost'; one of in, expanded, kept, dropped, failed"):
        books(("a", "lost", 1, ""))


@pytest.mark.parametrize(("count", "characters"), [(-1, 0), (1, -5)])
def test_a_negative_amount_is_refused(count: int, characters: int):
    """kept 8 and dropped -3 would balance 5 documents that came in."""
    with pytest.raises(LedgerError, match="hide losses"):
        Ledger().add("document", "a", "zh", KEPT, count, characters=characters)


def test_nothing_booked_is_no_account():
    assert list(books(("a", IN, 0, "")).items()) == []


def test_merged_books_add_counts_and_characters():
    left, right = Ledger(), Ledger()
    left.add("document", "a", "zh", KEPT, 1, characters=10)
    right.add("document", "a", "zh", KEPT, 2, characters=5)
    right.add("document", "b", "en", KEPT, 4)
    left.merge(right)
    assert left.to_rows() == [["document", "a", "zh", "kept", "", 3, 15], ["document", "b", "en", "kept", "", 4, 0]]
    assert left.total("document", KEPT, characters=True) == 15
    assert left.total("document", KEPT, source="a") == 3
    assert left.by_source("document", KEPT) == {"a": 3, "b": 4}


def test_rows_come_in_one_order_whatever_was_booked_first():
    first = books(("b", KEPT, 1, ""), ("a", IN, 1, ""))
    second = books(("a", IN, 1, ""), ("b", KEPT, 1, ""))
    assert first.to_rows() == second.to_rows()
    assert Ledger.from_rows(first.to_rows()).to_rows() == first.to_rows()
