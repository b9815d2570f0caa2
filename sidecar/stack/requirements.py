"""Check the user's requirements.txt, and the files that it includes, before pip runs. The kit's Locust must not change.

Certain errors are refused here, at once. pip decides the rest in the image (docker/build/pip-add), and its error
becomes one line.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.common import user_file
from sidecar.common.errors import LocustfileError
from sidecar.settings import Settings

NAME = "requirements.txt"
_LOCK = Path("docker", "locust", "requirements.txt")
_LOCUST = "locust"
_PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_TAKES_IN = re.compile(r"(?P<option>-r|--requirement|-c|--constraint)\s*=?\s*(?P<file>\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)\s*=?\s*")
_OPTIONS = re.compile(r"\s--?[a-z].*$")
_NAMED = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?P<wanted>(?:\(?\s*[=!<>~]|@)[^;]*|)\s*(?P<marker>;.*)?$"
)
_NAME_IN_URL = (
    re.compile(r"[#&]egg=([\w.-]+)"),
    re.compile(r"/locustio/(locust)(?:[/.@#?]|$)"),
    re.compile(r"/([A-Za-z0-9][A-Za-z0-9_.]*?)-\d[^/]*$"),
)
_ARCHIVE = (".whl", ".zip", ".tar.gz")
_USER_INFO = re.compile(r"//[^/@\s]*@")
_CLAUSE = re.compile(r"(?P<sign>===?|!=|~=|<=|>=|<|>)\s*v?(?P<version>\d+(?:\.\d+)*)(?P<rest>.*)")
_CONFLICT = re.compile(r"The conflict is caused by:\n((?: +\S.*\n?)+)")
_REQUESTED = re.compile(r"The user requested (?P<constraint>\(constraint\) )?(?P<text>.+)")
_UNMET = re.compile(r"(?P<package>\S+ \S+) has requirement (?P<needs>.+), but you have (?P<name>\S+) \S+")
_MISSING = re.compile(r"No matching distribution found for (.+)")
_HASHES = {
    "--require-hashes mode": " without a hash; if one package has a hash, each needs `==` and a hash",
    "DO NOT MATCH THE HASHES": ", but the file on the package index does not have the hash of that line",
}
_PLACE = re.compile(r"from line (\d+) of /context/([^)\n]+)")
_MOST_SIDES = 4


@dataclass(frozen=True)
class Requirement:
    """One line. `wanted` is its version or URL, "" for any; `certain` means that it applies in every environment."""

    place: str
    text: str
    name: str
    wanted: str
    certain: bool


@dataclass(frozen=True)
class Requirements:
    """The lines of all files, and the files by their paths on the host."""

    lines: tuple[Requirement, ...]
    files: Mapping[Path, str]

    @property
    def digest(self) -> str:
        """Return a hash of pip's input."""
        return hashlib.sha256("\0".join(self.files.values()).encode()).hexdigest()

    @property
    def chosen(self) -> list[str]:
        """Return the packages whose version the user sets."""
        return sorted({line.name for line in self.lines if line.wanted} - {_LOCUST})

    @property
    def note(self) -> str:
        """Return that pip checks no hashes; "" if it does, because a line has one."""
        if any("--hash" in text for text in self.files.values()):
            return ""
        return (
            f"note: {NAME} has no hashes, so pip accepts any file that the package index serves for a package → "
            f"uv pip compile --generate-hashes (docs/production.md#versions)"
        )

    def write(self, context: Path) -> str:
        """Write the files below a folder, with their relative places; return the path of the first one."""
        above = os.path.commonpath([path.parent for path in self.files])
        for path, text in self.files.items():
            copy = context / path.relative_to(above)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8")
        return next(iter(self.files)).relative_to(above).as_posix()


def normal(name: str) -> str:
    """Return a package's name in the form that pip compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(settings: Settings) -> dict[str, str]:
    """Return the version of each package in the kit's own image; empty for another image."""
    if settings.locust_image:
        return {}
    return {normal(name): version for name, version in _PINNED.findall((settings.root / _LOCK).read_text("utf-8"))}


def read(settings: Settings) -> Requirements | None:
    """Return the content of the file beside the locustfile; None without such a file.

    Raises:
        LocustfileError: it requires another Locust than the kit's, or a file that the build does not see.
        SettingError: a file in another encoding.

    """
    first = settings.locustfiles_dir / NAME
    if not first.is_file():
        return None
    files: dict[Path, str] = {}
    found = Requirements(tuple(_lines(first, "", files, settings.locustfiles_dir)), files)
    version = locked(settings).get(_LOCUST)
    for line in found.lines:
        if version and line.name == _LOCUST and line.certain and not allows(line.wanted, version):
            raise _other_locust(line, version)
    return found


def _other_locust(line: Requirement, version: str) -> LocustfileError:
    return LocustfileError(
        f"{line.text} requires another Locust version than the kit's",
        where=line.place,
        wanted=f"Locust {version}, or no line for Locust",
        fix="remove the line; for another Locust, 2.44.0 or newer, set LOCUST_IMAGE to an image of your own",
    )


def _lines(path: Path, asked_at: str, files: dict[Path, str], folder: Path) -> Iterator[Requirement]:
    """Yield the requirements of a file and of the files that it includes, each file once."""
    path = Path(os.path.normpath(path))
    if path in files:
        return
    shown = os.path.relpath(path, folder)
    try:
        text = files[path] = user_file.read(path, shown, utf_16=True)  # the encoding of PowerShell's `pip freeze >`
    except OSError as error:
        raise LocustfileError(f"{shown} cannot be read: {error.strerror}", where=asked_at) from None
    number = 1
    for whole in text.replace("\\\n", "\1").split("\n"):
        line, place = _COMMENT.sub("", whole.replace("\1", " ")).strip(), f"{shown} line {number}"
        number += 1 + whole.count("\1")
        inner = _TAKES_IN.match(line)
        if inner and "://" not in line:
            within = list(_lines(path.parent / inner["file"], place, files, folder))
            yield from (replace(each, certain=each.certain and "-r" in inner["option"]) for each in within)
        elif (not line.startswith("-") or _EDITABLE.match(line)) and (requirement := _requirement(line, place)):
            yield requirement


def _requirement(line: str, place: str) -> Requirement | None:
    editable = _EDITABLE.match(line)
    text = _USER_INFO.sub("//***@", _OPTIONS.sub("", line[editable.end() :] if editable else line).rstrip())
    if "://" not in text and (editable or text.startswith(".") or text.endswith(_ARCHIVE)):
        raise LocustfileError(
            f"{text} is a local file, which the image build does not see",
            where=place,
            fix="remove the line, because a module beside the locustfile can be imported directly",
        )
    if named := _NAMED.match(text):
        return Requirement(place, text, normal(named["name"]), named["wanted"].strip(), not named["marker"])
    names = (match[1] for pattern in _NAME_IN_URL if (match := pattern.search(text)))
    return Requirement(place, text, normal(next(names, "")), text, certain=True) if "://" in text else None


def allows(wanted: str, version: str) -> bool:
    """Return whether a specifier such as `>=2.29,<2.44` allows a version; True if only pip can decide."""
    if "://" in wanted:
        return False
    here = [int(part) for part in version.split(".")]
    return all(
        _holds(clause, here) for part in wanted.strip("() ").split(",") if (clause := _CLAUSE.match(part.strip()))
    )


def _holds(clause: re.Match[str], here: list[int]) -> bool:
    there, sign = [int(part) for part in clause["version"].split(".")], clause["sign"]
    if clause["rest"].strip() == ".*":
        return (here[: len(there)] == there) == (sign == "==")
    width = max(len(here), len(there))
    left, right = (parts + [0] * (width - len(parts)) for parts in (here, there))
    if clause["rest"].strip() and left == right:
        return True  # a pre-release or a local version
    if sign == "~=":
        return left >= right and here[: len(there) - 1] == there[:-1]
    relation = "=" if left == right else "<" if left < right else ">"
    return relation in ("<>" if sign == "!=" else sign)


def in_one_line(pip: Sequence[str], asked: Requirements, kit: Mapping[str, str]) -> str:
    """Return why pip failed, from its output: which line requires what, with file and line."""
    text = "\n".join(pip)
    if conflict := _CONFLICT.search(text):
        sides = [_side(line.strip(), asked) for line in conflict[1].splitlines()]
        return "; ".join(list(dict.fromkeys(sides))[:_MOST_SIDES])
    if unmet := _UNMET.search(text):
        return f"{_who_asks(unmet['name'], asked)}; {unmet['package']} needs {unmet['needs']}"
    if missing := _MISSING.search(text):
        name = normal(re.split(r"[\s\[<>=!~;@]", missing[1])[0])
        of_kit = f"; the kit's Locust uses {name} {kit[name]}" if name in kit else ""
        blind = "; the package index could not be reached" if "after connection broken by" in text else ""
        return f"{_who_asks(name, asked)}, but pip finds no such version{of_kit}{blind}"
    for header, problem in _HASHES.items():
        if listed := re.search(rf"{header}.*\n +(\S+)", text):
            return f"{_who_asks(listed[1], asked)}{problem}"
    errors = [line.partition(" ")[2] for line in pip if line.lower().startswith(("error:", "×"))]
    if errors and (place := _PLACE.search(text)):
        return f"{place[2]} line {place[1]}: {errors[-1]}"
    return errors[-1] if errors else ""


def _side(line: str, asked: Requirements) -> str:
    requested = _REQUESTED.match(line)
    if requested is None:
        return line
    name, _, version = requested["text"].partition("==")
    if requested["constraint"] and normal(name) not in asked.chosen:
        return f"the kit's Locust uses {name} {version}"
    return _who_asks(name, asked)


def _who_asks(name: str, asked: Requirements) -> str:
    plain = normal(re.split(r"[\s\[<>=!~;@]", name)[0])
    lines = [f"{line.place} requires {line.text}" for line in asked.lines if line.name == plain]
    return lines[0] if lines else f"a package of {NAME} requires {name}"
