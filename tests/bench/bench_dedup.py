"""Speed of deduplication: the kernels on one core beside datasketch, then both stages from documents to decisions.

    python -m tests.bench.bench_dedup [--input FOLDER_OR_FILE] [--out figures.jsonl] [--repeat 3]

``--input`` is a folder of ``.jsonl`` files (field ``text``, optionally ``domain``) or one text file, cut into documents
at blank lines. By default a mixed text is made here: Chinese, English and code of random words, every twentieth
document a copy with one word in a hundred changed. MB are UTF-8 bytes of text going in. datasketch gets the same
shingle hashes (values compared), once as given integers and once as texts with the same cut and xxh3.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from stages.dedup.bands import permutations
from stages.dedup.shingles import ShingleLengths
from stages.dedup.signature import Signer
from stages.text.arrow_text import text_buffers
from tests.bench.measure import Results, arguments, measured, median_seconds
from tests.stage_harness import Bench
from tests.unit.dedup.corpus import Text, documents
from tests.unit.dedup.slow_reference import tokens

NUM_PERMUTATIONS = 128
_GENERATED_BYTES = 24_000_000
_SHARD_BYTES = 8_000_000
_PEER_BYTES = 400_000  # datasketch and the Python cut are slow; more would only cost time


def read(path: Path) -> Iterator[Text]:
    """Documents of the input."""
    if path.is_file() and path.suffix != ".jsonl":
        for number, part in enumerate(path.read_text("utf-8", "replace").split("\n\n")):
            if part.strip():
                yield Text(f"{number}", part)
        return
    for file in [path] if path.is_file() else sorted(path.glob("**/*.jsonl")):
        with file.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle):
                record = json.loads(line)
                yield Text(f"{file.name}:{number}", record["text"], file.stem, record.get("domain", "en"))


def generate(num_bytes: int) -> Iterator[Text]:
    """Mixed text in which only the planted copies are near-duplicates."""
    rng = np.random.default_rng(0)
    # word frequencies like those of natural text
    english = ["".join(map(chr, rng.integers(97, 123, rng.integers(2, 10)))) for _ in range(20_000)]
    symbols = ["(", ")", "=", ".", ":", ",", "[", "]", "+", "\n    "]
    last: list[str] = []
    made = number = 0
    domain = "en"
    while made < num_bytes:
        if number % 20 == 19:
            parts = [part if rng.random() > 0.01 else "changed" for part in last]
        else:
            domain = ("en", "zh", "code")[number % 3]
            length = int(rng.integers(100, 900))
            if domain == "zh":
                parts = [chr(0x4E00 + int(c)) for c in rng.zipf(1.3, 2 * length) % 8000]
            else:
                parts = [english[int(c)] for c in rng.zipf(1.2, length) % len(english)]
            if domain == "code":
                parts = [piece for part in parts for piece in (part, symbols[int(rng.integers(10))])]
            last = parts
        text = ("" if domain == "zh" else " ").join(parts)
        made += len(text.encode())
        yield Text(f"{number}", text, "made", domain)
        number += 1


class KernelSpeed(NamedTuple):
    """What :func:`bench_kernel` saw of one kind of text."""

    speed: float  # MB/s, text to signature
    permuting: float  # times faster than ``update_batch`` on given hashes
    from_text: float  # times faster than cut, hash and ``update_batch``
    num_compared: int  # documents whose signatures were compared with datasketch's, value for value


def bench_kernel(name: str, texts: list[str], is_code: bool, results: Results, repeat: int) -> KernelSpeed:
    """Text to signature on one core, beside datasketch on a part of the same texts; raises where a value differs."""
    data, offsets = text_buffers(pa.array(texts))
    everything, code = np.ones(len(texts), dtype=bool), np.full(len(texts), is_code)
    signer = Signer(ShingleLengths(), permutations(NUM_PERMUTATIONS, 1))
    signer.sign(data, offsets[:2], everything[:1], code[:1])  # compile
    speed = len(data) / 1e6 / median_seconds(lambda: signer.sign(data, offsets, everything, code), repeat)
    results.add(f"sign.{name}", speed, "MB/s/core", len(texts))

    few = max(1, int(np.searchsorted(offsets, _PEER_BYTES)) - 1)
    ours, _ = signer.sign(data, offsets[: few + 1], everything[:few], code[:few])
    part_seconds = median_seconds(lambda: signer.sign(data, offsets[: few + 1], everything[:few], code[:few]), repeat)
    hashes = [(signer.shingle_set(data, offsets, row, is_code) >> np.uint64(32)).tolist() for row in range(few)]
    permuting = bench_permuting(name, hashes, results, repeat)
    peer = by_datasketch(hashes)
    np.testing.assert_array_equal(ours, peer())
    results.add(
        f"datasketch.hashes_given.{name}", median_seconds(peer, repeat) / part_seconds, "x our text-to-signature", few
    )
    part = texts[:few]
    slow = median_seconds(lambda: from_text(part, is_code), 1)
    results.add(f"datasketch.from_text.{name}", slow / part_seconds, "x our text-to-signature", few)
    return KernelSpeed(speed, permuting, slow / part_seconds, few)


def bench_permuting(name: str, hashes: list[list[int]], results: Results, repeat: int) -> float:
    """Hashes to signature alone, the part that datasketch's ``update_batch`` does; how many times faster."""
    from stages.dedup import kernel

    multipliers, increments = permutations(NUM_PERMUTATIONS, 1)
    ready = [np.array(one, dtype=np.uint64) << np.uint64(32) for one in hashes]
    signature = np.empty(NUM_PERMUTATIONS, dtype=np.uint32)

    def ours() -> None:
        for one in ready:
            kernel.permute(one, len(one), multipliers, increments, signature)

    ours()
    seconds = median_seconds(ours, repeat)
    peer = median_seconds(by_datasketch(hashes), repeat)
    results.add(f"permute.{name}", sum(map(len, hashes)) / 1e6 / seconds, "M shingles/s/core", len(hashes))
    results.add(f"permute.{name}.against_datasketch", peer / seconds, "x faster", len(hashes))
    return peer / seconds


def by_datasketch(hashes: list[list[int]]) -> Callable[[], np.ndarray]:
    """Signatures of given hashes by ``update_batch``."""
    from datasketch import MinHash

    blank = MinHash(num_perm=NUM_PERMUTATIONS, seed=1, scheme="affine32", hashfunc=lambda value: value)

    def work() -> np.ndarray:
        made = []
        for one in hashes:
            sketch = blank.copy()
            sketch.hashfunc = blank.hashfunc
            sketch.update_batch(one)
            made.append(sketch.hashvalues)
        return np.stack(made)

    return work


def from_text(texts: list[str], is_code: bool) -> None:
    """What a Python program does: cut, join, hash with xxh3, ``update_batch``."""
    import xxhash
    from datasketch import MinHash

    length = 7 if is_code else 5
    blank = MinHash(num_perm=NUM_PERMUTATIONS, seed=1, scheme="affine32", hashfunc=lambda value: value)
    for text in texts:
        cut = tokens(text, is_code)
        sketch = blank.copy()
        sketch.hashfunc = blank.hashfunc
        sketch.update_batch(
            [
                xxhash.xxh3_64_intdigest(" ".join(cut[i : i + length]).encode()) >> 32
                for i in range(len(cut) - length + 1)
            ]
        )


def bench_stages(texts: list[Text], num_bytes: int, results: Results) -> None:
    """Both stages in this process, from a documents artifact to the committed decisions."""
    shards: list[list[Text]] = [[]]
    size = 0
    for text in texts:
        if size > _SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(text)
        size += len(text.text.encode())
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        base = documents(bench, shards)
        for key in ("dedup_exact", "dedup_minhash"):
            with measured() as usage:
                started = time.perf_counter()
                made = bench.run(
                    key, {"max_removed_ratio": None} if key == "dedup_minhash" else {}, {"documents": [base]}
                )
                seconds = time.perf_counter() - started
            results.add(f"{key}.speed", num_bytes / 1e6 / seconds, "MB/s", len(texts))
            results.add(f"{key}.removed", made.facts["num_removed"], "documents", len(texts))
            results.add_usage(key, usage[0])
            for port in sorted({shard.port for shard in made.manifest.shards}):
                written = sum(shard.num_bytes for shard in made.shards(port))
                results.add(f"{key}.{port}_bytes", written / num_bytes, "bytes per byte of text", len(texts))


def main() -> int:
    """Measure and print."""
    given = arguments(__doc__ or "")
    results = Results(given.out)
    texts = list(read(given.input) if given.input else generate(_GENERATED_BYTES))
    num_bytes = sum(len(text.text.encode()) for text in texts)
    for domain in sorted({text.domain for text in texts}):
        bench_kernel(domain, [t.text for t in texts if t.domain == domain], domain == "code", results, given.repeat)
    bench_stages(texts, num_bytes, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
