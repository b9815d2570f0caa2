"""The receiver of failures, from environment variables. An invalid URL or key is logged and turns push off."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from locust_kit import env

logger = logging.getLogger("locust_kit")

_MEGABYTE = 1024**2
_VISIBLE = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class PushSettings:
    """The receiver's URL and key, and the size of the spool."""

    url: str
    key: str = field(repr=False)
    spool_bytes: int = 64 * _MEGABYTE

    @property
    def host(self) -> str:
        """Return host and port: only this part of the URL may be shown."""
        return urlsplit(self.url).netloc

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> PushSettings | None:
        """Read the settings from environment variables; None if push is off. Log the reason if a URL is set."""
        url = environ.get("KIT_PUSH_URL") or _line(environ.get("KIT_PUSH_URL_FILE", ""))
        if not url:
            return None
        if not _is_valid(url):
            logger.warning(
                "locust-kit: failures are not pushed: PUSH_URL must be an http(s) URL without user and password"
            )
            return None
        key = _line(environ.get("KIT_PUSH_KEY_FILE", ""))
        if not _VISIBLE.fullmatch(key):
            logger.warning("locust-kit: failures are not pushed: PUSH_KEY is missing, or it is not valid in a header")
            return None
        megabytes = env.value(environ, "KIT_PUSH_SPOOL_MEGABYTES", env.whole, cls.spool_bytes // _MEGABYTE)
        return cls(url, key, megabytes * _MEGABYTE)


def _is_valid(url: str) -> bool:
    """Return whether the URL can be used. `requests` would send its user name instead of the key."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # an invalid port raises only when it is read
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_http and "@" not in parts.netloc and bool(_VISIBLE.fullmatch(url))


def _line(file: str) -> str:
    """Return the text of a secret's file; "" if there is no file or it cannot be read."""
    try:
        return Path(file).read_text(encoding="utf-8").strip() if file else ""
    except (OSError, UnicodeDecodeError):
        return ""
