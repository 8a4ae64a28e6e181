"""GPT-3's keep rule as a limit on a column: the same decisions as the published formula, and its keep rates."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from stages.classify.pareto import pareto_limits, uniform_draws

IDS = np.frombuffer(b"".join(hashlib.md5(str(n).encode()).digest() for n in range(20_000)), np.uint8).reshape(-1, 16)


@pytest.mark.parametrize("alpha", [1, 9, 40])
def test_decisions_are_those_of_the_formula(alpha: int):
    draws = uniform_draws(IDS, "quality", 0)
    scores = np.linspace(0, 0.999, len(IDS))
    published = draws ** (-1 / alpha) - 1 > 1 - scores  # a Pareto (Lomax) draw by inversion
    assert np.array_equal(pareto_limits(scores, draws) > alpha, published)


@pytest.mark.parametrize("score", [0.0, 0.5, 0.9])
def test_keep_rate_is_that_of_the_distribution(score: float):
    kept = (pareto_limits(np.full(len(IDS), score), uniform_draws(IDS, "quality", 0)) > 9).mean()
    expected = (2 - score) ** -9.0
    assert kept == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(IDS)))


def test_draws_are_of_the_document_not_of_its_place():
    draws = uniform_draws(IDS[:100], "quality", 0)
    assert np.array_equal(draws[::-1], uniform_draws(IDS[:100][::-1], "quality", 0))
    assert not np.array_equal(draws, uniform_draws(IDS[:100], "spam", 0))
    assert not np.array_equal(draws, uniform_draws(IDS[:100], "quality", 1))
    assert draws.min() > 0
    assert draws.max() < 1


def test_a_perfect_score_stays_finite_and_is_kept_by_any_sensible_alpha():
    limits = pareto_limits(np.ones(len(IDS)), uniform_draws(IDS, "quality", 0))
    assert np.isfinite(limits).all()
    assert limits.min() > 1000
