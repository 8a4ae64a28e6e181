"""What a shingle is, by the script of the document.

A document is first folded (lower case, full-width forms narrowed; code keeps its case) and cut into tokens:

===========  ==========================================================================  =====================
unit         tokens                                                                      shingle
===========  ==========================================================================  =====================
characters   each Han or kana character; each run of other letters, marks and digits     5 tokens, in a row
words        the same cut; chosen when runs outnumber such characters                    5 tokens, in a row
code         the same cut with case kept, plus every other visible character             7 tokens, in a row
===========  ==========================================================================  =====================

Prose ignores punctuation and spacing. Because both prose units use one cut, with equal lengths a mixed document has
the same shingles on either side of the border between them. Five characters is what keeps a Chinese pair with 2 % of
its characters changed at a Jaccard similarity near 0.84, while five whitespace words see 0.00 and 24 characters 0.49;
five words is the custom for spaced text (Broder 1997 up to DataTrove and Dolma). Five characters of English would
match unrelated pages. Code counts operators as tokens, so its windows are longer.

A document of fewer tokens than a shingle has exactly one: the hash of its whole folded text, punctuation included,
so short texts meet only their equals. A shingle is an unsigned 64-bit hash; code and prose hash differently and never
compare.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Names of the units by their number in sidecars; the number is stored, so the order must never change.
UNITS = ("words", "characters", "code")
WORDS, CHARACTERS, CODE = range(3)

#: Written with every signature; another value means hashes that do not compare.
SHINGLE_SCHEME = "folded-tokens-64/1"
#: datasketch's name of how signatures are made of shingles.
SIGNATURE_SCHEME = "affine32"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShingleLengths:
    """Tokens per shingle, by unit."""

    words: int = 5  # text in spaced scripts
    characters: int = 5  # text in Han characters, each of them a token
    code: int = 7  # text of the code domains

    def __post_init__(self) -> None:
        for unit in UNITS:
            if not 1 <= getattr(self, unit) <= 64:
                raise ValueError(f"{unit} ({getattr(self, unit)}) must lie in [1, 64] tokens per shingle")

    def by_unit(self) -> tuple[int, int, int]:
        """Lengths in the order of :data:`UNITS`."""
        return self.words, self.characters, self.code
