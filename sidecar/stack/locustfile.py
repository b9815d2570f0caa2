"""Check the user's locustfile on the host, before any image or container.

Does it exist, does it parse, does it use something that Locust has removed? Checks that need Locust itself run inside
the image (`check`). This module also checks the files of TLS_CA, TLS_CERT and TLS_KEY.
"""

from __future__ import annotations

import ast
import filecmp
import os
import re
import shlex
import ssl
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sidecar.common import user_file
from sidecar.common.errors import LocustfileError, SettingError
from sidecar.common.text import some
from sidecar.settings import Settings

IMAGE_PYTHON = (3, 13)
_MOST_NAMED = 8
_MOST_UP = 5
_WORK = "/home/locust/run"  # in a container
_SKIPPED = frozenset({"__pycache__", "venv", "node_modules", "site-packages"})
_REQUEST_FIX = "use events.request and look at its `exception` argument"
REMOVED_EVENTS: Mapping[str, str] = {
    "request_success": f"{_REQUEST_FIX} (None = success)",
    "request_failure": f"{_REQUEST_FIX} (not None = failure)",
    "locust_error": "use events.user_error",
    "hatch_complete": "use events.spawning_complete",
    "locust_start_hatching": "use events.test_start",
    "locust_stop_hatching": "use events.test_stop",
    "master_start_hatching": "use events.test_start",
    "master_stop_hatching": "use events.test_stop",
    "slave_report": "use events.worker_report",
    "slave_connect": "use events.worker_connect",
}
REMOVED_NAMES: Mapping[str, str] = {
    "HttpLocust": "use HttpUser",
    "Locust": "use User",
    "FastHttpLocust": "use FastHttpUser",
    "TaskSequence": "use SequentialTaskSet",
    "seq_task": "use SequentialTaskSet, which runs its tasks in order",
}
# Syntax of Python 3.12 and 3.13: an older Python on the host cannot check it, but the image can.
_NEWER_SYNTAX = re.compile(
    r"""\bf['"]|\b[rR][fF]['"]|^\s*type\s+\w+|^\s*(?:async\s+)?def\s+\w+\s*\[|^\s*class\s+\w+\s*\["""
)


def sources(settings: Settings) -> tuple[Path, ...]:
    """Return the Python files that LOCUSTFILE names, and the user's own modules that these import.

    Raises:
        LocustfileError: a name does not exist. The message lists the files that do.
        SettingError: LOCUSTFILES_DIR is not a folder, or LOCUSTFILE is outside of it.

    """
    folder = settings.locustfiles_dir
    if not folder.is_dir():
        raise SettingError(f"LOCUSTFILES_DIR {folder} is not a folder", wanted="the folder with your locustfile")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SettingError(f"LOCUSTFILES_DIR {folder} is not readable for this user")
    if "," in settings.locustfile and (folder / settings.locustfile).is_file():
        problem = f"the comma in {settings.locustfile!r} ends a file name for Locust"
        raise SettingError(problem, fix="give the file a name without a comma")
    bases: dict[Path, Path] = {}  # of each loaded file: the first folder in Python's path
    for name in filter(None, map(str.strip, settings.locustfile.split(","))):
        is_package = (folder / name / "__init__.py").is_file()
        bases |= {
            path: (folder / name).parent if is_package else path.parent for path in _named(folder, name, settings)
        }
    imports = {path: _imports(folder, path, base) for path, base in bases.items()}
    _refuse_two_of_a_name(folder, imports)
    return tuple(dict.fromkeys([*bases, *(module for modules in imports.values() for module, _ in modules.values())]))


def _refuse_two_of_a_name(folder: Path, imports: Mapping[Path, Mapping[str, tuple[Path, Path]]]) -> None:
    """Refuse locustfiles that import different modules of the same name, because Python loads only the first one."""
    first = {path.stem: (path, path) for path in imports}
    for modules in imports.values():
        for name, (module, importer) in modules.items():
            other, its_importer = first.setdefault(name, (module, importer))
            if other != module and not filecmp.cmp(other, module, shallow=False):
                shown = [path.relative_to(folder).as_posix() for path in (importer, module, its_importer, other)]
                raise LocustfileError(
                    f"{shown[0]} imports {name}, which is {shown[1]}, but {shown[3]} has the same name; "
                    "Python loads only one module per name, so both would get the same one",
                    where=str(folder),
                    fix=f"rename one of the two, or run {shown[0]} and {shown[2]} separately",
                )


def _named(folder: Path, name: str, settings: Settings) -> list[Path]:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) and not path.is_symlink():
        raise SettingError(
            f"LOCUSTFILE {name!r} is outside LOCUSTFILES_DIR {folder}",
            wanted="a name inside that folder",
            fix=_where_it_would_be(path),
        )
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*.py") if not _SKIPPED.intersection(file.parts))
        if not inside:
            raise LocustfileError(f"the folder {name} holds no .py file", where=str(folder))
        return inside
    if path.is_file() and path.suffix == ".py":
        return [path]
    raise LocustfileError(
        f"locustfile {name} does not exist",
        where=str(folder),
        wanted=_what_there_is(folder),
        fix=_hint(folder, name, settings.root),
    )


def _where_it_would_be(path: Path) -> str:
    return _mounted(path.resolve().parent, path.name)


def _mounted(folder: Path, names: str) -> str:
    """Return the command that mounts this folder and loads these files."""
    words = (f"LOCUSTFILES_DIR={folder}", f"LOCUSTFILE={names}")
    return " ".join(["make up", *(shlex.quote(word.replace("$", "$$")) for word in words)])


def elsewhere(name: str, settings: Settings) -> str:
    """Return the command that provides a missing module or file to the containers; "" if the file is not found.

    Args:
        name: the module, or the path that a container tried to open.
        settings: the current LOCUSTFILES_DIR and LOCUSTFILE.

    """
    folder, is_file = settings.locustfiles_dir, "/" in name
    if is_file:
        inner = os.path.relpath(name, _WORK) if name.startswith("/") else name
        around = [Path(os.path.normpath(folder / inner))]
    else:
        path = name.replace(".", "/")
        around = [up / sub for up in folder.parents[:_MOST_UP] for sub in (path, f"{path}.py")]
        around.insert(0, (folder / path).resolve())  # a link may point outside of the folder
    found = next((place for place in around if place.is_file() or any(place.glob("*.py"))), folder)
    root = Path(os.path.commonpath([folder, found]))
    if root == folder or len(root.parts) == 1:
        return ""
    own = [file for file in ("requirements.txt", ".env") if (folder / file).exists()]
    moved = f", after you move {' and '.join(own)} there" if own else ""
    opened = (
        f", and open it relative to __file__, because the working directory is {_WORK}"
        if is_file and name[0] != "/"
        else ""
    )
    names = [str(folder.relative_to(root) / part.strip()) for part in settings.locustfile.split(",")]
    return f"{_mounted(root, ','.join(names))}{moved}{opened} (it has {found})"


def _what_there_is(folder: Path) -> str:
    there = sorted(path.name for path in folder.glob("*.py"))
    if not there:
        return "a .py file with a User class, but the folder has no .py file"
    return f"one of {some(there, _MOST_NAMED)}"


def _hint(folder: Path, name: str, root: Path) -> str:
    if (folder / f"{name}.py").is_file():
        return f"make up {shlex.quote(f'LOCUSTFILE={name}.py')}"
    beside = (root / name).resolve()
    if beside.is_file():
        inside = beside.is_relative_to(folder.resolve())
        return f"make up LOCUSTFILE={beside.relative_to(folder.resolve())}" if inside else _where_it_would_be(beside)
    return ""


def _imports(folder: Path, locustfile: Path, base: Path) -> dict[str, tuple[Path, Path]]:
    """Return each of the user's modules that a locustfile imports, directly or not, with its path and its importer.

    Python looks beside the locustfile first, then in LOCUSTFILES_DIR.
    """
    found: dict[str, tuple[Path, Path]] = {}
    waiting = [locustfile]
    for path in waiting:
        tree = _parse_quietly(path)
        for level, name in _imported(tree) if tree else ():
            bases = [path.parents[level - 1]] if level else [base, folder, path.parent]
            key = f"{bases[0]}/{name}" if level else name
            if key not in found and (module := _module(bases, name)):
                found[key] = (module, path)
                waiting.append(module)
    return found


def _module(bases: Sequence[Path], name: str) -> Path | None:
    parts = name.split(".")
    for base in bases:
        for candidate in (base.joinpath(*parts, "__init__.py"), base.joinpath(*parts).with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the level and the name of each import. A name in a `from` import may be a module, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = f"{node.module}." if node.module else ""
            yield from [(node.level, node.module)] if node.module else []
            yield from ((node.level, f"{inner}{alias.name}") for alias in node.names)


def _parse_quietly(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return None


def check(paths: Sequence[Path], folder: Path) -> None:
    """Refuse files with certain errors.

    Raises:
        LocustfileError: a syntax error, or the use of something that Locust removed, with file and line.

    """
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            text = path.read_bytes()
        except OSError as error:
            raise LocustfileError(f"{name} cannot be read: {error.strerror}", where=str(path)) from None
        try:
            tree = ast.parse(text, filename=name)
        except (SyntaxError, ValueError) as error:
            if isinstance(error, SyntaxError) and may_be_newer(error, sys.version_info[:2]):
                continue
            raise _syntax(name, error, text) from None
        for line, use, fix in sorted(removed(tree)):
            raise LocustfileError(f"{use}, which Locust has removed", where=f"{name} line {line}", fix=fix)


def may_be_newer(error: SyntaxError, python: tuple[int, int]) -> bool:
    """Return whether the host's Python may be too old for the line. The check inside the image then decides."""
    if python >= IMAGE_PYTHON:
        return False
    return "f-string" in (error.msg or "") or bool(_NEWER_SYNTAX.search(error.text or ""))


def _syntax(name: str, error: SyntaxError | ValueError, source: bytes) -> LocustfileError:
    if b"\0" in source:
        return LocustfileError(f"{name} is saved as UTF-16", fix="save it as UTF-8")
    if isinstance(error, SyntaxError):
        text = f": {error.text.strip()}" if error.text and error.text.strip() else ""
        fix = "save it as UTF-8" if "utf-8" in str(error.msg).lower() else ""
        return LocustfileError(f"syntax error: {error.msg}{text}", where=f"{name} line {error.lineno}", fix=fix)
    return LocustfileError(f"not a Python source file: {error}", where=name)


def removed(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield (line, use, replacement) for each use of something that Locust has removed."""
    aliases = _event_aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "locust":
            for alias in node.names:
                if alias.name in REMOVED_NAMES:
                    yield node.lineno, f"`{alias.name}` of locust", REMOVED_NAMES[alias.name]
        elif isinstance(node, ast.AugAssign) and (event := _event(node.target, aliases)):
            fix = REMOVED_EVENTS.get(event, f"use events.{event}.add_listener(f), or @events.{event}.add_listener")
            yield node.lineno, f"`events.{event} +=`", fix
        elif isinstance(node, ast.Attribute) and (event := _event(node, aliases)) in REMOVED_EVENTS:
            yield node.lineno, f"`events.{event}`", REMOVED_EVENTS[event]


def _event_aliases(tree: ast.Module) -> frozenset[str]:
    """Return the names of `locust.events` in this file."""
    return frozenset(
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "locust"
        for alias in node.names
        if alias.name == "events"
    )


def _event(node: ast.expr, aliases: frozenset[str]) -> str:
    """Return the event's name in `events.NAME`, `locust.events.NAME` or `environment.events.NAME`; else ""."""
    if not isinstance(node, ast.Attribute):
        return ""
    owner = node.value
    if isinstance(owner, ast.Name) and owner.id in aliases:
        return node.attr
    if isinstance(owner, ast.Attribute) and owner.attr == "events":
        return node.attr
    return ""


def check_tls(settings: Settings) -> None:
    """Refuse files that the users in the containers cannot use.

    Raises:
        SettingError: a file is missing, unreadable for others, or has the wrong content.

    """
    named = {"TLS_CA": settings.tls_ca, "TLS_CERT": settings.tls_cert, "TLS_KEY": settings.tls_key}
    if settings.tls_key and not settings.tls_cert:
        raise SettingError(
            f"TLS_KEY is {settings.tls_key!r} without TLS_CERT", wanted="TLS_CERT with the certificate of this key"
        )
    paths = {name: settings.locustfiles_dir / file for name, file in named.items() if file}
    for name, path in paths.items():
        _check_readable(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "TLS_CA" in paths:
            context.load_verify_locations(paths["TLS_CA"])
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"TLS_CA {paths['TLS_CA']} has no certificate in PEM form: {error}") from None
    try:
        if "TLS_CERT" in paths:
            context.load_cert_chain(paths["TLS_CERT"], paths.get("TLS_KEY"), password="")  # no prompt for a passphrase
    except (OSError, ssl.SSLError) as error:
        raise SettingError(
            f"TLS_CERT {paths['TLS_CERT']} does not work with its key: {error}",
            wanted="a certificate in PEM form, with its own key without a passphrase",
        ) from None


def _check_readable(name: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingError(
            f"{name}: {path} cannot be read: {error.strerror}", wanted="a file in LOCUSTFILES_DIR"
        ) from None
    if not stat.S_ISREG(mode) or not mode & stat.S_IROTH:
        raise SettingError(
            f"{name}: {path} has the mode {stat.filemode(mode)}",
            wanted="a file that others may read, because Locust runs as another user in its container",
            fix=f"chmod o+r {path}",
        )
    if path.read_bytes().startswith(user_file.MARKS):  # OpenSSL skips the certificate after the mark
        raise SettingError(f"{name}: {path} begins with a byte order mark", fix="save it as UTF-8 without a mark")
