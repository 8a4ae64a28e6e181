"""Two rule sets on the same documents: amounts, effects and borders by hand, in parts, and against a slow loop."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.filter.rules import Rule
from stages.filter.what_if import (
    NUM_NEAREST,
    Amounts,
    Comparison,
    changed_rules,
    compare,
    compared_signals,
    idle_sets,
    merge,
    never_fires,
    same_test,
)


def short(limit: float | None) -> Rule:
    return Rule(signal="x", drop_if="<", limit=limit, order=1)


HIGH = Rule(signal="y", drop_if=">", limit=0.5, order=2)


def comparison(x: list[float], y: list[float], before: dict, after: dict, **kwargs: object) -> Comparison:
    """All documents of source s and domain zh, each of 10 tokens."""
    size = len(x)
    values = [pa.array(column, pa.float64()) for column in (x, y, [10] * size)]
    signals = pa.table(values, names=["x", "y", "num_tokens"])
    labels = pa.table([pa.array([name] * size, pa.string()) for name in ("s", "zh")], names=["source", "domain"])
    return compare(signals, labels, np.ones(size, dtype=bool), before, after, **kwargs)


def test_a_moved_limit_by_hand():
    before, after = {"zh": {"short": short(3), "high": HIGH}}, {"zh": {"short": short(5), "high": HIGH}}
    #                        kept kept  lost lost  both high
    found = comparison([9, 5, 4, 3, 2, 2, 9], [0, 0, 0, 0, 0, 1, 1], before, after)
    assert found.groups == {
        ("s", "zh"): Amounts(
            documents=7, documents_before=4, documents_after=2, tokens=70, tokens_before=40, tokens_after=20, lost=2
        )
    }
    assert found.before["zh"]["short"] == {"judged": 7, "first": 2, "alone": 2, "only": 1}
    assert found.after["zh"]["short"] == {"judged": 7, "first": 4, "alone": 4, "only": 3}
    border = found.borders["zh", "short"]
    assert [(n.value, n.distance, n.row) for n in border.inside] == [(5, 0, 1), (9, 4, 0)]
    assert [(n.value, n.row) for n in border.outside] == [
        (4, 2),
        (3, 3),
        (2, 4),
    ]  # not row 5: another rule drops it too
    assert set(found.borders) == {("zh", "short")}


@pytest.mark.parametrize("gone", [{}, {"short": short(None)}])
def test_a_rule_switched_off_shows_what_returns(gone: dict):
    found = comparison([1, 2, 9], [0, 0, 0], {"zh": {"short": short(5)}}, {"zh": gone})
    assert found.groups["s", "zh"].won == 2
    assert [n.value for n in found.borders["zh", "short"].outside] == [2, 1]
    assert found.after == {"zh": {}}


def test_unchanged_rules_change_nothing():
    rules = {"zh": {"short": short(3)}}
    found = comparison([1, 4], [0, 0], rules, {"zh": {"short": Rule(signal="x", drop_if="<", limit=3.0, order=9)}})
    assert found.borders == {}
    assert found.before == found.after


def test_what_counts_as_a_change():
    assert same_test(None, short(None))
    assert same_test(short(3), Rule(signal="x", drop_if="<", limit=3, order=7, source="elsewhere"))
    assert not same_test(short(3), None)
    assert not same_test(short(3), Rule(signal="x", drop_if="<=", limit=3))
    before = {"zh": {"a": short(1), "b": short(2)}, "en": {"a": short(1)}}
    after = {"zh": {"a": short(1), "b": short(4), "c": short(None)}, "*": {"d": short(1)}}
    assert [(domain, name) for domain, name, _, _ in changed_rules(before, after)] == [
        ("*", "d"), ("en", "a"), ("zh", "b"),
    ]  # fmt: skip


def test_rules_that_never_fire():
    rules = {"zh": {"short": short(3), "high": HIGH, "off": short(None)}, "*": {"any": short(3)}, "fr": {"x": short(1)}}
    found = comparison([1], [0], rules, rules)  # one Chinese document
    assert never_fires(rules, found.after) == ["zh.high"]
    assert idle_sets(rules, found.after) == ["*", "fr"]
    others = {"fr": {"x": short(1)}, "*": {"any": short(3), "high": HIGH}}
    found = comparison([1], [0], others, others)  # judged by the set for any domain
    assert (never_fires(others, found.after), idle_sets(others, found.after)) == (["*.high"], ["fr"])


def test_columns_of_both_sides_are_read():
    assert compared_signals({"zh": {"a": short(1)}}, {"en": {"b": HIGH}}) == ["num_tokens", "x", "y"]


def test_no_documents():
    assert comparison([], [], {"zh": {"short": short(3)}}, {}) == Comparison()
    assert merge([]) == Comparison()


VALUES = st.integers(-3, 3).map(float)


@given(
    st.lists(
        st.tuples(VALUES, VALUES, st.sampled_from(["zh", "en"]), st.sampled_from("ab"), st.booleans()), max_size=30
    ),
    st.integers(-2, 2),
    st.integers(-2, 2),
    st.integers(0, 30),
)
def test_parts_add_up_to_a_loop_over_documents(documents: list, old: int, new: int, cut: int):
    sets = [{"zh": {"short": short(limit), "high": HIGH}, "*": {"high": HIGH}} for limit in (old, new)]
    parts = []
    for start, rows in ((0, documents[:cut]), (min(cut, len(documents)), documents[cut:])):
        signals = pa.table({
            "x": pa.array([d[0] for d in rows], pa.float64()), "y": pa.array([d[1] for d in rows], pa.float64()),
            "num_tokens": pa.array([3] * len(rows), pa.int64()),
        })  # fmt: skip
        names = [pa.array([d[place] for d in rows], pa.string()) for place in (3, 2)]
        labels = pa.table(names, names=["source", "domain"])
        inside = np.array([d[4] for d in rows], dtype=bool)
        parts.append(compare(signals, labels, inside, *sets, first_row=start))
    found = merge(parts)

    def fails(document: tuple, limit: int) -> list[bool]:
        return [document[2] == "zh" and document[0] < limit, document[1] > 0.5]

    expected: dict[tuple[str, str], Amounts] = {}
    for document in (d for d in documents if d[4]):
        before, after = (not any(fails(document, limit)) for limit in (old, new))
        key = (document[3], document[2])
        expected[key] = expected.get(key, Amounts()) + Amounts(
            1, before, after, 3, 3 * before, 3 * after, before and not after, after and not before
        )
    assert found.groups == expected
    border = found.borders.get(("zh", "short"))
    judged = [(abs(d[0] - new), row) for row, d in enumerate(documents) if d[4] and d[2] == "zh"]
    if old == new or not judged:
        assert border is None
        return
    for near, wanted in ((border.inside, [False, False]), (border.outside, [True, False])):
        rows = [(distance, row) for distance, row in judged if fails(documents[row], new) == wanted]
        assert [(n.distance, n.row) for n in near] == sorted(rows)[:NUM_NEAREST]


def test_a_set_of_its_own_for_a_source():
    """Two documents of source s leave the set of their domain: only one of them was dropped by it, and none is now."""
    before = {"zh": {"short": short(3)}}
    found = comparison([9, 1], [0, 0], before, {**before, "s": {}})
    assert found.groups["s", "zh"] == Amounts(
        documents=2, documents_before=1, documents_after=2, tokens=20, tokens_before=10, tokens_after=20, won=1
    )
    assert found.before == {"zh": {"short": {"judged": 2, "first": 1, "alone": 1, "only": 1}}}
    assert found.after == {"s": {}}
    # the rule no longer judges these documents: its border is that of the old limit
    assert [(n.value, n.row) for n in found.borders["zh", "short"].outside] == [(1, 1)]
