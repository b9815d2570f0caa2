"""Read a `.env` as Docker Compose reads it, and keep the line number of each name.

This is a parser of our own for two reasons: it reports a typo with its line, and set-up can use it before anything is
installed. Compose's rules are few: comments, `export`, three ways of quoting, ${NAME}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.common import user_file
from sidecar.common.errors import SettingError

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(=|$)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "$": "$", '"': '"', "\\": "\\"}
_REFERENCE = re.compile(r"\\\$|\$\$|\$(?:\{([A-Za-z_]\w*)(?:(:?[-+])([^}]*))?\}|([A-Za-z_]\w*))")
_QUOTED = {"'": re.compile(r"[^']*(?=')"), '"': re.compile(r'(?:[^"\\]|\\.)*(?=")', re.DOTALL)}
_INLINE_COMMENT = re.compile(r"\s+#.*$")


@dataclass(frozen=True)
class DotenvEntry:
    """One NAME=value of a .env file; `line` counts from 1."""

    name: str
    value: str
    line: int


def read(path: Path, environ: Mapping[str, str]) -> tuple[DotenvEntry, ...]:
    """Return the entries of a .env file; an empty tuple without a file.

    Raises:
        SettingError: the file cannot be read, or a line is not NAME=value.

    """
    try:
        content = user_file.read(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SettingError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None
    return parse(content, environ, path.name)


def parse(content: str, environ: Mapping[str, str], where: str = ".env") -> tuple[DotenvEntry, ...]:
    """Return the entries of a .env text. ${NAME} is replaced from the entries before it and from `environ`."""
    seen: dict[str, str] = {}
    entries = []
    for name, value, line in _statements(content.replace("\r\n", "\n"), {**environ}, seen, where):
        seen[name] = value
        entries.append(DotenvEntry(name, value, line))
    return tuple(entries)


def _statements(
    content: str, environ: Mapping[str, str], seen: Mapping[str, str], where: str
) -> Iterator[tuple[str, str, int]]:
    lines = content.split("\n")
    index = 0
    while index < len(lines):
        number, line = index + 1, lines[index]
        index += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _NAME.match(line)
        if match is None:
            raise SettingError(
                f"{line.strip()[:60]!r} is not a setting", where=f"{where} line {number}", wanted="NAME=value"
            )
        rest = line[match.end() :].lstrip(" \t")
        quote = rest[:1]
        if quote in ("'", '"') and quote:
            body, index = _quoted(lines, index, rest, quote, f"{where} line {number}")
            yield match[1], body if quote == "'" else _double(body, environ, seen), number
        elif match[2]:
            bare = "" if rest.startswith("#") else _INLINE_COMMENT.sub("", rest).rstrip()
            yield match[1], _fill(bare, environ, seen), number
        elif match[1] in environ:  # a bare NAME takes the environment's value, as in Compose
            yield match[1], environ[match[1]], number


def _quoted(lines: list[str], index: int, rest: str, quote: str, where: str) -> tuple[str, int]:
    """Return the text between quotes, which may span several lines, and the index of the next line."""
    body = rest[1:]
    while True:
        if whole := _QUOTED[quote].match(body):
            return whole[0], index
        if index >= len(lines):
            raise SettingError(f"the quote {quote} is not closed", where=where)
        body += "\n" + lines[index]
        index += 1


def _double(body: str, environ: Mapping[str, str], seen: Mapping[str, str]) -> str:
    filled = _fill(body, environ, seen)
    return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[0]), filled)


def _fill(value: str, environ: Mapping[str, str], seen: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[0] in (r"\$", "$$"):
            return "$"
        name, operator, other = match[1] or match[4], match[2] or "", match[3] or ""
        found = environ.get(name, seen.get(name))
        is_set = found is not None and (found != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return other if is_set else ""
        if operator.endswith("-"):
            return (found or "") if is_set else other
        return found or ""

    return _REFERENCE.sub(replace, value)
