"""Mixture arithmetic in integers: unique tokens, weights, epochs and budgets, each derived exactly from the others.

For a component with ``unique_tokens`` that a phase sees for ``tokens`` in all:

    epochs = tokens / unique_tokens          weight = tokens / sum of tokens

A phase gives weights and a budget, or per component any two of (unique_tokens, epochs, tokens), or ``alpha`` and the
unique tokens (weight proportional to ``unique_tokens ** alpha``). Shares are rationals; whole tokens and rows come
from the largest remainder, so parts always add up to their total. Published mixes stand in ``mixtures/*.yaml``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import yaml

from data_specs.config import parse_config
from data_specs.errors import SpecError, nearest

#: Mixtures that ship with the project.
MIXTURE_FOLDER = Path(__file__).parent / "mixtures"
#: Parts into which an irrational share (a power of a count) is cut.
SHARE_PARTS = 1_000_000

Number = int | float | str | Fraction


def exact(number: Number) -> Fraction:
    """The rational that a person wrote: 0.1 means one tenth, not the nearest binary fraction."""
    if isinstance(number, float):
        if not math.isfinite(number):
            raise ValueError(f"{number} is not a number to mix by")
        return Fraction(Decimal(repr(number)))
    return Fraction(number)


def integer_weights(shares: Iterable[Number]) -> list[int]:
    """Smallest integers in the same proportions: 0.6, 0.3, 0.1 -> 6, 3, 1."""
    fractions = [exact(share) for share in shares]
    if any(share < 0 for share in fractions) or not any(fractions):
        raise ValueError(f"weights {[str(share) for share in fractions]} must not be negative, nor all zero")
    scale = math.lcm(*(share.denominator for share in fractions))
    scaled = [int(share * scale) for share in fractions]
    divisor = math.gcd(*scaled)
    return [weight // divisor for weight in scaled]


def largest_remainder(total: int, weights: Sequence[Number]) -> list[int]:
    """Split ``total`` into whole parts nearest to the weights; they add up exactly, ties go to the first."""
    whole = integer_weights(weights)
    divisor = sum(whole)
    parts = [total * weight // divisor for weight in whole]
    missing = total - sum(parts)
    order = sorted(range(len(whole)), key=lambda i: (-(total * whole[i] % divisor), i))
    for index in order[:missing]:
        parts[index] += 1
    return parts


def cumulative_quotas(total: int, weights: Sequence[int]) -> list[int]:
    """Whole parts of the first ``total`` slots of an endless sequence, one per weight.

    The first component takes ``total * w / sum`` rounded to the nearest integer, the next its share of what is left,
    and so on. Every step of the chain is monotone, so the parts add up to ``total``, never shrink as ``total`` grows,
    and stay within ``len(weights) / 2`` of the exact share; at multiples of the weights' sum they are exact. A largest
    remainder can be nearer but is not monotone (Alabama's paradox), and slots once given must stay given.
    """
    left, weight_left = total, sum(weights)
    parts = []
    for weight in weights:
        part = (2 * left * weight + weight_left) // (2 * weight_left) if weight_left else 0
        parts.append(part)
        left -= part
        weight_left -= weight
    return parts


def temperature_weights(unique_tokens: Sequence[int], alpha: Number) -> list[int]:
    """Weights proportional to ``unique_tokens ** alpha`` in parts of :data:`SHARE_PARTS`; 1 is proportional, 0 even."""
    power = float(exact(alpha))
    if power in (0.0, 1.0):
        return integer_weights(unique_tokens if power else [1] * len(unique_tokens))
    return largest_remainder(SHARE_PARTS, [exact(count**power) for count in unique_tokens])


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureComponent:
    """What a mixture says of one component; see the module's text for which numbers go together."""

    weight: float | None = None  # share of the phase in any unit; all weights of a phase are divided by their sum
    unique_tokens: int | None = None
    epochs: float | None = None
    tokens: int | None = None  # seen in this phase, repetition included

    def __post_init__(self) -> None:
        values = (self.weight, self.unique_tokens, self.epochs, self.tokens)
        if all(value is None for value in values):
            raise ValueError("a component needs weight, or two of unique_tokens, epochs and tokens, or tokens")
        if any(value is not None and value < 0 for value in values):
            raise ValueError(f"numbers of a component must not be negative: {values}")
        if None not in values[1:]:
            raise ValueError("unique_tokens, epochs and tokens are given together; leave one out, it follows")


@dataclass(frozen=True, slots=True, kw_only=True)
class MixturePhase:
    """A stretch of training with one mixture."""

    name: str
    components: dict[str, MixtureComponent]
    token_budget: int | None = None  # needed with weights and with alpha
    alpha: float | None = None  # weight = unique_tokens ** alpha; components then give unique_tokens only
    max_epochs: float | None = None  # repetition cap
    context_length: int | None = None  # tokens of a row in this phase, where the source says so

    def __post_init__(self) -> None:
        if self.context_length is not None and self.context_length < 1:
            raise ValueError(f"phase {self.name!r}: context_length ({self.context_length}) must be at least 1")
        weighted = [name for name, c in self.components.items() if c.weight is not None]
        if weighted and len(weighted) != len(self.components):
            rest = sorted(set(self.components) - set(weighted))
            raise ValueError(f"phase {self.name!r}: {weighted} have a weight and {rest} have none; give all or none")
        if (weighted or self.alpha is not None) and self.token_budget is None:
            raise ValueError(f"phase {self.name!r}: weights say only proportions; token_budget is missing")
        if weighted and self.alpha is not None:
            raise ValueError(f"phase {self.name!r}: alpha computes the weights, so they must not be given too")
        if not self.components:
            raise ValueError(f"phase {self.name!r} has no components")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A named mix with its origin; the schema of ``mixtures/*.yaml``."""

    name: str
    reference: str  # where the numbers are printed
    phases: tuple[MixturePhase, ...]
    notes: str = ""  # contradictions of the source and how they were decided


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRow:
    """One line of a Table-4-like table."""

    component: str
    unique_tokens: int | None
    tokens: int
    weight: Fraction
    epochs: Fraction | None


def solve(phase: MixturePhase, scale: Number = 1) -> list[MixtureRow]:
    """Derive what the phase leaves out, with every token count multiplied by ``scale``.

    Raises :class:`SpecError`, naming the numbers, when something is missing or a repetition cap cannot be kept.
    """
    factor = exact(scale)
    unique, wanted = {}, {}
    for name, component in phase.components.items():
        own, epochs, tokens = component.unique_tokens, component.epochs, component.tokens
        if own is None and epochs and tokens is not None:
            unique[name] = Fraction(tokens) / exact(epochs)
        elif own is not None:
            unique[name] = Fraction(own)
        if phase.alpha is None and component.weight is None:
            if tokens is None and (epochs is None or own is None):
                raise SpecError(
                    f"phase {phase.name!r}, {name!r}: give tokens, or unique_tokens and epochs, or a weight"
                )
            wanted[name] = Fraction(tokens) if tokens is not None else Fraction(own or 0) * exact(epochs or 0)
    if phase.alpha is not None:
        lacking = sorted(set(phase.components) - set(unique))
        if lacking:
            raise SpecError(f"phase {phase.name!r}: alpha needs unique_tokens, which {lacking} lack")
        shares = temperature_weights([int(unique[name]) for name in phase.components], phase.alpha)
        wanted = {name: Fraction(share) for name, share in zip(phase.components, shares, strict=True)}
    elif not wanted:
        wanted = {name: exact(c.weight or 0) for name, c in phase.components.items()}
    total = sum(wanted.values())
    if not total:
        raise SpecError(f"phase {phase.name!r}: every share is zero")
    budget = round((Fraction(phase.token_budget) if phase.token_budget is not None else total) * factor)
    rows = []
    for name, tokens in zip(wanted, largest_remainder(budget, list(wanted.values())), strict=True):
        own_tokens = round(unique[name] * factor) if name in unique else None
        rows.append(
            MixtureRow(
                component=name,
                unique_tokens=own_tokens,
                tokens=tokens,
                weight=Fraction(wanted[name], total),
                epochs=Fraction(tokens, own_tokens) if own_tokens else None,
            )
        )
    check_caps(phase, rows)
    return rows


def check_caps(phase: MixturePhase, rows: Sequence[MixtureRow]) -> None:
    """Refuse more epochs than the phase allows."""
    for row in rows:
        if phase.max_epochs is not None and row.epochs is not None and row.epochs > exact(phase.max_epochs):
            raise SpecError(
                f"phase {phase.name!r}: {row.component!r} would see {row.tokens} tokens of {row.unique_tokens} unique "
                f"ones, {float(row.epochs):.3f} epochs, over max_epochs {phase.max_epochs}; lower its weight or the "
                f"budget, or raise the cap"
            )


def load_mixture(name: str, folders: Iterable[Path] = ()) -> Mixture:
    """Find ``name``.yaml in ``folders`` and among the mixtures that ship with the project."""
    folders = [*folders, MIXTURE_FOLDER]
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            values = yaml.safe_load(path.read_text("utf-8"))
            if not isinstance(values, Mapping):
                raise SpecError(
                    f"{path}: a mixture is a mapping (name, reference, phases), not {type(values).__name__}"
                )
            return parse_config(Mixture, values, str(path))
    known = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    raise SpecError(f"no mixture {name!r}.{nearest(name, known)}")


def table(mixture: Mixture, scale: Number = 1) -> str:
    """The mixture as text in the manner of PanGu-alpha's Table 4: tokens, weight, epochs, unique tokens."""
    lines = []
    for phase in mixture.phases:
        rows = solve(phase, scale)
        context = "" if phase.context_length is None else f", rows of {phase.context_length:,}"
        lines.append(f"{mixture.name} / {phase.name}: {sum(row.tokens for row in rows):,} tokens{context}")
        lines.append(f"  {'component':<20} {'tokens':>20} {'weight':>8} {'epochs':>8} {'unique tokens':>20}")
        for row in rows:
            epochs = "-" if row.epochs is None else f"{float(row.epochs):.2f}"
            own = "-" if row.unique_tokens is None else f"{row.unique_tokens:,}"
            weight = f"{float(row.weight):.2%}"
            lines.append(f"  {row.component:<20} {row.tokens:>20,} {weight:>8} {epochs:>8} {own:>20}")
    return "\n".join(lines) + "\n"
