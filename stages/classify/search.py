"""Search for the settings under which fastText learns best from given examples: seeded tries, cross-validated.

The examples that train are split into parts by the middle bits of their keys. Each try trains on all parts but one
and is asked about that one, in turn. Its worth is the area under the curve of the scored label, for limits are chosen
later; where no label is singled out it is the mean F1 of all, for then the likeliest one counts. The held-out part of
the classifier takes no part, so that its figures stay honest after any number of tries. Random draws beat a grid of the
same size (Bergstra and Bengio 2012, JMLR 13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from data_specs.errors import DataError
from data_specs.permutation import Permutation, derive_key
from stages.classify.examples import Examples
from stages.classify.fasttext_model import Classifier, FastTextConfig, train_model
from stages.classify.metrics import area_under_curve, of_each_label

#: Values that are drawn, inside the ranges of fastText's own search (src/autotune.cc), short of its largest models:
#: 64 numbers in 2 ** 20 vectors are 256 MiB.
SPACE: Mapping[str, Sequence[float]] = {
    "dim": (16, 32, 64),
    "lr": (0.05, 0.1, 0.2, 0.5, 1.0),
    "epoch": (5, 10, 25, 50),
    "word_ngrams": (1, 2, 3, 4),
    "min_count": (1, 2, 5),
    "bucket": (1 << 16, 1 << 18, 1 << 20),
}
#: Drawn as pairs (min_subword, max_subword): tokens alone, or n-grams inside them as in fastText's papers.
SUBWORDS = ((0, 0), (2, 4), (3, 6))
_DIGITS = 6
#: Low bits of a key that choose the held-out part; the parts come from those above.
_HELD_OUT_BITS = np.uint64(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One try."""

    number: int  # from 0, which is the config that the search starts from
    config: FastTextConfig
    worths: tuple[float, ...]  # of each part
    refusal: str = ""  # why there are none

    @property
    def mean(self) -> float | None:
        """Worth of the try, in six digits; None where it could not be trained."""
        return round(float(np.mean(self.worths)), _DIGITS) if self.worths else None

    @property
    def deviation(self) -> float:
        """Standard deviation over the parts."""
        return float(np.std(self.worths)) if self.worths else 0.0


@dataclass(frozen=True, slots=True)
class _Job:
    """Train one config on all parts but one."""

    config: FastTextConfig
    part: int
    scratch: str  # name of its files


def draw_configs(start: FastTextConfig, num_tries: int, seed: int) -> list[FastTextConfig]:
    """``start``, then other configs drawn from the space, none twice; fewer where the space holds no more."""
    size = len(SUBWORDS) * int(np.prod([len(values) for values in SPACE.values()]))
    found = {start: None}
    for place in Permutation(size, derive_key(seed, "classifier settings")).forward(np.arange(size)).tolist():
        if len(found) >= num_tries:
            break
        values = {}
        for name, choices in SPACE.items():
            place, index = divmod(place, len(choices))
            values[name] = choices[index]
        short, long = SUBWORDS[place]
        found[replace(start, **values, min_subword=short, max_subword=long)] = None
    return list(found)[:num_tries]


def parts_of(keys_N: np.ndarray, num_parts: int) -> np.ndarray:
    """The part, from 0, of each example, int64 [N]; independent of what is held out."""
    return ((keys_N >> _HELD_OUT_BITS) % np.uint64(num_parts)).astype(np.int64)


def search(
    examples: Examples,
    configs: Sequence[FastTextConfig],
    *,
    positive: str | None,
    num_parts: int,
    folder: Path,
    num_workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Trial]:
    """Try every config; ``folder`` takes files that are gone afterwards. The number of workers changes nothing else.

    Raises :class:`DataError` where a part lacks a label, so that no worth can be told.
    """
    train_N = np.flatnonzero(~examples.held_N)
    part_N = parts_of(examples.key_N[train_N], num_parts)
    label_N = examples.label_N[train_N]
    lines = [examples.lines[i] for i in train_N.tolist()]
    _check_parts(examples.labels, label_N, part_N, num_parts)
    number = None if positive is None else examples.labels.index(positive)
    ask = partial(_worth_of, lines, label_N, part_N, len(examples.labels), number, folder)
    jobs = [
        _Job(config, part, f"try{place}-{part}") for place, config in enumerate(configs) for part in range(num_parts)
    ]
    found: list[float | DataError] = []
    with ThreadPoolExecutor(num_workers) as pool:  # a training is a process of its own: threads only wait for it
        for done, answer in enumerate(pool.map(ask, jobs), start=1):
            found.append(answer)
            progress(done, len(jobs))
    trials = []
    for place, config in enumerate(configs):
        answers = found[place * num_parts : (place + 1) * num_parts]
        refusals = [str(answer) for answer in answers if isinstance(answer, DataError)]
        worths = () if refusals else tuple(answers)
        trials.append(Trial(number=place, config=config, worths=worths, refusal=(*refusals, "")[0]))
    return trials


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """By worth; of equals the smaller model, then the earlier try; those that could not be trained last."""

    def order(trial: Trial) -> tuple[bool, float, int, int]:
        return (trial.mean is None, -(trial.mean or 0.0), trial.config.dim * trial.config.bucket, trial.number)

    return sorted(trials, key=order)


def changed_fields(config: FastTextConfig) -> dict[str, float]:
    """The values of a config that are no defaults, by name: what a config file has to say."""
    plain = FastTextConfig()
    names = [field.name for field in fields(config)]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(plain, name)}


def _worth_of(
    lines: list[str], label_N: np.ndarray, part_N: np.ndarray, num_labels: int, positive: int | None, folder: Path,
    job: _Job,
) -> float | DataError:  # fmt: skip
    """What one training is worth, or why there is no model."""
    model = folder / f"{job.scratch}.bin"
    training = ((int(label_N[i]), lines[i]) for i in np.flatnonzero(part_N != job.part).tolist())
    try:
        train_model(training, job.config, examples_file=folder / f"{job.scratch}.txt", model=model)
    except DataError as error:
        return error
    mine = np.flatnonzero(part_N == job.part)
    probabilities = Classifier(model, num_labels).probabilities([lines[i] for i in mine.tolist()])
    model.unlink()
    if positive is None:
        return float(np.mean([row["f1"] for row in of_each_label(probabilities, label_N[mine])]))
    area = area_under_curve(probabilities[:, positive], label_N[mine] == positive)
    assert area is not None  # every part holds every label
    return area


def _check_parts(labels: Sequence[str], label_N: np.ndarray, part_N: np.ndarray, num_parts: int) -> None:
    for number, label in enumerate(labels):
        counts = np.bincount(part_N[label_N == number], minlength=num_parts)
        if not counts.all():
            raise DataError(
                f"label {label!r} has {counts.sum()} examples to train on, none of them in {(counts == 0).sum()} of "
                f"{num_parts} parts; give more examples or fewer parts"
            )
