"""Secrets planted in every part of failed requests: none is in any file, log line, page or batch.

The places, names and values are drawn anew from a seed, so that each case is another and can be had again.
"""

from __future__ import annotations

import functools
import json
import logging
import random
import string
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from locust.env import Environment
from locust_kit.failures import capture as capture_module
from locust_kit.failures import files, tab
from locust_kit.failures.account import FailureAccount
from locust_kit.failures.capture import Capture
from locust_kit.failures.settings import CaptureSettings, Cleaner, redactor
from locust_kit.push.batch import BatchId, body
from locust_kit.writer import Writer, write_documents

SECRETS = 200
HEADERS = ("Authorization", "X-Api-Key", "Cookie", "Set-Cookie", "X-Auth-Token", "Proxy-Authorization", "X-CSRF-Token")
FIELDS = ("password", "access_token", "clientSecret", "api_key", "sessionId", "refreshToken", "private_key", "PASSWD")
Case = tuple[str, dict[str, Any]]


def token(draw: random.Random, length: int = 24) -> str:
    return "".join(draw.choices(string.ascii_letters + string.digits, k=length))


def cased(draw: random.Random, name: str) -> str:
    return draw.choice((name, name.upper(), name.lower(), name.title(), name.swapcase()))


def in_header(draw: random.Random, secret: str) -> dict[str, Any]:
    name = cased(draw, draw.choice(HEADERS))
    kind = draw.choice(("", "Bearer ", "Basic ", "session=", "sid="))
    return {"headers": {name: f"{kind}{secret}", "Server": "shop"}}


def in_url(draw: random.Random, secret: str) -> dict[str, Any]:
    name = cased(draw, draw.choice(FIELDS))
    forms = (
        f"http://user:{secret}@shop/cart",
        f"http://shop/cart?page=2&{name}={secret}",
        f"http://shop/cart?{name}={secret}&page=2",
        f"http://shop/cart#{name}={secret}",
        f"http://shop/cart?q={quote(json.dumps({'user': 'ann', name: secret}))}&page=2",
        f"http://shop/cart?next={quote(f'/in?{name}={secret}', safe='')}",
    )
    return {"url": draw.choice(forms)}


def in_json(draw: random.Random, secret: str) -> dict[str, Any]:
    inner: Any = {cased(draw, draw.choice(FIELDS)): secret}
    for _ in range(draw.randrange(4)):
        inner = draw.choice(({"data": inner, "count": 3}, [1, inner], {"text": json.dumps(inner)}))
    whole = json.dumps({"user": "ann", "inner": inner}, indent=draw.choice((None, 1)))
    return {"body": draw.choice((whole, whole.replace("s", r"\u0073").replace("p", r"\u0070")))}


def in_form(draw: random.Random, secret: str) -> dict[str, Any]:
    return {"body": urlencode({"user": "ann", cased(draw, draw.choice(FIELDS)): secret, "page": 2})}


def in_markup(draw: random.Random, secret: str) -> dict[str, Any]:
    name = cased(draw, draw.choice(FIELDS))
    forms = (
        f"<user><{name}>{secret}</{name}></user>",
        f"<c:{name} xsi:type='text'>{secret}</c:{name}>",
        f'<form><input type="hidden" name="{name}" value="{secret}"></form>',
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{secret}\r\n--x--',
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain\r\n\r\n{secret}',
    )
    return {"body": draw.choice(forms)}


def cut_off(draw: random.Random, secret: str) -> dict[str, Any]:
    """At the end of the part of a body that is kept: the secret is in it to some character."""
    name = draw.choice(FIELDS)
    forms = (
        f'{{"{name}": "{secret}',
        f'{{"text": "{{\\"{name}\\": \\"{secret}',
        f"{name}={secret}",
        f'{{"{name}": ["{secret}',
    )
    return {"body": draw.choice(forms)}


def in_list(draw: random.Random, secret: str) -> dict[str, Any]:
    name = cased(draw, draw.choice(FIELDS))
    deep: Any = secret
    for _ in range(draw.randrange(1, 5)):
        deep = draw.choice(({"a}": deep, "n": [1, {}]}, [{"x]": "{"}, deep], {"text": json.dumps({"in": deep})}))
    whole = {"user": "ann", name: deep, "page": 2}
    return {"body": draw.choice((json.dumps(whole), repr(whole), json.dumps({"text": json.dumps(whole)})))}


def in_pair(draw: random.Random, secret: str) -> dict[str, Any]:
    """A field that says its name, and another its value."""
    name, value = draw.choice(("name", "key", "field", "header")), draw.choice(("value", "val", "content"))
    pair = [(name, cased(draw, draw.choice(FIELDS))), (value, draw.choice((secret, [secret], {"a": secret})))]
    draw.shuffle(pair)
    whole = {"user": "ann", "fields": [{"name": "page", "value": "2"}, dict(pair)]}
    return {"body": draw.choice((json.dumps(whole), repr(whole), json.dumps({"text": json.dumps(whole)})))}


def in_message(draw: random.Random, secret: str) -> dict[str, Any]:
    name = draw.choice(FIELDS)
    forms = (
        f"401 for url: http://shop/cart?{name}={secret}",
        f"rejected: Authorization: Bearer {secret}",
        f"{{'{name}': '{secret}'}} was refused",
        f'no such user: {{"{name}":"{secret}"}}',
        f"Bearer {secret} has ended",
        f"{name} = {secret}",
        f"{name} : {secret}",
        f"curl -u ann:{secret} http://shop/",
        f"curl --user ann:{secret} http://shop/",
        f"the password {secret}1 is wrong",
        f"wrong token '{secret}' for ann",
        f"API key is {secret}1.",
    )
    return {"message": draw.choice(forms)}


def in_context(draw: random.Random, secret: str) -> dict[str, Any]:
    return {"context": {cased(draw, draw.choice(FIELDS)): secret, "order": 3}}


def in_name(draw: random.Random, secret: str) -> dict[str, Any]:
    return {"name": f"/cart?{draw.choice(FIELDS)}={secret}"}


PLACES: tuple[Callable[[random.Random, str], dict[str, Any]], ...] = (
    in_header, in_url, in_json, in_form, in_message, in_context, in_name, in_markup, cut_off, in_list, in_pair,
)  # fmt: skip


@functools.cache
def cases(seed: int) -> list[Case]:
    draw = random.Random(seed)  # noqa: S311  cases, no secrets
    made = []
    for number in range(SECRETS):
        secret = token(draw)
        made.append((secret, PLACES[number % len(PLACES)](draw, secret)))
    return made


def failed(part: dict[str, Any], number: int) -> dict[str, Any]:
    """A failed request as Locust's event has it, in a group of its own: only examples have headers and a body."""
    url = part.get("url", "http://shop/cart")
    response = SimpleNamespace(
        status_code=401, url=url, headers=part.get("headers", {}), _content=part.get("body", "").encode()
    )
    return {
        "request_type": "GET",
        "name": part.get("name", f"/cart part {number}"),
        "response_time": 12.5,
        "response_length": 3,
        "exception": ValueError(part.get("message", f"401 Client Error for url: {url}")),
        "response": response,
        "context": part.get("context", {}),
        "url": url,
    }


class WebUi:
    """The part of Locust's that is used."""

    def __init__(self) -> None:
        self.template_args: dict[str, Any] = {}

    def auth_required_if_enabled(self, view: Any) -> Any:
        return view


def outputs(folder: Path, environ: dict[str, str], made: list[Case], caplog: Any) -> dict[str, str]:
    """Everything that leaves, by where it goes."""
    capture = Capture(CaptureSettings(records_per_second=10_000), Cleaner(environ, 1024))
    account = FailureAccount(Environment())
    for number, (_, part) in enumerate(made):
        capture.on_request(**failed(part, number))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(capture_module, "MOST_CLEANED", 10**9)
        report = capture.report()
    assert len(report["examples"]) >= SECRETS * 5 // 6
    account.collection.take("w1", report)
    rows = account.collection.waiting()
    assert len(rows) == SECRETS
    files.append(folder, rows)
    write_documents(folder, {files.GROUPS: account.document()})
    account.writer = Writer(folder, lambda error: pytest.fail(str(error)))
    with caplog.at_level(logging.INFO):
        account.end()
    app = Flask("ui")
    ui = WebUi()
    tab.install(app, ui, "", account)  # type: ignore[arg-type]
    app.add_url_rule("/stats/requests", "stats", dict)
    asked = ("failure_groups.csv", files.GROUPS, files.TABLE, files.ROWS)
    return {
        "the wire": json.dumps(report),
        **{path.name: path.read_text() for path in folder.iterdir()},
        "the console": caplog.text,
        "the tab": app.test_client().get("/stats/requests").get_data(as_text=True),
        **{f"GET {name}": app.test_client().get(f"/locust-kit/{name}").get_data(as_text=True) for name in asked},
        "the status": json.dumps(account.status()),
        "a pushed batch": body(BatchId("run", (1,)), {}, [row.document() for row in rows]).decode(),
    }


@pytest.mark.parametrize("kept", [0, 4])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_secret_is_in_anything_that_leaves(seed: int, kept: int, tmp_path: Path, caplog: Any) -> None:
    made = cases(seed)
    found = outputs(tmp_path, {"KIT_REDACT_KEEP_LAST": str(kept)}, made, caplog)
    assert len(found) == 12
    assert all(text for text in found.values())
    for where, text in found.items():
        for secret, part in made:
            assert secret not in text, (where, part)
            assert secret[-6:] not in text, (where, part)
            assert secret[:6] not in text, (where, part)


def test_the_end_of_a_token_stays_when_asked_for_and_of_a_password_never() -> None:
    clean = redactor({"KIT_REDACT_KEEP_LAST": "4"}).text
    assert clean("Authorization: Bearer abcdefghijklmnop1a2b") == "Authorization: ***1a2b"
    assert clean('{"access_token": "abcdefghijklmnop1a2b"}') == '{"access_token": "***1a2b"}'
    assert clean("?api_key=abcdefghijklmnop1a2b&page=2") == "?api_key=***1a2b&page=2"
    assert clean("Bearer abcdefghijklmnop1a2b") == "Bearer ***1a2b"
    for text in (
        "password=abcdefghijklmnop1a2b",
        "Cookie: sid=abcdefghijklmnop1a2b",
        '{"token": "short1a2b"}',
        "http://user:abcdefghijklmnop1a2b@shop/",
        "-----BEGIN PRIVATE KEY-----abcdefghijklmnop1a2b",
    ):
        assert "1a2b" not in clean(text), text
    assert redactor({"KIT_REDACT_KEEP_LAST": "99"}).text("token=abcdefghijklmnop1a2b") == "token=***1a2b"


def test_names_can_be_added_and_none_taken_off() -> None:
    plain, more = redactor({}), redactor({"KIT_REDACT": "X-Shop-Ticket, seatNumber"})
    for text in ("X-Shop-Ticket: 4711", "?seat_number=4711", '{"seatNumber": 4711}'):
        assert "4711" in plain.text(text)
        assert "4711" not in more.text(text)
    assert "4711" not in more.text("password=4711")


@pytest.mark.parametrize("seed", range(20))
def test_words_without_secrets_stay_as_they_are_and_twice_is_once(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  cases, no secrets
    words = ["order", "stock", "page", "cart", "of", "no", "shop", "user"]
    clean = redactor({"KIT_REDACT_KEEP_LAST": str(draw.randrange(5))}).text
    for _ in range(50):
        fields = {draw.choice(words): draw.choice((draw.randrange(1000), "text", None, [1, 2])) for _ in range(4)}
        text = draw.choice(
            (json.dumps(fields), urlencode(fields), " ".join(draw.choices(words, k=9)), f"/cart?{urlencode(fields)}")
        )
        assert clean(text) == text
        _, part = draw.choice(cases(seed))
        for secret in map(str, part.values()):
            assert clean(clean(secret)) == clean(secret)
