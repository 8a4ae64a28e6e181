"""What a token of Chinese should be to a trained filter: a character, a sub-word n-gram, a byte, or a segmenter's word.

Every way is measured on the adverts and the offence of the labelled sets, with two settings (the defaults, and those
that few examples like): mean area under the curve over five parts of the training examples, the area on the held-out
part, and the CPU time from text to score. The segmenter is `rjieba`, the fastest of its kind (``pip install rjieba``;
no dependency of ours); without it its rows are left out.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from stages.classify.examples import Examples, is_held_out, text_key
from stages.classify.fasttext_model import Classifier, FastTextConfig, prepare_text, train_model
from stages.classify.metrics import area_under_curve
from stages.classify.search import search
from tests.bench.acceptance_table import Table
from tests.bench.filter_models import SETS, TOLD, read_set

#: The defaults, and settings for some hundreds of examples.
SETTINGS = {"defaults": FastTextConfig(), "lr 0.5, 25 epochs": FastTextConfig(lr=0.5, epoch=25)}
_MAX_CHARACTERS = 2000
_RUN = re.compile(r"[^\W_]+|\S")
_APART = re.compile(r"(?<=\S) (?=\S)")
_NUM_PARTS = 5


def _runs(text: str) -> str:
    """Runs of letters of any script whole, so that fastText cuts them into n-grams of characters."""
    return " ".join(_RUN.findall(text[:_MAX_CHARACTERS].lower()))


def _bytes(text: str) -> str:
    """Each byte a token."""
    return " ".join(f"{byte:02x}" for byte in " ".join(text[:_MAX_CHARACTERS].lower().split()).encode())


def _words() -> Callable[[str], str]:
    import rjieba

    def words(text: str) -> str:
        cut = rjieba.cut(text[:_MAX_CHARACTERS].lower().replace("_", " "))
        return " ".join(token for word in cut if (token := word.strip()))

    return words


def ways() -> dict[str, tuple[Callable[[str], str], dict[str, int]]]:
    """Name -> (text to line, what it changes of the settings)."""

    def characters(text: str) -> str:
        return prepare_text(text, _MAX_CHARACTERS)

    found: dict[str, tuple[Callable[[str], str], dict[str, int]]] = {
        "characters, pairs": (characters, {}),
        "characters, triples": (characters, {"word_ngrams": 3}),
        "runs, n-grams of 1 to 3 characters": (_runs, {"word_ngrams": 1, "min_subword": 1, "max_subword": 3}),
        "bytes, n-grams of 6": (_bytes, {"word_ngrams": 6}),
    }
    if importlib.util.find_spec("rjieba") is not None:
        words = _words()
        found |= {"words of rjieba": (words, {"word_ngrams": 1}), "words of rjieba, pairs": (words, {})}
    return found


def units(data: Path, table: Table) -> None:
    """A row per set, way and setting."""
    found = ways()
    if not any("rjieba" in name for name in found):
        table.skip("tokens of Chinese, words of a segmenter", TOLD, "rjieba is not installed")
    for given in SETS[:2]:
        # the adverts come with blanks between characters, which only a segmenter minds
        rows = [(_APART.sub("", text), label) for text, label in read_set(data, given)]
        for name, (prepare, changes) in found.items():
            for setting, config in SETTINGS.items():
                seen = measure(rows, prepare, replace(config, **changes))
                table.check(f"tokens of {given.name}: {name}; {setting}", TOLD, seen, True)


def measure(rows: list[tuple[str, str]], prepare: Callable[[str], str], config: FastTextConfig) -> str:
    """Areas and speed of one way."""
    started = time.process_time()
    lines = [prepare(text) for text, _ in rows]
    preparing = time.process_time() - started
    key_N = np.array([text_key(text, 0) for text, _ in rows], dtype=np.uint64)
    label_N = np.array([int(label == "yes") for _, label in rows])
    examples = Examples(("no", "yes"), label_N, lines, key_N, is_held_out(key_N, 0.2))
    with tempfile.TemporaryDirectory() as folder:
        (trial,) = search(examples, [config], positive="yes", num_parts=_NUM_PARTS, folder=Path(folder))
        model = Path(folder) / "model.bin"
        training = ((int(label_N[i]), lines[i]) for i in np.flatnonzero(~examples.held_N).tolist())
        train_model(training, config, examples_file=Path(folder) / "examples.txt", model=model)
        started = time.process_time()
        scores = Classifier(model, 2).probabilities(lines)[:, 1]
        asking = time.process_time() - started
    area = area_under_curve(scores[examples.held_N], label_N[examples.held_N] == 1)
    size = sum(len(text.encode()) for text, _ in rows) / 1e6
    return (
        f"AUC {trial.mean:.4f} (deviation {trial.deviation:.4f}), held out {area:.4f}; "
        f"{size / (preparing + asking):.1f} MB/s (preparing {size / preparing:.1f}, asking {size / asking:.1f})"
    )
