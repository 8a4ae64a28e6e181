"""Deduplication written the slow, obvious way: sets of token tuples, all pairs, one document after the other."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from stages.text.characters import DIGIT, FIRST_LETTER, HAN, KANA, SPACE, character_class


def fold(character: str) -> str:
    """Lower case of the compatibility form, where that is one character."""
    changed = unicodedata.normalize("NFKC", character) if unicodedata.decomposition(character) else character
    return changed.lower() if len(changed.lower()) == 1 else character


def tokens(text: str, is_code: bool) -> list[str]:
    """Tokens as stages.dedup.shingles describes them; single characters are marked to stay apart from words."""
    found: list[str] = []
    word = ""
    for character in text:
        kind = character_class(character)
        folded = character if is_code else fold(character)
        alone = kind in (HAN, KANA)
        if not alone and (FIRST_LETTER <= kind <= DIGIT or character == "_"):
            word += folded
            continue
        if word:
            found.append("word " + word)
            word = ""
        if alone or (is_code and kind != SPACE):
            found.append("character " + folded)
    return found + (["word " + word] if word else [])


def shingle_set(text: str, is_code: bool, lengths: Mapping[str, int]) -> set[tuple[str, ...]]:
    """Distinct shingles; a document that is too short has its whole folded text as its one shingle."""
    cut = tokens(text, is_code)
    alone = sum(token.startswith("character") for token in cut)
    unit = "code" if is_code else "characters" if 2 * alone > len(cut) else "words"
    length = lengths[unit]
    salt = f"{length} {is_code}"
    if len(cut) < length:
        shown = "".join(" " if character_class(c) == SPACE else c if is_code else fold(c) for c in text)
        return {("whole", salt, " ".join(part for part in shown.split(" ") if part))}
    return {(salt, *cut[i : i + length]) for i in range(len(cut) - length + 1)}


def jaccard(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    """Shared over all."""
    return len(left & right) / len(left | right)


def walk(order: Sequence[int], similar: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """{removed: keeper} of a keeper walk; ``similar`` holds verified pairs as (better, member)."""
    places = {node: place for place, node in enumerate(order)}
    gone: dict[int, int] = {}
    for node in order:
        keepers = [
            (-similarity, places[better], better)
            for (better, member), similarity in similar.items()
            if member == node and better not in gone
        ]
        if keepers:
            gone[node] = min(keepers)[2]
    return gone


def components(num_nodes: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Smallest node reachable from each node, by repeated relabelling until nothing changes."""
    names = list(range(num_nodes))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            low = min(names[a], names[b])
            changed |= names[a] != low or names[b] != low
            names[a] = names[b] = low
    return names
