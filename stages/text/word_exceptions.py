"""Exceptions of the word splitter: short strings that stay whole or are cut where no rule would.

The lists restate what spaCy's English tables hold of up to eight ASCII characters (``spacy.lang.en``, version 3.8).
"""

from __future__ import annotations

from string import ascii_letters

import numpy as np
from numba import njit

#: What :func:`exception_cut` says of all other strings.
NO_EXCEPTION = -1
_MAX_SIZE = 8
_SLOTS = 1 << 11
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - 11)
_PLAIN_SLOTS = 1 << 12
_PLAIN_SHIFT = np.uint64(64 - 12)

_ABBREVIATIONS = """
a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr.
Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del.
Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M.
N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis.
"""
_WHOLE = """
's 'S 're 'd 'll 'em 'nuff 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout and/or w/o ol' Ol' doin' Doin' goin' Goin'
lovin' Lovin' havin' Havin' nothin' nuthin'
"""
_FACES = """
:)) :-)) (: (-: =) (= :) :-) :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-(( :((( :-(((
): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3
=3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O
0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) '' \\") \\t \\n
"""
#: Word, and the endings that make two words of it when they follow without an apostrophe.
_JOINED = (
    ("i", "m ll d ve"),
    ("you we they", "ll d ve re"),
    ("he she it", "ll d s"),
    ("who what when where why how there", "s ll re ve d"),
    ("that this", "s ll d"),
    ("these those", "ll re ve d"),
    ("ca could do does did had may might must need ought sha should wo would ai are is was were have has dare", "nt"),
    ("could might must should would", "ve"),
)  # fmt: skip
_NOT_JOINED = ("ill", "its", "hell", "shell", "shed", "were", "well", "whore")
_CUT = ("can|not", "gon|na", "got|ta", "not|ve", "c'm|on")
_CUT_SMALL = ("y'|all", "y|all")
_UNITS = """
km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa mbar mb
MB kb KB gb GB tb TB T G M K
"""


def exceptions() -> dict[str, int]:
    """String -> characters of the first of its two words; 0: it stays whole."""
    found = dict.fromkeys((_ABBREVIATIONS + _WHOLE + _FACES).split(), 0)
    found |= dict.fromkeys((f"{letter}." for letter in ascii_letters), 0)
    cut = [f"{word}|{end}" for words, ends in _JOINED for word in words.split() for end in ends.split()]
    cut = [each for each in cut if each.replace("|", "") not in _NOT_JOINED]
    hours = [f"{hour}|{half}" for hour in range(1, 13) for half in ("am", "pm", "a.m.", "p.m.")]
    for each in (*cut, *(each.capitalize() for each in cut), *_CUT, *(each.capitalize() for each in _CUT), *_CUT_SMALL,
                 *hours):  # fmt: skip
        found[each.replace("|", "")] = each.index("|")
    return {each: place for each, place in found.items() if len(each) <= _MAX_SIZE}


def _packed(word: str) -> int:
    return int.from_bytes(word.encode("ascii"), "big")


def _slot(word: str, shift: np.uint64) -> int:
    """Where the compiled look-ups look for a word first."""
    return (_packed(word) * int(_SPREAD) & (1 << 64) - 1) >> int(shift)


def _slots() -> tuple[np.ndarray, np.ndarray]:
    """Open hash table of packed exceptions: (keys int64, cuts int8)."""
    keys, cuts = np.zeros(_SLOTS, dtype=np.int64), np.zeros(_SLOTS, dtype=np.int8)
    for word, cut in exceptions().items():
        place = _slot(word, _SHIFT)
        while keys[place]:
            place = (place + 1) % _SLOTS
        keys[place], cuts[place] = _packed(word), cut
    return keys, cuts


def _pairs() -> np.ndarray:
    """Which two ASCII marks make a face, bool [128, 128]."""
    table = np.zeros((128, 128), dtype=bool)
    for face in _FACES.split():
        if len(face) == 2 and not any(c.isalnum() for c in face):
            table[ord(face[0]), ord(face[1])] = True
    return table


def _pack_units() -> np.ndarray:
    """Units as their code points, 16 bits each; sorted int64."""
    packed = [sum(ord(c) << 16 * place for place, c in enumerate(reversed(unit))) for unit in _UNITS.split()]
    return np.array(sorted(packed), dtype=np.int64)


def _plain() -> np.ndarray:
    """Sieve of the exceptions of letters alone, by spread bits of their small letters; bool [_PLAIN_SLOTS]."""
    sieve = np.zeros(_PLAIN_SLOTS, dtype=bool)
    for word in exceptions():
        if word.isalpha():
            sieve[_slot(word.lower(), _PLAIN_SHIFT)] = True
    return sieve


_KEYS, _CUTS = _slots()
_SIEVE = _plain()
#: Which two ASCII marks make a face, bool [128, 128].
FACES = _pairs()
_PACKED_UNITS = _pack_units()


@njit(inline="always")
def may_be_exception(packed, size):
    """Whether a run of ``size`` letters may be an exception; ``packed`` holds its small letters, eight bits each.
    Exact for those that are, and says yes to 2 in 100 others."""
    return size <= _MAX_SIZE and _SIEVE[np.int64(np.uint64(packed) * _SPREAD >> _PLAIN_SHIFT)]


@njit(cache=True, nogil=True)
def exception_cut(text, first, end):
    """Characters of the first word of the exception [first, end), 0 where it stays whole; else NO_EXCEPTION."""
    if end - first > _MAX_SIZE:
        return NO_EXCEPTION
    packed = np.int64(0)
    for place in range(first, end):
        if text[place] > 0x7F:
            return NO_EXCEPTION
        packed = packed << 8 | np.int64(text[place])
    place = np.int64(np.uint64(packed) * _SPREAD >> _SHIFT)
    while _KEYS[place]:
        if _KEYS[place] == packed:
            return np.int64(_CUTS[place])
        place = (place + 1) % _SLOTS
    return NO_EXCEPTION


@njit(cache=True, nogil=True)
def is_unit(text, first, end):
    """Whether [first, end), of at most four characters, is a unit."""
    packed = np.int64(0)
    for place in range(first, end):
        if text[place] > 0x7FFF:
            return False
        packed = packed << 16 | np.int64(text[place])
    index = np.searchsorted(_PACKED_UNITS, packed)
    return index < _PACKED_UNITS.size and _PACKED_UNITS[index] == packed
