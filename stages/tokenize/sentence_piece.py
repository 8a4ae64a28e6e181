"""SentencePiece models (``.model``): the ids of the ``SentencePieceProcessor``, and what text loses on the way.

Ids are those of the library, with one exception that a corpus needs: a symbol that ends documents or pads must not be
written by a page. PanGu-alpha's model, for one, has ``<eod>`` as a *user-defined* symbol, which any text that spells it
becomes. Such a symbol is read as a *control* symbol here, the kind that text never becomes; no other id changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_specs.errors import DataError

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

    from stages.tokenize.engine import Encode

SUFFIX = ".model"
#: How the library writes a space inside pieces.
SPACE = "\u2581"


def read_model(path: Path) -> Any:
    """The parsed model (``sentencepiece_model_pb2.ModelProto``)."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise DataError(f"{path}: not a SentencePiece model: {error}") from error
    if not model.pieces:
        raise DataError(f"{path}: not a SentencePiece model: it has no pieces")
    return model


def load(path: Path, special_ids: Sequence[int] = ()) -> SentencePieceProcessor:
    """The processor of a model, with ``special_ids`` as control symbols; ids behind the vocabulary are not its own."""
    from sentencepiece import SentencePieceProcessor

    model = read_model(path)
    kinds = type(model.pieces[0])
    for number in special_ids:
        if number < len(model.pieces) and model.pieces[number].type == kinds.USER_DEFINED:
            model.pieces[number].type = kinds.CONTROL
    try:
        return SentencePieceProcessor(model_proto=model.SerializeToString())
    except (RuntimeError, OSError) as error:
        raise DataError(f"{path}: not a model that `sentencepiece` can run: {error}") from error


def engine(path: Path, special_ids: Sequence[int] = ()) -> Encode:
    """Encodes on one thread: a unit of work holds one CPU."""
    processor = load(path, special_ids)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = processor.encode(list(texts), num_threads=1)
        return ids

    return encode


def vocabulary(path: Path) -> dict[str, int]:
    """Piece -> id."""
    return {piece.piece: number for number, piece in enumerate(read_model(path).pieces)}


def check_special(path: Path, ids: Sequence[int]) -> None:
    """Raise :class:`DataError` for an id that is no symbol of its own: other text than its name becomes it."""
    pieces = read_model(path).pieces
    kinds = type(pieces[0])
    for number in ids:
        if number < len(pieces) and pieces[number].type not in (kinds.CONTROL, kinds.USER_DEFINED):
            kind = kinds.Type.Name(pieces[number].type).lower()
            raise DataError(
                f"{path}: {pieces[number].piece!r} (id {number}) is a piece of kind {kind}, which text can become; "
                f"name a control or user-defined symbol, or leave it out for an id behind the vocabulary"
            )
