"""Routing tables: balance in ids, balance in tokens, and what they depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.errors import SpecError
from stages.routing.table import (
    Split,
    TableRecipe,
    expert_tokens,
    frequency_balanced,
    hottest_over_mean,
    id_balanced,
    permutation,
)
from tests.stage_harness import Bench
from tests.unit.pretrain.inputs import artifact


def build(counts, domains, mode, *, layers=2, experts=8, split=None):
    recipe = TableRecipe(num_rre_layers=layers, experts_per_domain=experts, mode=mode, seed=0)
    return recipe.build(counts, domains, split or Split.none(*counts.shape)).experts_LGU


ZIPF = (1_000_000 / np.arange(1, 2001)).astype(np.int64)


@given(st.integers(1, 300), st.integers(1, 20))
def test_ids_are_dealt_evenly(vocab_size, num_experts):
    owned = np.bincount(id_balanced(permutation(vocab_size, 0, 0, "zh"), num_experts), minlength=num_experts)
    assert owned.sum() == vocab_size
    assert owned.max() - owned.min() <= 1


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80), st.integers(1, 9))
def test_greedy_packing_keeps_its_promise(counts, num_experts):
    """The last id that went to the fullest expert went there because it was the emptiest: at most one id too full."""
    counts_V = np.array(counts, dtype=np.int64)
    local = frequency_balanced(permutation(len(counts), 0, 0, "zh"), counts_V, num_experts)
    assert local.min() >= 0
    assert local.max() < num_experts
    load = expert_tokens(local, counts_V, num_experts)
    assert load.sum() == sum(counts)
    assert load.max() <= load.sum() / num_experts + max(counts)


def test_unseen_ids_even_out_the_numbers_of_ids():
    counts = np.array([1000, 1, 1, 0, 0, 0, 0, 0], dtype=np.int64)
    local = frequency_balanced(permutation(8, 0, 0, "zh"), counts, 2)
    assert local[1] == local[2] != local[0]  # the two rare ids share the expert without the frequent one
    assert sorted(np.bincount(local).tolist()) == [4, 4]


def test_frequency_mode_is_far_more_even_on_text_like_counts():
    shuffled = permutation(len(ZIPF), 1, 0, "en")
    by_id = hottest_over_mean(expert_tokens(id_balanced(shuffled, 8), ZIPF, 8))
    by_frequency = hottest_over_mean(expert_tokens(frequency_balanced(shuffled, ZIPF, 8), ZIPF, 8))
    # the most frequent id alone is 1 / H(2000) = 12.2 % of all tokens; an eighth is 12.5 %
    assert by_frequency < 1.01
    assert by_id > 1.2


@pytest.mark.parametrize("mode", ["id_balanced", "frequency"])
def test_layers_and_domains_group_ids_independently(mode):
    counts = np.stack([ZIPF, ZIPF])
    table = build(counts, ["en", "zh"], mode)
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for index, one in enumerate(pairs):
        for other in pairs[index + 1 :]:
            # of 8 experts, two independent maps agree on an eighth of the ids
            assert (table[one] == table[other]).mean() == pytest.approx(1 / 8, abs=0.04)


def test_a_domains_table_does_not_depend_on_the_other_domains():
    counts = np.stack([ZIPF, ZIPF[::-1]])
    both = build(counts, ["en", "zh"], "frequency")
    alone = build(counts[1:], ["zh"], "frequency")
    assert np.array_equal(both[:, 1:], alone)


def test_a_pinned_table_never_changes():
    """Written down once: a checkpoint of last year needs the same table."""
    assert id_balanced(permutation(12, 7, 1, "zh"), 4).tolist() == PINNED


PINNED = [2, 3, 3, 1, 2, 1, 1, 3, 0, 0, 0, 2]


def test_an_empty_group_counts_as_balanced():
    assert hottest_over_mean(np.zeros(4, dtype=np.int64)) == 1.0
    assert hottest_over_mean(np.array([3, 1])) == 1.5


def _tokens(tmp_path, counts):
    import io

    buffer = io.BytesIO()
    np.save(buffer, counts)
    facts = {"domains": ["en", "zh"], "vocab_size": counts.shape[1], "tokenizer_sha256": "ab"}
    return artifact(tmp_path / "tokens", "tokens", {"counts/counts.npy": buffer.getvalue()}, facts)


def test_the_stage_writes_the_table_and_forecasts_its_load(tmp_path):
    counts = np.stack([ZIPF[:64], ZIPF[:64][::-1]])
    made = Bench(tmp_path).run(
        "routing", {"num_rre_layers": 2, "experts_per_domain": 4}, {"counts": [_tokens(tmp_path, counts)]}
    )
    table = np.load(made.file("table"))
    assert table.shape == (2, 2, 64)
    assert table.dtype == np.int16
    layer, domain = 1, 0
    load = [int(counts[domain][table[layer, domain] == expert].sum()) for expert in range(4)]
    forecast = made.facts["forecast"]["en"][layer]
    assert forecast["share"] == pytest.approx([tokens / sum(load) for tokens in load])
    assert forecast["hottest_over_mean"] == pytest.approx(max(load) * 4 / sum(load))
    assert made.facts["tokenizer_sha256"] == "ab"
    assert sorted(made.facts["hottest_over_mean"]) == ["frequency", "id_balanced"]
    first = [int(counts[1][table[0, 1] == expert].sum()) for expert in range(4)]
    assert made.facts["hottest_over_mean"]["id_balanced"]["zh"] == pytest.approx(max(first) * 4 / sum(first))
    assert not made.shards("split")


def test_a_dense_model_gets_an_empty_table(tmp_path):
    counts = np.ones((2, 8), dtype=np.int64)
    made = Bench(tmp_path).run("routing", {"num_rre_layers": 0}, {"counts": [_tokens(tmp_path, counts)]})
    assert np.load(made.file("table")).shape == (0, 2, 8)


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(SpecError, match="mode \\('zipf'\\) must be one of id_balanced, frequency, frequency_split"):
        Bench(tmp_path).run("routing", {"mode": "zipf"}, {})
