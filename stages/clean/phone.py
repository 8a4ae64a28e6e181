"""Telephone numbers, in the forms that other numbers do not have.

* international: a plus, a country code that exists (ITU-T E.164) and 8 to 15 digits in all;
* North American: area code, exchange and line apart by the same hyphen or full stop, or the area code in brackets;
* Chinese mobile: 11 digits from 13 to 19, together or as 3-4-4, with or without 86;
* Chinese landline: an area code, then a hyphen or brackets, then 7 or 8 digits;
* labelled: 7 to 15 digits behind a word such as "phone", "tel", 电话, 手机, 传真.

Service numbers (400-, 800-, 95588) are nobody's and stay, unless a label stands in front of them.
"""

from __future__ import annotations

import re

from stages.clean.masking import Mask, after, before

#: Country codes of ITU-T E.164 in front of a number; North America's 1 is looked at apart.
_COUNTRY = re.compile(
    r"7\d{10}\Z|2(?:[07]|[1-69]\d)|3(?:[0-46-9]|[578]\d)|4(?:[013-9]|2\d)|5(?:[1-8]|[09]\d)|6(?:[0-6]|[789]\d)"
    r"|8(?:[1246]|[0578]\d)|9(?:[0-58]|[679]\d)"
)
#: IP addresses, decimals, and dates.
_NO_PHONE = re.compile(rb"\+?(?:\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)|\d+\.\d+\Z|.*[.-]\d\Z|\+?\d{4,9}-\d\d-\d\d\b)")
_DIGITS = re.compile(rb"[^0-9]+")

_INTERNATIONAL = r"\+[1-9][0-9 ().-]{6,20}[0-9](?:x[0-9]{1,5})?\b"
#: The end that all American forms share: exchange and line.
_AMERICAN_LINE = r"[0-9][).-] ?[2-9][0-9]{2}[.-][0-9]{4}"
#: No area code ends in 00 but those of services.
_AREA_CODE = "[2-9](?:[1-9][0-9]|0[1-9])"
_AMERICAN = (
    rf"(?:\+?1[ .-]|\b001[ .-])?(?:\({_AREA_CODE}\) ?[2-9][0-9]{{2}}-[0-9]{{4}}"
    rf"|\b{_AREA_CODE}-[2-9][0-9]{{2}}-[0-9]{{4}}|\b{_AREA_CODE}\.[2-9][0-9]{{2}}\.[0-9]{{4}})(?:x[0-9]{{1,5}})?\b"
)
_MOBILE = r"\b(?:86[ -]?)?1[3-9][0-9](?:[0-9]{8}| [0-9]{4} [0-9]{4}|-[0-9]{4}-[0-9]{4})\b"
_AREA = r"0(?:10|2[0-9]|[3-9][0-9]{2})"
_LANDLINE = rf"\b{_AREA}-[2-9][0-9]{{6,7}}(?:-[0-9]{{1,5}})?\b|(?:\({_AREA}\)|（{_AREA}）) ?[2-9][0-9]{{6,7}}\b"
_LABEL = r"(?:\b(?i:telephone|phone|tel|mobile|cell|fax|whatsapp)\b|电话|電話|手机|手機|传真|傳真)"
_GAP = r"[^0-9+(<,;!?]{0,16}"
_ANY_GAP = r"[^0-9<,;!?]*"  # without a bound: counting makes the automaton of all triggers large
_LABELLED = _LABEL + _GAP + r"(\+?\(?[0-9][0-9 ().-]{5,20}[0-9](?:x[0-9]{1,5})?)\b"


def _is_phone(data: bytes, start: int, end: int) -> bool:
    written = data[start:end]
    digits = _DIGITS.sub(b"", written.partition(b"x")[0]).decode("ascii")
    left, right = before(data, start), after(data, end, 2)
    if re.match(rb"[.-]?[0-9]|[./_=%-][A-Za-z]|=", right) or _NO_PHONE.match(written):
        return False  # a longer number, part of an address or of a name
    if written.startswith(b"+"):
        return not re.match(rb"[A-Za-z0-9)\]]", left) and _is_international(digits)
    return left not in (b".", b"/", b"-", b"=", b"_", b"#", b"&", b"%", b"+", b"$") and 7 <= len(digits) <= 18


def _is_international(digits: str) -> bool:
    if not 8 <= len(digits) <= 15:
        return False
    if digits[0] == "1":
        return len(digits) == 11 and digits[1] in "23456789"
    return _COUNTRY.match(digits) is not None


PHONE = Mask(
    pattern="|".join((_LABELLED, _INTERNATIONAL, _AMERICAN, _MOBILE, _LANDLINE)),
    trigger="|".join(
        (_LABEL + _ANY_GAP + "[+(]{0,2}[0-9][0-9 ().-]{5}", r"\+[1-9][0-9 ().-]{6}", _AMERICAN_LINE, _MOBILE, _LANDLINE)
    ),
    placeholder="<PHONE>",
    is_real=_is_phone,
)
