"""Decisions of rules on hand-made signals: both sides of a limit, order, views, effects."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.config import identity, parse_config
from data_specs.document import DECISIONS
from data_specs.errors import DataError, SpecError
from data_specs.fingerprint import fingerprint
from stages.filter.judge import decide, judge, tally
from stages.filter.rules import Rule, active_rules, check_signals, needed_signals, set_names
from stages.filter.stage import FilterConfig

SHORT = Rule(signal="num_characters", drop_if="<", limit=150, order=1)
HAN = Rule(signal="han_ratio", drop_if="<", limit=0.6, order=2)


def table(**columns: list[float | None]) -> pa.Table:
    return pa.table(columns)


def decide_rows(signals: pa.Table, rules: dict[str, dict[str, Rule]], domains: list[str] | None = None) -> list[dict]:
    domains = domains or ["zh"] * signals.num_rows
    return decide(signals, pa.array(domains), np.ones(signals.num_rows, dtype=bool), rules).to_pylist()


@pytest.mark.parametrize(
    ("drop_if", "value", "kept"),
    [
        ("<", 149, False), ("<", 150, True), ("<", 151, True),
        ("<=", 149, False), ("<=", 150, False), ("<=", 151, True),
        (">", 149, True), (">", 150, True), (">", 151, False),
        (">=", 149, True), (">=", 150, False), (">=", 151, False),
    ],
)  # fmt: skip
def test_both_sides_of_a_limit(drop_if: str, value: int, kept: bool) -> None:
    rule = Rule(signal="num_characters", drop_if=drop_if, limit=150)
    (row,) = decide_rows(table(num_characters=[value]), {"zh": {"size": rule}})
    assert row["keep"] is kept
    assert (row["reason"], row["value"], row["limit"]) == ((None, None, None) if kept else ("size", value, 150))


@pytest.mark.parametrize(("ratio", "kept"), [(0.59, False), (0.6, True), (0.61, True), (3 / 5, True)])
def test_sixty_percent_chinese(ratio: float, kept: bool) -> None:
    (row,) = decide_rows(table(han_ratio=[ratio]), {"zh": {"han": HAN}})
    assert row["keep"] is kept


def test_first_failing_rule_is_the_reason() -> None:
    signals = table(num_characters=[10, 10, 200, 200], han_ratio=[0.1, 0.9, 0.1, 0.9])
    rows = decide_rows(signals, {"zh": {"b_short": SHORT, "a_han": HAN}})
    assert [(r["keep"], r["reason"], r["value"], r["limit"]) for r in rows] == [
        (False, "b_short", 10, 150), (False, "b_short", 10, 150), (False, "a_han", 0.1, 0.6), (True, None, None, None),
    ]  # fmt: skip
    assert all(r["detail"] is None for r in rows)


def test_order_comes_from_the_number_then_the_name_never_from_the_file() -> None:
    rules = {"b": Rule(signal="x", drop_if="<", limit=1), "a": Rule(signal="y", drop_if="<", limit=1)}
    assert [name for name, _ in active_rules(rules)] == ["a", "b"]
    assert [name for name, _ in active_rules(dict(reversed(rules.items())))] == ["a", "b"]
    rules["b"] = Rule(signal="x", drop_if="<", limit=1, order=5)
    assert [name for name, _ in active_rules(rules)] == ["b", "a"]


def test_rule_without_limit_is_off_and_zero_is_a_limit() -> None:
    off = Rule(signal="x", drop_if=">", limit=None)
    zero = Rule(signal="x", drop_if=">", limit=0)
    assert decide_rows(table(x=[5.0]), {"zh": {"r": off}})[0]["keep"] is True
    assert decide_rows(table(x=[5.0]), {"zh": {"r": zero}})[0]["keep"] is False
    assert needed_signals({"zh": {"r": off}}) == []


def test_domains_choose_their_rules() -> None:
    signals = table(num_characters=[10, 10, 10])
    rules = {"zh": {"short": SHORT}, "*": {"long": Rule(signal="num_characters", drop_if=">", limit=5)}}
    rows = decide_rows(signals, rules, ["zh", "en", "code"])
    assert [r["reason"] for r in rows] == ["short", "long", "long"]
    rows = decide_rows(signals, {"zh": {"short": SHORT}, "code": {}}, ["zh", "en", "code"])
    assert [r["keep"] for r in rows] == [False, True, True]
    judged = judge(signals, pa.array(["zh", "en", "code"]), np.ones(3, bool), {"zh": {}, "code": {}})
    assert {j.set_name: j.ruled for j in judged} == {"zh": True, "en": False, "code": True}


def test_rows_outside_the_view_are_null() -> None:
    signals = table(num_characters=[10, None, 200])
    decisions = decide(signals, pa.array(["zh"] * 3), np.array([True, False, True]), {"zh": {"short": SHORT}})
    assert decisions.schema == DECISIONS
    assert decisions.column("keep").to_pylist() == [False, None, True]
    assert decisions.column("reason").to_pylist() == ["short", None, None]


def test_missing_value_inside_the_view_is_an_error() -> None:
    with pytest.raises(DataError, match="'num_characters' has no value for 1 of 2 documents"):
        decide_rows(table(num_characters=[10, None]), {"zh": {"short": SHORT}})


def test_empty_table() -> None:
    signals = pa.table({"num_characters": pa.array([], pa.int64())})
    decisions = decide(signals, pa.array([], pa.string()), np.zeros(0, bool), {"zh": {"short": SHORT}})
    assert decisions.num_rows == 0
    assert decisions.schema == DECISIONS


def test_tally_by_hand() -> None:
    #            short only, both, han only, none
    signals = table(num_characters=[10, 10, 200, 200], han_ratio=[0.9, 0.1, 0.1, 0.9])
    judged = judge(signals, pa.array(["zh"] * 4), np.ones(4, bool), {"zh": {"short": SHORT, "han": HAN}})
    assert tally(judged) == {
        "zh": {
            "short": {"judged": 4, "first": 2, "alone": 2, "only": 1},
            "han": {"judged": 4, "first": 1, "alone": 2, "only": 1},
        }
    }


VALUES = st.one_of(st.integers(-3, 3).map(float), st.floats(-3, 3))


@given(
    st.lists(st.tuples(VALUES, VALUES, st.sampled_from(["zh", "en", "fr"]), st.booleans()), max_size=20),
    st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from(["<", "<=", ">", ">="]), st.integers(-2, 2)), max_size=4),
)
def test_equals_a_loop_over_documents(
    documents: list[tuple[float, float, str, bool]], conditions: list[tuple[str, str, int]]
) -> None:
    rules = {f"r{i}": Rule(signal=s, drop_if=op, limit=limit) for i, (s, op, limit) in enumerate(conditions)}
    sets = {"zh": rules, "en": dict(list(rules.items())[:1])}
    signals = pa.table(
        {"x": pa.array([d[0] for d in documents], pa.float64()), "y": pa.array([d[1] for d in documents], pa.float64())}
    )
    inside = np.array([d[3] for d in documents], dtype=bool)
    rows = decide(signals, pa.array([d[2] for d in documents], pa.string()), inside, sets).to_pylist()
    holds = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
    for (x, y, domain, is_inside), row in zip(documents, rows, strict=True):
        if not is_inside:
            assert row == dict.fromkeys(DECISIONS.names)
            continue
        failed = [
            (name, value, float(rule.limit))
            for name, rule in sets.get(domain, {}).items()
            if holds[rule.drop_if](value := {"x": x, "y": y}[rule.signal], float(rule.limit))
        ]
        assert row["keep"] is (not failed)
        assert (row["reason"], row["value"], row["limit"]) == (failed[0] if failed else (None, None, None))


def test_config_is_parsed_and_checked() -> None:
    values = {"rules": {"zh": {"short": {"signal": "num_characters", "drop_if": "<", "limit": 150}}}}
    config = parse_config(FilterConfig, values, "filter")
    assert config.rules["zh"]["short"] == Rule(signal="num_characters", drop_if="<", limit=150)
    values["rules"]["zh"]["short"]["drop_if"] = "below"
    with pytest.raises(SpecError, match=r"filter\.rules\.zh\.short: drop_if 'below' must be one of < <= > >="):
        parse_config(FilterConfig, values, "filter")
    values["rules"]["zh"]["short"] = {"signal": "num_characters", "drop_if": "<", "limt": 3}
    with pytest.raises(SpecError, match=r"filter\.rules\.zh\.short\.limt: unknown key.*'limit'"):
        parse_config(FilterConfig, values, "filter")


def test_unknown_signal_names_the_nearest() -> None:
    rules = {"zh": {"short": Rule(signal="num_charcters", drop_if="<", limit=None)}}
    message = r"rules\.zh\.short\.signal: unknown signal 'num_charcters'\. Did you mean 'num_characters'"
    with pytest.raises(SpecError, match=message):
        check_signals(rules, ["num_characters", "han_ratio"])


def test_identity_sees_limits_and_order_not_prose() -> None:
    def print_of(**changes: object) -> str:
        values = {"signal": "num_characters", "drop_if": "<", "limit": 150, "source": "a paper", **changes}
        return fingerprint(identity(parse_config(FilterConfig, {"rules": {"zh": {"short": values}}}, "filter")))

    assert print_of() == print_of(source="another") == print_of(limit=150.0)
    assert len({print_of(), print_of(limit=151), print_of(order=3), print_of(drop_if="<="), print_of(limit=None)}) == 5


def test_a_set_named_as_a_source_judges_its_documents_and_no_others():
    labels = pa.table(
        [pa.array(["poems", "crawl", "laws", "crawl"]), pa.array(["zh", "zh", "zh", "code"])],
        names=["source", "domain"],
    )
    sets = {"zh": {"short": SHORT}, "poems": {}, "*": {"han": HAN}, "unused": {}}
    assert set_names(labels, sets).to_pylist() == ["poems", "zh", "zh", "code"]
    assert set_names(labels.slice(0, 0), sets).to_pylist() == []
    assert set_names(labels, {}).to_pylist() == ["zh", "zh", "zh", "code"]
