"""Where a decoder is cut into consecutive parts for pipeline parallelism, and what each entry costs. No torch.

Entries stand in the order in which a token passes them: the blocks, then the head (query layer, final norm, logits).
The tables of tokens and positions stand before entry 0 and go with it. A part is a run of entries; with a tied output
the last part holds the token table once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from stages.model.config import ModelShape
from stages.model.parameters import (
    attention_parameters,
    feed_forward_parameters,
    learned_parameters,
    norm_parameters,
)


def entry_flops(shape: ModelShape, row_tokens: int | None = None) -> list[float]:
    """Floating-point operations of forward and backward for one token of a row of ``row_tokens`` (default: the longest)
    in each entry: :mod:`stages.model.cost` says what counts."""
    config = shape.config
    attention = 12 * config.d_model * (row_tokens or config.context_length) / 2
    active = _entry_parameters(shape, rre_experts=1, learned_experts=config.router.top_k if config.router else 0)
    flops = [6 * parameters + attention for parameters in active[:-1]]
    return [*flops, 6 * active[-1] + (attention if config.query_layer else 0)]


def entry_parameters(shape: ModelShape) -> list[int]:
    """Parameters that the worker of each entry holds: all experts, the tables at the ends, a tied table twice."""
    config = shape.config
    tokens, positions = shape.vocab_size * config.d_model, config.context_length * config.d_model
    held = _entry_parameters(shape, shape.num_experts, config.router.num_experts if config.router else 0)
    held[0] += tokens + (positions if config.positions == "learned" else 0)
    held[-1] += positions if config.query_layer else 0
    return held


def cut_model(shape: ModelShape, num_parts: int) -> list[range]:
    """Entries of each part of a model, cut so that parts take as equal a time as can be."""
    return cut_entries(entry_flops(shape), num_parts)


def fills_pipeline(passes: int, depth: int, rounds: int) -> bool:
    """Whether a step of so many micro-batches suits a pipeline of ``depth`` workers with ``rounds`` parts each: every
    worker gets one to do, and interleaved ones go round in whole groups."""
    return passes >= depth and (rounds == 1 or passes % depth == 0)


def cut_entries(costs: Sequence[float], num_parts: int) -> list[range]:
    """Cut entries into ``num_parts`` runs, none empty, so that the dearest run is as cheap as can be. Of equal cuts the
    one whose last parts begin earliest. Raises :class:`ValueError` for more parts than entries."""
    if not 1 <= num_parts <= len(costs):
        raise ValueError(f"{len(costs)} entries (blocks and head) cannot be cut into {num_parts} parts")
    before = [0.0, *accumulate(costs)]
    dearest = before[1:]  # of the best cut of the first entries into as many parts as rounds were made
    starts: list[list[int]] = []  # by round and entry: where the last of those parts begins
    for part in range(1, num_parts):
        best, start = [float("inf")] * len(costs), [0] * len(costs)
        for last in range(part, len(costs)):
            for first in range(part, last + 1):
                cost = max(dearest[first - 1], before[last + 1] - before[first])
                if cost < best[last]:
                    best[last], start[last] = cost, first
        dearest = best
        starts.append(start)
    cuts, stop = [], len(costs)
    for start in reversed(starts):
        cuts.append(range(start[stop - 1], stop))
        stop = cuts[-1].start
    return [range(stop), *reversed(cuts)]


def _entry_parameters(shape: ModelShape, rre_experts: int, learned_experts: int) -> list[int]:
    """Parameters of each entry that stand in products, norms and biases among them, with so many experts a block."""
    config = shape.config
    expert = feed_forward_parameters(config.d_model, config.d_feed_forward, config.feed_forward)
    rest = attention_parameters(config) + (4 if config.block_norm == "sandwich" else 2) * norm_parameters(config)
    entries = [rest + expert] * config.num_dense_layers + [rest + rre_experts * expert] * config.num_rre_layers
    if config.router is not None:
        learned = learned_parameters(config, config.router, learned_experts)
        entries += [rest + learned] * config.num_learned_layers
    query = rest + expert if config.query_layer else 0
    return [*entries, query + norm_parameters(config) + shape.vocab_size * config.d_model]
