"""Exchange plans: what every worker sends is what the other receives, and arrived rows end up sorted by expert."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.model.exchange import plan_exchange


def test_a_plan_that_can_be_checked_by_hand():
    # worker 0 has 2 rows for expert 0, none for 1, 1 for 2, 3 for 3; worker 1 has 1, 4, 0, 0
    counts = np.array([[2, 0, 1, 3], [1, 4, 0, 0]])
    first, second = (plan_exchange(counts, worker) for worker in (0, 1))
    assert (first.send_W, first.receive_W) == ([2, 4], [2, 5])
    assert (second.send_W, second.receive_W) == ([5, 0], [4, 0])
    # arrived at worker 0: experts 0 0 | 0 1 1 1 1
    assert first.order_R.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert first.ends_e.tolist() == [3, 7]
    assert second.expert_R.tolist() == [0, 1, 1, 1]
    assert first.ends_e.dtype == np.int32


def test_a_worker_whose_experts_get_nothing():
    plan = plan_exchange(np.array([[3, 0], [2, 0]]), 1)
    assert (plan.send_W, plan.receive_W) == ([2, 0], [0, 0])
    assert plan.ends_e.tolist() == [0]
    assert len(plan.order_R) == 0


@given(hnp.arrays(np.int64, st.tuples(st.just(3), st.sampled_from([3, 6])), elements=st.integers(0, 4)))
def test_rows_reach_their_experts_and_come_back(counts):
    """The whole exchange in one process: rows are pairs (worker, number) and must arrive at their expert once."""
    num_workers, num_experts = counts.shape
    own = num_experts // num_workers
    plans = [plan_exchange(counts, worker) for worker in range(num_workers)]
    experts = [np.repeat(np.arange(num_experts), row) for row in counts]  # sorted rows of each worker
    rows = [np.array([(w, i) for i in range(len(e))], dtype=np.int64).reshape(-1, 2) for w, e in enumerate(experts)]
    runs = [np.split(r, np.cumsum(p.send_W)[:-1]) for r, p in zip(rows, plans, strict=True)]
    for worker, plan in enumerate(plans):
        assert [len(runs[sender][worker]) for sender in range(num_workers)] == plan.receive_W
        arrived = np.concatenate([runs[sender][worker] for sender in range(num_workers)])
        ordered = arrived[plan.order_R]
        assert [experts[w][i] for w, i in ordered.tolist()] == (plan.expert_R + worker * own).tolist()
        assert np.diff(plan.ends_e, prepend=0).tolist() == counts[:, worker * own : (worker + 1) * own].sum(0).tolist()
        assert ordered[plan.inverse_R].tolist() == arrived.tolist()


def test_experts_that_cannot_be_shared_evenly_are_refused():
    with pytest.raises(ValueError, match=r"experts \(3\) must be a multiple of the workers that share them \(2\)"):
        plan_exchange(np.zeros((2, 3), dtype=np.int64), 0)
