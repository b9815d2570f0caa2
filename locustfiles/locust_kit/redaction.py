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
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

RULES_FILE = Path(__file__).resolve().with_suffix(".json")
LEAST_WITH_TAIL = 16  # characters of a token, of whose end something may stay readable
LONGEST_TAIL = 4
SHORTEST_KNOWN = 5  # a shorter value would be found in half of all words

_USER_INFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/?#'\"<>@]*)@")
# JSON in JSON in JSON: each level escapes the quotes of the one before, with 1, 3, 7 ... backslashes.
_QUOTED = re.compile(
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*[:=,]\s*)"
    r"(?P<bytes>b?)(?P<open>(?P<escaped>\\{1,31})?[\"'])(?P<value>(?:\\.|[^\\])*?)(?(escaped)(?<!\\))(?P=open)",
    re.DOTALL,
)
_QUOTED_BARE = re.compile(
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*:\s*)"
    r"(?P<value>[^\s\"',}\]\\]++)(?![\"'])"
)
_CUT_OFF = re.compile(  # a body is kept up to some length, which may end within a secret
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*:\s*)"
    r"(?P<bytes>b?)(?P<open>\\{0,31}[\"'])(?P<value>(?:\\.|(?!(?P=open))[^\\])*+\\?)\Z",
    re.DOTALL,
)
_INSIDE = re.compile(
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*:\s*)"
    r"(?P<value>\[[^\[\]{}]*+\]?|\{[^\[\]{}]*+\}?)"
)
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z][\w.:\-]{0,63})(?P<gap>(?:\s[^<>]{0,200})?>)(?P<value>[^<]+)")
_INPUT = re.compile(
    r"(?P<head>\bname\s*=\s*[\"']?)(?P<name>[^\"'\s<>]{1,64})(?P<gap>[\"']?\s[^<>]{0,200}?\bvalue\s*=\s*[\"']?)"
    r"(?P<value>[^\"'<>]+)"
)
_PART = re.compile(  # of a multipart form
    r"(?P<head>\bname=\")(?P<name>[^\"\r\n]{1,64})(?P<gap>\"[^\r\n]*\r?\n(?:[^\r\n]+\r?\n){0,5}\r?\n)"
    r"(?P<value>.*?)(?=\r?\n--|\Z)",
    re.DOTALL,
)
_ASSIGNED = re.compile(
    r"(?<![A-Za-z0-9_.%])(?P<name>[A-Za-z][A-Za-z0-9_.%\-\[\]]{0,63})(?P<gap>=)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s&;,'\")}\]]*)"
)
_HEADER = re.compile(r"(?<![A-Za-z0-9_\-])(?P<name>[A-Za-z][A-Za-z0-9_\-]{1,60})(?P<gap>:[ \t]+)(?P<value>[^\r\n]+)")
_TAIL = re.compile(r"[A-Za-z0-9_\-+/=.]+")
_CHOSEN_BY_PEOPLE = ("pass", "pwd", "pin", "cookie", "session")  # of these no character is shown
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
    tokens: tuple[str, ...]

    def is_secret(self, name: str) -> bool:
        """Whether a header, variable, parameter or field of this name holds a secret."""
        plain = _plain(name)
        last = plain.rpartition("_")[2] if "_" in plain else plain
        joined = plain.replace("_", "")
        return (
            plain in self.names
            or plain.endswith(self.ends)
            or any(part in plain or part.replace("_", "") in joined for part in self.parts)
            or (last in self.names and last in ("authorization", "cookie", "jwt"))
        )

    def is_token(self, name: str) -> bool:
        """Whether it is a key or a token, made by a machine: the end of one gives nothing away."""
        plain = _plain(name)
        return any(part in plain for part in self.tokens) and not any(part in plain for part in _CHOSEN_BY_PEOPLE)

    def with_names(self, names: Iterable[str]) -> Rules:
        """The same rules, and these names as well. Nothing can be taken away."""
        return replace(self, names=self.names | {_plain(name) for name in names if _plain(name)})


def _plain(name: str) -> str:
    """A name in lower case, its words divided by `_`."""
    return _WORD.sub("_", _HUMP.sub("_", name).lower()).strip("_")


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
        tokens=tuple(found["tokens"]),
    )


@dataclass(frozen=True)
class Redactor:
    """Takes secrets out of texts; `known` are values that must not be seen anywhere, whatever stands around them.

    `keep_last` is how many characters of a token's end stay, so that one can tell which it was: at most 4, of a token
    of 16 or more.
    """

    known: frozenset[str] = frozenset()
    by: Rules = field(default_factory=rules)
    keep_last: int = 0
    _known: re.Pattern[str] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Make one pattern of all known values, the longest first, so that none is cut in the middle."""
        forms = {form for value in self.known if len(value) >= SHORTEST_KNOWN for form in _forms(value)}
        if forms:
            longest_first = sorted(forms, key=len, reverse=True)
            object.__setattr__(self, "_known", re.compile("|".join(map(re.escape, longest_first))))

    def text(self, text: str) -> str:
        """The text without secrets; nothing of one that is too deeply nested to be looked through."""
        try:
            return self._looked_through(text)
        except RecursionError:
            return self.by.mask

    def _looked_through(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(self.by.mask, text)
        for pattern in self.by.patterns:
            text = pattern.sub(self._token, text)
        text = _USER_INFO.sub(lambda match: f"{match['scheme']}{self.by.mask}@", text)
        if "<" in text:
            text = _ELEMENT.sub(self._framed, text)
            text = _INPUT.sub(self._framed, text)
        if '"' in text or "'" in text:
            text = self._quotes(text)
        text = _HEADER.sub(self._header, text)
        text = _ASSIGNED.sub(self._assigned, text)
        return self.by.scheme.sub(lambda match: f"{match['scheme']} {self._tail(match['value'])}", text)

    def _quotes(self, text: str) -> str:
        """JSON, the way Python writes it, and forms in parts."""
        text = _PART.sub(self._framed, text)
        text = _INSIDE.sub(self._framed, text)
        text = _QUOTED.sub(self._quoted, text)
        text = _CUT_OFF.sub(self._cut_off, text)
        return _QUOTED_BARE.sub(self._bare, text)

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

    def _hidden(self, name: str, value: str) -> str:
        """What stands for the secret value of a name."""
        return self._tail(value) if self.by.is_token(name) else self.by.mask

    def _token(self, match: re.Match[str]) -> str:
        """What stands for a text that has the form of a token; of a private key, the end is no use."""
        return self.by.mask if "PRIVATE KEY" in match[0] else self._tail(match[0])

    def _tail(self, value: str) -> str:
        """The mask, and of a long token the last characters. One that was masked before stays as it is."""
        kept, mask = min(self.keep_last, LONGEST_TAIL), self.by.mask
        value = value.strip("\"'\\ \t")
        if not kept or not _TAIL.fullmatch(value[-kept:]):
            return mask
        if value.startswith(mask) and len(value) == len(mask) + kept:
            return value
        return mask + value[-kept:] if len(value) >= LEAST_WITH_TAIL else mask

    def _framed(self, match: re.Match[str]) -> str:
        """What stands around the value stays, whatever it is; of the value, nothing."""
        if not self.by.is_secret(match["name"]):
            return match[0]
        start, end = match.start(), match.start("value")
        return f"{match[0][: end - start]}{self.by.mask}"

    def _cut_off(self, match: re.Match[str]) -> str:
        head = match[0][: match.start("value") - match.start()]
        is_secret = self.by.is_secret(match["name"])
        return head + (self.by.mask if is_secret else _CUT_OFF.sub(self._cut_off, match["value"]))

    def _quoted(self, match: re.Match[str]) -> str:
        secret = self.by.is_secret(match["name"])
        value = self._hidden(match["name"], match["value"]) if secret else _QUOTED.sub(self._quoted, match["value"])
        head = f"{match['quote']}{match['name']}{match['quote']}{match['gap']}"
        return f"{head}{match['bytes']}{match['open']}{value}{match['open']}"

    def _bare(self, match: re.Match[str]) -> str:
        if not self.by.is_secret(match["name"]) or match["value"] in ("null", "None", "true", "false", "{", "["):
            return match[0]
        hidden = self._hidden(match["name"], match["value"])
        return f"{match['quote']}{match['name']}{match['quote']}{match['gap']}{hidden}"

    def _assigned(self, match: re.Match[str]) -> str:
        if not match["value"] or not self.by.is_secret(match["name"]):
            return match[0]
        return f"{match['name']}{match['gap']}{self._hidden(match['name'], match['value'])}"

    def _header(self, match: re.Match[str]) -> str:
        secret = self.by.is_secret(match["name"])
        value = (
            self._hidden(match["name"], match["value"]) if secret else _HEADER.sub(self._header, match["value"])
        )  # "error: password: x"
        return f"{match['name']}{match['gap']}{value}"


def _forms(value: str) -> Iterable[str]:
    """A value as it is, as URLs write it, as JSON writes it, and in Base64."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield base64.b64encode(value.encode()).decode().rstrip("=")
