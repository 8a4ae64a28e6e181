"""Our byte-level BPE: how text is cut before merging, how a tokenizer is trained and read, its tokens as bytes.

The special tokens stand FIRST: id 0 ends a document, id 1 pads. They keep their ids whatever the vocabulary's size,
then follow the 256 bytes, then the merges in the order in which they were learned. They are entries of the vocabulary
that no text can reach, and deliberately no "added tokens": whoever loads the file gets plain text for a web page that
says ``<|eod|>``, without having to know a switch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_specs.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EOD, PAD = "<|eod|>", "<|pad|>"
SPECIAL_TOKENS = (EOD, PAD)
#: Special tokens and single bytes: the least vocabulary that can write any text.
MIN_VOCAB_SIZE = len(SPECIAL_TOKENS) + 256

#: Where a merge may never cross. Han runs stand alone, so that "的Python语言" is three pieces and no Chinese word
#: drags a space or a Latin letter along; marks stay with their letters (Devanagari, Thai); every digit is its own
#: piece, so numbers have one spelling; one space joins the word or sign behind it; a run of white space, line ends
#: and indentation together, is one piece. There is no look-ahead on purpose: the pattern then runs in a plain
#: automaton, 1.9 times as fast as with the usual ``\s+(?!\S)``, at the same bytes per token (4.07 against 4.03).
SPLIT_PATTERN = (
    r"\p{Han}+"
    r"| ?[[\p{L}\p{M}]&&[^\p{Han}]]+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+"
    r"|\s+"
)


def train(texts: Iterable[str], vocab_size: int, min_frequency: int) -> Tokenizer:
    """Learn merges from ``texts``; the same texts give the same vocabulary, on any number of threads."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    body = json.loads(tokenizer.to_str())
    body["added_tokens"] = []  # see the module's text
    return Tokenizer.from_str(json.dumps(body, ensure_ascii=False))


def load(path: Path) -> Tokenizer:
    """Read any ``tokenizer.json`` so that special-token strings inside text are plain text."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"{path}: not a tokenizer.json that `tokenizers` can read: {error}") from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def byte_alphabet() -> dict[str, int]:
    """Printable character -> byte, as byte-level BPE files spell bytes: visible ones stand for themselves, the other
    68 take the characters from U+0100 on, in order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


def mergeable_ranks(body: dict[str, Any]) -> tuple[str, dict[bytes, int]]:
    """(split pattern, bytes -> id) of a parsed ``tokenizer.json`` whose ids are also the order of its merges.

    Raises :class:`DataError` naming the first property that a rank-based engine could not reproduce.
    """
    model, cut = body["model"], body.get("pre_tokenizer") or {}
    steps = cut.get("pretokenizers", []) if cut.get("type") == "Sequence" else [cut]
    shape = [(step.get("type"), step.get("behavior"), step.get("invert"), step.get("use_regex")) for step in steps]
    if model["type"] != "BPE" or shape != [("Split", "Isolated", False, None), ("ByteLevel", None, None, False)]:
        names = [step.get("type") for step in steps]
        raise DataError(f"the model is {model['type']} behind {names}, not BPE behind a plain Split and ByteLevel")
    if steps[1].get("add_prefix_space") or body.get("normalizer") or "Regex" not in steps[0]["pattern"]:
        raise DataError("the text is changed before it is cut (prefix space, normalizer), or cut by a plain string")
    if model.get("dropout") or model.get("ignore_merges") or model.get("byte_fallback") or model.get("unk_token"):
        raise DataError("the model uses dropout, ignore_merges, byte_fallback or an unknown token")
    plain = [token["content"] for token in body.get("added_tokens") or [] if not token.get("special")]
    if plain:
        raise DataError(f"added tokens such as {plain[0]!r} are cut out of the text before it is split")
    alphabet, vocab = byte_alphabet(), model["vocab"]
    order = list(alphabet)
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        order.append(left + right)
    ids = [vocab.get(token) for token in order]
    if None in ids:
        raise DataError(f"token {order[ids.index(None)]!r} is not in the vocabulary")
    learned = ids[len(alphabet) :]
    if max(ids[: len(alphabet)]) >= min(learned, default=len(vocab)) or learned != sorted(set(learned)):
        raise DataError("the ids of merged tokens do not follow the order of the merges")
    return steps[0]["pattern"]["Regex"], {
        bytes(map(alphabet.__getitem__, t)): i for t, i in zip(order, ids, strict=True)
    }
