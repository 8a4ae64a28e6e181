"""Stage ``pack``: tokens -> one pool per mixture component, rows that are ready to train on.

Output, per component c and split (train, validation): ``rows/c-SPLIT.bin`` (ids ``[num_rows, context_length + 1]``)
and the ``segments`` sidecar ``of`` c-SPLIT, which leads from a row back to documents. Where documents have tokens
without loss, ``masks/c-SPLIT.bin`` says which (:class:`data_specs.token_store.PoolReader` reads it) and the fact
``masked_tokens`` how many; a pool without any has no such file and no such fact. Rows hold one domain only; documents
stand in keyed-hash order, so that any run of rows is a random sample of the component. What a row means to a model
(targets, mask, positions, segments) is :func:`data_specs.token_store.row_layout`.

Two phases: every token shard is divided among the components (a few integers per document), then every pool is
written from memory maps, piece by piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

from data_specs.errors import DataError, SpecError, nearest
from data_specs.manifest import Artifact
from data_specs.token_store import SPLITS, row_dtype
from stages.base import Port, Stage, StageContext, Unit
from stages.pack.pool import PoolPayload, ShardPayload, make_pool, make_select
from stages.pack.selection import ComponentSelector, check_name, needed_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class PackConfig:
    """How tokens become rows."""

    context_length: int = 1024  # tokens a model sees at once; PanGu-alpha 1.8 and PanGu-Sigma use 1024
    components: dict[str, ComponentSelector] = field(default_factory=dict)  # empty: one per domain, named like it
    seed: int = 0  # order of the documents

    def __post_init__(self) -> None:
        if self.context_length < 1:
            raise ValueError(f"context_length ({self.context_length}) must be at least 1 token")
        for name in self.components:
            check_name(name)


class Pack(Stage[PackConfig]):
    """See the module's text."""

    version = 2
    config_type = PackConfig
    inputs: ClassVar[Mapping[str, Port]] = {
        "tokens": Port("tokens", many=True),
        "signals": Port("signals", many=True, optional=True),  # what bands of components read
    }
    output = "pools"
    counts: ClassVar[Mapping[str, str]] = {"tokens": "token"}

    def run(self, ctx: StageContext) -> dict[str, Any]:
        artifacts = ctx.inputs["tokens"]
        shared = _shared_facts(artifacts)
        domains = sorted({domain for artifact in artifacts for domain in artifact.facts["domains"]})
        components, signals = self._components(domains), ctx.inputs.get("signals", ())
        scored = needed_signals(components, signals)
        shards = [
            ShardPayload(
                prefix=artifact.shard_path(shard).with_suffix(""),
                index=artifact.sidecar("index", shard.name.removesuffix(".bin")),
                key=artifact.shard_key(shard),
                number=number,
            )
            for number, (artifact, shard) in enumerate(
                (a, s) for a in artifacts for s in a.shards("tokens") if s.name.endswith(".bin")
            )
        ]
        selected = ctx.run_units(
            "select",
            [Unit(key=s.key, payload=s, size_bytes=s.index.stat().st_size) for s in shards],
            partial(make_select, components, scored, [artifact.path for artifact in signals]),
        )
        units, found = [], {}
        for name in sorted(components):
            shares = [result.value[name] for result in selected if name in result.value]
            found[name] = _only_domain(name, sorted({domain for share in shares for domain in share}))
            for split in SPLITS:
                amounts = [share[found[name]][split] for share in shares]
                tokens, masked = (sum(pair[place] for pair in amounts) for place in range(2))
                parts = tuple(
                    (shard, ctx.scratch(f"selected/{shard.number:05d}-{name}-{split}.npy"))
                    for shard, result in zip(shards, selected, strict=True)
                    if name in result.value
                )
                payload = PoolPayload(
                    name=f"{name}-{split}",
                    component=name,
                    domain=found[name],
                    num_tokens=tokens,
                    num_masked=masked,
                    parts=parts,
                )
                units.append(Unit(key=payload.name, payload=payload, size_bytes=4 * tokens))
        pools = ctx.run_units("pool", units, partial(make_pool, self.config.context_length, self.config.seed, shared))
        rows = {result.key: int(result.value) for result in pools}
        masked_of = {unit.key: unit.payload.num_masked for unit in units if unit.payload.num_masked}
        tokens_of = {unit.key: unit.payload.num_tokens for unit in units}
        return {
            "components": {
                name: {
                    "domain": found[name],
                    "num_rows": rows[f"{name}-train"],
                    "num_tokens": tokens_of[f"{name}-train"],
                    "num_validation_rows": rows[f"{name}-validation"],
                    "num_validation_tokens": tokens_of[f"{name}-validation"],
                    **_band_facts(components[name]),
                }
                for name in sorted(components)
            },
            "context_length": self.config.context_length,
            "dtype": row_dtype(shared["vocab_size"]),
            "domains": domains,
            **shared,
            **({"masked_tokens": masked_of} if masked_of else {}),
        }

    def _components(self, domains: list[str]) -> dict[str, ComponentSelector]:
        for name, selector in self.config.components.items():
            for domain in selector.domains:
                if domain not in domains:
                    raise SpecError(f"components.{name}: no token has domain {domain!r}.{nearest(domain, domains)}")
        if self.config.components:
            return dict(self.config.components)
        for domain in domains:
            try:
                check_name(domain)
            except ValueError as error:
                raise SpecError(str(error)) from None
        return {domain: ComponentSelector(domains=(domain,)) for domain in domains}


def _band_facts(selector: ComponentSelector) -> dict[str, Any]:
    """The band of a component that has one, for reports and previews."""
    return {} if selector.band is None else {"band": asdict(selector.band)}


def _shared_facts(artifacts: tuple[Artifact, ...]) -> dict[str, Any]:
    """What all token artifacts must agree on: rows of two vocabularies cannot stand in one run."""
    names = ("vocab_size", "eod_id", "pad_id", "tokenizer_sha256")
    facts = {name: artifacts[0].facts[name] for name in names}
    for artifact in artifacts[1:]:
        for name in names:
            if artifact.facts[name] != facts[name]:
                raise DataError(
                    f"tokens {artifact.fingerprint[:16]} have {name} {artifact.facts[name]!r}, tokens "
                    f"{artifacts[0].fingerprint[:16]} {facts[name]!r}; tokenize both with the same tokenizer"
                )
    return facts


def _only_domain(name: str, domains: list[str]) -> str:
    """The one domain of a component: rows route to one expert group (PanGu-Sigma), so they cannot mix two."""
    if not domains:
        raise SpecError(f"component {name!r} selects no document; correct its selector or leave it out")
    if len(domains) > 1:
        raise SpecError(
            f"component {name!r} selects documents of domains {', '.join(domains)}; rows are of one domain, so make it "
            f"{len(domains)} components with `domains` of one each"
        )
    return domains[0]
