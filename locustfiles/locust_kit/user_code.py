"""Load the user's locustfiles as Locust does, and describe each problem and its place in one line."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import socket
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from gevent import GreenletExit
from locust import FastHttpUser, HttpUser, LoadTestShape, User
from locust.argument_parser import parse_locustfile_paths
from locust.user.users import PytestUser
from locust.util.load_locustfile import load_locustfile, load_locustfile_pytest

from locust_kit.loaded_files import USER_FILES
from locust_kit.own_programs import OwnProgramError, own_programs
from locust_kit.places import in_folder, innermost
from locust_kit.texts import plural, safe

REMOVED = {
    "request_success": "use events.request: its exception is None for a success",
    "request_failure": "use events.request: its exception is None for a success, else the failure",
    "locust_start_hatching": "use events.spawning_complete or events.test_start",
    "hatch_complete": "use events.spawning_complete",
    "master_start_hatching": "use events.test_start",
    "master_stop_hatching": "use events.test_stop",
    "slave_report": "use events.worker_report",
    "locust_error": "use events.user_error",
}
"""Events that Locust removed, and their replacements."""
_OF_A_NETWORK = (ConnectionError, TimeoutError, socket.gaierror)
_CLIENTS = frozenset({"requests", "urllib", "urllib3", "httpx", "aiohttp"})

PACKAGES = {
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "dns": "dnspython",
    "dotenv": "python-dotenv",
    "google": "protobuf",
    "grpc": "grpcio",
    "jwt": "PyJWT",
    "locust_plugins": "locust-plugins",
    "paho": "paho-mqtt",
    "psycopg2": "psycopg2-binary",
    "websocket": "websocket-client",
    "yaml": "PyYAML",
}
"""Modules that are in a package of another name; the package of their own name is missing or a different one."""

_LONGEST = 2000
SESSIONS = ("session", "fastsession")  # Locust's own fixtures


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the locustfile cannot run, or a part of it that has no effect.

    `kind`: missing, unreadable, syntax, import, removed-api, program, no-user-class, duplicate, options or error. The
    rules that read the files use coroutine, old-attribute, exit-code, catch-response, pytest or byte-order-mark. The
    check itself adds traces.
    """

    file: str
    line: int | None
    kind: str
    text: str
    fix: str
    name: str = ""  # of the module or the file that is not there


@dataclass
class Loaded:
    """The classes of the locustfiles, and the problems that were found."""

    users: dict[str, type[User]] = field(default_factory=dict)
    shapes: dict[str, LoadTestShape] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load(setting: str) -> Loaded:
    """Load each locustfile of LOCUST_LOCUSTFILE=`setting`. Never raises: an error becomes a Problem."""
    result, files = Loaded(), dict[str, str]()
    paths = list(_existing(setting, result))
    for path in paths:
        error: BaseException | None = None
        with own_programs() as programs:
            try:
                users, shapes = load_locustfile(path)
                gevent.sleep(0)  # greenlets of the file begin
            except (Exception, SystemExit, GreenletExit, OwnProgramError) as raised:  # noqa: BLE001  the user's may raise anything
                error = raised
        if error := programs[0] if programs else error:
            result.problems.append(problem_of(error, path))
            continue
        for name, user in users.items():
            _add(result.users, f"User class {name}", user, path, files, result)
        for shape in shapes:
            _add(result.shapes, f"Load shape {type(shape).__name__}", shape, path, files, result)
    if not result.users and not result.problems:
        for path in paths:
            try:
                result.users |= load_locustfile_pytest(path)
            except (Exception, SystemExit, GreenletExit) as raised:  # noqa: BLE001  as above
                result.problems.append(problem_of(raised, path))
        result.problems += _unusable_functions(result.users.values())
    if not result.users and not result.problems:
        text = "contains no User class"
        fix = "define a class that inherits from HttpUser, FastHttpUser or User"
        result.problems.append(Problem(", ".join(shown(path) for path in paths), None, "no-user-class", text, fix))
    return result


def _add(known: dict[str, Any], what: str, found: Any, path: str, files: dict[str, str], result: Loaded) -> None:
    """Keep a class or a shape by its name; the same name in two files is a problem."""
    other = known.setdefault(what.rpartition(" ")[2], found)
    try:
        file = inspect.getfile(found if isinstance(found, type) else type(found))  # asks sys.modules: ask right now
    except (OSError, TypeError):
        file = path
    first = files.setdefault(what, file)
    if other is not found and first != file:
        text = f"{what} is also defined in {shown(first)}"
        result.problems.append(Problem(shown(path), None, "duplicate", text, "give one of them another name"))


def _existing(setting: str, result: Loaded) -> Iterator[str]:
    if not os.access(USER_FILES, os.R_OK | os.X_OK):
        result.problems.append(_unreadable("the locustfiles' folder", "chmod o+rx your LOCUSTFILES_DIR"))
        return
    for name in filter(None, (part.strip() for part in setting.split(","))):
        if Path(name).is_file() and not os.access(name, os.R_OK):
            result.problems.append(_unreadable(shown(name), f"chmod o+r {shlex.quote(shown(name))}"))
        elif not Path(name).exists():
            result.problems.append(
                Problem(shown(name), None, "missing", "does not exist", "set LOCUSTFILE to an existing file")
            )
        elif Path(name).is_file() and not name.endswith(".py"):
            result.problems.append(
                Problem(shown(name), None, "missing", "is not a Python file", "the name must end in .py")
            )
        else:
            yield from parse_locustfile_paths([name])


def _unreadable(file: str, command: str) -> Problem:
    text = f"cannot be read by the container's user (uid {os.getuid()}, not root and not you)"
    return Problem(file, None, "unreadable", text, command)


def _unusable_functions(users: Iterable[type[User]]) -> Iterator[Problem]:
    """Yield pytest functions that end each user at once: Locust passes the value of exactly one fixture."""
    for function in (function for user in users if issubclass(user, PytestUser) for function in user.functions):
        count, fixture = len(inspect.signature(function.obj).parameters), getattr(function, "fixturedef", None)
        if count != 1:
            text = f"the pytest function {function.name} takes {plural(count, 'fixture')}, but Locust passes one"
        elif not inspect.isgeneratorfunction(fixture.func):  # type: ignore[union-attr]  # it has one
            text = f"the fixture {fixture.argname} of {function.name} has no yield, but Locust needs one"  # type: ignore[union-attr]
        else:
            continue
        line = function.obj.__code__.co_firstlineno
        yield Problem(shown(str(function.path)), line, "error", text, "def test_home(session): session.get(...)")


def needs_host(user_class: type[User]) -> bool:
    """Return whether users of a class make HTTP requests; pytest functions do with one of Locust's own fixtures."""
    if issubclass(user_class, PytestUser):
        fixtures = (getattr(function, "fixturedef", None) for function in user_class.functions)
        return any(fixture is not None and fixture.argname in SESSIONS for fixture in fixtures)
    return issubclass(user_class, HttpUser | FastHttpUser)


def shown(path: str) -> str:
    """Return the path relative to the user's folder."""
    return in_folder(path) or path


def problem_of(error: BaseException, path: str) -> Problem:
    """Describe `error` in one line, at the last line of the user's own code that led to it."""
    if isinstance(error, SyntaxError):
        return Problem(
            shown(error.filename or path), error.lineno, "syntax", f"syntax error: {error.msg}", "correct that line"
        )
    file, line = _place(error, path)
    text = safe(error, _LONGEST)
    if isinstance(error, ModuleNotFoundError):
        module = str(error.name).partition(".")[0]
        package = PACKAGES.get(module, module)
        fix = f"add {package} to requirements.txt beside the locustfile, or put the module itself there"
        return Problem(file, line, "import", f"module {error.name} is not installed", fix, str(error.name))
    if isinstance(error, ImportError):
        return Problem(file, line, "import", f"import fails: {text}", "correct that import")
    removed = re.search(r"has no attribute '(\w+)'", text)
    if isinstance(error, AttributeError) and removed and removed[1] in REMOVED:
        what = f"uses events.{removed[1]}, which Locust removed"
        return Problem(file, line, "removed-api", what, REMOVED[removed[1]])
    missing = error.filename if isinstance(error, FileNotFoundError) else ""
    return Problem(file, line, *_raised(error, text), missing if isinstance(missing, str) else "")


def _raised(error: BaseException, text: str) -> tuple[str, str, str]:
    """Return kind, text and fix of an exception that is not about syntax or imports."""
    if isinstance(error, OwnProgramError):
        what = "starts Locust itself while it is imported: it is a program, not a locustfile"
        return "program", what, 'put that call below `if __name__ == "__main__":`'
    if isinstance(error, SystemExit):
        return "error", f"ends the process while it is imported: exit({error.code!r})", "remove that call"
    what = f"raises {type(error).__name__} while it is imported: {(text or 'no text').splitlines()[0]}"
    if isinstance(error, _OF_A_NETWORK) or type(error).__module__.split(".")[0] in _CLIENTS:
        fix = "use an address that all processes reach (TARGET_NETWORK, TARGET_NETWORK_MASTER), or connect in on_start"
        return "error", what, fix
    return "error", what, "correct that line"


def _place(error: BaseException, path: str) -> tuple[str, int | None]:
    """Return the innermost frame in the user's folder; otherwise the file that was being loaded."""
    frame = innermost(traceback.extract_tb(error.__traceback__))
    return (shown(frame.filename), frame.lineno) if frame else (shown(path), None)
