"""Source cards: one YAML per origin of raw data, and the listing of its files that makes a dump an artifact.

    name: my_crawl
    origin: https://example.org/crawl          # where it came from, for people
    licence: CC-BY-4.0
    languages: [zh, en]                         # BCP 47; zh-Hant, zh-TW, zh-HK: `clean` keeps the traditional script
    domain: zh                                  # routes to an RRE expert group; frozen before tokenize
    format: warc                                # warc | jsonl | csv | parquet | files | po | pairs | mediawiki
    paths: ["crawl/*.warc.gz"]                  # below data_root, absolute, or a URL (data_specs/storage.py)
    fields: {text: body, id: key}               # what a record looks like; per format in stages/ingest/options.py

Listings are sorted by relative path, so the order of a file system never shows.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from data_specs.config import parse_config
from data_specs.errors import SpecError, nearest
from data_specs.fingerprint import file_digest, fingerprint, plain
from data_specs.manifest import write_json
from data_specs.storage import find_urls, is_url, statuses

FORMATS = ("warc", "jsonl", "csv", "parquet", "files", "po", "pairs", "mediawiki")
#: Cards that ship with the project.
CARD_FOLDER = Path(__file__).parent / "sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCard:
    """What one source is and how its records become documents."""

    name: str
    origin: str
    licence: str
    languages: tuple[str, ...]
    domain: str
    format: str
    paths: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)  # record schema; see stages/ingest
    exclude: tuple[str, ...] = ()  # glob patterns of file names to leave out
    notes: str = ""  # caveats, for people; never identity

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is unknown.{nearest(self.format, FORMATS)}")
        if not self.paths:
            raise ValueError(f"source {self.name!r} has no paths")

    def identity(self) -> dict[str, Any]:
        """What of the card changes documents: not its prose, not where its files lie."""
        return {
            "name": self.name,
            "languages": list(self.languages),
            "domain": self.domain,
            "format": self.format,
            "fields": plain(self.fields),
        }


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One raw file of a dump."""

    name: str  # path relative to the folder that the pattern starts from; identity
    path: str  # where it lies, on this machine or behind a URL; not identity
    num_bytes: int
    sha256: str  # of its bytes; behind a URL ``etag:`` and what the store calls its content


@dataclass(frozen=True, slots=True)
class Source:
    """A raw dump as an artifact: card and listing. Its fingerprint sees a changed, added or removed file."""

    card: SourceCard
    files: tuple[SourceFile, ...]

    @property
    def payload(self) -> dict[str, Any]:
        """What the fingerprint is computed from."""
        return {"card": self.card.identity(), "files": [[f.name, f.num_bytes, f.sha256] for f in self.files]}

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.payload)


def load_card(name: str, folders: Iterable[Path]) -> SourceCard:
    """Find ``name``.yaml in ``folders`` (first wins), or read ``name`` itself when it is a path to a YAML file."""
    folders = [*folders, CARD_FOLDER]
    if name.endswith((".yaml", ".yml")):
        return read_card(Path(name))
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return read_card(folder / f"{name}.yaml")
    known = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    raise SpecError(f"no source card {name!r} in {', '.join(map(str, folders))}.{nearest(name, known)}")


def read_card(path: Path) -> SourceCard:
    """Parse one card; errors name the file and the key."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot read the source card: {error}") from None
    if not isinstance(values, Mapping):
        raise SpecError(f"{path}: a source card is a mapping (name, origin, licence, ...), not {type(values).__name__}")
    card = parse_config(SourceCard, values, str(path))
    if card.name != path.stem:
        raise SpecError(f"{path}: the card's name {card.name!r} must equal its file name {path.stem!r}")
    return card


def list_files(card: SourceCard, data_root: Path) -> list[tuple[str, str]]:
    """(name, path or URL) of every file that the card's patterns match, sorted by name; a pattern without a match
    raises."""
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    for pattern in card.paths:
        pattern = os.path.expanduser(os.path.expandvars(pattern))
        where = pattern if is_url(pattern) or os.path.isabs(pattern) else str(data_root / pattern)
        matches = find_urls(where) if is_url(where) else _find_local(where)
        kept = [(name, path) for name, path in matches if not _is_excluded(name, path, card.exclude)]
        if not kept:
            raise SpecError(
                f"source {card.name!r}: pattern {pattern!r} matches no file under {data_root}; "
                f"set data_root=... or correct the card"
            )
        for name, match in kept:
            if found.setdefault(name, match) != match:
                raise SpecError(
                    f"source {card.name!r}: {found[name]} and {match} would both be called {name!r}; "
                    f"use one pattern whose wildcards start above both folders"
                )
            if names.setdefault(match, name) != name:
                raise SpecError(
                    f"source {card.name!r}: two patterns match {match}, as {names[match]!r} and {name!r}; "
                    f"its documents would come twice"
                )
    return sorted(found.items())


def _is_excluded(name: str, path: str, patterns: Iterable[str]) -> bool:
    place = Path(name if is_url(path) else path)
    return any(place.match(pattern) for pattern in patterns)


def _find_local(pattern: str) -> list[tuple[str, str]]:
    """(name, path); names start below the last folder without a wildcard, so that moving a dump keeps its identity."""
    anchor = _anchor(pattern)
    found = []
    for match in map(Path, glob.glob(pattern, recursive=True)):
        if match.is_file():
            # a name that is no UTF-8 becomes readable text; the path beside it still opens the file
            name = os.fsencode(match.relative_to(anchor).as_posix()).decode("utf-8", "backslashreplace")
            found.append((name, str(match)))
    return found


def _anchor(pattern: str) -> Path:
    parts = Path(pattern).parts
    for position, part in enumerate(parts):
        if glob.has_magic(part):
            return Path(*parts[:position])
    return Path(pattern).parent


def open_source(card: SourceCard, data_root: Path, digests: DigestCache) -> Source:
    """List a dump; local files are digested, of those behind a URL the store is asked."""
    listed = list_files(card, data_root)
    remote = [path for _, path in listed if is_url(path)]
    known = dict(zip(remote, statuses(remote), strict=True))
    files = []
    for name, path in listed:
        if path in known:
            files.append(SourceFile(name, path, known[path].num_bytes, str(known[path].digest)))
            continue
        try:
            files.append(SourceFile(name, path, os.stat(path).st_size, digests.sha256(Path(path))))
        except OSError as error:
            raise SpecError(f"source {card.name!r}: cannot read {path}: {error.strerror}") from None
    return Source(card, tuple(files))


class DigestCache:
    """File digests remembered by path, size, mtime and inode, so that planning does not read the dump again."""

    def __init__(self, path: Path, *, verify: bool = False) -> None:
        self._path = path
        self._verify = verify
        self._known: dict[str, list[Any]] = {}
        self._changed = False
        if path.is_file() and not verify:
            try:
                self._known = json.loads(path.read_text("utf-8", "surrogateescape"))
            except ValueError:
                self._known = {}  # a cache may be lost without harm

    def sha256(self, path: Path) -> str:
        """Digest of ``path``, from the cache when nothing about the file changed."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        entry = self._known.get(str(path))
        if entry is None or entry[:3] != stamp:
            entry = [*stamp, file_digest(path)]
            self._known[str(path)] = entry
            self._changed = True
        return str(entry[3])

    def save(self) -> None:
        """Write the cache back when it learned something."""
        if self._changed:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._known)
            self._changed = False
