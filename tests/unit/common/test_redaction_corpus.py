"""A corpus of planted secrets, of which no part is shown, and of harmless texts, which stay as they are."""

from __future__ import annotations

import errno
import html
import json
import os
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

import pytest

from sidecar.common.redaction import Redactor
from tests.unit.common import redaction_texts

NAMES = (
    *("_password", ".token", "__secret", "db.password", "X-Api-Key", "access_token", "clientSecret", "sessionid"),
    *("PUSH_KEY", "$password", "user[password]", "--token", "refresh-token", "_csrf_token", "PGPASSWORD", "otp_token"),
)
PLACES = (  # {n} is the name, {s} the secret
    "{n}={s}",
    "{n}:{s}",
    "{n}: {s}",
    "{n} = '{s}' was refused",
    '{n}="{s}',
    "{n}=b'{s}'",
    "login({n}=SecretStr('{s}'), page=2)",
    "url=http://shop/cart?{n}={s}",
    "next=/in?page=2&{n}={s}&sort=price",
    "Location: http://shop/in#{n}={s}",
    "PUSH_URL=https://push.example/in?{n}={s}",
    "HEALTH_URLS=http://a/ok?page=2,http://b/ok?{n}={s}",
    'GET "http://shop/cart?{n}={s}" failed',
    "{{{n}:{s},page:2}}",
    '{{"page": 2, "{n}":"{s}"}}',
    '"{n}" => "{s}"',
    '{{"message": "{n}=\\"{s}\\""}}',
    "[{n}:{s}]",
    "/cart?a=1;{n}={s}",
)
ENCODINGS: tuple[Callable[[str], str], ...] = (
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    html.escape,
    lambda text: html.escape(html.escape(text)),
    lambda text: json.dumps(json.dumps({"m": text})),
)
MARKUP = (
    '<input value="{s}" name="token">',
    "<input name='token' type=hidden value='{s}'/>",
    "<input type=password value={s}>",
    '<input id="password" class="wide" value="{s}">',
    '<meta name="csrf-token" content="{s}">',
    '<meta content="{s}" name="csrf-token" />',
    '<add key="ApiKey" value="{s}"/>',
    '<property name="db.password">{s}</property>',
    '<property name="db.password" value="{s}"/>',
    '<div data-access-token="{s}" class="x">',
    "<user password='{s}' name='ann'>",
    '{{"html": "<input name=\\"token\\" value=\\"{s}\\">"}}',
    "&lt;input name=&quot;token&quot; value=&quot;{s}&quot;&gt;",
    "<o:Password Type='x'>{s}</o:Password>",
    '<form action="/in?token={s}">',
    "<a href='http://ann:{s}@shop/'>shop</a>",
)
LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zCbDfFhGkJlLnMqPsRuTwVyXzZ"
LOWER, HEX = LETTERS.lower(), "0123456789abcdef" * 4
SHAPES = (
    *(f"xox{kind}-123456789012-1234567890123-{LETTERS[:24]}" for kind in "abeoprs"),
    f"xapp-1-A0123456789-1234567890123-{HEX}",
    f"https://hooks.slack.com/services/T01234567/B01234567/{LETTERS[:24]}",
    *(f"gh{kind}_{LETTERS[:36]}" for kind in "opusr"),
    f"github_pat_11ABCDEFG0{LETTERS[:12]}_{LETTERS[:50]}",
    *(f"gl{kind}-{LETTERS[:20]}" for kind in ("pat", "dt", "rt", "ptt", "ft", "soat")),
    *(f"{kind}_{LETTERS[:36]}" for kind in ("npm", "hf", "gsk", "ntn", "sbp", "lin_api", "dckr_pat", "glsa")),
    f"pypi-AgEIcHlwaS5vcmc{LETTERS}",
    *(f"{kind}{LETTERS.upper()[:16]}" for kind in ("AKIA", "ASIA")),
    f"AIza{LETTERS[:35]}",
    f"ya29.a0{LETTERS[:40]}",
    f"GOCSPX-{LETTERS[:28]}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    *(f"{kind}_{mode}_{LETTERS[:24]}" for kind in ("sk", "rk", "pk") for mode in ("live", "test")),
    f"whsec_{LETTERS[:32]}",
    f"sk-proj-{LETTERS[:48]}",
    f"sk-ant-api03-{LETTERS[:48]}",
    f"SG.{LETTERS[:22]}.{LETTERS[:43]}",
    f"SK{HEX[:32]}",
    f"dop_v1_{HEX}",
    f"shpat_{HEX[:32]}",
    f"sq0csp-{LETTERS[:43]}",
    f"hvs.{LETTERS[:24]}",
    f"dapi{HEX[:32]}",
    f"PMAK-{HEX[:24]}-{HEX[:34]}",
    f"key-{HEX[:32]}",
    f"{HEX[:32]}-us12",
    f"110201543:AA{LETTERS[:33]}",
    f"M{LETTERS[:23]}.{LETTERS[:6]}.{LETTERS[:27]}",
    f"https://discord.com/api/webhooks/123456789012345678/{LETTERS}",
)
AROUND = ("{s}", "got {s} from the shop", "'{s}'", "GET /cart?page=2&x={s}", '{{"id": "{s}"}}', "/cart/{s}/lines")
SECRET = "s3cRet-Zq81xY"  # noqa: S105
PLANTED = (
    *redaction_texts.planted(),
    *((place.format(n=name, s=SECRET), SECRET) for place in PLACES for name in NAMES),
    *((encode(f"?page=2&{name}={SECRET}"), SECRET) for encode in ENCODINGS for name in NAMES),
    *((encode(f'{{"{name}": "{SECRET}"}}'), SECRET) for encode in ENCODINGS for name in NAMES),
    *((place.format(s=SECRET), SECRET) for place in MARKUP),
    *((place.format(s=shape), shape[-12:]) for shape in SHAPES for place in AROUND),
    ("http://ann:pa@ss@shop:8080/cart", "ss@shop"),
    ("//ann:s3cRet-Zq81xY@shop/cart", SECRET),
    ("HOST=ann:s3cRet-Zq81xY@shop:8080", SECRET),
    ("u=http%3A%2F%2Fann%3As3cRet-Zq81xY%40shop%2F", SECRET),
    ("?%70assword=s3cRet-Zq81xY", SECRET),
    ("<token><![CDATA[s3cRet-Zq81xY]]></token>", SECRET),
    ("password :s3cRet-Zq81xY", SECRET),
    ("Authorization=Bearer s3cRet-Zq81xY", SECRET),
    ("Cookie:a=1; b=s3cRet-Zq81xY", SECRET),
    ("login --password s3cRet-Zq81xY --page 2", SECRET),
)
HARMLESS = (
    *redaction_texts.HARMLESS,
    *(f"{status.value} {status.phrase}" for status in HTTPStatus),
    *(f"OSError({number}, {os.strerror(number)!r})" for number in sorted(errno.errorcode)[:80]),
    "the cart is empty",
    "Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON",
    "Unexpected token < in JSON at position 0",
    "max_tokens=512&temperature=0.2",
    '{"usage": {"prompt_tokens": 15, "completion_tokens": 3, "total_tokens": 18}}',
    "session_timeout=30, session_count=4",
    "active_sessions: 12 of 400",
    "token_type=bearer&expires_in=3600",
    "http://auth:8080/health",
    "http://auth-service:8080/in?page=2",
    "connect to session-db:5432 refused",
    "key-vault:443 answered",
    "tests/token.py:12: AssertionError",
    "Authorization.java:77",
    "std::auth::Key::new failed",
    "InvalidTokenError: Signature has expired",
    "SessionClosed: no such cart",
    "KeyError: 'cart'",
    "the passenger list is empty",
    "compass=north&keyboard=de&monkey=1",
    "author: Ann, page: 2",
    "12:30:01 GET /cart?page=2&sort=price",
    'File "/mnt/locust/locustfile.py", line 12, in buy',
    "ValueError: invalid literal for int() with base 10: 'a1'",
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)",
    "HTTPConnectionPool(host='shop', port=8080): Max retries exceeded with url: /cart",
    "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    '<meta name="viewport" content="width=device-width">',
    '<input type="text" name="page" value="2">',
    '<span class="token">if</span>',
    '<div id="session-info">3 users</div>',
    "<a href='/cart?page=2&amp;sort=price'>next</a>",
    "&lt;b&gt;bold&lt;/b&gt; &quot;quoted&quot;",
    "q=%7B%22page%22%3A2%7D&r=%2Fin%3Fpage%3D2",
    "q=%257B%2522page%2522%253A2%257D",
    "/api/orders/2024-05-01/line-items/red-cotton-shirt-large",
    "sk-learn is not installed",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    'etag: W/"33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "Content-Type: application/json; charset=utf-8",
    "x-request-id: 4bf92f3577b34da6a3ce929d0e0e4736",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "{page:2,sort:price}",
    "worker-key-1.local:5557",
    "the token is missing",
    "password is required",
    "wrong password for ann",
    "no session for this cart",
    "cookies are disabled",
    "primary key constraint orders_pkey violated",
    "duplicate key value violates unique constraint",
    "a == b, a != b, a >= 3",
    "x -> y, y => z",
    "C:\\Users\\ann\\locustfile.py",
    "ann@shop.example wrote: hello",
    "git@github.com:shop/cart.git",
    "std_dev=3.2&p95=120ms",
    "key_count=3, tokens_per_second=20",
    "locust --users 5 --run-time 30s --tags cart",
    "make up HOST=http://shop:8080 WORKERS=4",
    "expected 200, seen 404",
    "shop/cart:1.2@sha256:e3b0c44298fc",
    "u=ann%40shop.example",
)


@pytest.mark.parametrize("kept", [0, 4])
def test_no_planted_secret_is_shown(kept: int) -> None:
    redactor = Redactor(keep_last=kept)
    assert len(PLANTED) >= 1300
    assert [text for text, secret in PLANTED if secret in redactor.text(text)] == []


def test_redacting_a_planted_secret_twice_changes_nothing_more() -> None:
    once = [Redactor().text(text) for text, _ in PLANTED]
    assert [text for text in once if Redactor().text(text) != text] == []


def test_at_most_one_of_a_hundred_harmless_texts_is_masked() -> None:
    assert len(HARMLESS) >= 350
    assert len([text for text in HARMLESS if Redactor().text(text) != text]) <= len(HARMLESS) // 100
