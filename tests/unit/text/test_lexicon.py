"""What a lexicon finds: golden cases by hand, and every place against a slow search over the folded text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.text.arrow_text import text_buffers
from stages.text.folding import folded_characters
from stages.text.lexicon import BadPhrase, Lexicon, character_kinds
from stages.text.lexicon_kernel import BREAK, DIGIT, LETTER, MARK, SPACE, UNSEEN, UNSPACED

LISTS = [["法轮", "法轮舞", "darn", "sugar cane", "89", "ab", "おに", "🎈"]]


def found(lists: list[list[str]], text: str, max_separators: int = 3) -> list[tuple[str, str]]:
    """(phrase, what the text has there) of every hit, by list and place; character and byte offsets must agree."""
    lexicon = Lexicon.build(lists)
    data, offsets = text_buffers(pa.array(["before", text]))
    hits, _ = lexicon.find(data, offsets, np.array([False, True]), max_separators)
    assert [text.encode()[h[3] : h[4]].decode() for h in hits.tolist()] == [text[h[5] : h[6]] for h in hits.tolist()]
    assert {h[0] for h in hits.tolist()} <= {1}
    return [(lexicon.phrases[h[2]], text[h[5] : h[6]]) for h in hits.tolist()]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("说法轮到你", ["法轮"]),
        ("說法輪到你", ["法輪"]),  # traditional
        ("法*轮 法-轮 法·轮 法/轮 法\u200b轮", ["法*轮", "法-轮", "法·轮", "法/轮", "法\u200b轮"]),
        ("法****轮", []),  # more than three
        ("法。轮 法，轮 法\n轮 法）轮 法”轮 法：轮", []),  # clauses, lines, brackets, quotes
        ("法 轮", ["法 轮"]),
        ("办法 轮子", []),  # two words
        ("看 法 轮 到", ["法 轮"]),
        ("法轮舞", ["法轮舞"]),  # the longest, once
        ("法轮法轮舞", ["法轮", "法轮舞"]),
        ("DARN ｄａｒｎ Darn.", ["DARN", "ｄａｒｎ", "Darn"]),
        ("d-a-r-n da.rn d_a_r_n d\u200barn", ["d-a-r-n", "da.rn", "d_a_r_n", "d\u200barn"]),
        ("oh d a r n it", ["d a r n"]),
        ("da rn, Da R. Nix", []),
        ("darning undarn darn2 2darn darné", []),  # no Scunthorpe
        ("我darn你", ["darn"]),  # Han characters are no part of the word
        ("Sugar Cane, sugar-cane", ["Sugar Cane", "sugar-cane"]),
        ("sugarcane", []),
        ("s u g a r  c a n e", ["s u g a r  c a n e"]),
        ("89 ８９ 1989 8-9 8 9", ["89", "８９"]),
        ("ab a-b a b", ["ab"]),  # of two letters, nothing inside
        ("おにぎり", ["おに"]),  # kana have no borders
        ("a 🎈!", ["🎈"]),
        ("", []),
    ],
)
def test_what_is_a_hit(text: str, places: list[str]) -> None:
    assert [matched for _, matched in found(LISTS, text)] == places


def test_without_separators_a_phrase_is_found_as_written() -> None:
    assert found(LISTS, "法*轮 法轮 d-a-r-n sugar  cane", 0) == [("法轮", "法轮"), ("sugar cane", "sugar  cane")]


def test_marks_and_clauses_inside_a_phrase_are_its_own() -> None:
    assert found([["see, you", "a.org"]], "See, you; see you. A.org aorg") == [
        ("see, you", "See, you"),
        ("see, you", "see you"),
        ("a.org", "A.org"),
    ]
    assert found([["therapist", "the rapist"]], "the rapist, a therapist") == [
        ("the rapist", "the rapist"),
        ("therapist", "therapist"),
    ]


def test_lists_are_judged_apart_and_share_phrases() -> None:
    assert found([["苹果"], ["苹果", "苹果树"]], "蘋果樹") == [("苹果", "蘋果"), ("苹果树", "蘋果樹")]
    lexicon = Lexicon.build([["苹果", "蘋果"], ["苹果"]])
    assert (lexicon.phrases, lexicon.members.tolist()) == (("苹果",), [3])


def test_sizes_are_characters_and_lines_that_are_not_blank() -> None:
    data, offsets = text_buffers(pa.array(["一\n \n\n二 b\n。", "", "\n"]))
    _, sizes = Lexicon.build([["x"]]).find(data, offsets, np.ones(3, dtype=bool), 3)
    assert sizes.tolist() == [[10, 3], [0, 0], [1, 0]]


def test_a_phrase_without_a_symbol_is_named() -> None:
    with pytest.raises(BadPhrase, match=r"'\.\.' holds no letter, digit or symbol") as caught:
        Lexicon.build([["a", "b"], ["c", ".."]])
    assert (caught.value.of, caught.value.index) == (1, 1)


def test_too_many_lists() -> None:
    with pytest.raises(ValueError, match="65 lists"):
        Lexicon.build([["a"]] * 65)


def test_nothing_to_find() -> None:
    assert found([[], []], "anything") == []


FOLDED, KINDS = folded_characters(), character_kinds()


def spread(text: str, max_separators: int) -> list[tuple[str, int, int, int]]:
    """(folded character, kind, gap before it, place) of every symbol; gaps as in the kernel: 0 none .. 3 break."""
    symbols, gap, skipped = [], 0, 0
    for place, character in enumerate(text):
        kind = int(KINDS[ord(character)])
        if kind in (UNSPACED, LETTER, DIGIT):
            symbols.append((chr(FOLDED[ord(character)]), kind, 3 if skipped > max_separators else gap, place))
            gap, skipped = 0, 0
        else:
            gap, skipped = max(gap, {UNSEEN: 0, MARK: 1, SPACE: 2, BREAK: 3}[kind]), skipped + 1
    return symbols


def slowly(phrases: list[str], text: str, max_separators: int) -> list[tuple[int, int]]:
    """(first, end) character of every hit, by trying every phrase at every place: the rules of the module once more."""
    symbols = spread(text, max_separators)
    spaced = [kind != UNSPACED for _, kind, _, _ in symbols]
    gaps = [gap for _, _, gap, _ in symbols] + [3]
    fits = set()
    for phrase in phrases:
        wanted = spread(phrase, len(phrase))
        size = len(wanted)
        for first in range(len(symbols) - size + 1):
            if [s[0] for s in symbols[first : first + size]] != [w[0] for w in wanted]:
                continue
            inner = [i for i in range(1, size) if not wanted[i][2]]
            own = [i for i in range(1, size) if wanted[i][2]]
            both = {i: spaced[first + i - 1] and spaced[first + i] for i in range(1, size)}
            digits = {i: symbols[first + i - 1][1] == symbols[first + i][1] == DIGIT for i in range(1, size)}
            opened = [i for i in inner if gaps[first + i]]
            blanks = [i for i in inner if gaps[first + i] == 2]
            alone = (first == 0 or gaps[first] > 0, gaps[first + size] > 0)
            ends = first + size
            if (
                not any(both[i] and not gaps[first + i] for i in own)
                and not any(gaps[first + i] == 3 or digits[i] for i in opened)
                and not (size < 3 and any(both[i] for i in opened))
                and (not blanks or (len(blanks) == len(inner) and all(alone)))
                and (alone[0] or not (spaced[first] and spaced[first - 1]))
                and (alone[1] or not (spaced[ends - 1] and spaced[ends]))
            ):
                fits.add((first, ends))
    chosen, taken = [], 0
    for first, end in sorted(fits, key=lambda place: (place[0], -place[1])):
        if first >= taken:
            chosen.append((symbols[first][3], symbols[end - 1][3] + 1))
            taken = end
    return chosen


PHRASE = st.text("aB2轮輪é -", min_size=1, max_size=4).filter(lambda p: any(c in "aB2轮輪é" for c in p))
TEXT = st.text("aAbBａ22轮輪éÉ  -*。\n\u200b", max_size=30)


@given(st.lists(PHRASE, min_size=1, max_size=5), TEXT, st.integers(0, 3))
def test_every_hit_and_no_other_is_found(phrases: list[str], text: str, max_separators: int) -> None:
    data, offsets = text_buffers(pa.array([text]))
    hits, _ = Lexicon.build([phrases]).find(data, offsets, np.ones(1, dtype=bool), max_separators)
    assert [(h[5], h[6]) for h in hits.tolist()] == slowly(phrases, text, max_separators)


@given(st.lists(TEXT, max_size=6), st.integers(0, 6))
def test_cutting_a_batch_changes_nothing(texts: list[str], cut: int) -> None:
    lexicon = Lexicon.build([["aB", "轮", "2"], ["轮a"]])

    def hits(part: list[str]) -> list[list[int]]:
        data, offsets = text_buffers(pa.array(part, pa.string()))
        return lexicon.find(data, offsets, np.ones(len(part), dtype=bool), 3)[0].tolist()

    cut = min(cut, len(texts))
    second = [[row + cut, *rest] for row, *rest in hits(texts[cut:])]
    assert hits(texts) == hits(texts[:cut]) + second
