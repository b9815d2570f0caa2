"""Take secrets out of texts before they leave this machine. Pure but for reading the rules once.

One file for both sides, the plugin inside Locust and the commands beside it (`sidecar/redaction.py` is a link to it):
what may not be shown in one place may not be shown in the other. Its rules are redaction.json. A text is judged by its
form (headers, URLs, JSON, forms, well-known tokens) and by values that are known to be secret, which are taken out
wherever they stand, in the forms that URLs and Base64 give them as well.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

RULES_FILE = Path(__file__).resolve().with_suffix(".json")
SHORTEST_KNOWN = 5  # a shorter value would be found in half of all words

_USER_INFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/?#'\"<>@]*)@")
_QUOTED = re.compile(
    r"(?P<quote>\\?[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*[:=,]\s*)"
    r"(?P<bytes>b?)(?P<open>\\?[\"'])(?P<value>(?:\\.|[^\\])*?)(?P=open)",
    re.DOTALL,
)
_QUOTED_BARE = re.compile(
    r"(?P<quote>\\?[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*:\s*)(?P<value>[^\s\"',}\]\\]++)(?![\"'])"
)
_ASSIGNED = re.compile(
    r"(?<![A-Za-z0-9_.%])(?P<name>[A-Za-z][A-Za-z0-9_.%\-\[\]]{0,63})(?P<gap>=)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s&;,'\")}\]]*)"
)
_HEADER = re.compile(r"(?<![A-Za-z0-9_\-])(?P<name>[A-Za-z][A-Za-z0-9_\-]{1,60})(?P<gap>:[ \t]+)(?P<value>[^\r\n]+)")
_WORD = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Rules:
    """What names and forms mean a secret."""

    mask: str
    names: frozenset[str]
    parts: tuple[str, ...]
    ends: tuple[str, ...]
    scheme: re.Pattern[str]
    patterns: tuple[re.Pattern[str], ...]

    def is_secret(self, name: str) -> bool:
        """Whether a header, variable, parameter or field of this name holds a secret."""
        plain = _WORD.sub("_", _HUMP.sub("_", name).lower()).strip("_")
        last = plain.rpartition("_")[2] if "_" in plain else plain
        joined = plain.replace("_", "")
        return (
            plain in self.names
            or plain.endswith(self.ends)
            or any(part in plain or part.replace("_", "") in joined for part in self.parts)
            or (last in self.names and last in ("authorization", "cookie", "jwt"))
        )


@cache
def rules(path: Path = RULES_FILE) -> Rules:
    """The rules that come with the kit."""
    found = json.loads(path.read_text(encoding="utf-8"))
    schemes = "|".join(re.escape(one).replace("_", "[-_]") for one in found["schemes"])
    return Rules(
        mask=found["mask"],
        names=frozenset(found["names"]),
        parts=tuple(found["name_parts"]),
        ends=tuple(found["name_ends"]),
        scheme=re.compile(rf"\b(?P<scheme>{schemes})\s+(?P<value>[A-Za-z0-9+/=_.~\-]{{6,}})", re.IGNORECASE),
        patterns=tuple(re.compile(one) for one in found["patterns"]),
    )


@dataclass(frozen=True)
class Redactor:
    """Takes secrets out of texts; `known` are values that must not be seen anywhere, whatever stands around them."""

    known: frozenset[str] = frozenset()
    by: Rules = field(default_factory=rules)
    _known: re.Pattern[str] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Make one pattern of all known values, the longest first, so that none is cut in the middle."""
        forms = {form for value in self.known if len(value) >= SHORTEST_KNOWN for form in _forms(value)}
        if forms:
            longest_first = sorted(forms, key=len, reverse=True)
            object.__setattr__(self, "_known", re.compile("|".join(map(re.escape, longest_first))))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(self.by.mask, text)
        for pattern in self.by.patterns:
            text = pattern.sub(self.by.mask, text)
        text = _USER_INFO.sub(lambda match: f"{match['scheme']}{self.by.mask}@", text)
        text = _QUOTED.sub(self._quoted, text)
        text = _QUOTED_BARE.sub(self._bare, text)
        text = _HEADER.sub(self._header, text)
        text = _ASSIGNED.sub(self._assigned, text)
        return self.by.scheme.sub(lambda match: f"{match['scheme']} {self.by.mask}", text)

    def words(self, words: Sequence[str]) -> tuple[str, ...]:
        """The words of a command line: what follows a flag that names a secret is one."""
        before = ("", *words)
        return tuple(
            self.by.mask
            if flag.startswith("-") and self.by.is_secret(flag) and not word.startswith("-")
            else self.text(word)
            for flag, word in zip(before, words, strict=False)
        )

    def value(self, name: str, value: str) -> str:
        """The value of a variable, header or field of a name."""
        return self.by.mask if value and self.by.is_secret(name) else self.text(value)

    def _quoted(self, match: re.Match[str]) -> str:
        secret = self.by.is_secret(match["name"])
        value = self.by.mask if secret else _QUOTED.sub(self._quoted, match["value"])  # JSON within JSON
        head = f"{match['quote']}{match['name']}{match['quote']}{match['gap']}"
        return f"{head}{match['bytes']}{match['open']}{value}{match['open']}"

    def _bare(self, match: re.Match[str]) -> str:
        if not self.by.is_secret(match["name"]) or match["value"] in ("null", "None", "true", "false", "{", "["):
            return match[0]
        return f"{match['quote']}{match['name']}{match['quote']}{match['gap']}{self.by.mask}"

    def _assigned(self, match: re.Match[str]) -> str:
        if not match["value"] or not self.by.is_secret(match["name"]):
            return match[0]
        return f"{match['name']}{match['gap']}{self.by.mask}"

    def _header(self, match: re.Match[str]) -> str:
        secret = self.by.is_secret(match["name"])
        value = self.by.mask if secret else _HEADER.sub(self._header, match["value"])  # "error: password: x"
        return f"{match['name']}{match['gap']}{value}"


def _forms(value: str) -> Iterable[str]:
    """A value as it is, as URLs write it, as JSON writes it, and in Base64."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield base64.b64encode(value.encode()).decode().rstrip("=")
