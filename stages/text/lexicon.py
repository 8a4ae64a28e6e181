"""Lists of words and phrases found in texts whatever their width, case, Chinese variant or inserted separators.

What counts as a hit, by example (``kinds`` of characters in :mod:`stages.text.lexicon_kernel`):

- 法轮 is found in 法輪, 法*轮, 法-轮 and, where every character stands alone, in "法 轮"; not across the end of a
  clause (法。轮, 法，轮), of a line, a bracket or a quote, and not between words ("方法 轮子").
- darn is found in ｄａｒｎ, DARN, d-a-r-n, da.rn and "d a r n"; not in darning, "Da R. Nix" or darn2: a phrase of a
  spaced script stands between word borders. "sugar cane" is found in sugar-cane, not in sugarcane.
- Between two digits nothing may stand, and nothing inside a word of two letters.

Kana, hangul and the scripts of South-East Asia have no word borders here. Importing this module loads Numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.text import characters, lexicon_kernel
from stages.text.arrow_text import text_buffers
from stages.text.folding import folded_characters
from stages.text.lexicon_kernel import BREAK, DIGIT, LETTER, MARK, SPACE, UNSEEN, UNSPACED

#: Lists of one lexicon at most: a phrase knows its lists by the bits of one number.
MAX_LISTS = 64
#: Marks that end a clause or enclose one: characters on both sides of them belong to different phrases.
CLAUSE_MARKS = ",;:!?¡¿…\"'()[]{}<>«»‹›‘’“”„–—―，、。；：！？｡､．（）［］｛｝＜＞《》〈〉「」『』【】〔〕〖〗｢｣。"
#: Ends of lines and paragraphs.
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
#: Thai to Tibetan, Burmese, Khmer: written without spaces between words.
_UNSPACED_BLOCKS = ((0x0E00, 0x1000), (0x1000, 0x10A0), (0x1780, 0x1800), (0x1950, 0x19E0), (0x1A20, 0x1AB0))


class BadPhrase(ValueError):
    """A phrase that cannot be searched; ``index`` is its place in its list."""

    def __init__(self, of: int, index: int, phrase: str) -> None:
        super().__init__(f"{phrase!r} holds no letter, digit or symbol to search for")
        self.of, self.index = of, index


@dataclass(frozen=True)
class Lexicon:
    """P phrases of up to 64 lists in one automaton of S states; equal phrases of several lists are one."""

    phrases: tuple[str, ...]  # [P], as first written
    members: np.ndarray  # uint64 [P], bit l: the phrase is in list l
    num_lists: int
    table: np.ndarray  # uint32 [TABLE_SIZE], symbol and kind of every character
    keys: np.ndarray  # uint64, hash table of (state, symbol)
    children: np.ndarray  # int32, beside keys: the state a step leads to
    masks: np.ndarray  # uint64 [S], low bits of the symbols that lead on
    roots: np.ndarray  # int32 [symbols], the step from the start
    fails: np.ndarray  # int32 [S], state to fall back to
    nearest: np.ndarray  # int32 [S], nearest state on the way back in which a phrase ends, or 0
    ends: np.ndarray  # int32 [S], first phrase that ends here, or -1
    same: np.ndarray  # int32 [P], next phrase of the same symbols, or -1
    lengths: np.ndarray  # int32 [P], symbols
    gap_starts: np.ndarray  # int64 [P], its place in ``phrase_gaps``
    phrase_gaps: np.ndarray  # bool, whether the phrase itself has a gap before the symbol

    @classmethod
    def build(cls, lists: Sequence[Sequence[str]]) -> Lexicon:
        """Automaton of all lists; raises :class:`BadPhrase` for a phrase without a symbol."""
        if len(lists) > MAX_LISTS:
            raise ValueError(f"{len(lists)} lists; one lexicon takes {MAX_LISTS}")
        phrases = [phrase for words in lists for phrase in words]
        owners = np.repeat(np.arange(len(lists)), [len(words) for words in lists])
        folded = folded_characters()
        kinds = character_kinds()
        data, offsets = _encoded(phrases)
        table = folded | kinds << np.uint32(lexicon_kernel.KIND_SHIFT)
        symbols, gaps, starts = _spread_all(data, offsets, table)
        empty = np.flatnonzero(np.diff(starts) == 0)
        if empty.size:  # a pictogram alone: in this lexicon it is a letter, not a separator
            _make_symbols(kinds, folded, [phrases[index] for index in empty])
            table = folded | kinds << np.uint32(lexicon_kernel.KIND_SHIFT)
            symbols, gaps, starts = _spread_all(data, offsets, table)
        for index in np.flatnonzero(np.diff(starts) == 0).tolist():
            of = int(owners[index])
            raise BadPhrase(of, index - int(np.searchsorted(owners, of)), phrases[index])

        chosen, members = _distinct(symbols, gaps, starts, owners)
        parts = [np.arange(starts[index], starts[index + 1]) for index in chosen]
        places = np.concatenate([np.empty(0, np.int64), *parts])
        symbols, gaps = symbols[places], gaps[places]
        lengths = np.diff(starts)[chosen].astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

        used = np.unique(symbols)
        numbers = np.zeros(characters.TABLE_SIZE, dtype=np.uint32)
        numbers[used] = np.arange(1, used.size + 1)
        is_symbol = kinds <= DIGIT
        table = np.where(is_symbol, numbers[folded], 0).astype(np.uint32) | kinds << np.uint32(
            lexicon_kernel.KIND_SHIFT
        )
        return cls(
            phrases=tuple(phrases[index] for index in chosen),
            members=members,
            num_lists=len(lists),
            table=table,
            lengths=lengths,
            gap_starts=starts[:-1],
            phrase_gaps=gaps,
            **_automaton(numbers[symbols].astype(np.int32), starts, used.size),
        )

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def find(
        self, data: np.ndarray, offsets: np.ndarray, inside: np.ndarray, max_separators: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Hits and sizes of the texts that are ``inside`` (see :func:`stages.text.lexicon_kernel.find_hits`).

        ``max_separators``: characters between two symbols of one phrase at most, where the phrase has none.
        """
        return lexicon_kernel.find_hits(
            data, offsets, inside, self.table, max_separators, self.keys, self.children, self.masks, self.roots,
            self.fails, self.nearest, self.ends, self.same, self.lengths, self.gap_starts, self.phrase_gaps,
            self.members, self.num_lists,
        )  # fmt: skip


def character_kinds() -> np.ndarray:
    """Kind of every character for a lexicon, uint32 [``characters.TABLE_SIZE``]; a new array."""
    classes = characters.class_table()
    kinds = np.full(classes.size, LETTER, dtype=np.uint32)
    kinds[np.isin(classes, (characters.HAN, characters.KANA, characters.HANGUL))] = UNSPACED
    for start, end in _UNSPACED_BLOCKS:
        block = kinds[start:end]
        block[classes[start:end] == characters.LETTER] = UNSPACED
    kinds[classes == characters.DIGIT] = DIGIT
    kinds[classes == characters.OTHER] = UNSEEN
    kinds[(classes == characters.PUNCTUATION) | (classes == characters.SYMBOL)] = MARK
    kinds[classes == characters.SPACE] = SPACE
    kinds[[ord(mark) for mark in CLAUSE_MARKS + LINE_ENDS]] = BREAK
    return kinds


def _encoded(phrases: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa

    return text_buffers(pa.array(phrases, pa.large_string()))


def _spread_all(data: np.ndarray, offsets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Folded code points of all phrases (int64), whether a gap stands before each (bool), and where phrases start."""
    size = max(1, int(offsets[-1] - offsets[0]))
    symbols, places, ordinals = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    kinds, gaps = np.empty(size, np.uint8), np.empty(size, np.uint8)
    starts = np.zeros(offsets.size, dtype=np.int64)
    for index in range(offsets.size - 1):
        at = starts[index]
        count, _, _ = lexicon_kernel.spread(
            data, offsets[index], offsets[index + 1], table, size, symbols[at:], kinds[at:], gaps[at:], places[at:],
            ordinals[at:],
        )  # fmt: skip
        if count:
            gaps[at] = lexicon_kernel.NO_GAP  # what stands before a phrase is not part of it
        starts[index + 1] = at + count
    end = starts[-1]
    return symbols[:end].astype(np.int64), gaps[:end] != lexicon_kernel.NO_GAP, starts


def _make_symbols(kinds: np.ndarray, folded: np.ndarray, phrases: Sequence[str]) -> None:
    """Let the pictograms of ``phrases`` be symbols."""
    classes = characters.class_table()
    codes = np.unique([min(ord(c), characters.TABLE_SIZE - 1) for phrase in phrases for c in phrase])
    kinds[np.isin(folded, folded[codes[classes[codes] == characters.SYMBOL]])] = UNSPACED


def _distinct(
    symbols: np.ndarray, gaps: np.ndarray, starts: np.ndarray, owners: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """First index of every distinct phrase, and its lists as bits."""
    places: dict[bytes, int] = {}
    chosen: list[int] = []
    members: list[int] = []
    both = symbols << 1 | gaps
    for index, owner in enumerate(owners.tolist()):
        key = both[starts[index] : starts[index + 1]].tobytes()
        place = places.setdefault(key, len(chosen))
        if place == len(chosen):
            chosen.append(index)
            members.append(0)
        members[place] |= 1 << owner
    return chosen, np.array(members, dtype=np.uint64)


def _automaton(symbols: np.ndarray, starts: np.ndarray, num_symbols: int) -> dict[str, np.ndarray]:
    """The arrays of the automaton over numbered symbols; phrase ``p`` is ``symbols[starts[p]:starts[p + 1]]``."""
    room = symbols.size + 1
    slots = 1 << max(4, int(np.ceil(np.log2(2 * room))))
    keys, children = np.full(slots, np.iinfo(np.uint64).max, np.uint64), np.zeros(slots, np.int32)
    parents, by, ends = np.zeros(room, np.int32), np.zeros(room, np.int32), np.full(room, -1, np.int32)
    same = np.full(starts.size - 1, -1, np.int32)
    depths, masks = np.zeros(room, np.int32), np.zeros(room, np.uint64)
    num_states = lexicon_kernel.insert_phrases(symbols, starts, keys, children, parents, by, depths, masks, ends, same)
    depths = depths[:num_states]
    order = np.argsort(depths, kind="stable")[1:]
    fails, nearest = np.zeros(num_states, np.int32), np.zeros(num_states, np.int32)
    lexicon_kernel.link_states(order, parents, by, keys, children, ends, fails, nearest)
    roots = np.zeros(num_symbols + 1, np.int32)
    first = np.flatnonzero(depths == 1)
    roots[by[first]] = first
    return {"keys": keys, "children": children, "masks": masks[:num_states], "roots": roots, "fails": fails,
            "nearest": nearest, "ends": ends[:num_states], "same": same}  # fmt: skip
