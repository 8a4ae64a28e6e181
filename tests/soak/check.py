"""One damaged input: read it, and say what is wrong with how it was read."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from pathlib import Path

from stages.ingest.record import Failed
from tests.soak.mutations import mutate
from tests.soak.targets import MAX_REAL_BYTES, MAX_REAL_CHUNKS, Target, failures_explained, texts


@cache
def _chunks(target: Target, real: Path | None) -> tuple[bytes, ...]:
    if real is None or target.split is None:
        return tuple(target.make())
    chosen: list[bytes] = []
    for chunk in target.split(real):
        if len(chosen) >= MAX_REAL_CHUNKS or sum(map(len, chosen)) + len(chunk) > MAX_REAL_BYTES:
            break
        chosen.append(chunk)
    return tuple(chosen) or (real.read_bytes()[:MAX_REAL_BYTES],)


@cache
def _sound(target: Target, folder: Path, chunks: tuple[bytes, ...]) -> Counter[str]:
    return texts(target.read(folder, b"".join(chunks)))


def damaged(target: Target, seed: int, real: Path | None) -> tuple[tuple[bytes, ...], int, bytes]:
    """(chunks of the sound file, number of the damaged one, its bytes) for ``seed``."""
    rng = random.Random(f"{target.name}/{seed}/{real.name if real else ''}")
    chunks = _chunks(target, real)
    number = rng.randrange(len(chunks))
    return chunks, number, mutate(chunks[number], chunks, rng)


def problem(target: Target, seed: int, real: Path | None, folder: Path) -> str | None:
    """What is wrong with the reading of damaged input ``seed``, or None. What the reader raises comes out."""
    chunks, number, chunk = damaged(target, seed, real)
    outcomes = target.read(folder, b"".join([*chunks[:number], chunk, *chunks[number + 1 :]]))
    if wrong := failures_explained(outcomes):
        return wrong
    expected = _neighbours(target, chunks, number, chunk, folder)
    lost = expected - texts(outcomes)
    if lost:
        failures = [f"{outcome.reason}: {outcome.error}" for outcome in outcomes if isinstance(outcome, Failed)][:3]
        return f"chunk {number} of {len(chunks)}: {lost.total()} neighbours lost: {next(iter(lost))!r:.100}; {failures}"
    return None


def _neighbours(target: Target, chunks: tuple[bytes, ...], number: int, chunk: bytes, folder: Path) -> Counter[str]:
    """Texts that must arrive although chunk ``number`` is now ``chunk``."""
    last = len(chunks) - target.num_tail
    if target.other_part and target.other_part in chunk.lower():
        return Counter()
    if target.promise == "none" or number < target.num_head or number >= last:
        return Counter()
    if target.promise == "around":
        is_run_on = bool(target.terminator) and not chunk.endswith(target.terminator)
        behind = number + 1 + max(target.num_along, int(is_run_on))
        return _sound(target, folder, chunks[:number] + chunks[behind:])
    before = _sound(target, folder, chunks)
    mine = list(before)  # one document for each chunk, or as many for each
    per_chunk = len(mine) // last
    if target.promise == "places" and len(chunk) == len(chunks[number]):
        return Counter(mine[: number * per_chunk] + mine[(number + 1) * per_chunk :])
    return Counter(mine[: number * per_chunk])
