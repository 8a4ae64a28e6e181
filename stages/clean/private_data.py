"""Private data in prose: e-mail and IP addresses, telephone numbers, Chinese resident ids, numbers of bank cards.

Each kind is a rule of its own, so the config says where it is masked and where it is kept. What has a check sum or a
registry is checked; telephone numbers must be written in a form that other numbers do not have. Out of scope: names,
addresses, national numbers of other countries, telephone numbers of bare digits without a country or a label.
"""

from __future__ import annotations

import ipaddress
import re

from stages.clean.masking import Mask, after, before

# ---------------------------------------------------------------------------------------------------------- e-mail
#: Names that nobody owns (RFC 2606, RFC 6761) and endings of file names (icon@2x.png).
_NOBODYS = re.compile(
    rb"[@.](?:example\.(?:com|net|org|edu)|(?:[a-z0-9-]+\.)*(?:example|invalid|test|localhost|localdomain))\Z",
    re.I,
)
_FILE_ENDINGS = frozenset({b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"bmp", b"ico", b"css", b"js", b"json"})
_CHECKOUT_USERS = frozenset({b"git", b"hg", b"svn", b"bzr"})


def _is_email(data: bytes, start: int, end: int) -> bool:
    user, _, host = data[start:end].rpartition(b"@")
    if (
        re.match(rb"\(|-[A-Za-z0-9]", after(data, end, 2))
        or host.rpartition(b".")[2].lower() in _FILE_ENDINGS
        or _NOBODYS.search(b"@" + host)
    ):
        return False
    return not (user.lower() in _CHECKOUT_USERS and after(data, end) in (b":", b"/"))  # git@host:path


EMAIL = Mask(
    pattern=r"\b[A-Za-z0-9_][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b",
    trigger=r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]+\.",
    placeholder="<EMAIL>",
    is_real=_is_email,
)

# -------------------------------------------------------------------------------------------------------------- IP
#: Networks that lead to nobody: IANA's special-purpose registries (RFC 6890 and later), multicast, and 240.0.0.0/4.
#: DataTrove masks public addresses only, too; its list is Python's own, which changes from version to version.
_RESERVED_4 = tuple(map(ipaddress.IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/3",
)))  # fmt: skip
_RESERVED_6 = tuple(map(ipaddress.IPv6Network, (
    "::/8", "64:ff9b::/32", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7",
    "fe80::/10", "ff00::/8",
)))  # fmt: skip
#: An address written in full holds mostly groups of three or four digits; eight groups of two are a hardware address.
_MIN_LONG_GROUPS = 5
_HEADING = re.compile(rb"\.?[ \t]+[A-Za-z\x80-\xff]")
_VERSION = re.compile(rb"(?:[vV]|[vV]er\.?|[vV]ersions?|VERSION|release|\xe7\x89\x88\xe6\x9c\xac)[ :=\"']*\Z")


def _is_public_ip(data: bytes, start: int, end: int) -> bool:
    written = data[start:end].decode("ascii")
    if ":" in written:
        return _is_public_ipv6(written) and before(data, start) not in (b":", b".")
    parts = written.split(".")
    if len(parts) != 4 or all(len(part) == 1 for part in parts):  # 1.3.6.1.4.1, or a section: 3.2.1.4
        return False
    left, right = before(data, start, 2), after(data, end, 2)
    if left[-1:] in (b".", b"-") or re.fullmatch(rb"[.-][A-Za-z0-9]", right):  # part of a longer name
        return False
    if all(len(part) < 3 for part in parts) and _HEADING.match(after(data, end, 6)):  # 12.6.2.1. Compile a kernel
        return False
    if re.fullmatch(rb"[A-Za-z0-9]/", left) or _VERSION.search(before(data, start, 12)):  # Firefox/3.0.0.11
        return False
    try:
        address = ipaddress.IPv4Address(written)
    except ValueError:
        return False
    return not any(address in network for network in _RESERVED_4)


def _is_public_ipv6(written: str) -> bool:
    try:
        address = ipaddress.IPv6Address(written)
    except ValueError:
        return False
    groups = written.split(":")
    if written[0] not in "23" and sum(len(group) > 2 for group in groups) < _MIN_LONG_GROUPS:
        return False
    return not any(address in network for network in _RESERVED_6)


#: IPv6: global unicast (2000::/3), and of other beginnings, which are times, paths and code, what is written in full.
IP = Mask(
    pattern=r"\b(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3,}|"
    r"[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}|(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4})\b",
    trigger=r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|\b[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:"
    r"|[0-9A-Fa-f]{3}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:",
    placeholder="<IP_ADDRESS>",
    is_real=_is_public_ip,
)

# ----------------------------------------------------------------------------------------------------- resident id
#: First two digits: province-level divisions (GB/T 2260), and 81-83 of residence permits.
_PROVINCES = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _is_resident_id(data: bytes, start: int, end: int) -> bool:
    written = data[start:end].decode("ascii").upper()
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, written, strict=False))
    return _PROVINCES.match(written) is not None and "10X98765432"[total % 11] == written[17]


#: GB 11643-1999: six digits of place, date of birth, three of order, and a check by ISO 7064 MOD 11-2.
RESIDENT_ID = Mask(
    pattern=r"\b[1-8][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]\b",
    trigger=r"\b[1-8][0-9]{16}[0-9Xx]\b",
    placeholder="<ID_NUMBER>",
    is_real=_is_resident_id,
)

# ------------------------------------------------------------------------------------------------------- bank card
#: First digits and lengths that the networks issue (ISO/IEC 7812 ranges as the networks publish them).
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|(?:352[89]|35[3-8]\d)\d{12}|(?:2131|1800)\d{11}"
    r"|62\d{14,17}|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"
)
_GROUPS = re.compile(rb"\d+|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}")


def _is_bank_card(data: bytes, start: int, end: int) -> bool:
    written = data[start:end]
    digits = re.sub(rb"[ -]", b"", written).decode("ascii")
    if not _GROUPS.fullmatch(written) or not _ISSUERS.fullmatch(digits):
        return False
    if before(data, start) in (b".", b"/", b"-", b"=", b"_") or re.match(rb"[.-][0-9]|[%/]", data[end : end + 2]):
        return False  # a decimal, part of an address
    return len(set(digits)) > 2 and luhn(digits)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    return (sum(value // 10 + value % 10 for value in doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


BANK_CARD = Mask(
    pattern=r"\b[1-6][0-9]{3}[ -]?[0-9]{4,6}[ -]?[0-9]{4,5}(?:[ -]?[0-9]{1,7})?\b",
    trigger=r"(?:\A|[^0-9.])[1-6][0-9]{3}(?:[0-9]{8,15}\b|[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]|[ -][0-9]{6}[ -])",
    placeholder="<BANK_CARD>",
    is_real=_is_bank_card,
)
