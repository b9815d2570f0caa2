"""How much the plugin keeps of each failure, from environment variables. An invalid value counts as the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from locust_kit import env
from locust_kit.redaction import Redactor, rules

_EACH_TEXT = 20
_MARKS = '"<'  # in JSON and HTML, which take twice the time of prose


class Level(IntEnum):
    """The level of detail: counts of classes; groups; examples of each group; rows of single requests."""

    COUNTS = 0
    GROUPS = 1
    EXEMPLARS = 2
    FULL = 3


@dataclass(frozen=True)
class CaptureSettings:
    """How much the plugin keeps.

    Attributes:
        level: the level of detail.
        records_per_second: full rows per second and worker; above it, a sample of the second.
        body_bytes: how much it keeps of an example's body.

    """

    level: Level = Level.FULL
    records_per_second: int = 200
    body_bytes: int = 1024

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> CaptureSettings:
        """Read the settings from environment variables."""
        return cls(
            level=env.value(environ, "KIT_FAILURE_LEVEL", _level, cls.level),
            records_per_second=env.value(environ, "KIT_FAILURE_RECORDS_PER_SECOND", env.whole, cls.records_per_second),
        )


def redactor(environ: Mapping[str, str]) -> Redactor:
    """Make the redactor from the kit's rules and the names that the environment adds."""
    names = [name for name in environ.get("KIT_REDACT", "").replace(",", " ").split() if name]
    keep_last = env.value(environ, "KIT_REDACT_KEEP_LAST", env.whole, 0)
    return Redactor(by=rules().with_names(names), keep_last=keep_last)


class Cleaner:
    """Removes secrets from texts, and caches the latest results. It can learn values that are secret.

    `spent` is the cost so far. Its unit is the cost of one character of prose, a third of a microsecond.
    """

    def __init__(self, environ: Mapping[str, str], remembered: int) -> None:
        self._redactor, self._remembered = redactor(environ), remembered
        self._known: dict[str, str] = {}
        self.spent = 0

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        cleaned = self._known.get(text)
        if cleaned is None:
            self.spent += _EACH_TEXT + len(text) * (1 + any(mark in text for mark in _MARKS))
            if len(self._known) >= self._remembered:
                self._known.clear()
            cleaned = self._known[text] = self._redactor.text(text)
        return cleaned

    def know(self, secrets: frozenset[str]) -> None:
        """Treat exactly these values as secret from now on."""
        if secrets != self._redactor.known:
            self._redactor = replace(self._redactor, known=secrets)
            self._known.clear()


def _level(text: str) -> Level:
    if text.upper() not in Level.__members__:
        raise ValueError(text)
    return Level[text.upper()]
