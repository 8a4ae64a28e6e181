"""Child of :mod:`tests.bench.extraction`: extracts pages in a Python that has trafilatura (and readability-lxml).

Imports nothing of ours. Reads ``tool bytes\\n`` and a page from standard input, answers with ``cpu_seconds bytes\\n``
and the text, and ends with the input; ``rss 0`` answers with the peak resident KiB instead of seconds. A page on
which a tool raises has no text. Comments of readers are left out, as in web-gold/BASELINES.tsv.
"""

from __future__ import annotations

import html
import re
import resource
import sys
import time

_TAG = re.compile(r"<[^>]*>")


def trafilatura_text(page: bytes) -> str:
    """Main text by trafilatura."""
    import trafilatura

    return trafilatura.extract(page, include_comments=False) or ""


def readability_text(page: bytes) -> str:
    """Main text by readability-lxml, tags taken out."""
    from readability import Document

    return html.unescape(_TAG.sub(" ", Document(page.decode("utf-8", "replace")).summary()))


TOOLS = {"trafilatura": trafilatura_text, "readability": readability_text}


def main() -> None:
    """Serve until the input ends."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    for line in iter(source.readline, b""):
        tool, size = line.split()
        page = source.read(int(size))
        if tool == b"rss":
            seconds, text = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss), b""
        else:
            started = time.process_time()
            try:
                text = TOOLS[tool.decode()](page).encode("utf-8", "replace")
            except Exception:  # what a tool does not survive counts as nothing found
                text = b""
            seconds = time.process_time() - started
        target.write(f"{seconds} {len(text)}\n".encode() + text)
        target.flush()


if __name__ == "__main__":
    main()
