"""Private data and secrets: what is masked, what is kept, on both sides of every check."""

from __future__ import annotations

import base64

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.clean.private_data import luhn
from stages.clean.rules import make_rules

NAMES = ("secret", "email", "ip", "resident_id", "bank_card", "phone")
RULES = make_rules(NAMES)
_KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEAx7vP\n" * 8 + "-----END RSA PRIVATE KEY-----"
_JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890"}')
)
PIECES = [
    "a.b@c.com",
    "x@y",
    "@z.org",
    "8.8.4.44",
    "10.0.0.1",
    "2001:4860:4860::8888",
    "11010519491231002X",
    "4532015112830366",
    "5555 5555 5555 4444",
    "13812345678",
    "+86 138 1234 5678",
    "010-62345678",
    "(212) 555-1234",
    "Phone: ",
    "电话",
    "467 3395",
    "1",
    "12",
    "2021-08-19",
    ".",
    "-",
    " ",
    "\n",
    "x",
    ":",
    "中",
    "（",
    "）",
    "+",
    "(",
    ")",
    "AKIAIOSFODNN7QWERTAB",
    "sk_live_",
    "ghp_" + "a1B2c3D4e" * 4,
    _KEY,
    _JWT + ".abcdefghijkl",
    "<EMAIL>",
    "<PHONE>",
    "<KEY>",
]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=14).map("".join)


def apply(name: str, text: str) -> str:
    return str(RULES[name].apply(pa.array([text]))[0].as_py())


@given(TEXT)
@pytest.mark.parametrize("name", NAMES)
def test_masks_are_idempotent_and_their_tests_miss_nothing(name: str, text: str) -> None:
    once = apply(name, text)
    assert apply(name, once) == once
    if once != text:
        assert RULES[name].touches(pa.array(["other", text, ""])).tolist() == [False, True, False]


KEPT = None  # the text stays as it is


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("email", "联系abc@163.com，谢谢", "联系<EMAIL>，谢谢"),
        ("email", "A.B+c@x-y.co.uk.", "<EMAIL>."),
        ("email", "a@example.com b@mail.test c@localhost d@b.c", KEPT),
        ("email", "git@github.com:org/repo icon@2x.png a@b.sum() sd_IN@devanagari.UTF-8", KEPT),
        (
            "ip",
            "from 8.8.4.44, 66.249.65.1:80 and 2001:4860:4860::8888",
            "from <IP_ADDRESS>, <IP_ADDRESS>:80 and <IP_ADDRESS>",
        ),
        ("ip", "10.1.2.3 172.31.255.255 192.168.0.1 127.0.0.1 203.0.113.9 2001:db8::1 fe80::1", KEPT),
        ("ip", "172.32.0.0", "<IP_ADDRESS>"),  # the first behind the private network
        ("ip", "256.1.1.44 1.22.3.44.5 v1.22.3.44 Firefox/3.0.0.11 8.8.8.8 1.3.6.1.4.1 012.1.1.44", KEPT),
        ("ip", "12.6.2.1. Compile a kernel at 12:30:45, std::vector", KEPT),
        ("resident_id", "身份证11010519491231002X号", "身份证<ID_NUMBER>号"),
        ("resident_id", "110105194912310021 11010519491331002X 99010519491231002X 1111010519491231002X", KEPT),
        (
            "bank_card",
            "4532015112830366 or 5555 5555 5555 4444, 378282246310005",
            "<BANK_CARD> or 5555 5555 5555 4444, <BANK_CARD>",
        ),
        ("bank_card", "4532-0151-1283-0366", "<BANK_CARD>"),
        ("bank_card", "4532015112830367 9532015112830366 0.4532015112830366 4532 01511283 0366", KEPT),
        ("phone", "手机13812345678，座机010-62345678或（021）62345678", "手机<PHONE>，座机<PHONE>或<PHONE>"),
        (
            "phone",
            "+86 138 1234 5678; +44 (0)20 7946 0958; (212) 555-1234 x; 212-555-1234",
            "<PHONE>; <PHONE>; <PHONE> x; <PHONE>",
        ),
        ("phone", "Phone:\n467 3395", "Phone:\n<PHONE>"),
        ("phone", "12812345678 3.13812345678 /13812345678.html 2021-08-19 400-820-8820 112-555-1234 467 3395", KEPT),
        ("phone", "telnet 127.0.0.1 8081", KEPT),
        ("phone", "1+38123456789 +999 +0123456789 +35236450.6", KEPT),
        ("secret", "key = 'AKIAIOSFODNN7QWERTAB'", "key = '<KEY>'"),
        ("secret", "AKIAIOSFODNN7EXAMPLE XAKIAIOSFODNN7QWERTAB AKIAIOSFODNN7QWERT", KEPT),
        ("secret", "ghp_" + "a1B2c3D4e" * 4, "<KEY>"),
        ("secret", "ghp_" + "a1B2c3D4e" * 3 + " sk_live_" + "x" * 24, KEPT),
        ("secret", f"a\n{_KEY}\nb", "a\n<KEY>\nb"),
        ("secret", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", KEPT),
        ("secret", f"Bearer {_JWT}.SflKxwRJSMeKKF2QT4", "Bearer <KEY>"),
        ("secret", "eyJabcdefghijklmnop.eyJabcdefghijklmnop.abcdefghijkl", KEPT),
    ],
)
def test_masks_by_example(name: str, text: str, expected: str | None) -> None:
    assert apply(name, text) == (text if expected is KEPT else expected)


def test_the_check_digit_of_a_card() -> None:
    assert luhn("79927398713")  # the example of the standard
    assert not luhn("79927398710")
