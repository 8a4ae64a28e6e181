"""Presets over word lists and languages: both sides of their limits, and how the experiments compose."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from data_specs.errors import SpecError
from pipelines.compose import compose_run
from pipelines.spec import build_nodes
from stages.filter.judge import decide

BASE = ["pipeline=corpus", "nodes.ingest.inputs.sources=[source:yours]"]
LISTS = "nodes.lists.config.lists.sensitive.paths=[words.txt]"


def rules_of(preset: str) -> dict:
    run = compose_run([*BASE, f"rules@nodes.filter.config.rules.zh={preset}"])
    (node,) = [node for node in build_nodes(run.nodes) if node.name == "filter"]
    return node.stage.config.rules["zh"]


def reasons(preset: str, **signals: list[float]) -> list[str | None]:
    table = pa.table(signals)
    domains, inside = pa.array(["zh"] * table.num_rows), np.ones(table.num_rows, dtype=bool)
    return decide(table, domains, inside, {"zh": rules_of(preset)}).column("reason").to_pylist()


def test_more_than_three_different_words() -> None:
    seen = reasons("sensitive_words_pangu", sensitive_distinct=[3, 4, 1], sensitive_hits=[3, 4, 99])
    assert seen == [None, "sensitive_words", None]


def test_more_than_half_a_word_per_line() -> None:
    assert reasons("sensitive_words_per_line", sensitive_per_line=[0.5, 0.51]) == [None, "sensitive_lines"]


def test_languages() -> None:
    assert reasons("language_zh", language_zh=[0.5, 0.49, 1.0], language_zh_hant=[0.0, 0.0, 1.0]) == [
        None,
        "other_language",
        None,
    ]
    assert reasons("language_en", language_en=[0.65, 0.64]) == [None, "other_language"]


def composed(*words: str) -> dict:
    return {node.name: node for node in build_nodes(compose_run([*BASE, *words]).nodes)}


def test_the_experiment_of_word_lists() -> None:
    nodes = composed("experiment=word_lists", LISTS, "nodes.lists.config.url_lists.adult.domains=[adult/domains]")
    assert nodes["filter"].inputs["signals"] == ("signals", "lists")
    assert {"sensitive_words", "min_characters"} <= set(nodes["filter"].stage.config.rules["zh"])
    assert nodes["lists"].stage.config.url_lists["adult"].domains == ("adult/domains",)
    swapped = "rules@nodes.filter.config.rules.zh=[chinese_web_text,sensitive_words_per_line]"
    rules = composed("experiment=word_lists", LISTS, swapped)["filter"].stage.config.rules["zh"]
    assert {"sensitive_lines", "min_han"} <= set(rules)
    assert "sensitive_words" not in rules
    with pytest.raises(SpecError, match="paths"):
        composed("experiment=word_lists")


def test_the_experiment_of_languages() -> None:
    nodes = composed("experiment=language")
    assert nodes["filter"].inputs["signals"] == ("signals", "languages")
    rules = nodes["filter"].stage.config.rules
    assert {"other_language", "min_characters"} <= set(rules["zh"])
    assert {"other_language", "min_words"} <= set(rules["en"])


def test_both_experiments_together() -> None:
    nodes = composed(
        "experiment=[word_lists,language]",
        LISTS,
        "nodes.filter.inputs.signals=[signals,lists,languages]",
        "rules@nodes.filter.config.rules.zh=[language_zh,pangu_alpha,sensitive_words_pangu]",
    )
    assert nodes["filter"].inputs["signals"] == ("signals", "lists", "languages")
    assert {"other_language", "min_characters", "sensitive_words"} <= set(nodes["filter"].stage.config.rules["zh"])
