"""Every preset in conf/rules: well formed, and both sides of each limit, on signals and on real small texts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

import conf
from data_specs.config import parse_config
from stages.filter.judge import decide
from stages.filter.rules import Rule, active_rules
from stages.filter.stage import FilterConfig
from stages.signals.code_measure import CodeMeasure
from stages.signals.measure import count_documents, to_signals
from stages.signals.pair_measure import measure_pairs
from stages.signals.reference import SECTIONS
from stages.signals.text_measure import measure_texts

FOLDER = Path(next(iter(conf.__path__))) / "rules"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> dict[str, Rule]:
    values = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return parse_config(FilterConfig, {"rules": {"x": values}}, name).rules["x"]


#: Presets that read a word list call it ``sensitive``.
SIGNAL_NAMES = {signal.name.replace("LIST", "sensitive") for _, _, signals in SECTIONS for signal in signals}
ACTIVE = [(preset, name) for preset in PRESETS for name, _ in active_rules(load(preset))]


def verdict(text: str, preset: str, path: str | None = "module.py", metadata: str | None = None) -> str | None:
    """The reason why ``preset`` drops ``text``, a file at ``path`` or a pair by its metadata; None when it is kept."""
    inside = np.array([True])
    document = pa.table({"text": [text], "url": pa.array([path], pa.string()),
                         "metadata": pa.array([metadata], pa.string())})  # fmt: skip
    signals = to_signals(count_documents(pa.array([text])), inside)
    further = [measure_texts(document, max_compressed_bytes=1 << 20), CodeMeasure(2_000_000)(document)]
    for name, column in {**further[0], **further[1], **measure_pairs(document)}.items():
        signals = signals.append_column(name, pa.array(column))
    return decide(signals, pa.array(["x"]), inside, {"x": load(preset)}).column("reason").to_pylist()[0]


def test_presets_are_there() -> None:
    assert {"pangu_alpha", "gopher", "code_basic", "pair_basic", "opus_pairs"} <= set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_well_formed(preset: str) -> None:
    rules = load(preset)
    assert {rule.signal for rule in rules.values()} <= SIGNAL_NAMES
    assert all(rule.source for rule in rules.values())
    assert len({rule.order for rule in rules.values()}) == len(rules)


@pytest.mark.parametrize(("preset", "name"), ACTIVE)
def test_both_sides_of_each_limit(preset: str, name: str) -> None:
    rule = load(preset)[name]
    below, above = math.nextafter(rule.limit, -math.inf), math.nextafter(rule.limit, math.inf)
    signals = pa.table({rule.signal: [below, float(rule.limit), above]})
    decisions = decide(signals, pa.array(["x"] * 3), np.ones(3, bool), {"x": {name: rule}})
    expected = {
        "<": [False, True, True], "<=": [False, False, True], ">": [True, True, False], ">=": [True, False, False],
    }  # fmt: skip
    assert decisions.column("keep").to_pylist() == expected[rule.drop_if]


def chinese(num_characters: int) -> str:
    """Distinct Han characters and full stops, ``num_characters`` in all."""
    return "".join(chr(0x4E00 + i) if i % 20 else "。" for i in range(1, num_characters)) + "。"


def chinese_share(percent: int) -> str:
    """200 distinct tokens, ``percent`` of them Han characters, the others words."""
    han = [chr(0x4E00 + i) for i in range(2 * percent)]
    words = [f"word{i}" for i in range(200 - 2 * percent)]
    return "".join(han) + "。 " + " ".join(words)


@pytest.mark.parametrize(("size", "reason"), [(149, "min_characters"), (150, None), (151, None)])
def test_pangu_length(size: int, reason: str | None) -> None:
    assert len(chinese(size)) == size
    assert verdict(chinese(size), "pangu_alpha") == reason


@pytest.mark.parametrize(("percent", "reason"), [(59, "min_han"), (60, None), (61, None)])
def test_pangu_share_of_chinese(percent: int, reason: str | None) -> None:
    assert verdict(chinese_share(percent), "pangu_alpha") == reason


@pytest.mark.parametrize(("size", "reason"), [(9, "short_lines"), (10, None)])
def test_short_chinese_lines(size: int, reason: str | None) -> None:
    first = 0x4E00
    lines = ["".join(map(chr, range(first + i * size, first + (i + 1) * size - 1))) + "。" for i in range(30)]
    assert verdict("\n".join(lines), "pangu_alpha") == reason


def english(num_words: int) -> str:
    """Distinct words around two stop words, as sentences of ten words."""
    words = ["the", "and", *(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}x" for i in range(num_words - 2))]
    return " ".join(word + "." * (i % 10 == 9) for i, word in enumerate(words)) + "."


@pytest.mark.parametrize(("num_words", "reason"), [(49, "min_words"), (50, None), (51, None)])
def test_gopher_words(num_words: int, reason: str | None) -> None:
    assert verdict(english(num_words), "gopher") == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (english(60).replace("the ", "thx "), "stop_words"),
        (english(60) + " #" * 7, None),  # of 60 words, 7 full stops and themselves: 7 of 74
        (english(60) + " #" * 8, "hashes"),  # 8 of 75
        ("• " + english(60), "bullet_lines"),
        (english(60) + "\n" + english(60), "duplicate_lines"),
    ],
)
def test_gopher_examples(text: str, reason: str | None) -> None:
    assert verdict(text, "gopher") == reason


LINE = "value = compute(first, second)\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LINE * 5, None),
        (LINE * 30 + "x" * 999 + "\n", None),
        (LINE * 30 + "x" * 1000 + "\n", "longest_line"),
        (("x" * 99 + "\n") * 5, None),
        (("x" * 100 + "\n") * 5, "mean_line"),
        ("# auto-generated\n" + LINE * 5, "autogenerated"),
        ("x" * 19 + "+" * 60 + "\n", "alphanumeric"),  # 19 of 80
        ("x" * 20 + "+" * 59 + "\n", None),  # 20 of 80
        ("#" + "x" * 79 + "\n" + "y" * 18 + "\n", None),  # 80 of 100
        ("#" + "x" * 80 + "\n" + "y" * 17 + "\n", "max_comments"),  # 81 of 100
        ("x = 1\n", "min_characters"),
        (LINE * (1_000_000 // len(LINE)) + "#" * (1_000_000 % len(LINE)), "max_bytes"),
        (LINE * (1_000_000 // len(LINE)) + "#" * (1_000_000 % len(LINE) - 1), None),
    ],
)
def test_code_examples(text: str, reason: str | None) -> None:
    assert verdict(text, "code_basic") == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("开始安装软件之前请先阅读说明。\nRead the manual before you start to install the software.", None),
        ("开始安装软件之前请先阅读说明。", "max_han"),
        ("Read the manual before you start to install the software.", "min_han"),
        ("打开 open", "min_tokens"),
    ],
)
def test_pair_examples(text: str, reason: str | None) -> None:
    assert verdict(text, "pair_basic") == reason
