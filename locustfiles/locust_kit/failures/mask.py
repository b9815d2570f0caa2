"""A message without what differs from one request to the next, so that the same failure is one group."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 300
_KEPT_MESSAGES = 2048

_VARYING = re.compile(
    r"(?P<url>\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>()]*[^\s'\"<>():.,;])"
    r"|(?P<id>\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)"
    r"|(?P<address>\b0x[0-9a-fA-F]+\b|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b)"
    r"|(?P<hex>\b(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{8,}\b)"
    r"|(?P<token>\b(?=[A-Za-z_\-]*\d)(?=[\d_\-]*[A-Za-z])[A-Za-z0-9_\-]{16,}\b)"
    r"|(?P<n>\d+(?:[.,]\d+)*)"
)
_PLACEHOLDERS = {"url": "<url>", "id": "<id>", "address": "<address>", "hex": "<id>", "token": "<id>", "n": "<n>"}


@lru_cache(maxsize=_KEPT_MESSAGES)
def masked(text: str) -> str:
    """Return the text as one line, cut at `LONGEST`, its URLs, ids, addresses and numbers masked."""
    line = " ".join(text[: 2 * LONGEST].split())
    return _VARYING.sub(_placeholder, line)[:LONGEST]


def _placeholder(match: re.Match[str]) -> str:
    return _PLACEHOLDERS[match.lastgroup or "n"]
