"""Every error a user can meet, as one small tree.

KaitianError
├── SpecError      a configuration, card, rule file or mixture is wrong; the message names the key and the remedy
├── DataError      an artifact or a raw file does not obey its specification
├── LedgerError    a node's books do not balance: something was lost or counted twice
├── StoreError     the store cannot be used (locked, full, read-only, another format)
└── StageError     a stage stopped: too many failed records, a lost worker, a broken invariant
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KaitianError(Exception):
    """Base of every error that the command line prints as one clear message instead of a traceback."""


class SpecError(KaitianError):
    """What the user wrote (YAML, card, override) is wrong."""


class DataError(KaitianError):
    """What was read (artifact, dump) is wrong."""


class LedgerError(KaitianError):
    """The conservation law ``in + expanded = kept + dropped + failed`` does not hold."""


class StoreError(KaitianError):
    """The artifact store cannot be read or written."""


class StageError(KaitianError):
    """A stage could not finish."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'min_chars'? Known: ...`` for an unknown ``name``."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
