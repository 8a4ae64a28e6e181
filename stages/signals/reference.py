"""The reference page of all signals of the family, made from the tables that drive the measuring.

    python -m stages.signals.reference        # writes stages/signals/REFERENCE.md

A stage joins with one line in :data:`SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from stages.signals.code_definitions import CODE_SIGNALS
from stages.signals.definitions import SIGNALS
from stages.signals.language_stage import IdentifyLanguageConfig, language_signals
from stages.signals.list_signals import url_list_signals, word_list_signals
from stages.signals.pair_definitions import PAIR_SIGNALS
from stages.signals.text_definitions import TEXT_SIGNALS


class Entry(Protocol):
    """What the page takes from a signal."""

    @property
    def name(self) -> str: ...

    @property
    def meaning(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def source(self) -> str: ...


#: (stage, what it measures, and on what a core takes, its signals).
SECTIONS: tuple[tuple[str, str, Sequence[Entry]], ...] = (
    ("signals", "One scan of every text.", SIGNALS),
    ("text_signals", "Further signals of every text, 35 to 55 MB/s.", TEXT_SIGNALS),
    ("code_signals", "Source files by their syntax trees, 3 to 6 MB/s: expensive.", CODE_SIGNALS),
    ("pair_signals", "Chinese-English pair documents side by side, about 3,500 sentence pairs a second.", PAIR_SIGNALS),
    (
        "match_lists",
        "Phrases of word lists and addresses of block lists, for each list that the config names (`LIST` here).",
        (*word_list_signals("LIST"), *url_list_signals("LIST")),
    ),
    (
        "identify_language",
        "Languages by CLD2, for those that the config names; the text column `language_label` is for people.",
        language_signals(IdentifyLanguageConfig().languages),
    ),
)
PAGE = Path(__file__).parent / "REFERENCE.md"

_HEAD = """# Signals

Made by `make reference` from the tables in `stages/signals`; edit those. Rules in `conf/rules` name these columns.
A ratio over nothing is 0. NaN says that a document is none of those a signal is about, and no rule drops on it; no
value at all (null) says that the document was not measured, and a rule that asks stops the run.
"""


def reference_page() -> str:
    """All signals as Markdown tables, one for each stage."""
    parts = [_HEAD]
    for stage, about, signals in SECTIONS:
        rows = [f"| `{s.name}` | {_cell(s.meaning)} | {_cell(s.unit)} | {_cell(s.source)} |" for s in signals]
        table = "\n".join(["| signal | meaning | unit | source |", "|---|---|---|---|", *rows])
        parts.append(f"## {stage}\n\n{about}\n\n{table}\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(reference_page(), "utf-8")


if __name__ == "__main__":
    main()
