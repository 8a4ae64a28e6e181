"""Identity by content: equal meanings have one form, and what has no stable form is refused."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from pathlib import Path

import pytest

from data_specs.errors import SpecError
from data_specs.fingerprint import canonical_json, file_digest, fingerprint, plain


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    tags: tuple[str, ...] = ()


def test_canonical_json_sorts_keys_and_keeps_chinese_text():
    assert canonical_json({"b": [1, 2.5], "a": "开天"}) == '{"a":"开天","b":[1,2.5]}'


def test_a_fingerprint_is_the_sha256_of_that_text():
    assert fingerprint({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


def test_key_order_and_container_type_do_not_show():
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})


def test_one_and_one_point_zero_are_one_number():
    """YAML users write 1 and 1.0 for the same limit; a rerun of everything would be a surprise."""
    assert plain(1.0) == 1
    assert canonical_json(-0.0) == "0"
    assert fingerprint({"limit": 2.0}) == fingerprint({"limit": 2})


def test_none_zero_false_and_the_empty_text_are_four_things():
    assert len({fingerprint({"x": value}) for value in (None, 0, False, "")}) == 4


def test_dataclasses_and_enums_reduce_to_plain_values():
    assert plain(Point(3, ("a",))) == {"x": 3, "tags": ["a"]}
    assert plain([Colour.RED]) == ["red"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1: "a"}, Path("x"), {1, 2}])
def test_what_has_no_stable_form_is_refused(value: object):
    with pytest.raises(SpecError, match="no stable identity"):
        plain({"value": value})


def test_file_digest_is_the_sha256_of_the_bytes(tmp_path: Path):
    """Longer than one piece of the reader, so that the pieces are joined right."""
    body = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(body)
    assert file_digest(tmp_path / "file") == hashlib.sha256(body).hexdigest()
