"""The behaviours of the server, as data. `perform` executes them; this module does not touch a socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

JSON = "application/json"
TEXT = "text/plain"
HTML = "text/html"

After = Literal["nothing", "body"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, without delay."""

    status: int = 200
    content_type: str = JSON
    body: bytes = b""
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A 200 with `size_bytes` of filler, sent in pieces."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """A 200 with a Content-Length of `promised_bytes` that sends half of them and closes."""

    promised_bytes: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A TCP reset, before the answer (`nothing`) or in the middle of its body (`body`).

    `is_rude` is False for an ordinary end of the connection (FIN) instead.
    """

    after: After
    is_rude: bool = True


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence on an open connection, from the start (`nothing`) or from the middle of the body (`body`)."""

    after: After


@dataclass(frozen=True, slots=True)
class Echo:
    """The request as the server received it, as JSON."""


Behaviour = Answer | Stream | Truncate | Reset | Hang | Echo


@dataclass(frozen=True, slots=True)
class Act:
    """A behaviour with its name in the counts, after a delay."""

    name: str
    behaviour: Behaviour
    delay_seconds: float = 0.0


def json_answer(document: object, status: int = 200) -> Answer:
    """Make an Answer with `document` as JSON."""
    return Answer(status, JSON, json.dumps(document, separators=(",", ":")).encode())


def text_answer(line: str, status: int = 200) -> Answer:
    """Make an Answer of plain text."""
    return Answer(status, TEXT, f"{line}\n".encode())


OK = Act("ok", json_answer({"success": True}))
