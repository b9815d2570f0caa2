"""The same failure is one group, whatever ids, addresses and numbers are in its message."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import pytest
from locust_kit.failures.mask import LONGEST, Masker, masked


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("404 Client Error: Not Found for url: /item/1234", "404 Client Error: Not Found for url: /item/<n>"),
        ("URL http://10.0.0.7:80/a?b=1: code=404", "URL <url>: code=404"),
        ("pool(host='127.0.0.1', port=4291): Read timed out", "pool(host='<address>', port=<n>): Read timed out"),
        ("<HTTPConnection object at 0x7f441c224210>", "<HTTPConnection object at <address>>"),
        ("order 7f3a91bc77aa of 550e8400-e29b-41d4-a716-446655440000", "order <id> of <id>"),
        ("token tok_live_8a7b6c5d4e3f2a1b", "token tok_live_<id>"),
        ("took 3.5 s,\n want  < 2", "took <n> s, want < <n>"),
        ("order 7 of 12345678 at 1795713463507362", "order <n> of <n> at <n>"),
        ("no stock", "no stock"),
        ("circuit open: checkout-backend-eu1", "circuit open: checkout-backend-eu1"),
        ("INVALID_PAYMENT_METHOD_3DS", "INVALID_PAYMENT_METHOD_3DS"),
        ("build 3f2a9c1 failed", "build <id> failed"),
        ("no route to 2001:db8::1", "no route to <address>"),
        ("at ~/run/locustfile.py:12 in buy", "at ~/run/locustfile.py:12 in buy"),
        ('File "/srv/cart.py", line 88, in add', 'File "/srv/cart.py", line 88, in add'),
        ('{"requestId":"a7","code":"E4021"}', '{"requestId":"<id>","code":"E4021"}'),
        ("invalid: amount 3", "invalid: amount <n>"),
        ("error code 1001 of 17", "error code 1001 of <n>"),
        ("since 2026-11-30T18:35:26.123Z", "since <time>"),
        ("Tue, 01 Dec 2026 07:00:00 GMT", "<time>"),
        ("mail to bo.li7@example.com bounced", "mail to <email> bounced"),
        ("", ""),
    ],
)
def test_what_differs_is_masked(text: str, wanted: str) -> None:
    assert masked(text) == wanted


def test_a_long_message_is_cut() -> None:
    assert len(masked("word " * 1000)) <= LONGEST


def test_messages_of_the_field_are_grouped_as_a_person_would() -> None:
    """A block of the file is one failure, each line of it a message: at most one pair in fifty is told wrong."""
    text = (Path(__file__).parent / "data" / "messages.txt").read_text()
    lines = [
        (block, masked(line)) for block, lines in enumerate(text.strip().split("\n\n")) for line in lines.split("\n")
    ]
    pairs = [(one[0] == other[0], one[1] == other[1]) for one, other in combinations(lines, 2)]
    both = pairs.count((True, True))
    precision = both / (both + pairs.count((False, True)))  # low where different failures are in one group
    recall = both / (both + pairs.count((True, False)))  # low where one failure is in several groups
    print(f"{len(lines)} messages: precision {precision:.4f}, recall {recall:.4f}")
    assert (len(lines) >= 400, precision >= 0.98, recall >= 0.98) == (True, True, True), (precision, recall)


def test_text_after_text_is_masked_while_there_is_time_and_a_known_one_always() -> None:
    draw = random.Random(5)  # noqa: S311  no secret
    masker = Masker()
    assert masker.masked("no stock for order 12", 1000.0) == "no stock for order <n>"
    texts = [" ".join(f"{draw.getrandbits(64):x}" for _ in range(30)) for _ in range(1500)]
    lines = [masker.masked(text, 1000.0) for text in texts]
    looked_at = len(lines) - lines.count(None)
    assert 50 < looked_at < 200
    assert lines[-1] is None
    assert masker.masked("no stock for order 12", 1000.0) == "no stock for order <n>"
    assert masker.masked(texts[-1], 1001.0) is not None  # a second later there is time again


def test_short_texts_that_all_differ_are_all_masked_at_the_rate_of_a_worker() -> None:
    masker = Masker()
    texts = [f"no stock for order {number} at 10.0.0.{number % 250}" for number in range(7500)]
    lines = {masker.masked(text, number / 750) for number, text in enumerate(texts)}
    assert lines == {"no stock for order <n> at <address>"}


@pytest.mark.parametrize("text", ["://", "a1://", "x :// 12 ://", "{://1}" * 40, "http://" * 50])
def test_what_only_looks_like_a_url_is_masked_too(text: str) -> None:
    assert isinstance(masked(text), str)
