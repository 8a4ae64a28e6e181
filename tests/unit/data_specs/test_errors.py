"""Hints for unknown names, and one base class for everything that is printed as one clear message."""

from __future__ import annotations

import pytest

from data_specs import errors


def test_a_near_miss_is_offered_with_the_sorted_list():
    assert errors.nearest("min_char", ["min_words", "min_chars"]) == (
        " Did you mean 'min_chars'? Known: min_chars, min_words."
    )


def test_without_a_near_miss_only_the_list_is_shown():
    assert errors.nearest("zzz", {"alpha": 1, "beta": 2}) == " Known: alpha, beta."


@pytest.mark.parametrize("name", ["SpecError", "DataError", "LedgerError", "StoreError", "StageError"])
def test_every_error_is_a_kaitian_error_made_of_one_message(name: str):
    """Errors cross process borders as (class name, message) and are built again from them."""
    rebuilt = getattr(errors, name)("what and why")
    assert isinstance(rebuilt, errors.KaitianError)
    assert str(rebuilt) == "what and why"
