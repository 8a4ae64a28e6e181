"""Shape of the decoder: what a user chooses (:class:`ModelConfig`) and what follows from data (:class:`ModelShape`).

Light on purpose: the planner reads it, so it imports no torch. Values and their origin: PanGu-alpha section 2
(arXiv 2104.12369) for the block, PanGu-Sigma section 3 (arXiv 2303.10845) for dense layers below and random routed
experts (RRE) above, Pangu Ultra section 2 (arXiv 2504.07866) and Pangu Ultra MoE (arXiv 2505.04519) for the options.
Dropout is absent: both are trained here for few epochs over much data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

#: Grouped matrix products need rows that are multiples of 16 bytes: 8 elements of bf16.
_ROW_MULTIPLE = 8
FINAL_NORM_PLACES = ("before_query", "after_query")
NORMS = ("layer", "rms")
BLOCK_NORMS = ("pre", "sandwich")
FEED_FORWARDS = ("gelu", "swiglu")
POSITIONS = ("learned", "rotary")
INITIALS = ("pangu_alpha", "tiny")
AUXILIARY_SCOPES = ("micro_batch", "expert_group", "all_workers")
SCORES = ("sigmoid", "softmax")
#: Blocks of which the backward pass keeps just the input, and makes the rest again: none, every second one, all.
RECOMPUTE_EVERY = {"none": None, "alternate": 2, "all": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """A learned top-k router and its experts. Every token reaches all of its experts: nothing is dropped (Pangu Ultra
    MoE drops none either). Defaults are those of its released weights, in miniature."""

    num_experts: int = 8  # routed experts of a layer, open to all domains (Ultra MoE: 256)
    top_k: int = 2  # experts of a token (Ultra MoE: 8)
    d_expert: int = 128  # width inside one expert (Ultra MoE: 2048)
    num_shared_experts: int = 1  # networks of the same width that every token passes (Ultra MoE: 1); 0: none
    score: str = "sigmoid"  # of each expert alone, or "softmax" over all
    renormalise: bool = True  # divide the weights of the chosen experts by their sum
    scale: float = 2.5  # factor on the weights after that
    auxiliary_weight: float = 0.01  # of the balance loss (Ultra MoE: 1e-2 worked best); 0: off
    #: Over whose tokens the load of an expert is taken in that loss: one "micro_batch", the workers that share experts
    #: ("expert_group": what Ultra MoE balances), or all workers ("all_workers"). The wider, the more an expert may
    #: specialise (Qiu et al. 2025, arXiv 2501.11873). A worker that shares experts with nobody is a group of its own.
    auxiliary_scope: str = "micro_batch"

    def __post_init__(self) -> None:
        for name in ("num_experts", "d_expert"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if not 1 <= self.top_k <= self.num_experts:
            raise ValueError(f"top_k ({self.top_k}) must lie in [1, num_experts ({self.num_experts})]")
        if self.d_expert % _ROW_MULTIPLE:
            raise ValueError(
                f"d_expert ({self.d_expert}) must be a multiple of {_ROW_MULTIPLE}: "
                f"the grouped matrix product of the experts reads rows of 16 bytes"
            )
        if self.auxiliary_scope not in AUXILIARY_SCOPES:
            raise ValueError(f"auxiliary_scope ({self.auxiliary_scope!r}) must be one of {', '.join(AUXILIARY_SCOPES)}")
        if self.score not in SCORES:
            raise ValueError(f"score ({self.score!r}) must be one of {', '.join(SCORES)}")
        for name in ("num_shared_experts", "auxiliary_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must not be negative")
        if self.scale <= 0:
            raise ValueError(f"scale ({self.scale}) must be positive")


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
    norm_eps: float = 1e-5  # of every norm, PanGu-alpha code

    norm: str = "layer"  # "rms": root mean square without shift (Pangu Ultra)
    block_norm: str = "pre"  # "sandwich": each part's output is normed too, depth-scaled (Pangu Ultra 2.2)
    sandwich_attention: float = 0.283  # c_attn: those norms start at c / sqrt(L); Pangu Ultra's measured value
    sandwich_feed_forward: float = 0.432  # c_mlp; stages.model.measure measures both for another shape
    feed_forward: str = "gelu"  # with biases; "swiglu": gated, without (Pangu Ultra)
    positions: str = "learned"  # one table; "rotary": queries and keys are turned (Pangu Ultra)
    rotary_base: float = 10_000.0  # Pangu Ultra at 4K tokens
    num_key_value_heads: int | None = None  # heads of keys and values, each shared by a group; None: num_heads
    attention_biases: bool = True  # PanGu-alpha; Pangu Ultra has none
    tied_output: bool = True  # logits by the token table; False: a matrix of their own
    initial: str = "pangu_alpha"  # "tiny": one small deviation for all matrices (Pangu Ultra 2.3)
    num_learned_layers: int = 0  # blocks with a learned router, above the RRE blocks
    router: RouterConfig | None = None  # of those blocks

    def __post_init__(self) -> None:
        for name in ("d_model", "num_heads", "d_feed_forward", "experts_per_domain", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        for name in ("num_dense_layers", "num_rre_layers", "num_learned_layers"):
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
        for name, known in (
            ("final_norm", FINAL_NORM_PLACES),
            ("norm", NORMS),
            ("block_norm", BLOCK_NORMS),
            ("feed_forward", FEED_FORWARDS),
            ("positions", POSITIONS),
            ("initial", INITIALS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} ({getattr(self, name)!r}) must be one of {', '.join(known)}")
        for name in ("norm_eps", "sandwich_attention", "sandwich_feed_forward", "rotary_base"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be positive")
        self._check_attention()
        self._check_mixes()

    def _check_attention(self) -> None:
        groups = self.num_key_value_heads
        if groups is not None and not (1 <= groups <= self.num_heads and self.num_heads % groups == 0):
            raise ValueError(f"num_key_value_heads ({groups}) must divide num_heads ({self.num_heads})")
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(
                f"positions ('rotary') turns pairs of numbers: d_model / num_heads ({self.head_width}) must be even"
            )

    def _check_mixes(self) -> None:
        """Options that have no meaning together."""
        if self.query_layer and self.positions == "rotary":
            raise ValueError("query_layer (true) asks by learned position; it goes with positions 'learned' only")
        if self.query_layer and self.block_norm == "sandwich":
            raise ValueError("query_layer (true) has no sandwich norm; choose block_norm 'pre', or query_layer false")
        if self.initial == "tiny" and self.tied_output:
            raise ValueError(
                "initial ('tiny') draws the token table with deviation 0.5, far too large for logits: "
                "tied_output must be false"
            )
        if (self.router is None) != (self.num_learned_layers == 0):
            raise ValueError(
                f"num_learned_layers ({self.num_learned_layers}) and router "
                f"({'null' if self.router is None else 'given'}) go together: give both or neither"
            )

    @property
    def num_layers(self) -> int:
        """All blocks; the query layer counts as one, as in the PanGu-alpha code (section 1.9 of its release)."""
        return self.num_dense_layers + self.num_rre_layers + self.num_learned_layers + int(self.query_layer)

    @property
    def head_width(self) -> int:
        """Numbers of one attention head."""
        return self.d_model // self.num_heads

    @property
    def d_key_value(self) -> int:
        """Width of all keys, and of all values, of a token."""
        return self.head_width * (self.num_key_value_heads or self.num_heads)


#: Fields that came after the first exported weights; a model card names them only where they are not at their default.
_OPTIONS = frozenset(
    {
        "norm",
        "block_norm",
        "sandwich_attention",
        "sandwich_feed_forward",
        "feed_forward",
        "positions",
        "rotary_base",
        "num_key_value_heads",
        "attention_biases",
        "tied_output",
        "initial",
        "num_learned_layers",
        "router",
    }
)


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
        body = asdict(self)
        for field in fields(ModelConfig):
            if field.name in _OPTIONS and getattr(self.config, field.name) == field.default:
                del body["config"][field.name]
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ModelShape:
        """Inverse of :meth:`to_json`."""
        values = dict(body["config"])
        if values.get("router") is not None:
            values["router"] = RouterConfig(**values["router"])
        return cls(config=ModelConfig(**values), vocab_size=body["vocab_size"], num_domains=body["num_domains"])
