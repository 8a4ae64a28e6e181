"""A store on loopback that speaks the few words of S3 which reading needs: list, head, get by range.

https://docs.aws.amazon.com/AmazonS3/latest/API: ListObjectsV2, HeadBucket, HeadObject, GetObject, error responses.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Store:
    """Objects by bucket and key, and what was asked of them."""

    buckets: dict[str, dict[str, bytes]]
    refused: set[str] = field(default_factory=set)  # buckets that answer 403
    failing: set[str] = field(default_factory=set)  # keys whose content is answered by 500
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    url: str = ""  # http://127.0.0.1:PORT

    def etag(self, bucket: str, key: str) -> str:
        return hashlib.md5(self.buckets[bucket][key], usedforsecurity=False).hexdigest()


@contextmanager
def serve(buckets: dict[str, dict[str, bytes]]) -> Iterator[Store]:
    """A running server, gone at the end of the block."""
    store = Store(buckets)

    class Handler(_Handler):
        pass

    Handler.store = store
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        self.store.requests.append((self.command, f"{bucket}/{key}", self.headers.get("Range")))
        if bucket in self.store.refused:
            self._error(403, "AccessDenied")
        elif bucket not in self.store.buckets:
            self._error(404, "NoSuchBucket")
        elif not key:
            self._list(bucket, parse_qs(parts.query))
        elif key not in self.store.buckets[bucket]:
            self._error(404, "NoSuchKey")
        elif self.command == "GET" and key in self.store.failing:
            self._error(500, "InternalError")
        else:
            self._object(bucket, key)

    def _object(self, bucket: str, key: str) -> None:
        data = self.store.buckets[bucket][key]
        headers = {
            "ETag": f'"{self.store.etag(bucket, key)}"', "Last-Modified": "Mon, 06 May 2024 07:08:09 GMT",
            "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream",
        }  # fmt: skip
        status = 200
        if found := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(found.group(1)), min(int(found.group(2) or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            data, status = data[start : end + 1], 206
        self._send(status, data, headers)

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        entries, folders = [], set()
        for key, data in sorted(self.store.buckets[bucket].items()):
            rest = key.removeprefix(prefix)
            if not key.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            entries.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2024-05-06T07:08:09.000Z</LastModified>"
                f"<ETag>&quot;{self.store.etag(bucket, key)}&quot;</ETag><Size>{len(data)}</Size></Contents>"
            )
        entries += [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)]
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(entries)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{''.join(entries)}</ListBucketResult>"
        )
        self._send(200, body.encode(), {"Content-Type": "application/xml"})

    def _error(self, status: int, code: str) -> None:
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
        self._send(status, body.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
