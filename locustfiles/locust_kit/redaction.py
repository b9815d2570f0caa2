"""Remove secrets from texts before they leave this machine. Pure, except that it reads its rules once.

The plugin and the sidecar use the same file: `sidecar/common/redaction.py` is a link to this one. So both hide the same
secrets. The rules are in redaction.json. They recognize secrets by the form of a text (headers, URLs, JSON, forms,
well-known tokens) and by known secret values. A known value is removed everywhere, also in URL or Base64 encoding.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from html import unescape
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, unquote_plus

RULES_FILE = Path(__file__).resolve().with_suffix(".json")
LEAST_WITH_TAIL = 16  # length of a token whose end may stay readable
LONGEST_TAIL = 4
_REMEMBERED = 2048  # names: most of them repeat
_LONGEST_PATH = 300  # as in "loc": ["body", "password"]
_REACH = 4096  # characters around a name that are searched for its value
SHORTEST_KNOWN = 5  # a shorter value would match parts of many words

_USER_INFO = re.compile(
    r"(?P<scheme>(?:\b[A-Za-z][A-Za-z0-9+.-]{0,31}:|(?<![\w:/]))//)"
    r"(?:[^\s/?#'\"<>]*@|[^\s/?#'\"<>@:]{0,64}:(?!\d{1,5}[/?#])[^\s'\"<>@]{1,256}@(?=[\w\[]))"
    r"|(?<![\w./@:+-])(?!mailto:)[\w.+-]{1,64}:[^\s/?#'\"<>@]{1,128}@(?=[A-Za-z0-9])(?!sha)"  # ann:hunter2@shop:8080
)
# JSON in JSON in JSON: each level escapes the quotes of the one before, with 1, 3, 7 ... backslashes.
_QUOTED = re.compile(
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*(?:=>|[:=,])\s*)"
    r"(?P<bytes>b?)(?P<open>(?P<escaped>\\{1,31})?[\"'])(?P<value>(?:\\.|[^\\])*?)(?(escaped)(?<!\\))(?P=open)",
    re.DOTALL,
)
_QUOTED_BARE = re.compile(
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*:\s*)"
    r"(?P<value>[^\s\"',}\]\\]++)(?![\"'])"
)
_INNER = re.compile(  # within a text whose own quotes and backslashes are unknown
    r"(?<![\w.\-])(?P<name>[\w.\-]{1,64})(?P<quote>\\{1,31}[\"'])\s*(?:=>|[:=,])\s*b?(?P=quote)(?P<value>(?:(?!(?P=quote)).)++)",
    re.DOTALL,
)
_CUT_OFF = re.compile(  # a body is cut at some length, perhaps within a secret
    r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)(?P<gap>\s*:\s*)"
    r"(?P<bytes>b?)(?P<open>(?P<escaped>\\{1,31})?[\"'])"
    r"(?P<value>(?:(?!(?(escaped)(?<!\\))(?P=open))(?:\\.|[^\\]))*+\\?)\Z",
    re.DOTALL,
)
_FIELD = re.compile(r"(?P<quote>\\{0,31}[\"'])(?P<name>[^\"'\\]{1,64})(?P=quote)\s*:\s*(?=b?\\{0,31}[\"'\[{(\w])")
_STRING = re.compile(r"b?(?P<quote>\\{0,31}[\"'])(?P<text>[^\"'\\]{1,64})(?P=quote)")
_MARK = re.compile(r"\\*[\"']|[\[\]{}()]")
_OPEN, _CLOSE = "[{(", "]})"
_BARE = re.compile(r"[^\s\"',}\]\\]*")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2}|[\w.~+*!()'/$,;:@^\-])++")
_ENCODED_MARK = re.compile(r"%(?:25){0,4}(?:22|27|3[aAdD]|40|5[bB]|7[bB])")
_DECODED = 4  # levels of encoding; a part with more of them is masked
_TAG = re.compile(
    r"<(?P<name>[A-Za-z][\w.:\-]{0,63})(?P<attributes>(?:\s(?:\"[^\"<]*\"|'[^'<]*'|[^<>])*+)?+)(?P<end>>)?(?P<text>(?:<!\[CDATA\[)?+[^<]*+)"
)
_ATTRIBUTE = re.compile(
    r"(?P<name>[\w:.\-]++)(?P<gap>\s*+=\s*+)(?:(?P<open>\\{0,31}[\"'])(?P<value>(?:(?!(?P=open)).)*+)"
    r"|(?P<bare>[^\s\"'<>]++))",
    re.DOTALL,
)
_PART = re.compile(  # of a multipart form
    r"(?P<head>\bname=\"?)(?P<name>[^\"\r\n;]{1,64})(?P<gap>\"?[^\r\n]{0,300}\r?\n(?:[^\r\n]+\r?\n){0,5}\r?\n)"
    r"(?P<value>.*?)(?=\r?\n--|\Z)",
    re.DOTALL,
)
_NAMED = re.compile(
    r"(?<![\w.%\-\[\]])(?P<name>[\w.%\-\[\]]++)"
    r"(?P<gap>(?:\*\*?)?[ \t]{0,4}(?::(?=[ \t])|:?={1,3}>?(?!=))[ \t]*+(?=[^\r\n])"
    r"|[ \t]{1,4}->[ \t]{1,4}|[ \t]{0,4}:(?![:/\s]))"
)
_UNQUOTED = (
    r"(?:(?!/>|</)[^\s&;,'\"`)}\]]|[&;,](?=[^\s\"'(\[{<)\]}])(?![\w.%\-\[\]$@]{1,64}[ \t]?[=:])|['`})\]](?=\w))*+"
)
_VALUE = re.compile(
    r"[(\[{](?=[\s]?[bBuU]?[\"'])[^()\[\]{}\r\n]{0,500}[)\]}]|(?:[bBuUrRfF]{1,2}|[A-Za-z_.]{1,32}\()?(?P<open>\\{0,31}[\"'])(?![\s,)}\]:])(?:(?!(?P=open)).)*+(?P=open)?"
    r"|(?i:(?:basic|bearer|token|digest|negotiate|apikey)[ \t+]+)?" + _UNQUOTED,
    re.DOTALL,
)
_FLAG = re.compile(r"(?<!\S)--?(?P<name>[A-Za-z][\w.\-]*+)(?P<gap>[ \t]{1,4})(?P<value>[^\s\-|>][^\s|>]*+)")
_LONG = re.compile(r"[A-Za-z0-9_\-]{16}")  # each well-known token has so many characters in a row
_TOKEN_LIKE = re.compile(  # unlike ConnectionRefusedError
    r"(?<![A-Za-z0-9_\-])(?=[A-Za-z0-9_\-]{16})(?:[A-Za-z]*+[0-9_\-]|A[KSIBC])|SG\.|hv[sbr]\.|eyJ|webhooks/"
)
_ENTITY = re.compile(r"&(?:#\w{1,6}|amp|quot|apos|equals|colon|lt|gt);")
_TAG_PAIR = re.compile(  # <key>password</key><string>...</string>
    r"<(?:key|name)>\s*(?P<name>[^<]{1,64})</(?:key|name)>\s*<[\w:]{1,64}>(?:\s*<[\w:]{1,64}>)?(?P<value>[^<]++)"
)
_PARENT = re.compile(r"<(?P<name>[A-Za-z][\w.:\-]{0,63})(?:\s[^<>]{0,1000})?>(?=\s*<[^/!])")
_VOID = frozenset({"input", "meta", "param", "link", "img", "br", "hr", "base"})  # elements without content
_PORT = re.compile(r"\d{1,5}(?![\w.\-])")  # as in auth:8080 and token.py:12
_LINE = re.compile(r"[|>][+\-\d]{0,2}[ \t]*(?:\r?\n[ \t]+[^\r\n]*)++|[^\r\n]+")  # or a block of YAML
_ESCAPED = re.compile(r"(?<!\\)\\++(?:(?:u00|x)(?P<code>[2-7][0-9A-Fa-f])|u(?i:200[b-d]|2060|feff|00ad))")
_INVISIBLE = re.compile(r"(?<=\w)[\u200b-\u200d\u2060\ufeff\u00ad]++(?=\w)")
_PAIR = re.compile(  # as in Header(name='token', value='...'), and in YAML
    r"\b(?:name|key|field|header|param|property|id)[ \t]?[:=][ \t]?[\"']?(?P<name>[\w.\-]{1,64})[\"']?"
    rf"[\s,;&]{{1,40}}(?:value|val|content|data)[ \t]?[:=][ \t]?[\"']?(?P<value>(?!\s){_UNQUOTED})"
)
_PATH = re.compile(  # of a URL, as in /reset-password/...
    r"/(?P<name>[A-Za-z][\w\-]{4,40})/(?=[\w.~\-]*+(?<!\.[a-z]{2})(?<!\.[a-z]{4}))(?=[A-Za-z.~\-]*\d)(?=[\d.~\-]*[A-Za-z])"
    r"(?P<value>[\w.~\-]{12,})"
)
_SIMPLE = re.compile(r"(?:[\w~.\-]{0,11}+[/?&=,+!])*+[\w~.\-]{0,11}")  # most names of requests: too short for a token
_KEY = re.compile(r"([\w.\-]+)=")
_PROSE_VALUE = (  # "the password hunter2 is wrong": a word that is quoted or contains a digit
    r"(?P<gap>[\"']?(?:\s++(?:is|was|of|with|value|provided|given|used|received))*+(?:\s*+[:=])?+\s++\\*+)"
    r"(?P<value>\"[^\s\"]{1,200}\"|'[^\s']{1,200}'|`[^\s`]{1,200}`"
    r"|(?=[^\s\d,;\"'`<>(){}&\[\]]*\d)[^\s,;\"'`<>(){}&\[\]]{3,}[\w=+/])"
)
_TAIL = re.compile(r"[A-Za-z0-9_\-+/=.]+")
_LEAST_DIGITS = 7  # of a secret under a plural name
_CONSTANT = re.compile(r"\W*|null|None|nil|undefined|[Tt]rue|[Ff]alse")
_SHORT = ("password", "passwd", "pass", "pwd", "pw", "pin", "otp", "code")  # their values may be a few digits
_CHOSEN_BY_PEOPLE = ("pass", "pwd", "pin", "cookie", "session")  # no character of these is shown
_WORD = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Rules:
    """The names and forms of secrets."""

    mask: str
    names: frozenset[str]
    part: re.Pattern[str]
    harmless: re.Pattern[str]
    name_ends: tuple[str, ...]
    scheme: re.Pattern[str]
    token: re.Pattern[str]
    tokens: tuple[str, ...]
    private_key: re.Pattern[str]
    before: re.Pattern[str]
    passwords: re.Pattern[str]
    in_prose: re.Pattern[str]
    named_by: frozenset[str]
    values: frozenset[str]
    _answers: dict[str, bool] = field(init=False, repr=False, compare=False, default_factory=dict)

    def is_secret(self, name: str) -> bool:
        """Return whether a header, variable, parameter or field of this name contains a secret."""
        answer = self._answers.get(name)
        if answer is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            answer = self._answers[name] = self._means_a_secret(_plain(name))
        return answer

    def _means_a_secret(self, plain: str) -> bool:
        if plain in self.names or self.harmless.search(plain):
            return plain in self.names
        last = plain.rpartition("_")[2]
        return (
            plain.endswith(self.name_ends)
            or self.part.search(plain) is not None
            or self.part.search(plain.replace("_", "")) is not None
            or (last in self.names and last in ("authorization", "cookie", "jwt"))
        )

    def is_token(self, name: str) -> bool:
        """Return whether the name is that of a generated key or token, whose end reveals nothing."""
        plain = _plain(name)
        return any(part in plain for part in self.tokens) and not any(part in plain for part in _CHOSEN_BY_PEOPLE)

    def with_names(self, names: Iterable[str]) -> Rules:
        """Return the same rules with these names added. No rule can be removed."""
        return replace(self, names=self.names | {_plain(name) for name in names if _plain(name)})


@lru_cache(_REMEMBERED)
def _plain(name: str) -> str:
    """Return a name in lower case, its words separated by `_`."""
    if "%" in name or not name.isascii():
        name = unicodedata.normalize("NFKC", unquote(name))
    return _WORD.sub("_", _HUMP.sub("_", name).lower()).strip("_")


@cache
def rules(path: Path = RULES_FILE) -> Rules:
    """Read the rules that come with the kit."""
    texts = json.loads(path.read_text(encoding="utf-8"))
    schemes = "|".join(re.escape(scheme).replace("_", "[-_]") for scheme in texts["schemes"])
    after = f"(?:{'|'.join(texts['after_schemes'])})"
    options = [command + texts["before_secrets_of_commands"] for command in texts["commands"]]
    before = "|".join(texts["before_secrets"] + options)
    return Rules(
        mask=texts["mask"],
        names=frozenset(texts["names"]),
        part=re.compile(
            "|".join(texts["name_parts"] + [name_part.replace("_", "") for name_part in texts["name_parts"]])
        ),
        name_ends=tuple(texts["name_ends"]),
        harmless=re.compile("|".join(texts["harmless"])),
        scheme=re.compile(rf"\b(?P<scheme>{schemes})\s+(?!{after})(?P<value>[A-Za-z0-9+/=_.~\-]{{6,}})", re.IGNORECASE),
        token=re.compile("|".join(texts["patterns"])),
        tokens=tuple(texts["tokens"]),
        private_key=re.compile(texts["private_key"]),
        before=re.compile(rf"(?P<head>{before})(?:(?<=code=)[^\s'\"&#]+|[^\s'\"]+)"),
        passwords=re.compile("|".join(texts["password_schemes"]), re.IGNORECASE),
        in_prose=re.compile(rf"\b(?P<name>{'|'.join(texts['in_prose'])})\b{_PROSE_VALUE}", re.IGNORECASE),
        named_by=frozenset(texts["named_by"]),
        values=frozenset(texts["values"]),
    )


@dataclass(frozen=True)
class Redactor:
    """Removes secrets from texts; `known` values are removed everywhere, whatever text is around them.

    `keep_last` is the number of characters at a token's end that stay, to identify the token: at most 4, of a token of
    16 or more.
    """

    known: frozenset[str] = frozenset()
    by: Rules = field(default_factory=rules)
    keep_last: int = 0
    _known: re.Pattern[str] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Make one pattern of all known values, the longest first, so that no value is cut in the middle."""
        forms = {form for value in self.known if len(value) >= SHORTEST_KNOWN for form in _forms(value)}
        if forms:
            longest_first = sorted(forms, key=len, reverse=True)
            object.__setattr__(self, "_known", re.compile("|".join(map(re.escape, longest_first))))

    def text(self, text: str) -> str:
        """Return the text without secrets; only the mask if the text is nested too deeply."""
        if self._known is None and _SIMPLE.fullmatch(text) and not any(map(self.by.is_secret, _KEY.findall(text))):
            return text
        try:
            return self._cleaned(text)
        except RecursionError:
            return self.by.mask

    def _cleaned(self, text: str, decoded: int = 0) -> str:
        plain = _unescaped(text) if decoded < _DECODED else text
        if plain != text:
            cleaned = self._cleaned(plain, decoded + 1)
            return text if cleaned == plain else cleaned
        return self._by_form(self._by_value(text, decoded))

    def _by_value(self, text: str, decoded: int) -> str:
        """Mask known values, tokens of a known shape, encoded parts of URLs, and the user of a URL."""
        if self._known is not None:
            text = self._known.sub(self.by.mask, text)
        text = self.by.before.sub(rf"\g<head>{self.by.mask}", self.by.private_key.sub(self.by.mask, text))
        if _LONG.search(text) and _TOKEN_LIKE.search(text):
            text = self.by.token.sub(self._token, text)
        if "%" in text and _ENCODED_MARK.search(text):
            text = _ENCODED.sub(lambda match: self._encoded(match, decoded), text)
        if "@" in text:
            text = without_user_info(text)
        return text

    def _by_form(self, text: str) -> str:
        """Mask the value beside each secret name."""
        if "<" in text:
            text = _TAG.sub(self._tag, self._nested(_TAG_PAIR.sub(self._framed, text)))
        if '"' in text or "'" in text:
            text = self._quotes(text)
        if ":" in text or "=" in text or "->" in text:
            text = self._named(_PAIR.sub(self._framed, text))
        if "/" in text:
            text = _PATH.sub(self._framed, text)
        if "-" in text:
            text = _FLAG.sub(self._framed, text)
        text = self.by.in_prose.sub(self._in_prose, text)
        return self.by.scheme.sub(self._credentials, text)

    def _credentials(self, match: re.Match[str]) -> str:
        """Mask the value of `Bearer x`: the end of a token may stay, nothing of a password."""
        hidden = self.by.mask if self.by.passwords.match(match[0]) else self._tail(match["value"])
        return f"{match['scheme']} {hidden}"

    def _quotes(self, text: str) -> str:
        """Mask values in JSON, in Python's output, and in multipart forms."""
        text = self._fields(_PART.sub(self._framed, text) if "\n" in text else text)
        text = _QUOTED.sub(self._quoted, text)
        text = _CUT_OFF.sub(self._cut_off, text)
        text = _QUOTED_BARE.sub(self._bare, text)
        return _INNER.sub(self._framed, text) if "\\" in text else text

    def _fields(self, text: str) -> str:
        """Mask objects and lists under a secret name, however deep, and each `value` beside a field that names one."""
        hidden: list[tuple[int, int]] = []
        seen_until = 0
        for match in _FIELD.finditer(text):
            at = match.end()
            if hidden and match.start() < hidden[-1][1]:
                continue
            if _plain(match["name"]) in self.by.named_by and self._names_a_secret(text, at):
                if match.start() >= seen_until:
                    first, seen_until = _object_around(text, match.start(), match["quote"])
                    hidden += self._values_within(text, first, seen_until, match["quote"])
            elif text[at] in _OPEN and self.by.is_secret(match["name"]):
                hidden.append((at, _closed(text, at, match["quote"])))
        return _without(text, sorted(hidden), self.by.mask)

    def _names_a_secret(self, text: str, at: int) -> bool:
        end = max(text.find("]", at, at + _LONGEST_PATH), at) if text[at] == "[" else at
        strings = _STRING.finditer(text, at, end) if end > at else filter(None, [_STRING.match(text, at)])
        return any(self.by.is_secret(string["text"]) for string in strings)

    def _values_within(self, text: str, first: int, last: int, quoted: str) -> list[tuple[int, int]]:
        """Return the spans of values in an object that names a secret, each with its quotes, if any."""
        spans, done = [], first
        for found in _FIELD.finditer(text, first, last):
            if found.start() >= done and found["quote"] == quoted and _plain(found["name"]) in self.by.values:
                done = _end_of_value(text, found.end(), quoted)
                spans.append((found.end(), done))
        return spans

    def _encoded(self, match: re.Match[str], decoded: int) -> str:
        """Mask secrets in percent-encoded JSON, form or text in a URL, also if it is encoded several times."""
        if not _ENCODED_MARK.search(match[0]):
            return match[0]
        if decoded >= _DECODED:
            return self.by.mask
        plain = unquote_plus(match[0], errors="replace")
        cleaned = self._cleaned(plain, decoded + 1)
        return match[0] if cleaned == plain else quote(cleaned, safe="*/")

    def words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words of a command line without secrets, such as a word after a flag with a secret name."""
        before = ("", *words)
        return tuple(
            self.by.mask
            if flag.startswith("-") and self.by.is_secret(flag) and not word.startswith("-")
            else self.text(word)
            for flag, word in zip(before, words, strict=False)
        )

    def value(self, name: str, value: str) -> str:
        """Return the value of a variable, header or field without secrets."""
        return self.by.mask if value and self.by.is_secret(name) else self.text(value)

    def _hidden(self, name: str, value: str) -> str:
        """Return the replacement for the secret value of a name."""
        return self._tail(value) if self.by.is_token(name) else self.by.mask

    def _token(self, match: re.Match[str]) -> str:
        """Return the replacement for a text that has the form of a token."""
        return self._tail(match[0])

    def _tail(self, value: str) -> str:
        """Return the mask, and the last characters of a long token. A masked value stays as it is."""
        kept, mask = min(self.keep_last, LONGEST_TAIL), self.by.mask
        value = value.strip("\"'\\ \t")
        if not kept or not _TAIL.fullmatch(value[-kept:]) or self.by.passwords.match(value):
            return mask
        if value.startswith(mask) and len(value) == len(mask) + kept:
            return value
        return mask + value[-kept:] if len(value) >= LEAST_WITH_TAIL else mask

    def _framed(self, match: re.Match[str]) -> str:
        """Mask the whole value, and keep the text around it."""
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
        is_hidden = secret and match["value"]
        value = self._hidden(match["name"], match["value"]) if is_hidden else _QUOTED.sub(self._quoted, match["value"])
        head = f"{match['quote']}{match['name']}{match['quote']}{match['gap']}"
        return f"{head}{match['bytes']}{match['open']}{value}{match['open']}"

    def _bare(self, match: re.Match[str]) -> str:
        if not self.by.is_secret(match["name"]) or match["value"] in "{[" or _is_known(match["name"], match["value"]):
            return match[0]
        hidden = self._hidden(match["name"], match["value"])
        return f"{match['quote']}{match['name']}{match['quote']}{match['gap']}{hidden}"

    def _in_prose(self, match: re.Match[str]) -> str:
        value = match["value"]
        around = value[0] if value[0] in "\"'`" else ""
        return f"{match['name']}{match['gap']}{around}{self._hidden(match['name'], value)}{around}"

    def _named(self, text: str) -> str:
        """Mask the value after a secret name and `=` or `:`; the rest of the line after a colon and a blank."""
        pieces, done = [], 0
        for head in _NAMED.finditer(text):
            name, gap = head["name"], head["gap"]
            if head.start() < done or not self.by.is_secret(name):
                continue
            plain = _plain(name)
            line = gap.strip(" \t*") == ":" and (gap[-1] != ":" or plain.endswith(("cookie", "authorization")))
            value = (_LINE if line else _VALUE).match(text, head.end())
            if (
                not value
                or not value[0]
                or _is_known(name, value[0])
                or (gap[-1] == ":" and _PORT.match(value[0]) and not plain.endswith(_SHORT))
            ):
                continue
            pieces += [text[done : head.end()], self._hidden(name, value[0])]
            done = value.end()
        return "".join([*pieces, text[done:]])

    def _nested(self, text: str) -> str:
        """Mask the children of an element with a secret name, within reach."""
        spans = []
        for match in _PARENT.finditer(text):
            if self.by.is_secret(match["name"]):
                end = text.find(f"</{match['name']}", match.end(), match.end() + _REACH)
                spans += [(match.end(), end)] if end > 0 else []
        return _without(text, spans, self.by.mask)

    def _tag(self, match: re.Match[str]) -> str:
        """Mask the content of an element with a secret name, and the value beside an attribute that names a secret."""
        tag, attributes, text = match["name"], match["attributes"], match["text"]
        named = {
            _plain(found["name"])
            for found in (_ATTRIBUTE.finditer(attributes) if "=" in attributes else ())
            if self.by.is_secret(found["value"] or found["bare"] or "")
        }
        if named & (self.by.named_by | {"type", "http_equiv"}) or self.by.is_secret(tag):
            attributes = _ATTRIBUTE.sub(self._attribute, attributes)
        holds_text = match["end"] and text.strip() and not attributes.endswith("/") and tag.lower() not in _VOID
        if holds_text and (self.by.is_secret(tag) or named & {"name", "key", "property"}):
            text = self.by.mask
        return f"<{tag}{attributes}{match['end'] or ''}{text}"

    def _attribute(self, match: re.Match[str]) -> str:
        if _plain(match["name"]) not in self.by.values:
            return match[0]
        opened = match["open"] or ""
        return f"{match['name']}{match['gap']}{opened}{self.by.mask}"


def without_user_info(text: str) -> str:
    """Return the text with the user and password of each URL masked."""
    return _USER_INFO.sub(lambda match: f"{match['scheme'] or ''}{rules().mask}@", text)


def _unescaped(text: str) -> str:
    """Return the text without escapes of HTML and of letters, and without invisible characters: they hide names."""
    if "&" in text:
        text = _ENTITY.sub(lambda match: unescape(match[0]), text)
    if "\\" in text:
        text = _ESCAPED.sub(_letter, text)
    return text if text.isascii() else _INVISIBLE.sub("", text)


def _is_known(name: str, value: str) -> bool:
    """Return whether a value is no secret, whatever the name: a constant, or a count such as `tokens=256`."""
    is_count = value.isdigit() and len(value) < _LEAST_DIGITS and _plain(name).endswith(("tokens", "sessions", "keys"))
    return is_count or _CONSTANT.fullmatch(value) is not None


def _letter(match: re.Match[str]) -> str:
    """Return the letter, digit or `_-` of an escape; characters with a meaning in JSON stay escaped.

    A character without width is removed.
    """
    letter = chr(int(match["code"], 16)) if match["code"] else ""
    return letter if letter.isalnum() or letter in ("", "_", "-") else match[0]


def _closed(text: str, at: int, quoted: str, end: int | None = None) -> int:
    """Return the end of the object or list that opens at `at`; the text's end if it was cut off.

    `quoted` is the number of backslashes before quotes there. Brackets in a string do not count.
    """
    depth, within, level = 0, "", len(quoted)
    end = len(text) if end is None else min(end, len(text))
    for mark in _MARK.finditer(text, at, end):
        symbol = mark[0]
        if symbol in _OPEN or symbol in _CLOSE:
            if not within:
                depth += 1 if symbol in _OPEN else -1
                if not depth:
                    return mark.end()
        elif within:
            within = "" if symbol == within else within
        elif len(symbol) == level:
            within = symbol
    return end


def _end_of_value(text: str, at: int, quoted: str) -> int:
    """Return the end of a value: an object or list, a string, or a bare word."""
    if text[at] in _OPEN:
        return _closed(text, at, quoted)
    start = at + (text[at] == "b")
    opened = _MARK.match(text, start)
    if opened is None or len(opened[0]) != len(quoted):
        bare = _BARE.match(text, at)
        return bare.end() if bare else at
    return next((mark.end() for mark in _MARK.finditer(text, opened.end()) if mark[0] == opened[0]), len(text))


def _object_around(text: str, at: int, quoted: str) -> tuple[int, int]:
    """Return start and end of the object around `at`, within reach."""
    first, depth = max(0, at - _REACH), 0
    for place in range(at - 1, first - 1, -1):
        if text[place] == "}":
            depth += 1
        elif text[place] == "{":
            if not depth:
                return place, _closed(text, place, quoted, at + _REACH)
            depth -= 1
    return first, min(len(text), at + _REACH)


def _without(text: str, spans: Sequence[tuple[int, int]], mask: str) -> str:
    """Return the text with each span replaced by the mask, in the quotes of the span."""
    pieces, done = [], 0
    for start, end in spans:
        if start < done:
            continue
        mark = _MARK.match(text, start)
        around = mark[0] if mark and mark[0] not in _OPEN else ""
        pieces += [text[done:start], around, mask, around]
        done = end
    return "".join([*pieces, text[done:]])


def _forms(value: str) -> Iterable[str]:
    """Yield a value as it is, in URL encoding, in JSON, and in Base64."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield base64.b64encode(value.encode()).decode().rstrip("=")
