"""When a document holds an evaluation item: the one rule, by the script of the item.

Text is folded (case, width, traditional and simplified characters) and cut into tokens: a Han or kana character, or a
run of other letters, marks and digits. Punctuation and spacing do not count. An item whose tokens are mostly single
characters is measured by ``characters``, any other by ``words``.

===========================  =================================================================================
tokens of the item           the document holds it when
===========================  =================================================================================
below ``shortest``           never: such a text is said by anybody; counted in the facts
below ``whole_below``        all its tokens stand in a row in the document
any more                     they share shingles of ``length`` tokens that cover ``overlap`` tokens, in the same
                             order, in a stretch of ``window`` tokens; an item shorter than the window needs the
                             same share of its own length
===========================  =================================================================================

One shared shingle (GPT-3, Brown et al. 2020, appendix C: 13 words) is the special case ``overlap = length`` and stands
for words. For Han it does not do: law, news and poetry share set phrases of 13 and more characters that are no leak,
while a few edits leave no such run in a leaked item of 50. Several shorter shingles in one stretch tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: How an item is searched, by number.
MATCHES = ("overlap", "whole", "too_short")
OVERLAP, WHOLE, TOO_SHORT = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How much of an item counts, in tokens; the defaults are for Han and chosen on real data (DECISIONS 20)."""

    length: int = 6  # of a shingle
    overlap: int = 30  # tokens of a window that shared shingles must cover
    window: int = 50  # stretch of the item that is looked at; a long item leaks one window at a time
    whole_below: int = 30  # shorter items match as a whole or not at all
    shortest: int = 13  # shorter items are not searched

    def __post_init__(self) -> None:
        if not 1 <= self.length <= self.overlap <= self.window <= 4096:
            raise ValueError(
                f"length ({self.length}), overlap ({self.overlap}) and window ({self.window}) must rise, in [1, 4096]"
            )
        if self.whole_below < self.length:
            raise ValueError(f"whole_below ({self.whole_below}) must not be less than length ({self.length})")
        if not 1 <= self.shortest <= self.whole_below:
            raise ValueError(f"shortest ({self.shortest}) must lie in [1, whole_below ({self.whole_below})]")

    def needs(self, num_tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(match, shingle length, tokens to cover) of items by their number of tokens; int64 [items] each."""
        share = -(-self.overlap * np.minimum(num_tokens, self.window) // self.window)
        match = np.where(num_tokens < self.shortest, TOO_SHORT, np.where(num_tokens < self.whole_below, WHOLE, OVERLAP))
        length = np.where(match == OVERLAP, self.length, self.shortest)
        need = np.where(match == OVERLAP, np.maximum(self.length, share), num_tokens)
        return match, length, need


@dataclass(frozen=True, slots=True, kw_only=True)
class WordOverlap(Overlap):
    """The same for items in spaced scripts: one shared run of 13 words, as GPT-3 had it."""

    length: int = 13  # words of a shingle
    overlap: int = 13  # words of a window that shared shingles must cover
    window: int = 50  # words of the item that are looked at
    whole_below: int = 13  # words; shorter items match as a whole or not at all
    shortest: int = 8  # words; shorter items are not searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    """The rule for both kinds of item."""

    characters: Overlap = field(default_factory=Overlap)  # items that are mostly Han or kana
    words: WordOverlap = field(default_factory=WordOverlap)  # any other
