"""fastText, with its defects fenced in: the only module that trains a model or asks one.

Training runs in a child process with one thread and zeroed memory (:mod:`stages.classify.train_child`), so the same
examples give the same bytes. Asking goes line by line through the compiled object: under NumPy 2 the Python method
raises for one text, and for a list (0.9.2) it repeats the first probability for every label. Joulin et al. 2016,
arXiv 1607.01759.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_specs.errors import DataError, StageError
from stages.classify.train_child import NOT_A_NUMBER

#: glibc: blocks of 4 KiB and more come straight from the kernel, zeroed.
_ZEROED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4096"}
#: Times a training whose weights became no numbers is tried again.
_ATTEMPTS = 3
_CHILD = Path(__file__).with_name("train_child.py")
_LABEL = "__label__"
_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
#: A Han character, a run of other letters and digits, or one mark. The underscore is a mark, so that no text can spell
#: fastText's own ``__label__`` or ``</s>``.
_TOKEN = re.compile(f"[{_HAN}]|[^\\W_{_HAN}]+|\\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class FastTextConfig:
    """How a model is trained. Defaults are own choices for some thousands of examples, unless a source is named; for
    some hundreds `kaitian tune-classifier` finds better ones (measured: 800 adverts want 25 passes and more).

    There is no seed: with one thread fastText 0.9.2 gives the same model for every one of them.
    """

    dim: int = 32  # numbers per token vector
    lr: float = 0.2  # learning rate at the start, falling to zero; some hundreds of examples want more, many want less
    epoch: int = 10  # passes over the examples
    word_ngrams: int = 2  # tokens of the longest n-gram: bigrams, as DCLM (Li et al. 2024); in Chinese about one word
    min_subword: int = 0  # characters of the shortest n-gram inside a token; 0 takes whole tokens only
    max_subword: int = 0  # of the longest; for words of alphabets: a Han character is a token and has no inside
    min_count: int = 2  # occurrences below which a token has no vector of its own
    bucket: int = 1 << 18  # vectors that all n-grams share; with 32 numbers each 32 MiB of the model file

    def __post_init__(self) -> None:
        for name in ("dim", "epoch", "word_ngrams", "min_count", "bucket"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.lr <= 0:
            raise ValueError(f"lr ({self.lr}) must be positive")
        lengths = (self.min_subword, self.max_subword)
        if lengths != (0, 0) and not 1 <= self.min_subword <= self.max_subword:
            raise ValueError(f"min_subword, max_subword {lengths} must be 0 and 0, or 1 <= min_subword <= max_subword")

    def arguments(self) -> dict[str, object]:
        """Under fastText's own names."""
        return {
            "dim": self.dim,
            "lr": self.lr,
            "epoch": self.epoch,
            "wordNgrams": self.word_ngrams,
            "minn": self.min_subword,
            "maxn": self.max_subword,
            "minCount": self.min_count,
            "bucket": self.bucket,
            "loss": "softmax",
        }


def prepare_text(text: str, max_characters: int) -> str:
    """One line of tokens apart by single blanks: lower case, every Han character and every mark alone.

    Only the first ``max_characters`` count. A text of white space gives the empty line.
    """
    return " ".join(_TOKEN.findall(text[:max_characters].lower()))


def train_model(
    examples: Iterable[tuple[int, str]], config: FastTextConfig, *, examples_file: Path, model: Path
) -> None:
    """Train on (label number, prepared line) pairs and write ``model``; ``examples_file`` is gone afterwards.

    Raises :class:`DataError` when the weights became no numbers every time, :class:`StageError` for any other failure.
    """
    with examples_file.open("w", encoding="utf-8", newline="\n") as handle:
        for label, line in examples:
            handle.write(f"{_LABEL}{label} {line}\n")
    arguments = json.dumps({"examples": str(examples_file), "model": str(model), "training": config.arguments()})
    try:
        for _ in range(_ATTEMPTS):
            # -P: the modules beside the script must not shadow others of the same name
            done = subprocess.run(
                [sys.executable, "-P", str(_CHILD), arguments],
                env={**os.environ, **_ZEROED_MEMORY},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != NOT_A_NUMBER:
                break
    finally:
        examples_file.unlink()
    if done.returncode == NOT_A_NUMBER:
        raise DataError(f"fastText: weights became no numbers in {_ATTEMPTS} trainings; lower lr ({config.lr})")
    if done.returncode != 0:
        raise StageError(f"fastText: training ended with status {done.returncode}: {done.stderr.strip()[-500:]}")


class Classifier:
    """A trained model and how many labels it knows. It cannot be pickled: load one per worker."""

    def __init__(self, path: Path, num_labels: int) -> None:
        from fasttext.FastText import _FastText

        self._model = _FastText(model_path=str(path)).f  # not load_model: it prints a warning
        self._num_labels = num_labels

    def probabilities(self, lines: Sequence[str]) -> np.ndarray:
        """Probability of every label, float64 [len(lines), num_labels]; zeros for an empty line, which says nothing."""
        found = np.zeros((len(lines), self._num_labels))
        for row, line in enumerate(lines):
            if line:
                for probability, label in self._ask(line):
                    found[row, label] = min(1.0, max(0.0, probability))  # fastText adds 1e-5 to each
        return found

    def _ask(self, line: str) -> Iterator[tuple[float, int]]:
        for probability, label in self._model.predict(line + "\n", self._num_labels, 0.0, "strict"):
            yield probability, int(label.removeprefix(_LABEL))
