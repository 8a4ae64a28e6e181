"""Mixture arithmetic by hand, and the published mixes from the YAML that ships, at any scale."""

from __future__ import annotations

from fractions import Fraction

import pytest

from data_specs.errors import SpecError
from data_specs.mixture import (
    MIXTURE_FOLDER,
    MixtureComponent,
    MixturePhase,
    cumulative_quotas,
    exact,
    integer_weights,
    largest_remainder,
    load_mixture,
    solve,
    table,
    temperature_weights,
)

BILLION = 10**9
SCALES = (1, "1/7", 0.001, "1/100000", 12)


def phase(token_budget: int | None = None, **components: MixtureComponent) -> MixturePhase:
    return MixturePhase(name="p", components=components, token_budget=token_budget)


def test_decimal_shares_are_exact() -> None:
    assert 0.1 + 0.2 + 0.3 + 0.3 + 0.1 != 1.0  # why floats are not added here
    assert integer_weights([0.6, 0.3, 0.1]) == [6, 3, 1]
    assert sum(exact(share) for share in (0.1, 0.2, 0.3, 0.3, 0.1)) == 1


@pytest.mark.parametrize("wrong", [[0, 0], [1, -1], []])
def test_weights_that_mean_nothing_are_refused(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match="must not be negative, nor all zero"):
        integer_weights(wrong)


def test_largest_remainder_by_hand() -> None:
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(100, [0.6, 0.3, 0.1]) == [60, 30, 10]
    assert largest_remainder(7, [5, 3, 2]) == [4, 2, 1]  # 3.5, 2.1, 1.4: the half wins
    assert largest_remainder(0, [1, 2]) == [0, 0]


def test_quotas_by_hand() -> None:
    assert [cumulative_quotas(total, [1, 4]) for total in (0, 1, 2, 3, 5, 10)] == [
        [0, 0], [0, 1], [0, 2], [1, 2], [1, 4], [2, 8],
    ]  # fmt: skip
    assert cumulative_quotas(7, [0, 3, 0]) == [0, 7, 0]


def test_temperature_between_proportional_and_even() -> None:
    assert temperature_weights([400, 100], 1) == [4, 1]
    assert temperature_weights([400, 100], 0) == [1, 1]
    assert temperature_weights([400, 100], 0.5) == [666_667, 333_333]


def test_each_number_follows_from_the_others() -> None:
    by_epochs = solve(phase(a=MixtureComponent(unique_tokens=100, epochs=3), b=MixtureComponent(tokens=100)))
    assert [(row.tokens, row.weight, row.epochs) for row in by_epochs] == [
        (300, Fraction(3, 4), 3),
        (100, Fraction(1, 4), None),
    ]
    by_tokens = solve(phase(a=MixtureComponent(tokens=300, epochs=3)))
    assert by_tokens[0].unique_tokens == 100
    by_weight = solve(phase(1000, a=MixtureComponent(weight=0.6, unique_tokens=200), b=MixtureComponent(weight=0.4)))
    assert [(row.tokens, row.epochs) for row in by_weight] == [(600, 3), (400, None)]
    heated = MixturePhase(
        name="p", token_budget=300, alpha=0.5,
        components={"a": MixtureComponent(unique_tokens=400), "b": MixtureComponent(unique_tokens=100)},
    )  # fmt: skip
    assert [row.tokens for row in solve(heated)] == [200, 100]


def test_a_cap_is_kept_on_one_side_and_refused_on_the_other() -> None:
    def capped(cap: float) -> MixturePhase:
        components = {"a": MixtureComponent(weight=1, unique_tokens=100), "b": MixtureComponent(weight=1)}
        return MixturePhase(name="p", components=components, token_budget=600, max_epochs=cap)

    assert solve(capped(3))[0].epochs == 3
    with pytest.raises(SpecError, match=r"'a' would see 300 tokens of 100 unique ones, 3.000 epochs, over .* 2.9"):
        solve(capped(2.9))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MixtureComponent(), "needs weight"),
        (lambda: MixtureComponent(tokens=1, epochs=1, unique_tokens=1), "leave one out"),
        (lambda: MixtureComponent(tokens=-1), "negative"),
        (lambda: phase(a=MixtureComponent(weight=1)), "token_budget is missing"),
        (lambda: phase(5, a=MixtureComponent(weight=1), b=MixtureComponent(tokens=1)), "give all or none"),
        (lambda: phase(), "no components"),
    ],
)
def test_half_said_mixtures_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


def test_unknown_mixture_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'pangu_sigma'"):
        load_mixture("pangu_sgima")


def test_every_shipped_mixture_loads_under_its_own_name() -> None:
    names = sorted(path.stem for path in MIXTURE_FOLDER.glob("*.yaml"))
    assert names == ["pangu_alpha_13b", "pangu_alpha_200b", "pangu_sigma", "pangu_ultra"]
    assert [load_mixture(name).name for name in names] == names


@pytest.mark.parametrize("scale", SCALES)
def test_pangu_alpha_200b_reproduces_table_4(scale: float | str) -> None:
    # tokens in billions, weight in percent, epochs as printed; Common Crawl's 176.2 and encyclopedia's 5.8 as decided
    printed = {
        "public": (25.8, 10.23, 3.65),
        "e_books": (30.9, 12.23, 0.41),
        "common_crawl": (158.4, 62.81, 0.85),
        "news": (19.8, 7.83, 2.2),
        "encyclopedia": (17.4, 6.9, 3),
    }
    rows = solve(load_mixture("pangu_alpha_200b").phases[0], scale)
    assert [row.component for row in rows] == list(printed)
    for row in rows:
        tokens, weight, epochs = printed[row.component]
        assert abs(row.tokens - exact(tokens) * BILLION * exact(scale)) <= 1
        assert abs(float(row.weight) * 100 - weight) < 0.035
        assert float(row.epochs or 0) == pytest.approx(epochs, rel=1e-4)
    assert sum(row.weight for row in rows) == 1


@pytest.mark.parametrize("scale", SCALES)
def test_pangu_alpha_13b_reproduces_table_4(scale: float | str) -> None:
    printed = {"public": 27.99, "e_books": 18, "common_crawl": 10, "news": 22, "encyclopedia": 23}
    tokens = {"public": 7, "e_books": 4.5, "common_crawl": 2.5, "news": 5.6, "encyclopedia": 5.8}
    for row in solve(load_mixture("pangu_alpha_13b").phases[0], scale):
        assert abs(float(row.weight) - printed[row.component] / 100.99) < 0.003
        assert abs(row.tokens - exact(tokens[row.component]) * BILLION * exact(scale)) <= 1


@pytest.mark.parametrize("scale", SCALES)
def test_pangu_sigma_adds_up_to_304_12_billion(scale: float | str) -> None:
    rows = solve(load_mixture("pangu_sigma").phases[0], scale)
    assert sum(row.tokens for row in rows) == round(Fraction(30412, 100) * BILLION * exact(scale))
    assert [round(float(row.weight) * 100, 1) for row in rows] == [24.8, 25.0, 25.5, 24.7]


@pytest.mark.parametrize("scale", SCALES)
def test_pangu_ultra_has_three_phases_of_printed_percent(scale: float | str) -> None:
    mixture = load_mixture("pangu_ultra")
    printed = {
        "general": (12_000, [54, 13, 8, 2, 6, 17]),
        "reasoning": (800, [14, 6, 4, 11, 28, 37]),
        "annealing": (400, [21, 20, 3, 20, 18, 18]),
    }
    assert [p.name for p in mixture.phases] == list(printed)
    for part in mixture.phases:
        billions, percents = printed[part.name]
        rows = solve(part, scale)
        assert [row.weight * 100 for row in rows] == percents
        assert sum(row.tokens for row in rows) == round(billions * BILLION * exact(scale))


def test_the_table_reads_like_the_printed_one() -> None:
    text = table(load_mixture("pangu_alpha_200b"), "1/1000")
    assert "pangu_alpha_200b / main: 252,300,000 tokens" in text
    public = next(line for line in text.splitlines() if "public" in line)
    assert public.split() == ["public", "25,800,000", "10.23%", "3.65", "7,068,493"]
