"""Keys and secrets, known by their beginning, length and characters, as published by those who issue them and collected
by gitleaks (MIT) and detect-secrets (Apache-2.0). What has no such form (passwords, random strings) is out of scope.
"""

from __future__ import annotations

import base64
import binascii
import re

import orjson

from stages.clean.masking import Mask

_WORD = "[0-9A-Za-z]"
_DASHED = "[0-9A-Za-z_-]"
#: Kind -> RE2. Kinds are for people; all share one placeholder.
FORMS = {
    "aws access key id": r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    "github": rf"gh[pousr]_{_WORD}{{36}}\b|github_pat_[0-9A-Za-z_]{{82}}\b",
    "gitlab": rf"(?:glpat|gldt|glft|glsoat|glrt)-{_DASHED}{{20,}}",
    "slack": rf"xox[abeoprs]-(?:[0-9]+-)+{_WORD}{{8,}}\b",
    "stripe": rf"[rs]k_live_{_WORD}{{24,}}\b",
    "google": rf"AIza{_DASHED}{{35}}\b",
    "json web token": rf"eyJ{_DASHED}{{14,}}\.eyJ{_DASHED}{{14,}}\.{_DASHED}{{10,}}",
    "openai": rf"sk-(?:{_DASHED}+)?{_WORD}{{20}}T3BlbkFJ{_WORD}{{20}}\b",
    "anthropic": rf"sk-ant-(?:api03|admin01)-{_DASHED}{{93}}AA\b",
    "hugging face": r"hf_[A-Za-z]{34}\b",
    "npm": rf"npm_{_WORD}{{36}}\b",
    "pypi": rf"pypi-AgE{_DASHED}{{50,}}",
    "sendgrid": rf"SG\.{_DASHED}{{22}}\.{_DASHED}{{43}}\b",
}
_SLACK_HOOK = r"https://hooks\.slack\.com/services/T[A-Za-z0-9_]+/B[A-Za-z0-9_]+/[A-Za-z0-9_]+"
_BLOCK = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:[^-]|-[^-]|--[^-])+"
    r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
)
#: Pieces of which every form holds one; short, so that they are found in the same scan as all else.
_PIECES = (
    "A3T[A-Z0-9]|A(?:K|S|B)IA|ACCA", "gh[pousr]_", "github_pat_", "gl(?:pat|dt|ft|soat|rt)-", "xox[abeoprs]-",
    "k_live_", "AIza", "eyJ", "T3BlbkFJ", "sk-ant-", "hf_", "npm_", "pypi-AgE", r"SG\.[0-9A-Za-z_-]{9}",
    r"hooks\.slack", "PRIVATE KEY",
)  # fmt: skip
#: Bytes of which every find of those holds one (a zero byte stands for any), for the look at all texts.
PIECES = (
    b"A3T", b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"gho_", b"ghp_", b"ghr_", b"ghs_", b"ghu_", b"_pat_", b"gldt-",
    b"glft-", b"glrt-", b"glpat-", b"glsoat-", b"xox\0-", b"k_live_", b"AIz", b"eyJ", b"T3BlbkFJ", b"sk-ant-", b"hf_",
    b"npm_", b"pypi-", b"SG.", b"//hooks.", b"TE KEY",
)  # fmt: skip
#: Different characters behind the beginning, below which a token is an example: sk_live_xxxxxxxx.
_MIN_DISTINCT = 8
_MIN_KEY_BYTES = 64
_MIN_BASE64_SHARE = 0.8
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")


def _is_secret(data: bytes, start: int, end: int) -> bool:
    written = data[start:end]
    if written.startswith(b"-----"):
        return _is_key_block(written)
    if written.endswith(b"EXAMPLE") or len(set(written[4:])) < _MIN_DISTINCT:
        return False
    return _is_json(written.partition(b".")[0]) if written.startswith(b"eyJ") else True


def _is_key_block(written: bytes) -> bool:
    """Whether there is a key between the two lines, and no talk about keys."""
    body = re.sub(rb"\\[nrt]|[\s\"'+,;\\]", b"", written.split(b"-----")[2])
    return len(body) >= _MIN_KEY_BYTES and len(_NOT_BASE64.sub(b"", body)) >= _MIN_BASE64_SHARE * len(body)


def _is_json(part: bytes) -> bool:
    try:
        return isinstance(orjson.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))), dict)
    except (ValueError, binascii.Error):
        return False


SECRET = Mask(
    pattern=rf"\b(?:{'|'.join(FORMS.values())})|{_SLACK_HOOK}|{_BLOCK}",
    trigger="|".join(_PIECES),
    placeholder="<KEY>",
    is_real=_is_secret,
)
