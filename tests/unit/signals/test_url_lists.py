"""Addresses against block lists: by domain and all below it, by address and all below it, by piece."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.signals.url_lists import UrlMatcher


def match(urls: list[str | None], domains=(), addresses=(), pieces=()) -> list[int]:
    matcher = UrlMatcher.build(domains, addresses, pieces)
    listed, _ = matcher.match(pa.array(urls, pa.string()), np.ones(len(urls), dtype=bool))
    return listed.tolist()


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://bad.test", True),
        ("https://WWW.Bad.Test/page?x=1#y", True),
        ("https://a.b.bad.test:8080/", True),
        ("http://user:word@bad.test/", True),
        ("http://bad.test./", True),
        ("http://bad.test@good.test/", False),  # bad.test is the user's name
        ("http://notbad.test/", False),
        ("http://bad.test.org/", False),
        ("http://good.test/bad.test", False),
        ("bad.test/page", False),  # a path of a file dump, no address
        ("", False),
        (None, False),
    ],
)
def test_a_domain_stands_for_all_below_it(url: str | None, listed: bool) -> None:
    assert match([url], domains=["bad.test", "other.test"]) == [int(listed)]


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://host.test/bad", True),
        ("http://www.host.test/BAD/page", True),
        ("http://host.test/bad?x", True),
        ("http://host.test/badge", False),
        ("http://host.test/", False),
        ("http://sub.host.test/bad", False),
        ("http://all.test/any", True),
    ],
)
def test_an_address_stands_for_all_below_it(url: str, listed: bool) -> None:
    assert match([url], addresses=["host.test/bad", "all.test"]) == [int(listed)]


def test_pieces_are_counted_anywhere_in_any_case() -> None:
    matcher = UrlMatcher.build([], [], ["bad", "worse"])
    urls = pa.array(["http://a.test/BAD-bad/worse", "http://a.test/", "http://bad.test/"])
    listed, pieces = matcher.match(urls, np.array([True, True, False]))
    assert (listed.tolist(), pieces.tolist()) == ([1, 0, 0], [3, 0, 0])


LABELS = st.lists(st.sampled_from(["a", "b", "ab", "c-d"]), min_size=1, max_size=3).map(".".join)


@given(st.lists(LABELS, max_size=4), st.lists(LABELS, max_size=4))
def test_domains_against_a_slow_search(domains: list[str], hosts: list[str]) -> None:
    slowly = [int(any(f".{host}".endswith(f".{domain}") for domain in domains)) for host in hosts]
    assert match([f"http://{host}/x" for host in hosts], domains=domains) == slowly
