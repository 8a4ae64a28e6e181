"""Dispatch plans: every token to exactly one expert, in order; loads known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import DataError
from stages.model.dispatch import experts_of_tokens, forecast_load, plan_dispatch, plan_layers


def test_a_plan_that_can_be_checked_by_hand():
    plan = plan_dispatch(np.array([2, 0, 2, 3, 0]), num_experts=5)
    assert plan.order_N.tolist() == [1, 4, 0, 2, 3]  # tokens of expert 0, of 2, of 3; each in their own order
    assert plan.inverse_N.tolist() == [2, 0, 3, 4, 1]
    assert plan.expert_N.tolist() == [0, 0, 2, 2, 3]
    assert plan.ends_E.tolist() == [2, 2, 4, 5, 5]
    assert plan.load_E.tolist() == [2, 0, 2, 1, 0]
    assert plan.ends_E.dtype == np.int32


@given(st.lists(st.integers(0, 6), max_size=60))
def test_a_plan_is_a_permutation_that_sorts_and_keeps_order(experts):
    plan = plan_dispatch(np.array(experts, dtype=np.int64), num_experts=7)
    places = sorted(range(len(experts)), key=lambda token: experts[token])
    assert plan.order_N.tolist() == places
    assert plan.inverse_N[plan.order_N].tolist() == list(range(len(experts)))
    assert plan.load_E.tolist() == [experts.count(expert) for expert in range(7)]
    assert plan.ends_E[-1] == len(experts)  # no row lies beyond the last end


def test_more_experts_than_16_bits_count():
    experts = np.array([70_000, 3, 70_000, 65_536])
    plan = plan_dispatch(experts, num_experts=70_001)
    assert plan.order_N.tolist() == [1, 3, 0, 2]


def test_an_expert_outside_the_layer_is_refused():
    with pytest.raises(DataError, match="expert 3, the layer has 3"):
        plan_dispatch(np.array([0, 3]), num_experts=3)


def test_domain_chooses_the_group_and_token_the_expert():
    table_GV = np.array([[0, 1, 1], [1, 0, 1]], dtype=np.int16)
    domains, tokens = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 0, 1, 2])
    assert experts_of_tokens(table_GV, domains, tokens, 2).tolist() == [0, 1, 3, 2, 3]


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_the_forecast_from_counts_equals_the_loads_of_the_plans(seed, num_layers):
    random = np.random.default_rng(seed)
    table = random.integers(4, size=(num_layers, 3, 11)).astype(np.int16)
    domains, tokens = random.integers(3, size=50), random.integers(11, size=50)
    counts = np.zeros((3, 11), dtype=np.int64)
    np.add.at(counts, (domains, tokens), 1)
    loads = [plan.load_E.tolist() for plan in plan_layers(table, domains, tokens, 4)]
    assert forecast_load(table, counts, 4).tolist() == loads
