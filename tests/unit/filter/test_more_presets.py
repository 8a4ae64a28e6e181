"""The presets of single papers on small texts: both sides of their limits, and how two presets compose."""

from __future__ import annotations

import pytest

from pipelines.compose import compose_run
from stages.signals.text_kernel import TRADITIONAL
from stages.signals.text_measure import text_table
from tests.unit.filter.test_presets import chinese, chinese_share, english, verdict


def lines(num_closed: int, num_open: int) -> str:
    """Distinct English lines of more than 30 characters; the first ``num_closed`` end a sentence."""
    return "\n".join(
        f"line {chr(97 + n // 26)}{chr(97 + n % 26)} tells about the river and the hills" + "." * (n < num_closed)
        for n in range(num_closed + num_open)
    )


def short_lines(num_short: int, num_long: int) -> str:
    """Distinct closed lines, the short ones of exactly 30 characters."""
    names = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(num_short + num_long)]
    short = [f"{name} tells us of hill and river." for name in names[:num_short]]
    assert {len(line) for line in short} <= {30}
    return "\n".join([*short, *(f"{name} tells us of hills and river." for name in names[num_short:])])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lines(12, 88), None),
        (lines(11, 89), "terminal_punctuation"),
        (short_lines(67, 33), None),
        (short_lines(68, 32), "short_lines"),
        (lines(100, 0) + "\n" + lines(1, 0), None),  # 1 of 101 lines repeated, all equally long
        (lines(98, 0) + "\n" + lines(1, 0), "duplicate_line_characters"),  # 1 of 99
        (lines(10, 0).replace("\n", "\n" * 4), "newlines"),  # 36 line feeds, 100 words
        (lines(10, 0).replace("\n", "\n" * 3), None),  # 27
    ],
)
def test_fineweb(text: str, reason: str | None) -> None:
    assert verdict(text, "fineweb") == reason


def chinese_lines(num_closed: int, num_open: int, size: int = 12) -> str:
    """Lines of distinct Han characters; the first ones end a sentence, and hold two of the stop words."""
    first = 0x5000
    body = ["".join(map(chr, range(first + n * size, first + (n + 1) * size))) for n in range(num_closed + num_open)]
    return "\n".join("的是" + line + "。" * (n < num_closed) for n, line in enumerate(body))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (chinese_lines(107, 893), None),
        (chinese_lines(105, 895), "terminal_punctuation"),
        (chinese_lines(20, 0).replace("的是", ""), "stop_words"),
        (chinese_lines(20, 0).replace("是", ""), "stop_words"),
        (chinese_lines(20, 0), None),
        (chinese_lines(20, 0).replace("\n", "\n\n"), "newlines"),  # 38 line feeds, 280 characters
        (chinese_lines(20, 0, size=30) + "\n" + chinese_lines(20, 0, size=30), "duplicate_lines"),
        (chinese_lines(20, 0, size=30) + "\n" + chinese_lines(3, 0, size=30), None),  # 13 %
    ],
)
def test_fineweb2_chinese(text: str, reason: str | None) -> None:
    assert verdict(text, "fineweb2_zh") == reason


#: Distinct Han characters that simplified text has.
SIMPLIFIED = "".join(chr(code) for code in range(0x4E00, 0x5000) if not text_table()[code] & TRADITIONAL)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (chinese(199), "min_characters"),
        (chinese(200), None),
        ("\n".join(chinese(9)[:8] + chr(0x5000 + n) for n in range(30)), "short_lines"),
        ("\n".join(chinese(9)[:8] + chr(0x5000 + n) + "。" for n in range(30)), None),
        (chinese_share(30), "min_han"),  # 60 Han characters among words of many letters
        (chinese_share(90), None),
        (chinese(100) + chinese(100) + chinese(100), "duplicate_13grams"),
        (chinese(150) + chinese(120)[:60], None),
        (SIMPLIFIED[:180] + "氣" * 20, None),  # 20 of 200 Han characters
        (SIMPLIFIED[:180] + "氣" * 21, "traditional"),
    ],
)
def test_chinese_web_text(text: str, reason: str | None) -> None:
    assert verdict(text, "chinese_web_text") == reason


def test_two_presets_compose_and_one_can_replace_another(tmp_path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "both.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - /rules@nodes.filter.config.rules.en: [gopher, fineweb]\n  - _self_\n"
        "name: both\nnodes:\n  filter: {stage: filter}\n"
    )
    rules = compose_run(["pipeline=both"], [tmp_path]).nodes["filter"]["config"]["rules"]["en"]
    assert rules["duplicate_line_characters"]["limit"] == 0.01
    assert {"min_words", "terminal_punctuation"} <= set(rules)
    replaced = compose_run(["pipeline=corpus", "rules@nodes.filter.config.rules.zh=fineweb2_zh"])
    assert "stop_words" in replaced.nodes["filter"]["config"]["rules"]["zh"]
    assert "min_han" not in replaced.nodes["filter"]["config"]["rules"]["zh"]


def test_english_passes_fineweb() -> None:
    assert verdict(english(60), "fineweb") is None
