"""What word lists block wrongly, how well languages are told, and how fast both are.

    python -m tests.bench.lists_and_language DATA [--out figures.jsonl]

DATA is a folder laid out like the shared one: `filter-lists`, `labelled`, `text-zh`, `text-en`, `web-warc`. Speeds are
MB of UTF-8 text per CPU second of one core, the fastest of three interleaved passes.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from stages.signals.language_stage import LABEL, IdentifyLanguageConfig, identify_documents
from stages.signals.list_files import can_be_found
from stages.text.arrow_text import text_buffers
from stages.text.lexicon import Lexicon
from tests.bench.acceptance_table import Table

#: Hits from which on a text is blocked.
_LIMITS = (1, 2, 4)
#: Texts of the Declaration of Human Rights in the zip, with their language; those whose name misses the script or the
#: encoding (Bosnian-UTF8 is Cyrillic, Punjabi-UTF8 Arabic) are left out.
_UDHR = """
Afrikaans-Latin1:af Albanian_Shqip-Latin1:sq Basque_Euskara-Latin1:eu Belorus_Belaruski-UTF8:be Bengali-UTF8:bn
Bulgarian_Balgarski-UTF8:bg Catalan-Latin1:ca Chinese_Mandarin-GB2312:zh Chinese_Mandarin-HZ:zh
Chinese_Mandarin-UTF8:zh Croatian_Hrvatski-Latin2:hr Czech-UTF8:cs Danish_Dansk-Latin1:da Dutch_Nederlands-Latin1:nl
English-Latin1:en Esperanto-UTF8:eo Estonian_Eesti-Latin1:et Farsi_Persian-UTF8:fa Finnish_Suomi-Latin1:fi
French_Francais-Latin1:fr Galician_Galego-Latin1:gl German_Deutsch-Latin1:de Greek_Ellinika-UTF8:el Gujarati-UTF8:gu
Hebrew_Ivrit-UTF8:he Hindi-UTF8:hi Hungarian_Magyar-UTF8:hu Icelandic_Yslenska-Latin1:is Indonesian-Latin1:id
IrishGaelic_Gaeilge-Latin1:ga Italian-Latin1:it Japanese_Nihongo-EUC:ja Japanese_Nihongo-SJIS:ja
Japanese_Nihongo-UTF8:ja Kazakh-UTF8:kk Korean_Hankuko-UTF8:ko Latin_Latina-Latin1:la
Lithuanian_Lietuviskai-Baltic:lt Macedonian-UTF8:mk Malay_BahasaMelayu-Latin1:ms Marathi-UTF8:mr
Mongolian_Khalkha-UTF8:mn Norwegian_Norsk-Bokmal-Latin1:no Polish-Latin2:pl Portuguese_Portugues-Latin1:pt
Romanian-Latin2:ro Russian-UTF8:ru Serbian_Srpski-UTF8:sr Slovak-Latin2:sk Slovenian_Slovenscina-Latin2:sl
Somali-Latin1:so Spanish-Latin1:es Swahili_Kiswahili-Latin1:sw Swedish_Svenska-Latin1:sv Filipino_Tagalog-Latin1:tl
Tamil-UTF8:ta Turkish_Turkce-UTF8:tr Ukrainian-UTF8:uk Vietnamese-UTF8:vi Welsh_Cymraeg-Latin1:cy Yoruba-UTF8:yo
Zulu-Latin1:zu Xhosa-Latin1:xh
"""
_ENCODINGS = {"UTF8": "utf-8", "Latin1": "cp1252", "Latin2": "iso8859-2", "GB2312": "gb18030", "HZ": "hz",
              "EUC": "euc_jp", "SJIS": "cp932", "Baltic": "iso8859-13"}  # fmt: skip
_CLOSE = ("zh", "en", "ja", "ko", "vi")  # what is most often met, and mistaken, beside Chinese and English


def read_words(paths: Sequence[Path]) -> list[str]:
    """Phrases of lists as their authors publish them: lines that hold nothing to search for are left out."""
    lines = [line.strip() for path in paths for line in path.read_text("utf-8-sig").splitlines()]
    return [line for line in dict.fromkeys(lines) if line and can_be_found(line)]


def chinese_lists(data: Path) -> dict[str, list[str]]:
    """The lists for Chinese: LDNOOBW's, two kinds of the sensitive lexicon, and all of it."""
    folder = data / "filter-lists" / "sensitive-lexicon-zh"
    return {
        "ldnoobw zh": read_words([data / "filter-lists" / "ldnoobw" / "zh.txt"]),
        "lexicon 色情": read_words(sorted(folder.glob("色情*.txt"))),
        "lexicon whole": read_words(sorted(folder.glob("*.txt"))),
    }


def hits(words: Sequence[str], texts: Sequence[str], max_separators: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Hits and distinct phrases in every text, int64 [N] each."""
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    found, _ = Lexicon.build([words]).find(data, offsets, np.ones(len(texts), dtype=bool), max_separators)
    distinct = np.unique(found[:, :3], axis=0)
    return np.bincount(found[:, 0], minlength=len(texts)), np.bincount(distinct[:, 0], minlength=len(texts))


def over_blocking(data: Path, table: Table) -> None:
    """Share of offensive texts that a list hits, and of the others that it hits all the same, by limit."""
    with (data / "labelled/zh-offensive/coldataset_test.csv").open(encoding="utf-8-sig", newline="") as handle:
        chinese = [(row["TEXT"], row["label"] == "1") for row in csv.DictReader(handle)]
    with (data / "labelled/en-offensive/labeled_data.csv").open(encoding="utf-8", newline="") as handle:
        english = [(row["tweet"], row["class"] != "2") for row in csv.DictReader(handle)]
    lists = {name: (words, chinese) for name, words in chinese_lists(data).items()}
    lists["ldnoobw en"] = (read_words([data / "filter-lists" / "ldnoobw" / "en.txt"]), english)
    for name, (words, labelled) in lists.items():
        bad = np.array([label for _, label in labelled])
        _, distinct = hits(words, [text for text, _ in labelled])
        parts = []
        for limit in _LIMITS:
            blocked = distinct >= limit
            parts.append(f"from {limit}: {blocked[bad].mean():.1%} of offensive, {blocked[~bad].mean():.1%} of others")
        shown = f"{'; '.join(parts)} ({len(words)} phrases, {bad.sum()} + {(~bad).sum()} texts)"
        useful = (distinct[bad] >= 1).mean() > (distinct[~bad] >= 1).mean()
        table.check(f"over-blocking, {name}", "shown; offensive texts hit more often", shown, bool(useful))


def identified(texts: Sequence[str], **config: int) -> list[str]:
    """Label of every text; Chinese in traditional characters is Chinese."""
    found = identify_documents(pa.chunked_array([pa.array(texts, pa.string())]), IdentifyLanguageConfig(**config))
    return [label.removesuffix("-Hant") for label in found.column(LABEL).to_pylist()]


def declarations(data: Path) -> Iterator[tuple[str, str, str]]:
    """(name, language, text) of the texts of :data:`_UDHR`, white space collapsed."""
    with zipfile.ZipFile(data / "labelled/langid/udhr.zip") as archive:
        for entry in _UDHR.split():
            name, language = entry.rsplit(":", 1)
            text = archive.read(f"udhr/{name}").decode(_ENCODINGS[name.rsplit("-", 1)[1]], "replace")
            yield name, language, " ".join(text.split())


def windows(text: str, size: int, most: int = 40) -> list[str]:
    """At most ``most`` pieces of ``size`` characters, spread over the text."""
    step = max(size, len(text) // most)
    return [text[start : start + size] for start in range(0, len(text) - size + 1, step)][:most]


def crawl_pages(data: Path) -> list[tuple[str, str, float]]:
    """(main text, Common Crawl's own first language, its share) of the pages of its sample."""
    from fastwarc.warc import ArchiveIterator
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    pages: dict[str, str] = {}
    found = []
    with (data / "web-warc/resiliparse/warcfile.warc.gz").open("rb") as handle:
        for record in ArchiveIterator(handle):
            body, url = record.reader.read(), record.headers.get("WARC-Target-URI", "")
            if record.headers["WARC-Type"] == "response":
                pages[url] = extract_plain_text(bytes_to_str(body, detect_encoding(body)))
            elif record.headers["WARC-Type"] == "metadata" and url in pages:
                said = re.search(rb"languages-cld2: (\{.*\})", body)
                if said:
                    first = json.loads(said.group(1))["languages"][0]
                    found.append((pages[url], first["code"].removesuffix("-Hant"), first["text-covered"]))
    return found


def language(data: Path, table: Table) -> None:
    """Accuracy on whole declarations, on short pieces of them, and against Common Crawl's own annotations."""
    texts = list(declarations(data))
    labels = identified([text for _, _, text in texts])
    wrong = [f"{name} {label}" for (name, language, _), label in zip(texts, labels, strict=True) if label != language]
    share = 1 - len(wrong) / len(texts)
    table.check(
        "language, whole declarations", ">= 95 %", f"{share:.1%} of {len(texts)}; wrong: {wrong}", share >= 0.95
    )
    for size, wanted in ((200, 0.99), (50, 0.95), (20, 0.85)):
        pieces = [(language, piece) for _, language, text in texts for piece in windows(text, size)]
        told = identified([piece for _, piece in pieces])
        pairs = [(language, label) for (language, _), label in zip(pieces, told, strict=True)]
        close = [pair for pair in pairs if pair[0] in _CLOSE]
        correct = sum(language == label for language, label in close) / len(close)
        by = {c: np.mean([a == b for a, b in pairs if a == c]) for c in _CLOSE}
        unknown = sum(label == "und" for _, label in close) / len(close)
        everything = np.mean([a == b for a, b in pairs])
        seen = f"{correct:.1%} ({', '.join(f'{c} {v:.0%}' for c, v in by.items())}), unknown {unknown:.1%}; "
        seen += f"all {len({a for a, _ in pairs})} languages {everything:.1%} of {len(pairs)} pieces"
        table.check(f"language, {size} characters, {'/'.join(_CLOSE)}", f">= {wanted:.0%}", seen, correct >= wanted)
    pages = crawl_pages(data)
    told = identified([text for text, _, _ in pages])
    pairs = Counter((said, label) for (_, said, _), label in zip(pages, told, strict=True))
    agreed = sum(count for (said, label), count in pairs.items() if said == label)
    shown = f"{agreed} of {len(pages)}; (theirs, ours): {dict(pairs)}"
    table.check("language, Common Crawl's annotations", ">= 90 %", shown, agreed >= 0.9 * len(pages))


def speed_texts(data: Path) -> dict[str, list[str]]:
    """Chinese laws and technology articles, and English news."""
    chinese = []
    for name in ("laws/laws-sample.tar.gz", "tech-articles/lctt-2015-sample.tar.gz"):
        with tarfile.open(data / "text-zh" / name) as archive:
            files = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
            chinese += [file.read().decode("utf-8", "replace") for file in files if file is not None]
    english = [
        line
        for path in sorted((data / "text-en/news-lee").iterdir())
        for line in path.read_text("utf-8", "replace").splitlines()
        if line.strip()
    ]
    return {"zh": chinese, "en": english}


def _fastest(works: Sequence[Callable[[], object]], repeat: int = 3) -> list[float]:
    """CPU seconds of each, the least of ``repeat`` interleaved passes."""
    spent = [[] for _ in works]
    for _ in range(repeat):
        for index, work in enumerate(works):
            started = time.process_time()
            work()
            spent[index].append(time.process_time() - started)
    return [min(seconds) for seconds in spent]


def list_speed(data: Path, table: Table) -> None:
    """A large and a small list on Chinese and English text, beside languages and, if installed, pyahocorasick."""
    Lexicon.build([["warm"]])
    words = {"large": chinese_lists(data)["lexicon whole"]}
    words["small"] = read_words([data / "filter-lists" / "ldnoobw" / "en.txt"])
    built = {}
    for name, phrases in words.items():
        started = time.process_time()
        built[name] = Lexicon.build([phrases])
        spent = time.process_time() - started
        shown = f"{spent:.2f} s of CPU, {built[name].num_bytes / 1e6:.1f} MB for {len(built[name].phrases)} phrases"
        table.check(f"build, {name} list", "<= 5 s, <= 100 MB", shown, spent <= 5 and built[name].num_bytes <= 1e8)
    for name, texts in speed_texts(data).items():
        _speeds(name, texts, built, _plain_scans(words, texts), table)


def _speeds(
    name: str, texts: list[str], built: dict[str, Lexicon], plain: dict[str, Callable[[], object]], table: Table
) -> None:
    """Every lexicon, the languages and the plain scans over the same texts, interleaved."""
    column = pa.chunked_array([pa.array(texts, pa.string())])
    data, offsets = text_buffers(column)
    inside = np.ones(len(texts), dtype=bool)
    ours: dict[str, Callable[[], object]] = {
        f"{which} list": lambda lexicon=lexicon: lexicon.find(data, offsets, inside, 3)
        for which, lexicon in built.items()
    }
    ours["language"] = lambda: identify_documents(column, IdentifyLanguageConfig())
    works = ours | plain
    for work in works.values():
        work()
    speeds = {
        which: int(offsets[-1]) / spent / 1e6
        for which, spent in zip(works, _fastest(list(works.values())), strict=True)
    }
    for which in ours:
        beside = f"; pyahocorasick's plain scan {speeds[f'plain {which}']:.1f}" if f"plain {which}" in speeds else ""
        shown = f"{speeds[which]:.1f} MB/s ({len(texts)} texts, {int(offsets[-1]) / 1e6:.1f} MB){beside}"
        table.check(f"speed, {which}, {name}", ">= 5 MB/s per core", shown, speeds[which] >= 5)


def _plain_scans(words: dict[str, list[str]], texts: Sequence[str]) -> dict[str, Callable[[], object]]:
    """pyahocorasick over the same texts as they are: no folding, no borders, no separators, no offsets in bytes."""
    try:
        import ahocorasick
    except ImportError:
        return {}
    scans: dict[str, Callable[[], object]] = {}
    for name, phrases in words.items():
        automaton = ahocorasick.Automaton()
        for number, phrase in enumerate(phrases):
            automaton.add_word(phrase.lower(), number)
        automaton.make_automaton()
        scans[f"plain {name} list"] = lambda automaton=automaton: sum(1 for text in texts for _ in automaton.iter(text))
    return scans


def main() -> int:
    """Everything on one folder of data; the exit status says whether all demands hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = Table(options.out)
    table.part("over-blocking of word lists", lambda: over_blocking(options.data, table))
    table.part("language", lambda: language(options.data, table))
    table.part("speed", lambda: list_speed(options.data, table))
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
