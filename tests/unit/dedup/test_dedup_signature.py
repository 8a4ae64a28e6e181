"""Shingles and signatures against the slow reference and against datasketch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup import kernel
from stages.dedup.bands import CHOSEN, choose_bands, permutations, proposal_probability
from stages.dedup.folding import COMPOSES, SPACE, UNSPACED, WORD, folding_table
from stages.dedup.minhash_stage import DedupMinHashConfig
from stages.dedup.shingles import CHARACTERS, CODE, UNITS, WORDS, ShingleLengths
from stages.dedup.signature import Signer, band_keys
from stages.text.arrow_text import text_buffers
from tests.unit.dedup import slow_reference

LENGTHS = ShingleLengths()
BY_UNIT = dict(zip(UNITS, LENGTHS.by_unit(), strict=True))
TEXTS = [
    "",
    "!!!",
    "one two three four five six seven",
    "The quick brown fox, the lazy dog; and 42 naïve cafés (x² = y).",
    "开天辟地，盘古一斧劈开混沌，清者上升为天，浊者下沉为地。",
    "東京タワーは1958年に完成した。Tokyo Tower is 333 metres tall, 高さは333メートル。",
    "안녕하세요 세계 여러분 모두 반갑습니다 오늘도 좋은 하루",
    "Привет, мир! Это обычное предложение из нескольких слов.",
    "Ｆｕｌｌ　ｗｉｄｔｈ　letters ＡＢＣ１２３ and half ones",
    "emoji 😀😃 between 漢字 and words 𠀀𠀁 beyond the plane \U000e0041",
]


def shingles(text: str, is_code: bool = False, lengths: ShingleLengths = LENGTHS) -> np.ndarray:
    data, offsets = text_buffers(pa.array([text]))
    return Signer(lengths, permutations(8, 1)).shingle_set(data, offsets, 0, is_code)


def sign(texts: list[str], is_code: bool, num_permutations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    everything = np.ones(len(texts), dtype=bool)
    signer = Signer(LENGTHS, permutations(num_permutations, seed))
    return signer.sign(data, offsets, everything, np.full(len(texts), is_code))


def by_datasketch(text: str, is_code: bool, num_permutations: int, seed: int) -> MinHash:
    """Signature that datasketch makes of the same shingle hashes."""
    oracle = MinHash(num_perm=num_permutations, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    oracle.update_batch([int(one) >> 32 for one in shingles(text, is_code)])
    return oracle


@pytest.mark.parametrize("num_permutations", [1, 13, 128, 256])
@pytest.mark.parametrize("seed", [1, 2, 4_000_000_000])
def test_signatures_equal_those_of_datasketch(num_permutations: int, seed: int) -> None:
    for is_code in (False, True):
        signatures, _ = sign(TEXTS, is_code, num_permutations, seed)
        for text, signature in zip(TEXTS, signatures, strict=True):
            expected = by_datasketch(text, is_code, num_permutations, seed)
            assert signature.dtype == expected.hashvalues.dtype == np.uint32
            np.testing.assert_array_equal(signature, expected.hashvalues)


def test_a_long_text_has_the_signature_of_datasketch() -> None:
    text = " ".join(f"word{i * i % 977}" for i in range(5000)) + "字词句段篇章" * 300
    np.testing.assert_array_equal(sign([text], False, 128, 7)[0][0], by_datasketch(text, False, 128, 7).hashvalues)


def test_a_signature_loads_into_datasketchs_index() -> None:
    signatures, _ = sign(TEXTS, False, 128, 1)
    index = MinHashLSH(threshold=0.7, num_perm=128)
    for number, signature in enumerate(signatures):
        index.insert(number, MinHash(hashvalues=signature, seed=1, scheme="affine32"))
    assert index.query(by_datasketch(TEXTS[4], False, 128, 1)) == [4]


def test_equal_band_keys_mean_equal_slices() -> None:
    signatures = np.arange(3 * 12, dtype=np.uint32).reshape(3, 12)
    signatures[1] = signatures[0]
    signatures[1, 5] += 1  # breaks band 1 of rows 0 and 1
    keys = band_keys(signatures, np.array([True, True, True]), 3, 4)
    assert (keys[0] == keys[1]).tolist() == [True, False, True]
    assert len(np.unique(keys)) == 7  # the same slice in another band has another key
    assert not band_keys(signatures, np.array([False, False, False]), 3, 4).any()


@pytest.mark.parametrize(
    ("threshold", "num_permutations", "bands"),
    [(0.7, 128, (14, 9)), (0.7, 256, (25, 10)), (0.8, 128, (9, 13)), (0.8, 256, (17, 15)), (0.85, 128, (8, 16))],
)
def test_bands_are_those_of_datasketch(threshold: float, num_permutations: int, bands: tuple[int, int]) -> None:
    index = MinHashLSH(threshold=threshold, num_perm=num_permutations)
    assert choose_bands(threshold, num_permutations, 0.5, 0.5) == (index.b, index.r) == bands


@pytest.mark.parametrize(("asked", "bands"), CHOSEN.items())
def test_known_bands_are_what_datasketch_chooses(
    asked: tuple[float, int, float, float], bands: tuple[int, int]
) -> None:
    threshold, num_permutations, *weights = asked
    index = MinHashLSH(threshold=threshold, num_perm=num_permutations, weights=tuple(weights))
    assert (index.b, index.r) == bands


def test_the_defaults_need_no_question() -> None:
    config = DedupMinHashConfig()
    weights = (config.false_positive_weight, config.false_negative_weight)
    assert (config.threshold, config.num_permutations, *weights) in CHOSEN


@pytest.mark.parametrize(("num_permutations", "seed"), [(1, 0), (112, 1), (128, 7), (4096, 2**32 - 1)])
def test_permutations_are_those_of_datasketch(num_permutations: int, seed: int) -> None:
    drawn = MinHash(num_perm=num_permutations, seed=seed, scheme="affine32").permutations
    multipliers, increments = permutations(num_permutations, seed)
    assert multipliers.dtype == increments.dtype == np.uint32
    np.testing.assert_array_equal(multipliers, drawn[0])
    np.testing.assert_array_equal(increments, drawn[1])


def test_weights_move_the_bands_towards_recall() -> None:
    even, careful = choose_bands(0.7, 128, 0.5, 0.5), choose_bands(0.7, 128, 0.1, 0.9)
    assert careful == (20, 6)
    assert proposal_probability(0.7, *careful) == pytest.approx(0.918, abs=1e-3)
    assert proposal_probability(0.7, *even) == pytest.approx(0.438, abs=1e-3)


def test_the_unit_follows_the_script() -> None:
    _, units = sign(
        ["five plain english words here", "这是一个很短的句子", "mostly english with 汉字", "汉字为主 with some"],
        False,
        8,
        1,
    )
    assert units.tolist() == [WORDS, CHARACTERS, WORDS, CHARACTERS]
    assert sign(["这是一个很短的句子"], True, 8, 1)[1].tolist() == [CODE]


def test_prose_ignores_case_width_spacing_and_punctuation() -> None:
    plain = shingles("the cat sat on the mat today")
    np.testing.assert_array_equal(plain, shingles("  The CAT, sat\non — the “mat” today!"))
    np.testing.assert_array_equal(plain, shingles("Ｔｈｅ　ｃａｔ sat on the mat today"))
    assert not np.array_equal(plain, shingles("the cat sat on the mat to day"))


def test_code_keeps_case_and_operators() -> None:
    text = "if a < b and c > d:\n    return Value"
    np.testing.assert_array_equal(shingles(text, True), shingles(text.replace("\n    ", " "), True))
    for other in (text.replace("<", "<="), text.replace("Value", "value"), text.replace(":", ";")):
        assert not np.array_equal(shingles(text, True), shingles(other, True))
    assert not np.isin(shingles(text, True), shingles(text)).any()


def test_short_texts_meet_only_their_equals() -> None:
    texts = ["", "!", "?", "你好", "你好。", "hi", "hi there", "1.5", "15", "a b c d", "ab c d"]
    found = [shingles(text) for text in texts]
    assert all(len(one) == 1 for one in found)
    assert len({int(one[0]) for one in found}) == len(texts)
    np.testing.assert_array_equal(shingles(" Hi \n there "), shingles("hi there"))


def test_both_sides_of_the_shingle_length() -> None:
    assert len(shingles("a b c d")) == 1
    assert len(shingles("a b c d e")) == 1
    assert len(shingles("a b c d e f")) == 2
    np.testing.assert_array_equal(shingles("a b c d e."), shingles("a b c d e"))  # five tokens: punctuation is gone
    assert not np.array_equal(shingles("a b c d."), shingles("a b c d"))  # four: the whole text counts


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match=r"words \(0\) must lie in \[1, 64\]"):
        ShingleLengths(words=0)
    with pytest.raises(ValueError, match=r"code \(65\)"):
        ShingleLengths(code=65)
    assert len(shingles("a b c", lengths=ShingleLengths(words=1))) == 3


def test_rows_outside_the_view_are_left_alone() -> None:
    data, offsets = text_buffers(pa.array(["a b c d e f", "g h i j k l"]))
    signatures, units = Signer(LENGTHS, permutations(4, 1)).sign(
        data, offsets, np.array([False, True]), np.array([False, False])
    )
    assert units.tolist() == [-1, WORDS]
    assert signatures[0].tolist() == [0, 0, 0, 0]
    assert signatures[1].all()


def test_a_slice_of_a_column_reads_its_own_rows() -> None:
    column = pa.array(["first one here", *TEXTS])
    data, offsets = text_buffers(column.slice(3, 4))
    everything, prose = np.ones(4, dtype=bool), np.zeros(4, dtype=bool)
    sliced, _ = Signer(LENGTHS, permutations(16, 1)).sign(data, offsets, everything, prose)
    np.testing.assert_array_equal(sliced, sign(TEXTS[2:6], False, 16, 1)[0])


def test_the_folding_table_says_what_characters_are() -> None:
    table = folding_table()
    assert table[ord("A")] == ord("a") | WORD
    assert table[ord("Ａ")] == ord("a") | WORD
    assert table[ord("_")] == ord("_") | WORD
    assert table[ord("字")] == ord("字") | UNSPACED
    assert table[0x3000] & SPACE
    assert not table[ord("+")] & (SPACE | WORD | UNSPACED)
    for character in "\u0301\u3099\u1161\u11a8\u2126\uf900\u09be":  # marks, Jamo, singletons
        assert table[ord(character)] & COMPOSES
    for character in "aé字한":  # composed already
        assert not table[ord(character)] & COMPOSES


PIECES = st.sampled_from(
    [
        "a",
        "B",
        "é",
        "word",
        "Word",
        "１",
        "字",
        "词",
        "あ",
        "ア",
        "한글",
        " ",
        "\n",
        "　",
        "。",
        "+",
        "_",
        "😀",
        "\u0301",
    ]
)
SOME_TEXT = st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=30))
SOME_LENGTHS = st.builds(ShingleLengths, words=st.integers(1, 6), characters=st.integers(1, 6), code=st.integers(1, 8))


@given(SOME_TEXT, SOME_TEXT, st.booleans(), SOME_LENGTHS)
def test_shingle_sets_equal_the_slow_reference(left: str, right: str, is_code: bool, lengths: ShingleLengths) -> None:
    ours = [shingles(text, is_code, lengths) for text in (left, right)]
    by_unit = dict(zip(UNITS, lengths.by_unit(), strict=True))
    slow = [slow_reference.shingle_set(text, is_code, by_unit) for text in (left, right)]
    assert [len(one) for one in ours] == [len(one) for one in slow]
    common = len(np.intersect1d(*ours))
    assert common == len(slow[0] & slow[1])


def test_a_text_cut_inside_a_character_does_not_read_on() -> None:
    data = np.frombuffer("字".encode()[:2] + b"xxxx", dtype=np.uint8)
    for end in (1, 2):
        code, step = kernel.decode(data, np.uint64(0), np.uint64(end))
        assert (int(code), int(step)) == (0, 1)
