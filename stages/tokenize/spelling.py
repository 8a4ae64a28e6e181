"""What every id of a tokenizer spells, in bytes: how lineage finds a token in its text without encoding it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stages.tokenize import sentence_piece
from stages.tokenize.byte_bpe import byte_alphabet


class Spelling(NamedTuple):
    """Bytes of ids, and what an encoder puts before every text that it is given."""

    pieces: Mapping[int, bytes]
    prefix: bytes


def spelling(path: Path) -> Spelling | None:
    """Of a ``.model``, or of a byte-level ``tokenizer.json``; None for one that spells otherwise.

    A tokenizer that changes text before it cuts it (Unicode normal forms, white space) spells the changed text, and an
    unknown character spells nothing: whoever compares must expect a difference.
    """
    return _of_model(path) if path.suffix == sentence_piece.SUFFIX else _of_json(path)


def _of_json(path: Path) -> Spelling | None:
    body = json.loads(path.read_text("utf-8"))
    if (body.get("decoder") or {}).get("type") != "ByteLevel":
        return None
    alphabet = byte_alphabet()
    # entries that no text can reach (end of document, padding) may hold other characters
    pieces = {
        number: bytes(alphabet.get(character, 0) for character in token)
        for token, number in body["model"]["vocab"].items()
    }
    return Spelling(pieces | {token["id"]: token["content"].encode() for token in body.get("added_tokens") or []}, b"")


def _of_model(path: Path) -> Spelling | None:
    model = sentence_piece.read_model(path)
    if model.trainer_spec.treat_whitespace_as_suffix:
        return None
    kinds = type(model.pieces[0])
    pieces = {}
    for number, piece in enumerate(model.pieces):
        if piece.type == kinds.BYTE:
            pieces[number] = bytes([int(piece.piece[1:-1], 16)])  # <0x41>
        elif piece.type in (kinds.UNKNOWN, kinds.CONTROL):
            pieces[number] = b""
        else:
            pieces[number] = piece.piece.replace(sentence_piece.SPACE, " ").encode()
    return Spelling(pieces, b" " if model.normalizer_spec.add_dummy_prefix else b"")
