"""Locust's own web page behind the rules of web_guard.py, and without the CORS headers that let any page read it."""

from __future__ import annotations

import http.client
import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Flask

from locust_kit.web_guard import ANSWER_HEADERS, LOGIN_HEADERS, WebGuard

logger = logging.getLogger("locust_kit")

_CORS = "access-control-"


def password() -> str:
    """Return the password of both pages (WEB_PASSWORD); "" for none, a random one where its file cannot be read."""
    file = os.environ.get("KIT_WEB_PASSWORD_FILE", "")
    try:
        return Path(file).read_text(encoding="utf-8").removesuffix("\n") if file else ""
    except (OSError, ValueError) as error:
        logger.error("locust-kit: Locust's page stays closed: %s cannot be read: %s", file, error)  # noqa: TRY400
        return secrets.token_urlsafe()


def install(app: Flask) -> None:
    """Refuse what the rules refuse, on every route of the application: Locust's, ours and the test's own."""
    hosts = os.environ.get("KIT_WEB_HOSTS", "").replace(",", " ").split()
    inner, guard = app.wsgi_app, WebGuard(hosts, password())

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def header(name: str) -> str:
            return str(environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            shared = guard.trusts(header("origin"))
            kept = [(name, value) for name, value in headers if shared or not name.lower().startswith(_CORS)]
            present = {name.lower() for name, _ in kept}
            added = [(name, value) for name, value in ANSWER_HEADERS.items() if name not in present]
            return start_response(status, kept + added, *error)

        method = environ["REQUEST_METHOD"]
        refused = guard.refusal(method, environ.get("PATH_INFO", ""), header)
        if refused is None:
            return inner(environ, start)
        status, text = refused
        body = b"" if method == "HEAD" else f"{text}\n".encode()
        plain = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
        plain += LOGIN_HEADERS.items() if status == http.client.UNAUTHORIZED else ()
        start(f"{status} {http.client.responses[status]}", plain)
        return [body]

    app.wsgi_app = answer  # type: ignore[method-assign]  # the way that Flask's documentation shows
