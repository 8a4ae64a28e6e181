"""Further signals of texts: counted by hand in both scripts, and equal to plain definitions on drawn texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.signals.text_definitions import READ_MORE, TEXT_NAMES
from stages.signals.text_measure import measure_texts
from tests.unit.signals.plain_text_signals import plain_text_signals


def measure(*texts: str, max_compressed_bytes: int = 1 << 20) -> list[dict[str, float]]:
    """The signals of each text."""
    columns = measure_texts(pa.table({"text": pa.array(texts, pa.string())}), max_compressed_bytes=max_compressed_bytes)
    return [{name: columns[name][row].item() for name in TEXT_NAMES} for row in range(len(texts))]


def test_english_by_hand() -> None:
    (s,) = measure("The cat saw the cat. It was 3.5 m long!\nRead more\n")
    # the cat saw the cat | It was 3 | 5 m long | Read more
    assert s["num_sentences"] == 4
    assert s["mean_sentence_length"] == 13 / 4
    # 2 the, 2 cat, and nine tokens once
    assert s["token_entropy"] == round(-(4 / 13 * np.log(2 / 13) + 9 / 13 * np.log(1 / 13)), 6)
    assert s["read_more_line_ratio"] == 0.5
    assert s["traditional_ratio"] == s["full_bracket_ratio"] == s["hex_word_ratio"] == 0


def test_chinese_by_hand() -> None:
    (s,) = measure("【广告】他們說天氣很好。\n查看更多》\n")
    assert s["full_bracket_ratio"] == 4 / 17
    assert s["traditional_ratio"] == 3 / 13  # 們 說 氣
    assert s["read_more_line_ratio"] == 0.5
    assert s["num_sentences"] == 2
    assert s["unique_character_ratio"] == 1.0  # 17 characters, no two alike


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("0xFF", 4),
        ("0x", 0),
        ("deadbeef", 0),  # a word of letters
        ("deadbee1", 8),
        ("deadbe1", 0),  # seven digits
        ("xdeadbee1", 0),
        ("12345678", 8),
        ("a_12345678", 0),
        ("0xZZ", 0),
    ],
)
def test_hex_words(text: str, characters: int) -> None:
    assert measure(text + "!")[0]["hex_word_ratio"] == characters / (len(text) + 1)


@pytest.mark.parametrize("phrase", READ_MORE)
def test_every_read_more_word_ends_a_line(phrase: str) -> None:
    (s,) = measure(f"x {phrase.upper()}）] \n{phrase}x\n x{phrase}]")
    assert s["read_more_line_ratio"] == 1 / 3  # a full-width bracket is none of OpenCoder's


def test_repetition_compresses() -> None:
    rng = np.random.default_rng(0)
    noise = "".join(map(chr, rng.integers(0x4E00, 0x9FA5, 2000)))
    low, high = measure("今天天气很好。" * 300, noise)
    assert low["compression_ratio"] < 0.05
    assert high["compression_ratio"] > 0.6


def test_only_the_start_is_compressed() -> None:
    text = "a" * 1000 + "".join(map(chr, range(0x4E00, 0x5200)))
    head, all_of_it = measure(text, max_compressed_bytes=1000)[0], measure(text)[0]
    assert head["compression_ratio"] == measure("a" * 1000)[0]["compression_ratio"] < all_of_it["compression_ratio"]


def test_nothing_is_zero() -> None:
    assert set(measure("")[0].values()) == {0}


ALPHABET = st.sampled_from(
    [*list("aB1_x0f.!?。！\n \t【】们们們說氣天…更多》)�\u3000éカ؟"), "更多", "...", "0x1f", "deadbee1"]
)
TEXTS = st.lists(st.lists(ALPHABET, max_size=40).map("".join), max_size=5)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_kernel_equals_the_plain_definitions(texts: list[str]) -> None:
    for text, found in zip(texts, measure(*texts), strict=True):
        found.pop("compression_ratio")
        assert found == pytest.approx(plain_text_signals(text), abs=2e-6), text


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_bounds_and_batch_cuts(texts: list[str]) -> None:
    together = measure(*texts)
    assert together == [measure(text)[0] for text in texts]
    for found in together:
        assert all(value >= 0 for value in found.values())
        assert all(found[name] <= 1 for name in TEXT_NAMES if name.endswith("_ratio") and name != "compression_ratio")
