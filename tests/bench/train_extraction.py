"""Makes stages/ingest/block_weights.py anew from gold pages: ``python -m tests.bench.train_extraction --input GOLD``.

Only pages of the tuning half (by a hash of their site, extraction_gold.py) are looked at. A block's label is the share
of its tokens that stand in the gold text in runs of four; its weight is its share of the page's gold tokens, so that
every page counts alike and the loss speaks of what F1 speaks of. The second pass learns from opinions of models of the
first that had not seen the page's site (folds by site). ``--check`` writes nothing and tells the F1 over such folds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from resiliparse.parse.html import HTMLTree

from stages.ingest import block_weights
from stages.ingest.block_features import NAMES, block_features
from stages.ingest.block_model import OPINIONS, Trees, best_blocks, page_opinions
from stages.ingest.block_text import block_texts
from stages.ingest.charset import decode_page
from stages.ingest.page_scan import Scan, scan
from tests.bench.extraction_gold import CHINESE, READABILITY, GoldPage, load_gold, scores, tokens
from tests.bench.oblivious_trees import Boosting, fit

NUM_FOLDS = 5
#: Tokens in a row that make a run.
_RUN = 4
#: A page of the smallest set counts this often, since every set weighs alike in the mean.
_SET_WEIGHTS = {CHINESE: 5.0, READABILITY: 0.5}
#: A block with little gold around it may not outweigh the page.
_MAX_WEIGHT = 3.0
FIRST = Boosting(num_trees=100, seed=7)
SECOND = Boosting(num_trees=100, seed=8)


@dataclass(frozen=True)
class Example:
    """A page as rows."""

    gold: GoldPage
    page: Scan
    features: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    texts: tuple[str, ...]


def example(gold: GoldPage) -> Example:
    """Blocks of a page with their labels."""
    page = scan(str(HTMLTree.parse(decode_page(gold.html, None, 0.5).text)).encode("utf-8", "replace"))
    texts = tuple(block_texts(page, np.arange(len(page.blocks))))
    parts = [tokens(text) for text in texts]
    sizes = np.array([len(part) for part in parts])
    num_gold = max(20, len(tokens(gold.text)))
    weights = (sizes + 0.2) / num_gold
    weights *= _SET_WEIGHTS.get(gold.set, 1.0) / max(1.0, weights.sum() / _MAX_WEIGHT)
    return Example(gold, page, block_features(page), block_labels(parts, gold.text), weights, texts)


def block_labels(parts: Sequence[Sequence[str]], gold: str) -> np.ndarray:
    """Share of every block's tokens that the gold text has in runs; copies beyond those of the gold text get 0."""
    wanted = tokens(gold)
    runs = {tuple(wanted[start : start + _RUN]) for start in range(len(wanted) - _RUN + 1)}
    stream = [token for part in parts for token in part]
    inside = np.zeros(len(stream), bool)
    for start in range(len(stream) - _RUN + 1):
        if tuple(stream[start : start + _RUN]) in runs:
            inside[start : start + _RUN] = True
    lines = {tuple(tokens(line)) for line in gold.split("\n")}
    whole = f" {' '.join(wanted)} "
    labels = np.zeros(len(parts))
    copies: dict[str, int] = defaultdict(int)
    start = 0
    for row, part in enumerate(parts):
        here = inside[start : start + len(part)]
        start += len(part)
        if not len(part):
            continue
        labels[row] = here.mean()
        if len(part) < _RUN and labels[row] < 1:
            near = labels[max(0, row - 3) : row]
            labels[row] = float(tuple(part) in lines and len(near) > 0 and near.max() > 0.5)
        text = f" {' '.join(part)} "
        if len(part) >= _RUN and labels[row] > 0.5:
            copies[text] += 1
            if copies[text] > max(1, whole.count(text)):
                labels[row] = 0.0
    return labels


def fold_of(page: GoldPage) -> int:
    """Fold of a page's site."""
    return xxhash.xxh3_64_intdigest(page.site.encode(), seed=1) % NUM_FOLDS


def fit_both(examples: Sequence[Example], num_folds: int = NUM_FOLDS) -> tuple[Trees, Trees]:
    """The two models from these pages alone."""
    first = _fit(examples, [row.features for row in examples], FIRST)
    opinions: dict[int, np.ndarray] = {}
    for fold in range(num_folds):
        held = [row for row in examples if fold_of(row.gold) % num_folds == fold]
        others = [row for row in examples if fold_of(row.gold) % num_folds != fold]
        if held:
            model = _fit(others, [row.features for row in others], FIRST)
            for row in held:
                opinions[id(row)] = page_opinions(row.page, model.probabilities(row.features))
    second = _fit(examples, [np.hstack([row.features, opinions[id(row)]]) for row in examples], SECOND)
    return first, second


def _fit(examples: Sequence[Example], features: Sequence[np.ndarray], options: Boosting) -> Trees:
    labels = np.concatenate([row.labels for row in examples])
    weights = np.concatenate([row.weights for row in examples])
    return fit(np.vstack(features), labels, weights, options)


def predicted(row: Example, first: Trees, second: Trees) -> str:
    """Text of the blocks that two models keep, one a line."""
    opinions = page_opinions(row.page, first.probabilities(row.features))
    chosen = best_blocks(row.page, second.probabilities(np.hstack([row.features, opinions])))
    return "\n".join(row.texts[place] for place in chosen)


def check(examples: Sequence[Example]) -> None:
    """F1 by set and page type when every site is held out of training in its turn."""
    found: dict[str, list[float]] = defaultdict(list)
    for fold in range(NUM_FOLDS):
        models = fit_both([row for row in examples if fold_of(row.gold) != fold])
        for row in examples:
            if fold_of(row.gold) == fold:
                f1 = scores(predicted(row, *models), row.gold.text)[2]
                found[row.gold.set].append(f1)
                found[f"{row.gold.set} {row.gold.kind}"].append(f1)
    for name, values in sorted(found.items()):
        print(f"{name}: F1 {np.mean(values):.4f} over {len(values)} pages")


def source(first: Trees, second: Trees, num_pages: int) -> str:
    """Text of the module with the weights."""
    parts = [
        '"""Weights of :mod:`stages.ingest.block_model`, made by tests/bench/train_extraction.py, not by hand.\n\n'
        f"From {num_pages} gold pages of public sets (the half of their sites that is for tuning). A row is one tree:\n"
        'columns of its questions / limits / leaves in thousandths of log odds.\n"""\n'
    ]
    parts.append(
        f"#: Columns that the rows speak of: features, opinions.\nNUM_COLUMNS = ({len(NAMES)}, {len(OPINIONS)})"
    )
    for name, model in (("FIRST", first), ("SECOND", second)):
        parts.append(f"{name}_BIAS = {model.bias}")
        rows = [_row(model, tree) for tree in range(len(model.features))]
        parts.append(f"{name} = (\n" + "\n".join(f'    "{row}",' for row in rows) + "\n)")
    return "\n".join(parts) + "\n"


def _row(model: Trees, tree: int) -> str:
    limits = " ".join(f"{value:.4g}" for value in model.limits[tree].tolist())
    leaves = " ".join(str(round(value * 1000)) for value in model.leaves[tree].tolist())
    return f"{' '.join(map(str, model.features[tree]))} / {limits} / {leaves}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, required=True, help="folder of gold pages")
    parser.add_argument("--work", type=Path, help="folder to unpack archives into")
    parser.add_argument("--out", type=Path, default=Path(block_weights.__file__))
    parser.add_argument("--check", action="store_true", help="cross-validate by site; write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pages = load_gold(arguments.input, arguments.work or Path(folder))
    examples = [example(page) for page in pages if page.is_for_tuning and page.text.strip()]
    if arguments.check:
        check(examples)
        return
    first, second = fit_both(examples)
    arguments.out.write_text(source(first, second, len(examples)), "utf-8")


if __name__ == "__main__":
    main()
