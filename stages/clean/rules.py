"""The rules on the form of text, and the table of all rules: from a column of texts to a column of texts, each
idempotent, each with a test that tells where it can change anything at all.

Patterns and edits are compiled Arrow kernels (RE2, utf8proc); only mojibake repair runs in Python, on the few texts
that need it. A pattern may match a text that its rule leaves alone, never the other way round (a property test holds
this against the same rules written with Python's ``re``).

Width folding is left out on purpose: the full-width forms that ftfy would fold by default are real punctuation in
Chinese.
"""

from __future__ import annotations

import functools
import operator
import unicodedata
from collections.abc import Callable, Collection
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.clean.masking import mask_rule
from stages.clean.phone import PHONE
from stages.clean.private_data import BANK_CARD, EMAIL, IP, RESIDENT_ID
from stages.clean.rule import Hint, Rule, RuleSet, by_pattern
from stages.clean.secrets import PIECES, SECRET
from stages.clean.symbols import symbols_rule

#: Names of all rules, in the order in which they run. Mojibake comes first because its evidence is what the later
#: rules take out: C1 controls, soft hyphens, blanks. Symbols go before paragraphs are compared, and white space is put
#: right behind everything that leaves holes. Secrets go before what their characters could be taken for.
RULE_NAMES = (
    "mojibake", "line_endings", "controls", "unicode_form", "symbols", "simplified", "secret", "email", "ip",
    "resident_id", "bank_card", "phone", "repeated_paragraphs", "torn_sentence", "whitespace",
)  # fmt: skip
#: Rules that may take out a whole paragraph. They do not run on pairs, whose sides are told apart by counting blocks.
PARAGRAPH_RULES = ("symbols", "repeated_paragraphs", "torn_sentence")

#: Line ends of other systems and of typesetting: CR, vertical tab, form feed, next line, line and paragraph separator.
LINE_ENDINGS = r"[\r\x0b\x0c\x{85}\x{2028}\x{2029}]"

#: Characters that show nothing: C0 and C1 controls but tab and line feed, soft hyphen, zero-width space, marks of
#: direction, word joiner and invisible operators, byte order mark, annotation marks, object replacement, noncharacters.
#: Zero-width joiner and non-joiner stay: they spell words in Persian and Indic scripts and build emoji.
CONTROLS = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{ad}\x{61c}\x{180e}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}"
    r"\x{fdd0}-\x{fdef}\x{feff}\x{fff9}-\x{fffc}\x{fffe}\x{ffff}]"
)

#: Blanks that may stand at the end of a line: space, tab, no-break, en and em, narrow no-break, ideographic space.
BLANK = r"[ \t\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]"
#: What is taken from both ends of a text: blanks and everything that ends a line or parts records.
EDGE = r"[\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"


def make_rules(
    names: Collection[str], *, unicode_form: str = "NFC", max_blank_lines: int = 2, min_paragraph_tokens: int = 50
) -> RuleSet:
    """The named rules in the order in which they run. Loads Numba: for workers."""
    from stages.clean.characters import character_bits
    from stages.clean.hints import make_look
    from stages.clean.paragraphs import repeated_paragraphs_rule, torn_sentence_rule
    from stages.clean.screen import private_places
    from stages.clean.script import simplified_rule

    makers: dict[str, Callable[[], Rule]] = {
        "mojibake": lambda: by_pattern(fix_mojibake, mojibake_pattern(), Hint.MOJIBAKE),
        "line_endings": lambda: by_pattern(fix_line_endings, LINE_ENDINGS, Hint.LINE_ENDINGS),
        "controls": lambda: by_pattern(remove_controls, CONTROLS, Hint.CONTROLS),
        "unicode_form": lambda: Rule(
            partial(pc.utf8_normalize, form=unicode_form),
            partial(_is_not_normal, form=unicode_form),
            Hint.UNICODE_FORM,
        ),
        "symbols": symbols_rule,
        "simplified": simplified_rule,
        "secret": lambda: mask_rule(SECRET, Hint.SECRET),
        "email": lambda: mask_rule(EMAIL, Hint.EMAIL, private_places),
        "ip": lambda: mask_rule(IP, Hint.IP, private_places),
        "resident_id": lambda: mask_rule(RESIDENT_ID, Hint.RESIDENT_ID, private_places),
        "bank_card": lambda: mask_rule(BANK_CARD, Hint.BANK_CARD, private_places),
        "phone": lambda: mask_rule(PHONE, Hint.PHONE, private_places),
        "repeated_paragraphs": lambda: repeated_paragraphs_rule(min_paragraph_tokens),
        "torn_sentence": torn_sentence_rule,
        "whitespace": lambda: by_pattern(
            partial(fix_whitespace, max_blank_lines=max_blank_lines),
            whitespace_pattern(max_blank_lines),
            Hint.WHITESPACE,
        ),
    }
    rules = {name: makers[name]() for name in RULE_NAMES if name in names}
    look = make_look(
        functools.reduce(operator.or_, (rule.hint for rule in rules.values()), Hint.ALWAYS),
        character_bits(unicode_form),
        PIECES,
        max_blank_lines=max_blank_lines,
        min_paragraph_tokens=min_paragraph_tokens,
    )
    return RuleSet(rules, look)


def fix_line_endings(texts: pa.Array) -> pa.Array:
    """Every line ends with one line feed."""
    return pc.replace_substring_regex(texts, f"\\r\\n|{LINE_ENDINGS}", "\n")


def remove_controls(texts: pa.Array) -> pa.Array:
    """Take out characters that show nothing (see :data:`CONTROLS`)."""
    return pc.replace_substring_regex(texts, f"{CONTROLS}+", "")


def fix_whitespace(texts: pa.Array, max_blank_lines: int) -> pa.Array:
    """No blanks at line ends, no long runs of blank lines, nothing blank at either end."""
    texts = pc.replace_substring_regex(texts, f"{BLANK}+\\n", "\n")
    texts = pc.replace_substring_regex(texts, _long_run(max_blank_lines), "\n" * (max_blank_lines + 1))
    return pc.utf8_trim_whitespace(texts)


def whitespace_pattern(max_blank_lines: int) -> str:
    """Where :func:`fix_whitespace` has something to do."""
    return f"{BLANK}\\n|{_long_run(max_blank_lines)}|\\A{EDGE}|{EDGE}\\z"


def _long_run(max_blank_lines: int) -> str:
    return f"\\n{{{max_blank_lines + 2},}}"


def fix_mojibake(texts: pa.Array) -> pa.Array:
    """Undo text that was decoded with the wrong charset, line by line, where ftfy finds it bad.

    One line can be fixed where the whole text cannot: a page that quotes broken text holds sound characters as well.
    """
    from ftfy import TextFixerConfig, fix_encoding

    config = TextFixerConfig(explain=False)
    return pa.array(
        ["\n".join(fix_encoding(line, config) for line in text.split("\n")) for text in texts.to_pylist()],
        type=texts.type,
    )


@functools.cache
def mojibake_pattern() -> str:
    """ftfy's own test of badness, translated to RE2: 424 MB/s on Chinese text where Python's engine reaches 7.

    RE2 has no verbose mode, and its classes of words and spaces are ASCII: widened, the pattern finds a little more.
    """
    from ftfy.badness import BADNESS_RE

    source = _without_layout(BADNESS_RE.pattern)
    source = source.replace(r"\w", r"[\w\x{80}-\x{10ffff}]").replace(r"\s", r"[\s\x{80}-\x{10ffff}]")
    return f"(?m:{source})"


def _without_layout(pattern: str) -> str:
    """A verbose regular expression without its layout and comments."""
    kept: list[str] = []
    at, in_class = 0, False
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            kept.append(pattern[at : at + 2])
            at += 2
            continue
        if not in_class and character == "#":
            at = pattern.index("\n", at)
            continue
        if in_class or not character.isspace():
            kept.append(character)
        in_class = character != "]" if in_class else character == "["
        at += 1
    return "".join(kept)


def _is_not_normal(texts: pa.Array, form: str) -> np.ndarray:
    return np.array([not unicodedata.is_normalized(form, text) for text in texts.to_pylist()], dtype=bool)
