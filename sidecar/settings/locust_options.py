"""Options that Locust reads by itself: locust.conf and pyproject.toml beside the test, and LOCUST_* of both .env files.

The kit refuses an option that starts a load by itself, or gives a process another role or address. Options of a run
(users, time, tags) become the defaults of the settings with the same meaning.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.common import user_file
from sidecar.common.errors import SettingError
from sidecar.settings import dotenv, parse

_PREFIX = "LOCUST_"
_OFF = frozenset({"false", "no", "off", "0", ""})
# The line of a file in configargparse's own form, which Locust reads.
_LINE = re.compile(
    r"^(?P<key>[^:=;#\s]+)\s*(?:(?P<equal>[:=\s])\s*(['\"]?)(?P<value>.+?)?\3)?\s*(?:\s[;#]\s*(?:.*?)\s*)?$"
)
_TOML_HEAD = re.compile(r"^\s*\[\s*['\"]?tool['\"]?\s*\.\s*['\"]?locust['\"]?\s*\]")

# Variables with another name than their option.
_NAMES = {
    "LOCUST_MODE_MASTER": "master",
    "LOCUST_MODE_WORKER": "worker",
    "LOCUST_MASTER_NODE_HOST": "master-host",
    "LOCUST_MASTER_NODE_PORT": "master-port",
    "LOCUST_USERCLASS_PICKER": "class-picker",
}
_VARIABLES = {option: variable for variable, option in _NAMES.items()}
_WITHOUT_VARIABLE = frozenset({"list", "show-task-ratio", "show-task-ratio-json", "help", "version"})

DEFAULTS: Mapping[str, str] = {
    "users": "USERS",
    "spawn-rate": "SPAWN_RATE",
    "run-time": "RUN_TIME",
    "tags": "TAGS",
    "exclude-tags": "EXCLUDE_TAGS",
    "user-classes": "CLASSES",
    "stop-timeout": "STOP_TIMEOUT",
    "locustfile": "LOCUSTFILE",
}
"""An option of Locust, and the setting whose default it becomes."""

_BY_ITSELF = "starts a load by itself, again after each restart"
_PRINTS = "makes Locust print and exit, again after each restart"
_ROLE = "is decided by the stack"
_WORDS = {"headless": _BY_ITSELF, "autostart": _BY_ITSELF, "autoquit": _BY_ITSELF, "expect-workers": _ROLE}
_WORDS |= dict.fromkeys(("master", "worker"), _ROLE)
_WORDS |= dict.fromkeys(_WITHOUT_VARIABLE, _PRINTS)
_WORDS |= dict.fromkeys(("web-port", "web-host"), "moves Locust's page away from the port that the stack publishes")
_SHORTEST = 4  # of an abbreviation that counts as an option
_EVERYWHERE = frozenset({"", "*", "0.0.0.0", "::"})  # noqa: S104  the page's own default


@dataclass(frozen=True)
class UnaskedOption:
    """One option by Locust's long name without dashes; `where` is file:line, `written` the name in the file."""

    name: str
    value: str
    where: str
    written: str

    @property
    def source(self) -> str:
        """Return its place and name, as the file has them."""
        return f"{self.where} {self.written}"

    @property
    def is_on(self) -> bool:
        """Return whether the value turns a switch on."""
        return self.value.strip().lower() not in _OFF


def read(root: Path, folder: Path, environ: Mapping[str, str], *, lenient: bool = False) -> tuple[UnaskedOption, ...]:
    """Return the options of all sources, in ascending precedence: Locust prefers variables, then the nearer file.

    `environ` fills in each ${NAME} of an env file, as it does for Docker Compose.

    Raises:
        SettingError: Locust cannot read a file either. With `lenient`, such a file is left out.

    """
    nearer = f"{folder.name}/.env" if folder != root else ".env"
    sources: list[Callable[[], Iterable[UnaskedOption]]] = [
        lambda: _conf(folder / "locust.conf"),
        lambda: _toml(folder / "pyproject.toml"),
        lambda: _env(root / ".env", ".env", environ),
        lambda: _env(folder / ".env", nearer, environ) if folder != root else (),
    ]
    found: list[UnaskedOption] = []
    for source in sources:
        try:
            found += source()
        except SettingError:
            if not lenient:
                raise
    return tuple(found)


def _text(path: Path) -> str:
    try:
        return user_file.read(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None


def _conf(path: Path) -> Iterator[UnaskedOption]:
    for number, raw in enumerate(_text(path).splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;[" or line.startswith("---"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise SettingError(f"{line[:60]!r} is not an option of Locust", where=f"{path.name}:{number}")
        value = match["value"]
        if value is None:
            value = "" if match["equal"] not in (None, " ") else "true"
        yield UnaskedOption(match["key"].removeprefix("--"), value, f"{path.name}:{number}", match["key"])


def _toml(path: Path) -> Iterator[UnaskedOption]:
    text = _text(path)
    try:
        document: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path.name} is not valid TOML: {error}", where=str(path)) from None
    tool = document.get("tool")
    table = tool.get("locust") if isinstance(tool, dict) else None
    for key, value in table.items() if isinstance(table, dict) else ():
        place = f"{path.name}:{_line_of(key, text)}".removesuffix(":0")
        shown = json.dumps(value) if isinstance(value, list) else str(value)
        yield UnaskedOption(key.removeprefix("--"), shown, place, key)


def _line_of(key: str, text: str) -> int:
    """Return the line of a key of [tool.locust]; 0 if the file writes it in another form."""
    lines = text.splitlines()
    head = next((number for number, line in enumerate(lines) if _TOML_HEAD.match(line)), len(lines))
    pattern = re.compile(rf"^\s*['\"]?{re.escape(key)}['\"]?\s*=")
    return next((number + 1 for number, line in enumerate(lines) if number > head and pattern.match(line)), 0)


def _env(path: Path, shown: str, environ: Mapping[str, str]) -> Iterator[UnaskedOption]:
    for entry in dotenv.read(path, environ):
        if entry.name.startswith(_PREFIX) and entry.value:
            name = _NAMES.get(entry.name) or entry.name.removeprefix(_PREFIX).lower().replace("_", "-")
            if name not in _WITHOUT_VARIABLE and (entry.name in _NAMES or name not in _VARIABLES):
                yield UnaskedOption(name, entry.value, f"{shown}:{entry.line}", entry.name)


def variables(options: Iterable[UnaskedOption]) -> dict[str, str]:
    """Return the options as Locust's variables, each with the value that Locust uses."""
    return {
        _VARIABLES.get(option.name) or _PREFIX + option.name.upper().replace("-", "_"): option.value
        for option in options
    }


def last(options: Sequence[UnaskedOption], name: str) -> UnaskedOption | None:
    """Return the option of that name that Locust uses."""
    return next((option for option in reversed(options) if option.name == name and option.value), None)


def defaults(options: Sequence[UnaskedOption]) -> Iterator[tuple[str, str, str]]:
    """Yield (setting, text, source) for each option that is the default of a setting."""
    for name, setting in DEFAULTS.items():
        option = last(options, name)
        if option and (text := _as_setting(name, option.value)):
            yield setting, text, option.source


def _as_setting(name: str, value: str) -> str:
    if name in ("tags", "exclude-tags"):
        words = re.split(r"[,\s]+", value.strip("[] "))
        return ",".join(word.strip("'\"") for word in words if word)
    if name == "locustfile":
        return "" if value == "-" else value.removeprefix("/mnt/locust/").removeprefix("./")
    if name == "stop-timeout":
        try:
            return str(parse.duration_seconds(value))
        except ValueError:
            return value
    return value


def processes(options: Sequence[UnaskedOption]) -> int:
    """Return the number of Locust processes per worker container: 1 by default, -1 for one per core.

    Raises:
        SettingError: Locust does not accept the number.

    """
    option = last(options, "processes")
    if option is None:
        return 1
    try:
        number = int(option.value)
    except ValueError:
        number = -2
    if number < -1:
        wanted = "a number of processes per worker container, or -1 for one per core"
        raise SettingError(f"{option.written} is {option.value!r}", where=option.where, wanted=wanted)
    return number or 1


def refuse(options: Sequence[UnaskedOption]) -> None:
    """Refuse options that the stack must decide, each in its own line.

    Raises:
        SettingError: there is such an option. The message names file, line, and the setting to use.

    """
    refused = [option for option in options if _is_refused(option)]
    lines = [
        f"{option.source} {_WORDS[_full_name(option.name)]}: remove it → {_instead(option, options)}"
        for option in refused
    ]
    if lines:
        raise SettingError("\n".join(lines))
    processes(options)


def _full_name(name: str) -> str:
    """Return the refused option that a name means, or "". In a file, Locust also accepts abbreviations."""
    if name in _WORDS:
        return name
    return next((known for known in _WORDS if len(name) >= _SHORTEST and known.startswith(name)), "")


def _is_refused(option: UnaskedOption) -> bool:
    name = _full_name(option.name)
    if not name:
        return False
    if name == "web-host":
        return option.value.strip() not in _EVERYWHERE
    if name == "web-port":
        return option.value.strip() != "8089"
    return option.is_on and not (name == "autoquit" and option.value.strip() == "-1")


def _instead(option: UnaskedOption, options: Sequence[UnaskedOption]) -> str:
    name = _full_name(option.name)
    if name in ("headless", "autostart", "autoquit"):
        words = [
            f"{setting}={found.value}"
            for wanted, setting in (("users", "USERS"), ("spawn-rate", "SPAWN_RATE"), ("run-time", "RUN_TIME"))
            if (found := last(options, wanted))
        ]
        return f"make run {' '.join(words) or 'USERS=50 RUN_TIME=1m'}"
    fixes = {
        "expect-workers": f"make up WORKERS={option.value}",
        "worker": "make up WORKERS=4, or make join MASTER=... for the master of another machine",
        "web-port": f"make up WEB_PORT={option.value}",
    }
    return fixes.get(name, "make try" if _WORDS[name] is _PRINTS else "make up")
