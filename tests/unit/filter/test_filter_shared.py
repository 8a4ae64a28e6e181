"""The presets on real text: Chinese articles survive, and so do English and source code."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages.filter.judge import decide
from stages.signals.measure import count_documents, to_signals
from stages.signals.text_measure import measure_texts
from tests.unit.filter.test_presets import load

pytestmark = pytest.mark.shared


def members(path: Path) -> list[str]:
    """UTF-8 texts of the files in a tar."""
    texts = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and not Path(member.name).name.startswith("_"):
                texts.append(archive.extractfile(member).read().decode())
    return texts


def kept_share(texts: list[str], preset: str) -> tuple[float, float]:
    """Shares of documents and of characters that ``preset`` keeps."""
    inside = np.ones(len(texts), dtype=bool)
    signals = to_signals(count_documents(pa.array(texts)), inside)
    for name, column in measure_texts(pa.table({"text": texts}), max_compressed_bytes=1 << 20).items():
        signals = signals.append_column(name, pa.array(column))
    keep = decide(signals, pa.array(["x"] * len(texts)), inside, {"x": load(preset)}).column("keep")
    characters = signals.column("num_characters")
    kept = np.asarray(keep, dtype=bool)
    sizes = np.asarray(characters, dtype=np.float64)
    return kept.mean(), sizes[kept].sum() / sizes.sum()


@pytest.mark.parametrize(
    ("path", "documents", "characters"),
    [
        ("laws/laws-sample.tar.gz", 0.99, 0.99),
        ("zhwiki/zhwiki-2020-sample.tar.gz", 0.9, 0.98),
        ("news/xwlb-2022-sample.tar.gz", 1.0, 1.0),
        ("classical-modern/classical-modern-sample.tar.gz", 1.0, 1.0),
        ("tech-articles/lctt-2015-sample.tar.gz", 0.8, 0.7),  # the rest holds more shell than Chinese
    ],
)
def test_chinese_survives(shared_data: Path, path: str, documents: float, characters: float) -> None:
    kept_documents, kept_characters = kept_share(members(shared_data / "text-zh" / path), "pangu_alpha")
    assert kept_documents >= documents
    assert kept_characters >= characters


def test_english_news_survives_and_is_not_chinese(shared_data: Path) -> None:
    path = shared_data / "labelled" / "neardup-articles" / "articles_1000.train"
    texts = path.read_text("utf-8").splitlines()
    assert kept_share(texts, "gopher")[0] >= 0.99
    assert kept_share(texts, "pangu_alpha")[0] == 0


def test_evaluated_articles_survive(shared_data: Path) -> None:
    path = shared_data / "web-gold" / "article-extraction-benchmark" / "ground-truth.json"
    texts = [page["articleBody"] for page in json.loads(path.read_text("utf-8")).values()]
    # ten hold fewer than two stop words (other languages), in 22 more than a fifth of the words are marks; DataTrove
    # keeps one more, as it counts blank lines among those that might end with an ellipsis
    assert kept_share(texts, "gopher")[0] == 144 / 181


def test_standard_library_survives(shared_data: Path) -> None:
    path = shared_data / "code" / "cpython-3.11-stdlib-code-domain.tar.gz"
    with tarfile.open(path) as archive:
        files = [archive.extractfile(m).read() for m in archive if m.isfile() and m.name.endswith(".py")]
    texts = [data.decode("utf-8", "replace") for data in files]
    assert kept_share(texts, "code_basic")[0] >= 0.95


@pytest.mark.parametrize(
    ("path", "preset", "documents"),
    [
        ("laws/laws-sample.tar.gz", "fineweb2_zh", 0.95),
        ("laws/laws-sample.tar.gz", "chinese_web_text", 0.99),
        ("zhwiki/zhwiki-2020-sample.tar.gz", "fineweb2_zh", 0.85),
        ("zhwiki/zhwiki-2020-sample.tar.gz", "chinese_web_text", 0.9),
        ("news/xwlb-2022-sample.tar.gz", "fineweb2_zh", 1.0),
        ("news/xwlb-2022-sample.tar.gz", "chinese_web_text", 1.0),
    ],
)
def test_chinese_survives_the_published_presets(shared_data: Path, path: str, preset: str, documents: float) -> None:
    assert kept_share(members(shared_data / "text-zh" / path), preset)[0] >= documents


def test_english_news_survives_fineweb(shared_data: Path) -> None:
    texts = (shared_data / "labelled" / "neardup-articles" / "articles_1000.train").read_text("utf-8").splitlines()
    # an article is one line there; FineWeb has no mark behind which a quotation mark may close
    assert kept_share(texts, "fineweb")[0] >= 0.94
