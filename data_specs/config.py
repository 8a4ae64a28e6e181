"""Turn plain mappings (from YAML and the command line) into frozen dataclasses, strictly.

The dataclass is the schema: types, defaults, units and checks stand there once. Unknown keys are refused with the
nearest known name, wrong types with the path of the key. Fields may carry metadata:

- ``asset()``      the value is a path to a resource file; its *digest* is identity, its place is not
- ``execution()``  not identity at all (number of steps of a long node, layout)
"""

from __future__ import annotations

import dataclasses
import json
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
    except TypeError as error:
        raise SpecError(f"{where}: {error}") from None


def _refuse_unknown(schema: type, values: Mapping[str, Any], where: str) -> None:
    """Walk nested dataclasses and refuse keys that no field has."""
    hints = _field_types(schema)
    for key, value in values.items():
        if key not in hints:
            raise SpecError(f"{where}.{key}: unknown key.{nearest(str(key), hints)}")
        if isinstance(value, Mapping) and dataclasses.is_dataclass(hints[key]):
            _refuse_unknown(hints[key], value, f"{where}.{key}")


def _field_types(schema: type) -> dict[str, Any]:
    import typing

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
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            payload[field.name] = identity(value)
        else:
            payload[field.name] = plain(value)
    return payload


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
