"""Turn plain mappings (from YAML and the command line) into frozen dataclasses, strictly.

The dataclass is the schema: types, defaults, units and checks stand there once. Unknown keys are refused with the
nearest known name, wrong types with the path of the key. Fields may carry metadata:

- ``asset()``      the value is a path to a resource file; its *digest* is identity, its place is not
- ``execution()``  not identity at all (number of steps of a long node, layout)
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from data_specs.errors import SpecError, nearest
from data_specs.fingerprint import file_digest, plain

ConfigT = TypeVar("ConfigT")


def asset() -> dict[str, str]:
    """Field metadata: ``field(metadata=asset())`` marks a path whose file digest is the identity."""
    return {"identity": "digest"}


def execution() -> dict[str, str]:
    """Field metadata: a value that changes where, how long or how fast, never what."""
    return {"identity": "none"}


def parse_config(schema: type[ConfigT], values: Mapping[str, Any], where: str) -> ConfigT:
    """Build ``schema`` from ``values``; every error names ``where.key``, the value and the way out."""
    _refuse_unknown(schema, values, where)
    try:
        # JSON mode: lists become tuples and YAML's integers stand for floats, yet text never becomes a number.
        return pydantic.TypeAdapter(schema).validate_json(json.dumps(values), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join([where, *(str(part) for part in first["loc"])])
        given = "" if isinstance(first["input"], Mapping) else f" (given: {first['input']!r})"
        raise SpecError(f"{path}: {first['msg'].removeprefix('Value error, ')}{given}") from None
    except TypeError as error:  # a value that is no JSON, such as the date that YAML makes of 2024-01-01
        raise SpecError(f"{where}: {error}; put dates and times into quotes") from None


def _refuse_unknown(schema: type, values: Mapping[str, Any], where: str) -> None:
    """Refuse keys that no field has, in dataclasses at any depth (pydantic would ignore them in silence)."""
    hints = _field_types(schema)
    for key, value in values.items():
        if key not in hints:
            raise SpecError(f"{where}.{key}: unknown key.{nearest(str(key), hints)}")
        _refuse_unknown_inside(hints[key], value, f"{where}.{key}")


def _refuse_unknown_inside(kind: Any, value: Any, where: str) -> None:
    """Follow ``X | None``, ``tuple[X, ...]`` and ``dict[str, X]`` down to the dataclasses that values stand for."""
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            assert isinstance(kind, type)
            _refuse_unknown(kind, value, where)
        return
    arguments = [inner for inner in typing.get_args(kind) if inner not in (type(None), Ellipsis)]
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if len(arguments) == 1:  # of several kinds, only pydantic knows which one is meant
            _refuse_unknown_inside(arguments[0], value, where)
    elif isinstance(value, Mapping) and len(arguments) == 2:
        for key, item in value.items():
            _refuse_unknown_inside(arguments[1], item, f"{where}.{key}")
    elif isinstance(value, list | tuple) and arguments:
        for position, item in enumerate(value):
            inner = arguments[0] if len(arguments) == 1 else arguments[min(position, len(arguments) - 1)]
            _refuse_unknown_inside(inner, item, f"{where}.{position}")


def _field_types(schema: type) -> dict[str, Any]:
    hints = typing.get_type_hints(schema)
    return {f.name: hints[f.name] for f in dataclasses.fields(schema) if f.init}


def identity(config: Any) -> dict[str, Any]:
    """The part of a config that makes its fingerprint: assets as digests, execution fields left out."""
    payload: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        kind = field.metadata.get("identity")
        if kind == "none":
            continue
        if kind == "digest" and value is not None:
            payload[field.name] = _asset_digest(value, field.name)
        else:
            payload[field.name] = _value_identity(value)
    return payload


def _value_identity(value: Any) -> Any:
    """Identity of a field's value; dataclasses inside lists and mappings keep their own rules."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return identity(value)
    if isinstance(value, list | tuple):
        return [_value_identity(item) for item in value]
    if isinstance(value, Mapping):
        plain(value)  # refuses keys that are not text
        return {key: _value_identity(value[key]) for key in sorted(value)}
    return plain(value)


def _asset_digest(value: object, name: str) -> object:
    paths = [value] if isinstance(value, str | Path) else value
    if not isinstance(paths, list | tuple):
        raise SpecError(f"{name}: an asset is a path or a list of paths, not {value!r}")
    digests = []
    for path in paths:
        if not Path(path).is_file():
            raise SpecError(f"{name}: no such file: {path}")
        digests.append({"sha256": file_digest(Path(path))})
    return digests
