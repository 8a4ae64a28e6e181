"""What a line rule is: a measure of a line or of what is left of a document, a limit, and what goes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from data_specs.config import execution
from data_specs.errors import nearest
from stages.filter.rules import COMPARE

#: Measures of one line, white space at both ends left out.
LINE_MEASURES = {
    "num_words": "pieces between white space, `references` left out",
    "num_tokens": "Han characters plus runs of other letters, marks and digits",
    "num_characters": "characters from the first to the last that is not white space",
    "longest_word": "characters of the longest piece between white space",
    "ends_sentence": "1 when the line ends with a mark that ends a sentence, of either script, or a closing quote; "
    "an ellipsis of three dots or one … is no end. `references` behind the mark are passed over",
    "phrases": "how often one of the rule's `phrases` ends in it, ASCII letters in any case",
    "references": "Wikipedia's marks [12], [], [edit] and [citation needed]",
}
#: Measures of what is left of a document when its lines have been cut.
DOCUMENT_MEASURES = {
    "sentences_left": "sentences of the lines that are left; .!? end one where they stand alone as spaCy cuts words "
    "(not in Mr. nor 3.14), a full-width mark anywhere; a line ends one, too",
    "characters_left": "characters that are left, white space included",
}
#: What a rule takes away.
TAKES = ("line", "document", "match")
#: Measures that count places in a line, so that a rule can take just those.
PLACED_MEASURES = ("phrases", "references")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRule:
    """Take a line (or its document, or just the match) if ``measure`` ``cut_if`` ``limit``, e.g. num_words < 5."""

    measure: str  # one of LINE_MEASURES, or of DOCUMENT_MEASURES with ``takes: document``
    cut_if: str  # one of < <= > >=
    limit: float | None = None  # null switches the rule off
    #: ``line``: the line goes; ``document``: the whole document goes for one such line; ``match``: only the phrases or
    #: references go and the line stays
    takes: str = "line"
    phrases: tuple[str, ...] = ()  # of the measure ``phrases``; what is looked for
    max_tokens: int | None = None  # lines of more tokens are let pass: a "read more" inside a long line is prose
    #: place in the set: a line goes by the first rule that takes it, and later rules do not see it. Rules on what is
    #: left of a document come behind all others
    order: int = 1000
    source: str = field(default="", metadata=execution())  # where the limit comes from; for people, never identity

    def __post_init__(self) -> None:
        measures = {**LINE_MEASURES, **DOCUMENT_MEASURES}
        if self.measure not in measures:
            raise ValueError(f"measure {self.measure!r} is unknown.{nearest(self.measure, measures)}")
        if self.cut_if not in COMPARE:
            raise ValueError(f"cut_if {self.cut_if!r} must be one of {' '.join(COMPARE)}")
        if self.takes not in TAKES:
            raise ValueError(f"takes {self.takes!r} is unknown.{nearest(self.takes, TAKES)}")
        if self.takes == "match" and self.measure not in PLACED_MEASURES:
            raise ValueError(
                f"takes 'match' needs a measure with a place ({', '.join(PLACED_MEASURES)}), not {self.measure!r}"
            )
        if self.takes != "document" and self.measure in DOCUMENT_MEASURES:
            raise ValueError(f"measure {self.measure!r} is one of the whole document: write takes: document")
        if self.limit is not None and not math.isfinite(self.limit):
            raise ValueError(f"limit {self.limit} is no number; null switches the rule off")
        if self.takes == "match" and self.limit is not None and COMPARE[self.cut_if](0, self.limit):
            raise ValueError(
                f"takes 'match' where there is none: {self.measure} {self.cut_if} {self.limit:g} holds for 0"
            )
        if self.max_tokens is not None and self.measure in DOCUMENT_MEASURES:
            raise ValueError(f"max_tokens is about lines, and {self.measure!r} about what is left of the document")
        if (self.measure == "phrases") != bool(self.phrases):
            raise ValueError("`phrases` belong to the measure 'phrases', which needs at least one")
        if any(not phrase.strip() or "\n" in phrase for phrase in self.phrases):
            raise ValueError("a phrase must show something and stay on one line")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens ({self.max_tokens}) must be at least 1, or null for no bound")
