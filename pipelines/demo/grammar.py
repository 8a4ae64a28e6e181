"""Write one readable article in Chinese and English at once, from a seed.

Both languages come from the same draws, so an article is a true translation pair, and either half alone is a page.
A draw never repeats a sentence pattern inside an article and walks through shuffled word lists, so that articles pass
the repetition rules that catch machine-made filler, while any two of them share well under half of their 5-grams.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from pipelines.demo.phrases import CLAUSES, GIVEN_NAMES, PATTERNS, PLACES, SURNAMES, TITLES
from pipelines.demo.topics import TOPICS

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
#: English verbs of the patterns that agree with a plural subject
_PLURAL = {"is": "are", "was": "were", "has": "have", "goes": "go"}
_SUBJECT = re.compile(
    r"\{([ABTU])\} (is|was|has|goes|seems|matters|needs|makes|turns|admits|reckons|suggests|means|takes|sees|gets)\b"
)
_SLOT = re.compile(r"\{([A-Z])\}")


class Pair(NamedTuple):
    """The same words in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Article:
    """A title and paragraphs of sentences, in both languages."""

    topic: str
    title: Pair
    paragraphs: tuple[tuple[Pair, ...], ...]

    def text(self, language: str) -> str:
        """Title and paragraphs apart by blank lines, as an extractor would give them."""
        return "\n\n".join([getattr(self.title, language), *self.paragraph_texts(language)])

    def paragraph_texts(self, language: str) -> list[str]:
        """One text per paragraph; English sentences stand apart by blanks, Chinese ones do not."""
        joint = "" if language == "zh" else " "
        return [joint.join(getattr(sentence, language) for sentence in p) for p in self.paragraphs]


@cache
def _entries(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(entry.split("|")) for entry in text.split(";"))


class _Bag:
    """Hands out entries in shuffled order and reshuffles when empty: no word comes twice before all came once."""

    def __init__(self, rng: random.Random, entries: tuple[tuple[str, ...], ...]) -> None:
        self._rng, self._entries = rng, entries
        self._left: list[tuple[str, ...]] = []

    def draw(self) -> tuple[str, ...]:
        if not self._left:
            self._left = list(self._entries)
            self._rng.shuffle(self._left)
        return self._left.pop()


class Writer:
    """Writes articles of one topic from one random stream."""

    def __init__(self, rng: random.Random, topic: str) -> None:
        words = TOPICS[topic]
        self._rng, self._topic = rng, topic
        self._actors = _Bag(rng, _entries(words["actors"]))
        self._things = _Bag(rng, _entries(words["things"]))
        self._verbs = _Bag(rng, _entries(words["verbs"]))
        self._traits = _Bag(rng, _entries(words["traits"]))
        self._places = _Bag(rng, _entries(PLACES))
        self._clauses = _Bag(rng, _entries(CLAUSES))
        self._patterns = _Bag(rng, PATTERNS)

    def article(self, num_sentences: int) -> Article:
        """An article of ``num_sentences`` sentences in paragraphs of three to seven."""
        title = self._fill(*self._rng.choice(TITLES))
        paragraphs, left = [], num_sentences
        while left > 0:
            size = min(left, self._rng.randint(3, 7))
            paragraphs.append(tuple(self.sentence() for _ in range(size)))
            left -= size
        return Article(self._topic, title, tuple(paragraphs))

    def sentence(self) -> Pair:
        """One sentence by a pattern that this writer has not used yet (until all of them were)."""
        return self._fill(*self._patterns.draw())

    def _fill(self, zh: str, en: str) -> Pair:
        values = {slot: self._value(slot) for slot in sorted(set(_SLOT.findall(zh + en)))}
        if "V" in values or "W" in values:  # past and base of one verb
            values["V"], values["W"] = self._verb()
        en = _SUBJECT.sub(lambda m: _agree(m.group(0), m.group(2), values[m.group(1)].en), en)
        filled = _SLOT.sub(lambda m: values[m.group(1)].en, en)
        return Pair(_SLOT.sub(lambda m: values[m.group(1)].zh, zh), filled[:1].upper() + filled[1:])

    def _verb(self) -> tuple[Pair, Pair]:
        zh, past, base = self._verbs.draw()
        return Pair(zh, past), Pair(zh, base)

    def _value(self, slot: str) -> Pair:
        rng = self._rng
        if slot == "H":
            surname, given = rng.choice(_entries(SURNAMES)), rng.choice(_entries(GIVEN_NAMES))
            return Pair(surname[0] + given[0], f"{surname[1]} {given[1]}")
        if slot == "D":
            year, month, day = rng.randint(1998, 2023), rng.randint(1, 12), rng.randint(1, 28)
            return Pair(f"{year}年{month}月{day}日", f"{day} {_MONTHS[month - 1]} {year}")
        if slot in "YNMK":
            low, high = {"Y": (1921, 2019), "N": (12, 968), "M": (3, 11), "K": (4, 87)}[slot]
            number = str(rng.randint(low, high))
            return Pair(number, number)
        if slot in "VW":
            return Pair("", "")  # filled together by the caller
        bag = {"A": self._actors, "B": self._actors, "T": self._things, "U": self._things, "Q": self._traits}
        bag |= {"R": self._traits, "P": self._places, "O": self._places, "C": self._clauses, "E": self._clauses}
        zh, en = bag[slot].draw()
        return Pair(zh, en)


def _agree(phrase: str, verb: str, subject: str) -> str:
    """Put ``verb`` into the plural when the head noun of ``subject`` is plural."""
    head = re.split(r" (?:of|in|on|from|by|along|with|who) ", subject, maxsplit=1)[0]
    plural = (head.endswith("s") and not head.endswith("ss")) or head.endswith(("men", "people"))
    if not plural:
        return phrase
    return phrase.removesuffix(verb) + (_PLURAL.get(verb) or verb.removesuffix("s"))


def write_article(seed: str, *, num_sentences: int | None = None) -> Article:
    """The article that belongs to ``seed``: topic, length and words all follow from it."""
    rng = random.Random(seed)
    topic = rng.choice(sorted(TOPICS))
    return Writer(rng, topic).article(num_sentences or rng.randint(22, 46))
