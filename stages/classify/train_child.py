"""The process that trains one fastText model: a script that :mod:`stages.classify.fasttext_model` starts.

Training gets a process of its own for three reasons. fastText fills its input matrix in tenths, one per thread, and
leaves the rest to the allocator (issues 935 and 1061): the parent starts this process with an allocator setting under
which such memory is fresh and zero. One thread makes the model the same bytes every time. And a crash of native code
ends this process, not a worker.
"""

from __future__ import annotations

import json
import sys

#: Exit status that says: the weights are not numbers.
NOT_A_NUMBER = 3


def main(arguments: str) -> int:
    """Train as the JSON ``arguments`` say: examples, model and the named arguments of ``train_supervised``."""
    import fasttext
    import numpy as np

    given = json.loads(arguments)
    try:
        model = fasttext.train_supervised(given["examples"], thread=1, verbose=0, **given["training"])
    except RuntimeError as error:
        if "NaN" in str(error):
            return NOT_A_NUMBER
        raise
    if not (np.isfinite(model.get_input_matrix()).all() and np.isfinite(model.get_output_matrix()).all()):
        return NOT_A_NUMBER
    model.save_model(given["model"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
