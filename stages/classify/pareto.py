"""GPT-3's noisy cut as a column: keep a document where a draw of a Pareto distribution exceeds 1 - score.

``np.random.pareto(alpha) > 1 - score`` (Brown et al. 2020, appendix A, alpha = 9) keeps nearly every document that
scores high and a few of those that score low. The draw is x = u ** (-1 / alpha) - 1 for a uniform u, so the test
solved for alpha reads

    alpha < -ln u / ln(2 - score).

The right side does not know alpha. Stored beside the score it makes the rule one more limit on a signal,
``quality_pareto <= 9 drops``, that can be changed and previewed without drawing again.
"""

from __future__ import annotations

import numpy as np

from data_specs.permutation import derive_key, keyed_hashes

#: Keeps the quotient finite for a score of 1, which every alpha keeps.
_LARGEST_SCORE = 1 - 1e-9


def uniform_draws(doc_ids_N16: np.ndarray, name: str, seed: int) -> np.ndarray:
    """One number in (0, 1) per document, float64 [N]: a function of its id, the classifier's name and the seed."""
    hashes_N = keyed_hashes(doc_ids_N16, derive_key(seed, "pareto", name))
    return ((hashes_N >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)


def pareto_limits(scores_N: np.ndarray, draws_N: np.ndarray) -> np.ndarray:
    """The alpha up from which GPT-3's rule drops each document, float64 [N]."""
    return -np.log(draws_N) / np.log(2.0 - np.minimum(scores_N, _LARGEST_SCORE))
