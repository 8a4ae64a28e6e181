"""Shape of the decoder: what a user chooses (:class:`ModelConfig`) and what follows from data (:class:`ModelShape`).

Light on purpose: the planner reads it, so it imports no torch. Values and their origin: PanGu-alpha section 2
(arXiv 2104.12369) for the block, PanGu-Sigma section 3 (arXiv 2303.10845) for dense layers below and random routed
experts (RRE) above. Dropout is absent: both are trained here for few epochs over much data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: Grouped matrix products need rows that are multiples of 16 bytes: 8 elements of bf16.
_ROW_MULTIPLE = 8
FINAL_NORM_PLACES = ("before_query", "after_query")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What a user chooses about the model."""

    d_model: int = 128  # width of the residual stream
    num_dense_layers: int = 2  # ordinary blocks, at the bottom: shared by all domains
    num_rre_layers: int = 2  # blocks with routed experts, above; 0 gives the plain dense decoder
    num_heads: int = 4  # attention heads; a divisor of d_model
    d_feed_forward: int = 512  # width inside a feed-forward network and inside each expert (4 d_model in the papers)
    experts_per_domain: int = 4  # experts in the group of one domain (PanGu-Sigma: 16)
    context_length: int = 256  # longest row; length of the two position tables (papers: 1024)
    query_layer: bool = True  # one more block on top whose queries are learned per position (PanGu-alpha 2.2)
    final_norm: str = "before_query"  # the released single-device code; "after_query" is its pipeline code
    norm_eps: float = 1e-5  # LayerNorm, PanGu-alpha code

    def __post_init__(self) -> None:
        for name in ("d_model", "num_heads", "d_feed_forward", "experts_per_domain", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        for name in ("num_dense_layers", "num_rre_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must not be negative")
        if self.num_layers == 0:
            raise ValueError("num_dense_layers (0), num_rre_layers (0) and query_layer (false) leave no layer at all")
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model ({self.d_model}) must be a multiple of num_heads ({self.num_heads})")
        for name in ("d_model", "d_feed_forward"):
            if getattr(self, name) % _ROW_MULTIPLE:
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must be a multiple of {_ROW_MULTIPLE}: "
                    f"the grouped matrix product of the experts reads rows of 16 bytes"
                )
        if self.final_norm not in FINAL_NORM_PLACES:
            raise ValueError(f"final_norm ({self.final_norm!r}) must be one of {', '.join(FINAL_NORM_PLACES)}")
        if self.norm_eps <= 0:
            raise ValueError(f"norm_eps ({self.norm_eps}) must be positive")

    @property
    def num_layers(self) -> int:
        """All blocks; the query layer counts as one, as in the PanGu-alpha code (section 1.9 of its release)."""
        return self.num_dense_layers + self.num_rre_layers + int(self.query_layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A :class:`ModelConfig` completed by what its tokenizer and routing table fix."""

    config: ModelConfig
    vocab_size: int  # from the tokenizer
    num_domains: int  # from the routing table; each domain owns one group of experts in every RRE layer

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_domains"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")

    @property
    def num_experts(self) -> int:
        """Experts of one RRE layer: domain ``g`` owns ``g * experts_per_domain`` and the following ones."""
        return self.num_domains * self.config.experts_per_domain

    def to_json(self) -> dict[str, Any]:
        """JSON form, stored beside exported weights."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ModelShape:
        """Inverse of :meth:`to_json`."""
        return cls(config=ModelConfig(**body["config"]), vocab_size=body["vocab_size"], num_domains=body["num_domains"])
