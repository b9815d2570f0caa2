"""The same failure is one group, whatever ids, addresses and numbers are in its message."""

from __future__ import annotations

import pytest
from locust_kit.failures.mask import LONGEST, masked


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("404 Client Error: Not Found for url: /item/1234", "<n> Client Error: Not Found for url: /item/<n>"),
        ("URL http://10.0.0.7:80/a?b=1: code=404", "URL <url>: code=<n>"),
        ("pool(host='127.0.0.1', port=4291): Read timed out", "pool(host='<address>', port=<n>): Read timed out"),
        ("<HTTPConnection object at 0x7f441c224210>", "<HTTPConnection object at <address>>"),
        ("order 7f3a91bc77aa of 550e8400-e29b-41d4-a716-446655440000", "order <id> of <id>"),
        ("token tok_live_8a7b6c5d4e3f2a1b", "token <id>"),
        ("took 3.5 s,\n want  < 2", "took <n> s, want < <n>"),
        ("order 7 of 12345678 at 1795713463507362", "order <n> of <n> at <n>"),
        ("no stock", "no stock"),
        ("", ""),
    ],
)
def test_what_differs_is_masked(text: str, wanted: str) -> None:
    assert masked(text) == wanted


def test_a_long_message_is_cut() -> None:
    assert len(masked("word " * 1000)) <= LONGEST
