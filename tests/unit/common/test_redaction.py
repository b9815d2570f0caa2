"""Secrets are taken out of any text that holds them in a known form, or at all when their value is known."""

from __future__ import annotations

import base64
import json
import random
import string
from typing import Any
from urllib.parse import quote

import pytest

from sidecar.common.redaction import Redactor, rules
from tests.paths import ROOT

CORPUS = json.loads((ROOT / "tests/redaction_corpus.json").read_text())["cases"]
MASK = rules().mask


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case["text"][:40])
def test_the_corpus_is_redacted_and_stays_readable(case: dict[str, Any]) -> None:
    shown = Redactor().text(case["text"])
    assert [secret for secret in case["secrets"] if secret in shown] == []
    assert [stay for stay in case["stays"] if stay not in shown] == []


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case["text"][:40])
def test_redacting_twice_changes_nothing_more(case: dict[str, Any]) -> None:
    once = Redactor().text(case["text"])
    assert Redactor().text(once) == once


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "X-Api-Key", "apiKey", "accessToken", "client-secret", "Set-Cookie", "SENTRY_DSN"),
        *("AWS_SECRET_ACCESS_KEY", "sessionid", "csrfmiddlewaretoken", "signature", "GITHUB_TOKEN", "Passphrase"),
    ],
)
def test_a_name_that_says_secret_is_one(name: str) -> None:
    assert rules().is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "LOCUST_MASTER_NODE_HOST",
            "LOCUSTFILE",
            "PATH",
            "Accept",
            "Content-Type",
            "user",
            "name",
            "KIT_TAGS",
            "monkey",
        ),
        *("passenger", "keyboard", "author", "compass", "bypass", "Host", "status_code", "response_time"),
    ],
)
def test_a_name_that_says_nothing_of_the_kind_is_none(name: str) -> None:
    assert not rules().is_secret(name)


def planted(source: random.Random) -> str:
    """A secret as people make them: letters, digits, and what URLs and JSON have to escape."""
    return "".join(source.choice(string.ascii_letters + string.digits + "!$%&/=?+ \"'\\@:") for _ in range(16))


@pytest.mark.parametrize("seed", range(60))
def test_a_known_value_is_found_in_every_form_that_texts_give_it(seed: int) -> None:
    secret = planted(random.Random(seed))  # noqa: S311  the same each time, on purpose
    forms = [secret, quote(secret, safe=""), json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()]
    text = " | ".join(f"some words {form} and more" for form in forms)
    shown = Redactor(frozenset({secret})).text(text)
    assert [form for form in forms if form in shown] == []
    assert shown.count("and more") == len(forms)


def test_a_longer_value_is_not_left_in_half_by_a_shorter_one() -> None:
    shown = Redactor(frozenset({"hunter2", "hunter2-and-more"})).text("x hunter2-and-more y hunter2 z")
    assert shown == f"x {MASK} y {MASK} z"


def test_a_value_too_short_to_be_told_from_words_is_not_hunted() -> None:
    assert Redactor(frozenset({"the"})).text("the other") == "the other"


@pytest.mark.parametrize("seed", range(40))
def test_no_text_makes_it_fail_or_take_long(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311  the same each time, on purpose
    text = "".join(source.choice("\"'{}[]:=,;&@/\\ \npasswordtoken=:x") for _ in range(3000))
    assert isinstance(Redactor().text(text), str)


@pytest.mark.parametrize(
    "text",
    [
        "passed=12, failed = 3",
        "key error: 'cart'",
        "monkey=1",
        "12:30:01 GET http://shop:8080/cart?page=2&q=%7B%22a%22%3A1%7D",
        'File "shop.py", line 3, in buy',
        '{"name": "cart", "value": 3, "fields": [{"name": "page", "value": [1, {"a": 2}]}]}',
        "if count == 3 : stop",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor(keep_last=4).text(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Authorization: Basic YW5uOmh1bnRlcjIyMjI=", "Authorization: ***"),
        ("Basic YW5uOmh1bnRlcjIyMjI=", "Basic ***"),
        ("Bearer abcdefghijklmnop1a2b", "Bearer ***1a2b"),
        ('{"password": {"a": {"b": ["x", "}"]}}, "n": 1}', '{"password": ***, "n": 1}'),
        ("{'value': 'x', 'name': 'password'}", "{'value': '***', 'name': 'password'}"),
        ("?q=%7B%22password%22%3A%22x%22%7D&n=%201", "?q=%7B%22password%22%3A%22***%22%7D&n=%201"),
        ("password = x, n = 1", "password = ***, n = 1"),
        ("curl -u ann:hunter2 http://shop/", "curl -u *** http://shop/"),
    ],
)
def test_what_is_left_of_a_text_with_a_secret(text: str, cleaned: str) -> None:
    assert Redactor(keep_last=4).text(text) == cleaned
    assert Redactor(keep_last=4).text(cleaned) == cleaned
