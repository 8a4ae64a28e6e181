"""Compiled comparisons of two code point arrays: longest common substring, and Levenshtein distance.

Importing this module loads Numba: import it inside the functions that run in workers.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def compare(first, second):
    """(characters of the longest common substring, edits from one to the other) of two int32 arrays.

    Time is the product of the lengths, memory twice the second.
    """
    width = second.size
    tails = np.zeros(width + 1, dtype=np.int64)  # length of the common substring that ends here
    costs = np.arange(width + 1)
    longest = 0
    for row in range(first.size):
        tail_before, cost_before = 0, row
        costs[0] = row + 1
        character = first[row]
        for column in range(1, width + 1):
            tail_above, cost_above = tails[column], costs[column]
            if second[column - 1] == character:
                tails[column] = tail_before + 1
                longest = max(longest, tail_before + 1)
                costs[column] = cost_before
            else:
                tails[column] = 0
                costs[column] = 1 + min(cost_before, cost_above, costs[column - 1])
            tail_before, cost_before = tail_above, cost_above
    return longest, costs[width]


@njit(cache=True, nogil=True)
def longest_piece(parts):
    """Longest stretch of False in ``parts`` (bool [num_characters])."""
    longest = run = 0
    for place in range(parts.size):
        run = 0 if parts[place] else run + 1
        longest = max(longest, run)
    return longest
