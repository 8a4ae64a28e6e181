"""Many phrases found in one pass over UTF-8 bytes: the automaton of Aho and Corasick (1975) as one table of steps.

A phrase belongs to a *group*, and a match tells the group. Case does not count in ASCII; other letters must be written
as the texts have them. Importing this module loads Numba; workers do, the planner does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

#: Room for matches at first: a brace in every other line of source code. More of them cost a second pass.
_BYTES_PER_MATCH = 32
_UPPER, _LOWER = np.arange(ord("A"), ord("Z") + 1), np.arange(ord("a"), ord("z") + 1)


@dataclass(frozen=True)
class Phrases:
    """From state ``s`` the byte ``b`` leads to ``steps[s, kinds[b]]``; every text starts in state 0.

    Bytes that no phrase holds are of one kind, so that the table of a few phrases stays in the fastest cache.
    """

    kinds: np.ndarray  # uint8 [256]
    steps: np.ndarray  # int32 [states, kinds]
    lengths: np.ndarray  # int32 [states, groups]: bytes of the longest phrase of the group that ends here, or 0
    is_end: np.ndarray  # bool [states]: whether any phrase ends here
    opens: np.ndarray  # bool [kinds, kinds]: whether two bytes, read in state 0, can begin a phrase or are one

    @property
    def num_groups(self) -> int:
        return int(self.lengths.shape[1])

    @classmethod
    def build(cls, groups: Sequence[Sequence[str]]) -> Phrases:
        """Table of the phrases of every group; raises :class:`ValueError` for an empty phrase."""
        kinds = np.zeros(256, dtype=np.uint8)
        used = sorted({byte for phrases in groups for phrase in phrases for byte in phrase.encode().lower()})
        kinds[used] = np.arange(1, len(used) + 1)
        kinds[_UPPER] = kinds[_LOWER]
        children: list[dict[int, int]] = [{}]
        ends: dict[int, dict[int, int]] = {}  # state -> group -> bytes
        for group, phrases in enumerate(groups):
            for phrase in phrases:
                if not phrase:
                    raise ValueError("an empty phrase is everywhere")
                state = 0
                for kind in kinds[list(phrase.encode())].tolist():
                    if kind not in children[state]:
                        children[state][kind] = len(children)
                        children.append({})
                    state = children[state][kind]
                ends.setdefault(state, {})[group] = len(phrase.encode())
        steps = np.zeros((len(children), len(used) + 1), dtype=np.int32)
        lengths = np.zeros((len(children), len(groups)), dtype=np.int32)
        fails = [0] * len(children)
        waiting = deque([0])
        while waiting:  # breadth first, so that the state to fall back to is already whole
            state = waiting.popleft()
            if state:
                steps[state], lengths[state] = steps[fails[state]], lengths[fails[state]]
            for group, length in ends.get(state, {}).items():
                lengths[state, group] = length  # longer than what the state falls back to
            for kind, child in children[state].items():
                fails[child] = int(steps[fails[state], kind]) if state else 0
                steps[state, kind] = child
                waiting.append(child)
        is_end = lengths.any(axis=1)
        first = steps[0]  # the state behind one byte
        # where a second byte leads on as it would from state 0, the first one was for nothing
        opens = is_end[first][:, None] | (steps[first] != first[None, :])
        return cls(kinds, steps, lengths, is_end, opens)

    def find(
        self, data: np.ndarray, offsets: np.ndarray, inside: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(row, start, end, group) of every phrase in the texts that are ``inside``, by row and end; of the phrases of
        one group that end together only the longest. Bytes of the row's text, int64 [matches] each."""
        if not self.is_end.any():
            return (np.empty(0, np.int64),) * 4
        room = max(1024, data.size // _BYTES_PER_MATCH)
        while True:
            found = np.empty((room, 4), dtype=np.int64)
            count = _find(data, offsets, inside, self.kinds, self.steps, self.lengths, self.is_end, self.opens, found)
            if count <= room:
                row, start, end, group = found[:count].T
                return row, start, end, group
            room = count


@njit(cache=True, nogil=True)
def _find(data, offsets, inside, kinds, steps, lengths, is_end, opens, found):
    count = 0
    for row in range(inside.shape[0]):
        if not inside[row]:
            continue
        begin, end = offsets[row], offsets[row + 1]
        state = 0
        for position in range(begin, end):
            if state == 0 and position + 1 < end and not opens[kinds[data[position]], kinds[data[position + 1]]]:
                continue  # nearly all of a text: no step waits for the one before it
            state = steps[state, kinds[data[position]]]
            if is_end[state]:
                for group in range(lengths.shape[1]):
                    if lengths[state, group]:
                        if count < found.shape[0]:
                            found[count, 0], found[count, 3] = row, group
                            found[count, 2] = position + 1 - begin
                            found[count, 1] = position + 1 - begin - lengths[state, group]
                        count += 1
    return count
