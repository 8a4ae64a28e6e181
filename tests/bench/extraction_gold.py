"""Pages with the text that a right extraction gives, of four public sets; F1 over tokens; two halves by site.

``gold`` is a folder like ``web-gold``: ``article-extraction-benchmark``, ``wcxb-dev-sample``, ``zh-pages`` and
``readability-sample`` as folders or as ``.tar.gz`` that hold one; a set that is not
there is left out. A token is one Han character or one run of other letters and digits, in lower case; precision, recall
and F1 are those of bags of tokens, and a set's figure is the mean over its pages (BASELINES.tsv says the same).
"""

from __future__ import annotations

import gzip
import html
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import xxhash

ARTICLES, WCXB, CHINESE = "article-extraction-benchmark", "wcxb-dev-sample", "zh-pages"
READABILITY = "readability-sample"
#: The sets that count; the gold of the fourth is another extractor's own output.
SETS = (ARTICLES, WCXB, CHINESE)
_TOKEN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")
_TAG = re.compile(r"<[^>]*>")
#: Second-level names under which sites are registered in countries' domains.
_SECOND_LEVEL = frozenset(("ac", "co", "com", "edu", "gov", "go", "gob", "net", "ne", "or", "org"))


@dataclass(frozen=True)
class GoldPage:
    """One page and its text."""

    set: str
    name: str
    site: str  # registered domain
    kind: str  # page type, where the set has one
    html: bytes
    text: str
    title: str = ""
    author: str = ""
    date: str = ""

    @property
    def is_for_tuning(self) -> bool:
        """The half of its site: weights come from one half, every reported figure from the other."""
        return xxhash.xxh3_64_intdigest(self.site.encode()) % 2 == 0


def tokens(text: str) -> list[str]:
    """Tokens of a text, in order."""
    return _TOKEN.findall(text.lower())


def scores(text: str, gold: str) -> tuple[float, float, float]:
    """(precision, recall, F1) of ``text`` against ``gold`` as bags of tokens; two empty texts agree."""
    found, wanted = Counter(tokens(text)), Counter(tokens(gold))
    common, num_found, num_wanted = (found & wanted).total(), found.total(), wanted.total()
    if not num_found or not num_wanted:
        same = float(num_found == num_wanted)
        return same, same, same
    return common / num_found, common / num_wanted, 2 * common / (num_found + num_wanted)


def load_gold(gold: Path, work: Path) -> list[GoldPage]:
    """All pages of the sets below ``gold``; archives are unpacked into ``work``."""
    pages: list[GoldPage] = []
    for name, read in _READERS.items():
        folder = _folder(gold, work, name)
        if folder is not None:
            pages += read(folder)
    return pages


def _folder(gold: Path, work: Path, name: str) -> Path | None:
    if (gold / name).is_dir():
        return gold / name
    archive = gold / f"{name}.tar.gz"
    if not archive.is_file():
        return None
    if not (work / name).is_dir():
        work.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
    return work / name


def registered_domain(url: str) -> str:
    """``example.co.uk`` of an address or a host."""
    host = (urlsplit(url).hostname or url.partition("/")[0]).lower().rstrip(".")
    labels = host.split(".")
    size = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-size:])


def _articles(folder: Path) -> Iterator[GoldPage]:
    for name, page in sorted(json.loads((folder / "ground-truth.json").read_text("utf-8")).items()):
        data = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes())
        yield GoldPage(ARTICLES, name, registered_domain(page["url"]), "article", data, page["articleBody"])


def _wcxb(folder: Path) -> Iterator[GoldPage]:
    kinds = json.loads((folder / "metadata.json").read_text("utf-8"))["files"]
    for path in sorted((folder / "ground-truth").glob("*.json")):
        page = json.loads(path.read_text("utf-8"))
        truth = page["ground_truth"]
        data = gzip.decompress((folder / "html" / f"{path.stem}.html.gz").read_bytes())
        site = registered_domain(page["url"] or kinds[path.stem]["domain"] or path.stem)
        yield GoldPage(
            WCXB, path.stem, site, kinds[path.stem]["page_type"], data, truth["main_content"] or "",
            truth.get("title") or "", truth.get("author") or "", truth.get("publish_date") or "",
        )  # fmt: skip


def _chinese(folder: Path) -> Iterator[GoldPage]:
    for name, page in sorted(json.loads((folder / "gne-reference.json").read_text("utf-8")).items()):
        yield GoldPage(
            CHINESE, name, name.partition("_")[0], "article", (folder / "gne-html" / name).read_bytes(),
            page["content"], page["title"], page["author"], page["publish_time"],
        )  # fmt: skip
    for path in sorted((folder / "newspaper4k").glob("*.html")):
        text = path.with_suffix(".txt").read_text("utf-8")
        yield GoldPage(CHINESE, path.name, path.stem, "article", path.read_bytes(), text)


def _readability(folder: Path) -> Iterator[GoldPage]:
    for path in sorted(folder.glob("*/expected.html")):
        text = html.unescape(_TAG.sub(" ", path.read_text("utf-8")))
        data = (path.parent / "source.html").read_bytes()
        yield GoldPage(READABILITY, path.parent.name, path.parent.name, "article", data, text)


_READERS = {ARTICLES: _articles, WCXB: _wcxb, CHINESE: _chinese, READABILITY: _readability}
