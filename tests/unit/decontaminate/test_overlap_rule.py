"""What an item needs, by its length: both sides of every limit."""

from __future__ import annotations

import numpy as np
import pytest

from stages.decontaminate.overlap import MATCHES, Overlap, Overlaps


def needs(rule: Overlap, num_tokens: int) -> tuple[str, int, int]:
    match, length, need = rule.needs(np.array([num_tokens]))
    return MATCHES[match[0]], int(length[0]), int(need[0])


def test_han_items() -> None:
    rule = Overlaps().characters
    assert needs(rule, 12) == ("too_short", 13, 12)
    assert needs(rule, 13) == ("whole", 13, 13)
    assert needs(rule, 29) == ("whole", 13, 29)
    assert needs(rule, 30) == ("overlap", 6, 18)  # 30 * 30 / 50
    assert needs(rule, 49) == ("overlap", 6, 30)  # 29.4, rounded up
    assert needs(rule, 50) == needs(rule, 5000) == ("overlap", 6, 30)


def test_one_shared_run_of_13_words_is_enough() -> None:
    rule = Overlaps().words
    assert needs(rule, 7)[0] == "too_short"
    assert needs(rule, 8) == ("whole", 8, 8)
    assert needs(rule, 12) == ("whole", 8, 12)
    assert needs(rule, 13) == needs(rule, 400) == ("overlap", 13, 13)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"length": 0}, "must rise"),
        ({"length": 31}, "must rise"),
        ({"window": 29}, "must rise"),
        ({"whole_below": 5}, "whole_below"),
        ({"shortest": 0}, "shortest"),
        ({"shortest": 31}, "shortest"),
    ],
)
def test_values_that_contradict_each_other_are_refused(changed: dict[str, int], rule: str) -> None:
    values = {"length": 6, "overlap": 30, "window": 50, "whole_below": 30, "shortest": 13}
    Overlap(**values)
    with pytest.raises(ValueError, match=rule):
        Overlap(**{**values, **changed})
