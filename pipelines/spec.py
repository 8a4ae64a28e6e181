"""A pipeline as data: named nodes, each with a stage, input edges, config and resources.

An edge is ``node`` (an output of this pipeline), ``source:CARD`` (a raw dump), ``pin:NAME`` (a pinned artifact) or
``artifact:FINGERPRINT`` (any committed artifact).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from data_specs.config import parse_config
from data_specs.errors import SpecError, nearest
from stages.base import Resources, Stage
from stages.catalog import stage_class

EXTERNAL = ("source:", "pin:", "artifact:")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeYaml:
    """One node as written in YAML."""

    stage: str
    inputs: dict[str, Any] = field(default_factory=dict)  # port -> edge or list of edges
    config: dict[str, Any] = field(default_factory=dict)  # identity: the stage's config dataclass
    resources: dict[str, Any] = field(default_factory=dict)  # execution: stages.base.Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Where data nodes and training run; never identity."""

    engine: str = "ray"  # "ray", or "inline": everything in this process
    address: str | None = None  # None starts a local Ray; else an existing cluster ("auto", "HOST:PORT")
    num_cpus: int | None = None  # CPUs of a local Ray; None means all of this machine
    object_store_bytes: int = 256 << 20  # of a local Ray; units pass paths, not tables, so little is enough
    ship_code: bool = False  # send our packages by runtime environment to a cluster without them
    quiet_workers: bool = True  # keep workers' standard output out of the terminal

    def __post_init__(self) -> None:
        if self.engine not in ("ray", "inline"):
            raise ValueError(f"engine {self.engine!r} is unknown.{nearest(self.engine, ['ray', 'inline'])}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything one command needs, composed by Hydra from ``conf/`` and the overrides."""

    name: str  # of the pipeline
    nodes: dict[str, Any]
    store: str  # folder of artifacts and runs
    data_root: str  # folder that the cards' relative paths start from
    cards: tuple[str, ...] = ()  # folders with further source cards, or card files
    targets: tuple[str, ...] = ()  # run just these nodes and what they need; empty means all
    verify: bool = False  # digest raw files again instead of trusting size, mtime and inode
    cluster: ClusterConfig = field(default_factory=ClusterConfig)


@dataclass(frozen=True, slots=True)
class Node:
    """One checked node of a pipeline."""

    name: str
    stage_key: str
    stage: Stage[Any]
    resources: Resources
    inputs: Mapping[str, tuple[str, ...]]  # port -> edges

    @property
    def upstream(self) -> list[str]:
        """Names of the nodes that feed this one."""
        return [e for edges in self.inputs.values() for e in edges if not e.startswith(EXTERNAL)]


def build_nodes(raw: Mapping[str, Any]) -> list[Node]:
    """Check every node and return them in dependency order (ties by the order of the file)."""
    nodes = {}
    for name, values in raw.items():
        if not isinstance(values, Mapping) or "stage" not in values:
            known = [key for key, other in raw.items() if isinstance(other, Mapping) and "stage" in other]
            raise SpecError(f"nodes.{name}: no such node (it has no stage).{nearest(name, known)}")
        nodes[name] = _build_node(name, values)
    for node in nodes.values():
        for upstream in node.upstream:
            if upstream not in nodes:
                raise SpecError(f"nodes.{node.name}.inputs: no node {upstream!r}.{nearest(upstream, nodes)}")
        _check_kinds(node, nodes)
    try:
        order = TopologicalSorter({name: node.upstream for name, node in nodes.items()}).static_order()
        return [nodes[name] for name in order]
    except CycleError as error:
        raise SpecError(f"the nodes form a circle: {' -> '.join(error.args[1])}") from None


def _build_node(name: str, values: Mapping[str, Any]) -> Node:
    where = f"nodes.{name}"
    yaml = parse_config(NodeYaml, values, where)
    cls = stage_class(yaml.stage)
    config: Any = parse_config(cls.config_type, yaml.config, f"{where}.config")
    resources = parse_config(Resources, yaml.resources, f"{where}.resources")
    inputs = {}
    for port, value in yaml.inputs.items():
        if port not in cls.inputs:
            raise SpecError(f"{where}.inputs.{port}: stage {yaml.stage!r} has no such port.{nearest(port, cls.inputs)}")
        edges = (value,) if isinstance(value, str) else tuple(value or ())
        if not all(isinstance(edge, str) for edge in edges):
            raise SpecError(
                f"{where}.inputs.{port}: an edge is a node name or source:, pin:, artifact: (given {value!r})"
            )
        if len(edges) > 1 and not cls.inputs[port].many:
            raise SpecError(f"{where}.inputs.{port}: takes one edge, {len(edges)} given: {', '.join(edges)}")
        if edges:
            inputs[port] = edges
    for port, spec in cls.inputs.items():
        if port not in inputs and not spec.optional:
            raise SpecError(f"{where}.inputs.{port}: missing; it takes {' or '.join(spec.kinds)}")
    return Node(name, yaml.stage, cls(config), resources, inputs)


def _check_kinds(node: Node, nodes: Mapping[str, Node]) -> None:
    """Edges must bring a kind that the port takes, before anything runs."""
    for port, edges in node.inputs.items():
        kinds = node.stage.inputs[port].kinds
        for edge in edges:
            kind = "source" if edge.startswith("source:") else None
            if not edge.startswith(EXTERNAL):
                kind = nodes[edge].stage.output
            if kind is not None and kind not in kinds:
                raise SpecError(
                    f"nodes.{node.name}.inputs.{port}: takes {' or '.join(kinds)}, but {edge!r} brings {kind}"
                )


def restrict(nodes: Sequence[Node], targets: Sequence[str]) -> list[Node]:
    """Just ``targets`` and what they need; all nodes without targets."""
    if not targets:
        return list(nodes)
    by_name = {node.name: node for node in nodes}
    wanted: set[str] = set()
    waiting = list(targets)
    while waiting:
        name = waiting.pop()
        if name not in by_name:
            raise SpecError(f"targets: no node {name!r}.{nearest(name, by_name)}")
        if name not in wanted:
            wanted.add(name)
            waiting.extend(by_name[name].upstream)
    return [node for node in nodes if node.name in wanted]
