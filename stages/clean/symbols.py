"""The rule ``symbols``: what decorates a page and means nothing. PanGu-alpha strips "special symbols" (3.1.1) and does
not publish which, so the list is our own, by class, with what must survive in each.

* *Private use* characters mean something only with the font of one site (icon fonts, statutes' hidden marks).
* *U+FFFD* stands where a byte could not be decoded: nothing of it can be learned.
* *Ornament runs*: three or more stars, diamonds, notes, flowers ... in a row. A single one is a bullet, a mark or a
  suit; up to five stars are a rating. □ ○ △ never count: they stand for lost characters in old texts (□□) and for
  names left out (○○○ 公司). Emoji are words and stay.
* *Drawn lines*: block elements from three in a row, horizontal box strokes from five (two are a Chinese dash, four a
  branch of a directory tree), and lines that hold nothing but box and block characters (borders of tables).
* *Rules of ASCII and full-width marks*: a line that is one character ten or more times is cut to three of it, which is
  still a heading or a thematic break in Markdown. Shorter ones and rules with anything beside them (``====  ====`` and
  ``+----+`` in tables) stay.

Currency, mathematics, arrows, punctuation and numbers in circles are in no class. Code is skipped by the config.
"""

from __future__ import annotations

import re
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from stages.clean.rule import Hint, Rule, by_pattern, matches, until_stable

_BLANK = r"[ \t\x{3000}]"
PRIVATE = r"[\x{e000}-\x{f8ff}\x{fffd}\x{f0000}-\x{ffffd}\x{100000}-\x{10fffd}]"
_STARS = "★☆"
_ORNAMENTS = "◆◇■▲▼▽◈◉◎●♦♢♠♣♥♡♪♫♬✦✧✩✪✿❀❁❃❋✽✾❖※" + _STARS
_STROKES = "─━═┄┅┈┉╌╍"
DRAWN = r"[\x{2500}-\x{259f}]"

#: Fewest characters of a run that is taken out.
ORNAMENT_RUN, STAR_RUN, STROKE_RUN, BLOCK_RUN = 3, 6, 5, 3
#: A rule is one of these characters at least so many times, alone on its line; so many are left of it.
RULE_CHARACTERS = "-=_*~#+—―＝－＊～．"
RULE_RUN, RULE_LEFT = 10, 3

#: One ornament.
ORNAMENT = f"[{_ORNAMENTS}]"
_NO_STAR = "".join(mark for mark in _ORNAMENTS if mark not in _STARS)
#: A run of ornaments holds one that is no star, or is too long for a rating.
_ORNAMENT = (
    f"[{_ORNAMENTS}]{{{STAR_RUN},}}|[{_ORNAMENTS}]{{2,}}[{_NO_STAR}][{_ORNAMENTS}]*|[{_ORNAMENTS}][{_NO_STAR}]"
    f"[{_ORNAMENTS}]+|[{_NO_STAR}][{_ORNAMENTS}]{{2,}}"
)
_REMOVED = "|".join(
    [
        f"{PRIVATE}+",
        _ORNAMENT,
        f"[{_STROKES}]{{{STROKE_RUN},}}",
        rf"[\x{{2580}}-\x{{259f}}]{{{BLOCK_RUN},}}",
        rf"(?m:^{_BLANK}*(?:{DRAWN}{_BLANK}*){{3,}}$)",
    ]
)


def _rules(marks: str) -> str:
    """Lines of one of seven marks; the first group is the indent, the others what is left of a rule."""
    each = (rf"(\x{{{ord(mark):x}}}{{{RULE_LEFT}}})\x{{{ord(mark):x}}}{{{RULE_RUN - RULE_LEFT},}}" for mark in marks)
    return f"(?m:^({_BLANK}*)(?:{'|'.join(each)}){_BLANK}*$)"


_RULES = [_rules(RULE_CHARACTERS[:7]), _rules(RULE_CHARACTERS[7:])]  # RE2 has nine groups
_KEPT = "".join(rf"\{group}" for group in range(1, 9))
#: Where :func:`remove_symbols` may have something to do; small, because all such patterns are looked for at once.
PATTERN = (
    f"{PRIVATE}|[{_ORNAMENTS}]{{{ORNAMENT_RUN}}}|{DRAWN}(?:{_BLANK}*{DRAWN}){{2}}"
    f"|[{re.escape(RULE_CHARACTERS)}]{{{RULE_RUN}}}"
)


def remove_symbols(texts: pa.Array) -> pa.Array:
    """Take out decoration and shorten rules, once."""
    texts = pc.replace_substring_regex(texts, _REMOVED, "")
    for lines in _RULES:
        texts = pc.replace_substring_regex(texts, lines, _KEPT)
    return texts


def symbols_rule() -> Rule:
    """The rule ``symbols``."""
    return by_pattern(until_stable(remove_symbols, partial(matches, pattern=PATTERN)), PATTERN, Hint.SYMBOLS)
