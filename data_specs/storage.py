"""Files by path or by URL: list, look at, open. A URL is read in place, by ranges; nothing is copied to this machine.

    s3://bucket/crawl/*.warc.gz                                    credentials and region as the AWS tools find them
    s3://bucket/crawl/*.warc.gz?endpoint=http://127.0.0.1:9000     another store that speaks S3 (or AWS_ENDPOINT_URL)
    s3://bucket/crawl/**/*.jsonl.gz?anonymous=true&region=us-east-1   public data

Other schemes (``gs``, ``abfs``, ``hdfs``) go to Arrow as they stand. A secret never stands in a URL, because cards,
manifests and messages repeat it. A file behind a URL is told by its ETag: a store of terabytes is not read to plan.
"""

from __future__ import annotations

import fnmatch
import glob
import io
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_specs.errors import DataError, SpecError, nearest

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OPTIONS = ("anonymous", "endpoint", "region")
_QUERY = re.compile(r"\?([a-z]+=[^?&\s]*(?:&[a-z]+=[^?&\s]*)*)\Z")
#: One request asks for so many bytes, however little a reader takes at once.
_RANGE_BYTES = 4 << 20
_CONNECT_SECONDS, _REQUEST_SECONDS = 10, 60
_NUM_LOOKS = 16  # files that are looked at side by side


@dataclass(frozen=True, slots=True)
class Status:
    """What a store says about a file without reading it."""

    num_bytes: int
    digest: str | None  # ``etag:...``; None for a local file, whose bytes are digested


def is_url(path: str) -> bool:
    """Whether ``path`` names a file behind a URL and not one of this machine."""
    return _URL.match(path) is not None


def find_urls(pattern: str) -> list[tuple[str, str]]:
    """(name, URL) of every file that a URL with wildcards matches, sorted; names start below the last folder without
    one. ``*`` stays inside a folder, ``**`` is any number of folders."""
    from pyarrow.fs import FileSelector, FileType

    location = _Location.of(pattern)
    parts = location.path.split("/")
    plain = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    anchor, rest = "/".join(parts[:plain]), parts[plain:]
    if plain == 0:
        raise SpecError(f"{pattern}: name a bucket and a path below it, as in s3://bucket/folder/*.jsonl.gz")
    with _told(f"{location.scheme}://{anchor}"):
        filesystem = location.filesystem()
        selector = FileSelector(anchor, recursive=len(rest) > 1)
        infos = filesystem.get_file_info(selector)
    names = [info.path[len(anchor) + 1 :] for info in infos if info.type == FileType.File]
    return [(name, location.url(f"{anchor}/{name}")) for name in sorted(names) if _matches(name.split("/"), rest)]


def statuses(paths: Sequence[str]) -> list[Status]:
    """:func:`status` of many files, several at a time."""
    with ThreadPoolExecutor(_NUM_LOOKS) as pool:
        return list(pool.map(status, paths))


def status(path: str) -> Status:
    """Size and, behind a URL, digest of a file. A local file raises :class:`OSError` as :func:`os.stat` does."""
    if not is_url(path):
        return Status(os.stat(path).st_size, None)
    location = _Location.of(path)
    with _told(path):
        info = location.filesystem().get_file_info(location.path)
        if not info.is_file:
            raise FileNotFoundError
        with location.filesystem().open_input_stream(location.path) as stream:
            told = {str(key).lower(): value for key, value in (stream.metadata() or {}).items()}
    tag = told.get("etag", b"").decode("ascii", "replace").strip('"')
    return Status(info.size, f"etag:{tag}" if tag else f"modified:{info.mtime_ns}")


@contextmanager
def open_file(path: str | Path) -> Iterator[BinaryIO]:
    """The file for reading and seeking; a local one without a buffer of its own."""
    if not is_url(str(path)):
        with open(path, "rb", buffering=0) as local:
            yield cast(BinaryIO, local)
        return
    location = _Location.of(str(path))
    with _told(str(path)):
        native = location.filesystem().open_input_file(location.path)
    with io.BufferedReader(_Remote(native, str(path)), _RANGE_BYTES) as handle:
        yield cast(BinaryIO, handle)


class _Remote(io.RawIOBase):
    """A file behind a URL as Python knows files. A store that fails is no damaged file, so what it raises is no
    :class:`OSError`: readers would put that into quarantine."""

    def __init__(self, native: Any, url: str) -> None:
        self._native, self._url = native, url

    def readinto(self, buffer: Any, /) -> int:
        with _told(self._url):
            data = self._native.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        return int(self._native.seek(position, whence))

    def tell(self) -> int:
        return int(self._native.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._native.close()
        super().close()


@dataclass(frozen=True, slots=True)
class _Location:
    """A URL in its parts."""

    scheme: str
    path: str  # bucket/key
    options: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, url: str) -> _Location:
        found = _URL.match(url)
        scheme = found.group(1).lower() if found else ""
        if scheme not in SCHEMES:
            raise SpecError(f"{url}: no reader for {scheme}://.{nearest(scheme, SCHEMES)}")
        query = _QUERY.search(url)
        path = url[found.end() if found else 0 : query.start() if query else len(url)]
        if "@" in path.partition("/")[0]:
            raise SpecError(
                f"{scheme}://...: the URL holds a user or a secret; give credentials by the environment "
                f"(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE)"
            )
        options = tuple(tuple(part.split("=", 1)) for part in query.group(1).split("&")) if query else ()
        for name, _ in options:
            if name not in _OPTIONS or scheme != "s3":
                raise SpecError(f"{url}: {scheme}:// takes no option {name!r}.{nearest(name, _OPTIONS)}")
        return cls(scheme, path.rstrip("/"), cast(Any, options))

    def url(self, path: str) -> str:
        """The URL of another file of the same store."""
        query = "&".join(f"{name}={value}" for name, value in self.options)
        return f"{self.scheme}://{path}" + (f"?{query}" if query else "")

    def filesystem(self) -> Any:
        return _filesystem(self.scheme, self.path.partition("/")[0], self.options)


@lru_cache(maxsize=64)
def _filesystem(scheme: str, root: str, options: tuple[tuple[str, str], ...]) -> Any:
    from pyarrow import fs

    if scheme != "s3":
        return fs.FileSystem.from_uri(f"{scheme}://{root}/")[0]
    given = dict(options)
    endpoint = given.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = given.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(root)
    protocol, _, host = (endpoint or "").rpartition("://")
    return fs.S3FileSystem(
        anonymous=given.get("anonymous", "").lower() in ("1", "true", "yes"),
        region=region,
        scheme=protocol or "https",
        endpoint_override=host.rstrip("/") or None,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
    )


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what a store answers into one message that names the URL and the remedy."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{url}: no such bucket, folder or file; correct the card") from None
    except OSError as error:
        text = " ".join(str(error).split())
        if re.search(r"NO_SUCH_BUCKET|NO_SUCH_KEY|RESOURCE_NOT_FOUND|HTTP status 404", text):
            cause = "no such bucket, folder or file; correct the card"
        elif re.search(r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|HTTP status 40[13]|credential", text, re.I):
            cause = (
                "the store refuses; give credentials by the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or "
                "AWS_PROFILE), or add ?anonymous=true where the data are public"
            )
        else:
            cause = "the store does not answer as it should; finished units are kept, give the same command again"
        raise DataError(f"{url}: {cause} ({text[:300]})") from None


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether folder and file names match a path with wildcards; like :mod:`glob`, those leave hidden names out."""
    if not parts:
        return not names
    if parts[0] == "**":
        hidden = next((n for n, name in enumerate(names) if name.startswith(".")), len(names))
        if len(parts) == 1:
            return 0 < len(names) == hidden
        return any(_matches(names[n:], parts[1:]) for n in range(min(hidden + 1, len(names))))
    if not names or not fnmatch.fnmatchcase(names[0], parts[0]):
        return False
    return (parts[0].startswith(".") or not names[0].startswith(".")) and _matches(names[1:], parts[1:])
