"""Plain mappings become frozen dataclasses: strict types, nearest names, and what of a config is identity."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data_specs.config import asset, execution, identity, parse_config
from data_specs.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    min_value: float | None = None
    words: str | None = field(default=None, metadata=asset())
    num_threads: int = field(default=1, metadata=execution())


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    min_chars: int = 150
    ratio: float = 0.5
    strict: bool = False
    languages: tuple[str, ...] = ()
    first: Rule | None = None
    rules: tuple[Rule, ...] = ()
    by_domain: dict[str, Rule] = field(default_factory=dict)
    tables: tuple[str, ...] = field(default=(), metadata=asset())
    num_steps: int = field(default=10, metadata=execution())

    def __post_init__(self) -> None:
        if self.min_chars < 0:
            raise ValueError(f"min_chars ({self.min_chars}) must not be negative")


def parse(values: dict[str, Any]) -> Filter:
    return parse_config(Filter, values, "nodes.filter.config")


def test_yaml_values_become_the_declared_types():
    parsed = parse({"ratio": 1, "languages": ["zh", "en"], "rules": [{"name": "a", "min_value": 2}]})
    assert parsed == Filter(ratio=1.0, languages=("zh", "en"), rules=(Rule(name="a", min_value=2.0),))


def test_nothing_given_gives_the_defaults():
    assert parse({}) == Filter()


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"min_char": 5}, "nodes.filter.config.min_char"),
        ({"first": {"name": "a", "min_valu": 1}}, "nodes.filter.config.first.min_valu"),
        ({"rules": [{"name": "a"}, {"name": "b", "min_valu": 1}]}, "nodes.filter.config.rules.1.min_valu"),
        ({"by_domain": {"zh": {"name": "a", "min_valu": 1}}}, "nodes.filter.config.by_domain.zh.min_valu"),
    ],
)
def test_an_unknown_key_at_any_depth_is_refused_with_the_nearest_name(values: dict[str, Any], where: str):
    """Pydantic ignores unknown keys of a dataclass: a misspelt limit would silently not apply."""
    with pytest.raises(SpecError, match=r"unknown key\. Did you mean 'min_") as caught:
        parse(values)
    assert str(caught.value).startswith(where + ":")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_chars": "150"}, "min_chars: Input should be a valid integer (given: '150')"),
        ({"min_chars": True}, "min_chars: Input should be a valid integer (given: True)"),
        ({"min_chars": 1.5}, "min_chars: Input should be a valid integer (given: 1.5)"),
        ({"ratio": None}, "ratio: Input should be a valid number (given: None)"),
        ({"strict": 1}, "strict: Input should be a valid boolean (given: 1)"),
        ({"languages": "zh"}, "languages: Input should be a valid array (given: 'zh')"),
        ({"rules": [{}]}, "rules.0.name: Field required"),
        ({"min_chars": -1}, "min_chars (-1) must not be negative"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(values: dict[str, Any], words: str):
    with pytest.raises(SpecError) as caught:
        parse(values)
    assert words in str(caught.value)
    assert str(caught.value).startswith("nodes.filter.config")


def test_a_date_that_yaml_made_is_explained():
    with pytest.raises(SpecError, match="put dates and times into quotes"):
        parse({"languages": [datetime.date(2024, 1, 1)]})


def test_execution_fields_are_no_identity():
    """Forty steps instead of ten continue the same training; they must not name another artifact."""
    assert "num_steps" not in identity(Filter())
    assert identity(Filter(num_steps=40)) == identity(Filter())


def test_every_other_field_is_identity():
    plain_fields = {
        "min_chars": 1, "ratio": 0.25, "strict": True, "languages": ("zh",), "first": Rule(name="a"),
        "rules": (Rule(name="a"),), "by_domain": {"zh": Rule(name="a")},
    }  # fmt: skip
    made = [identity(Filter(**{name: value})) for name, value in plain_fields.items()]  # type: ignore[arg-type]
    assert all(made.count(one) == 1 for one in [*made, identity(Filter())][:-1])
    assert identity(Filter()) not in made


def test_an_asset_is_its_bytes_and_not_its_place(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.txt").write_text("坏\n", "utf-8")
    here, there = (identity(Filter(tables=(str(tmp_path / f / "words.txt"),))) for f in ("a", "b"))
    assert here == there
    assert here["tables"] == [{"sha256": hashlib.sha256("坏\n".encode()).hexdigest()}]
    (tmp_path / "b" / "words.txt").write_text("好\n", "utf-8")
    assert identity(Filter(tables=(str(tmp_path / "b" / "words.txt"),))) != here


def test_assets_and_execution_fields_inside_lists_keep_their_meaning(tmp_path: Path):
    """Otherwise the path of a word list would be identity as soon as its rule stands in a list."""
    (tmp_path / "w").write_text("x")
    rule = Rule(name="a", words=str(tmp_path / "w"), num_threads=8)
    wanted = {"name": "a", "min_value": None, "words": [{"sha256": hashlib.sha256(b"x").hexdigest()}]}
    assert identity(Filter(rules=(rule,)))["rules"] == [wanted]
    assert identity(Filter(by_domain={"zh": rule}))["by_domain"] == {"zh": wanted}
    assert identity(Filter(first=rule))["first"] == wanted


def test_an_asset_that_is_off_stays_off():
    assert identity(Rule(name="a"))["words"] is None


def test_an_asset_that_is_missing_is_named():
    with pytest.raises(SpecError, match="words: no such file: nowhere"):
        identity(Rule(name="a", words="nowhere.txt"))
