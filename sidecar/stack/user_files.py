"""The files of LOCUSTFILES_DIR that belong to a test, without linked folders and without ignored files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SKIPPED = frozenset({".git", ".hg", ".venv", ".locust-kit", "venv", "node_modules", "__pycache__"})
MOST_FILES = 50_000
_TOKEN = re.compile(
    r"(?P<deep>\*\*/)|(?P<rest>/\*\*$)|(?P<many>\*+)|(?P<one>\?)|"
    r"\[(?P<set>[!^]?+(?:\[:\w+:\]|\\.|[^\\])(?:\[:\w+:\]|\\.|[^]\\])*)\]|\\?(?P<plain>.)"
)
_IN_SET = re.compile(r"\[:(\w+):\]|\\?(.)")
_CLASSES = {"space": r"\s", "digit": "0-9", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z"}
_IN_REGEX = {"deep": "(?:.*/)?", "rest": "/.+", "many": "[^/]*", "one": "[^/]"}


@dataclass
class UserFiles:
    """The result of a walk: files and links in the order of their paths, the ignored paths, and whether it saw all."""

    paths: list[Path] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    is_whole: bool = True


@dataclass(frozen=True)
class _Rule:
    """One line of a .gitignore or .dockerignore; `base` is the length of its folder's path, with the slash."""

    base: int
    pattern: re.Pattern[str]
    is_kept: bool
    only_folders: bool
    of_docker: bool


def walk(folder: Path, needed: Collection[Path] = (), *, obey_ignores: bool = True) -> UserFiles:
    """Walk a folder without following links, up to 50,000 files.

    Args:
        folder: the folder.
        needed: files that belong to the test even if they are ignored: the locustfile and its imports.
        obey_ignores: whether the walk leaves out the files that .gitignore and .dockerignore name.

    """
    found = UserFiles()
    repository = next((up for up in (folder, *folder.parents) if (up / ".git").exists()), folder)
    above = [up for up in folder.parents if up.is_relative_to(repository)]
    files = (".gitignore", ".dockerignore") if obey_ignores else ()
    rules = tuple(rule for up in reversed(above) for rule in _rules(up, files[:1]))
    waiting = [(folder, rules, False)]
    kept = {str(path) for path in needed}
    for here, outer, is_ignored in waiting:
        inner = (*outer, *_rules(here, files if here == folder else files[:1]))
        for path, is_folder in _entries(here):
            left_out = is_ignored
            for rule in inner:
                if (is_folder or not rule.only_folders) and rule.pattern.fullmatch(path, rule.base):
                    left_out = not rule.is_kept
            if left_out and not is_ignored and path not in kept:
                found.ignored.append(os.path.relpath(path, folder) + "/" * is_folder)
            if is_folder and (not left_out or any(rule.of_docker and rule.is_kept for rule in inner)):
                waiting.append((Path(path), inner, left_out))
            elif not is_folder and not left_out:
                kept.add(path)
            if len(kept) > MOST_FILES:
                found.is_whole = False
                break
        if not found.is_whole:
            break
    found.paths = sorted(map(Path, kept))
    return found


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # whoever needs a file in it says so
        return
    for entry in entries:
        if entry.name not in SKIPPED and not entry.name.endswith(".pyc"):
            yield entry.path, entry.is_dir(follow_symlinks=False)


def _rules(folder: Path, names: Collection[str]) -> Iterator[_Rule]:
    for name in names:
        yield from _of_file(folder / name)


def _of_file(file: Path) -> Iterator[_Rule]:
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return
    of_docker = file.name == ".dockerignore"
    for line in map(str.rstrip, lines):
        is_kept, text = line.startswith("!"), line.removeprefix("!")
        inner = text.strip("/")
        if inner and not line.startswith("#"):
            depth = "" if of_docker or "/" in text.rstrip("/") else "(?:.*/)?"
            try:
                pattern = re.compile(depth + _TOKEN.sub(_translated, inner), re.DOTALL)
            except re.error:  # a range such as z-a, which matches nothing
                continue
            yield _Rule(
                len(f"{file.parent}{os.sep}"), pattern, is_kept, text.endswith("/") and not of_docker, of_docker
            )


def _translated(token: re.Match[str]) -> str:
    kind = str(token.lastgroup)
    if kind == "set":
        is_negated = token["set"][0] in "!^"
        return f"(?!/)[{'^' * is_negated}{_IN_SET.sub(_in_set, token['set'][is_negated:])}]"
    return _IN_REGEX.get(kind) or re.escape(token["plain"])


def _in_set(part: re.Match[str]) -> str:
    return _CLASSES.get(part[1] or "") or ("-" if part[0] == "-" else re.escape(part[2] or part[0]))
