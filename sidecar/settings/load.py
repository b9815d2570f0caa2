"""Gather the settings from where people set them, check them, and make Settings of them.

Precedence, highest first: command line, make command line, environment (never for HOST), what the last `up` decided
(for later verbs). Then come .env of the checkout, what Locust itself would read (`locust_options`), and the default.
An empty value on the command line means the default. Anywhere else it is ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sidecar.common import user_file
from sidecar.common.errors import SettingError
from sidecar.settings import addresses, dotenv, locust_options, parse
from sidecar.settings.model import (
    ALIASES,
    COMMAND_LINE,
    ENVIRONMENT,
    MAKE_COMMAND_LINE,
    OUTER_MAKE,
    REMEMBERED,
    SECRET_FILES,
    SETTINGS,
    Given,
    Settings,
)

_DEFINITION = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)\s*(?:::?:?|[+?!])?=")
_DASHED = re.compile(r"([A-Za-z_]\w*-[\w-]*)\s*(?:::?:?|[+?!])?=(.*)", re.DOTALL)
_ESCAPE = re.compile(r"[\\$](.)", re.DOTALL)  # of make: a backslash before a space, a dollar before a dollar
_WORD = re.compile(r"(?:[^\s\\]|\\.)+", re.DOTALL)
_SHORT = 4
_HIGHEST_PORT = 65535
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_OF_DOCKER = ("DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "DOCKER_TLS_VERIFY")
# Variables of make and of Docker's client: on make's command line they are not arguments of a locustfile.
_NO_ARGUMENTS = frozenset(
    {"KIT", "MAKEFLAGS", "PATH", "SHELL", *_OF_DOCKER, *_PROXIES, *(name.lower() for name in _PROXIES)}
)


def load(
    args: Sequence[str],
    environ: Mapping[str, str],
    root: Path,
    *,
    remembered: Mapping[str, str] | None = None,
    cpus: int | None = None,
    with_arguments: bool = False,
) -> Settings:
    """Return the settings of this call.

    Args:
        args: the verb's arguments. Only NAME=VALUE is read.
        environ: the process environment, with MAKEFLAGS when make started us.
        root: the checkout, whose .env is read.
        remembered: the texts that the last `up` wrote down, by name.
        cpus: the number of CPUs of this machine, for WORKERS=auto.
        with_arguments: whether a name on the command line may be an argument of the locustfile.

    Raises:
        SettingError: a value is invalid, or a name is one typo away from a known one.

    """
    entries = dotenv.read(root / ".env", environ)
    words = _other_words(args, environ)
    for name, given_word in words.items():
        if not with_arguments or name.isupper():
            _refuse_typo(name, given_word.source)
    for entry in entries:
        _refuse_typo(entry.name, f".env line {entry.line}")
    given = _with_secrets(_gather(args, environ, entries, remembered or {}), root)
    folder = _absolute(root, _value("LOCUSTFILES_DIR", given))
    unasked = locust_options.read(root, folder, environ, lenient=True)
    for name, text, source in locust_options.defaults(unasked):
        if name not in given or not given[name].raw:
            given[name] = Given(text, source)
    values: dict[str, Any] = {name.lower(): _value(name, given) for name in SETTINGS if name != "HOST"}
    with_page = partial(addresses.target_url, web_port=values["web_port"])
    host = given.get("HOST", Given("", ""))
    values["host"] = replace(SETTINGS["HOST"], parse=parse.optional(with_page)).value(host.raw, host.source)
    _settle(values, given, root, cpus or os.cpu_count() or 1)
    return Settings(
        root=root,
        given=given,
        passthrough={e.name: e.value for e in entries if e.name.startswith("LOCUST_") and e.name not in SETTINGS},
        words=words,
        unasked=unasked,
        environ=environ,
        **values,
    )


def project_name(args: Sequence[str], environ: Mapping[str, str], root: Path) -> str:
    """Return the PROJECT alone, to find what its last `up` wrote down."""
    given = _gather(args, environ, dotenv.read(root / ".env", environ), {})
    return str(_value("PROJECT", given))


def command_line(args: Iterable[str]) -> dict[str, str]:
    """Return the NAME=VALUE arguments of a verb."""
    pairs = (arg.partition("=") for arg in args if not arg.startswith("-"))
    return {name: value for name, equals, value in pairs if equals}


def named_by_make(makeflags: str) -> tuple[str, ...]:
    r"""Return the names of the variables defined on the make command line, each once, in make's order.

    GNU make passes every command-line variable to a recipe in the environment, unchanged. It lists the definitions in
    MAKEFLAGS: ` -- HOST=http://a\ b WORKERS=4`. Only the names come from this list, because its values are escaped
    for make.
    """
    matches = (_DEFINITION.match(word) for word in _WORD.findall(makeflags))
    return tuple(dict.fromkeys(match[1] for match in matches if match))


def _gather(
    args: Sequence[str],
    environ: Mapping[str, str],
    entries: Sequence[dotenv.DotenvEntry],
    remembered: Mapping[str, str],
) -> dict[str, Given]:
    """Return each setting with the text of the source that wins. Later sources overwrite earlier ones."""
    typed = [(name, raw, COMMAND_LINE) for name, raw in command_line(args).items()]
    made = [(name, raw, MAKE_COMMAND_LINE) for name, raw in _made(environ)]
    in_file = [(entry.name, entry.value, f".env line {entry.line}") for entry in entries]
    kept = [(name, raw, REMEMBERED) for name, raw in remembered.items()]
    inherited = [  # aliases are not read here: other programs use TIME and RATE, too
        (name, environ[name], ENVIRONMENT)
        for name in (*SETTINGS, *SECRET_FILES)
        if name in environ and SETTINGS[SECRET_FILES.get(name, name)].in_environment
    ]
    given: dict[str, Given] = {}
    for name, raw, source in (*in_file, *kept, *inherited, *made, *typed):
        full_name, text = ALIASES.get(name, name), raw.strip()
        is_known = full_name in SETTINGS or full_name in SECRET_FILES
        if is_known and (text or source in (COMMAND_LINE, MAKE_COMMAND_LINE)):
            given[full_name] = Given(text, source)
    return given


def _with_secrets(given: dict[str, Given], root: Path) -> dict[str, Given]:
    """Replace each NAME_FILE by NAME with the content of the file, in place. A NAME that is emptied stays empty.

    Raises:
        SettingError: NAME is set, too, or the file is empty or cannot be read. The message never quotes the file.

    """
    for file_name, name in SECRET_FILES.items():
        entry, other = given.pop(file_name, None), given.get(name)
        if entry is None or not entry.raw or (other and not other.raw):
            continue
        if other:
            both = f"{name}: {other.source}; {file_name}: {entry.source}"
            raise SettingError(f"{name} and {file_name} are both set", wanted="one of them", where=both)
        try:
            text = user_file.read(root / Path(entry.raw).expanduser(), file_name).rstrip("\n")
        except OSError as error:
            what = f"{file_name} is {entry.raw!r}; the file cannot be read: {error.strerror or error}"
            raise SettingError(what, where=entry.source) from None
        if not text:
            raise SettingError(
                f"{file_name} is {entry.raw!r}; the file is empty", wanted=f"a file with {name}", where=entry.source
            )
        given[name] = Given(text, entry.source)
    return given


def _made(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables of the make command line. A name with a dash is in MAKEFLAGS only."""
    flags = environ.get("MAKEFLAGS", "")
    dashed = filter(None, map(_DASHED.fullmatch, _WORD.findall(flags)))
    return [
        *((name, environ[name]) for name in named_by_make(flags) if name in environ),
        *((match[1], _ESCAPE.sub(r"\1", match[2])) for match in dashed),
    ]


def _other_words(args: Iterable[str], environ: Mapping[str, str]) -> dict[str, Given]:
    """Return each NAME=VALUE of the command line that is not a setting. An outer make may have variables of its own."""
    source = MAKE_COMMAND_LINE if environ.get("MAKELEVEL", "") in ("", "0", "1") else OUTER_MAKE
    words = {name: Given(raw, source) for name, raw in _made(environ) if name not in _NO_ARGUMENTS}
    words |= {name: Given(raw, COMMAND_LINE) for name, raw in command_line(args).items()}
    return {name: given for name, given in words.items() if name not in (*SETTINGS, *ALIASES, *SECRET_FILES)}


def _refuse_typo(name: str, source: str) -> None:
    known = (*SETTINGS, *ALIASES, *SECRET_FILES)
    if name not in known and (meant := nearest(name, known)):
        raise SettingError(
            f"{name} is not a setting, but one typo away from {meant}", where=source, fix=f"write {meant}"
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is exactly one slip away (a letter wrong, missing, extra, or two swapped), or None.

    Case does not count: `workers` is one slip from WORKERS. A short name has whole words one letter
    away (DATE and RATE, POST and HOST), so its first letter must agree.
    """
    upper = name.upper()
    for candidate in known:
        agrees = len(candidate) > _SHORT or upper[:1] == candidate[0]
        if name != candidate and agrees and is_one_slip(upper, candidate):
            return candidate
    return None


def is_one_slip(name: str, other: str) -> bool:
    """Return whether the Damerau-Levenshtein distance of two names is at most 1."""
    if name == other:
        return True
    short, long = sorted((name, other), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[:start] + short[start : start + 2][::-1] + short[start + 2 :]
    return swapped == long or short[start + 1 :] == long[start + 1 :]


def _value(name: str, given: Mapping[str, Given]) -> object:
    entry = given.get(name, Given("", ""))
    return SETTINGS[name].value(entry.raw, entry.source)


def _settle(values: dict[str, Any], given: Mapping[str, Given], root: Path, cpus: int) -> None:
    """Set defaults that depend on other settings, make folders absolute, refuse contradictions."""
    if values["workers"] == parse.AUTO:  # one CPU is left for the master
        values["workers"] = max(1, cpus - 1)
    values["base_image"] = values["base_image"] or _found_base_image(root)
    beside = 1 if values["web_port"] < _HIGHEST_PORT else -1
    values["monitor_port"] = values["monitor_port"] or values["web_port"] + beside
    for name in ("locustfiles_dir", "reports_dir"):
        values[name] = _absolute(root, values[name])
    if values["web_port"] == values["monitor_port"]:
        raise SettingError(f"WEB_PORT and MONITOR_PORT are both {values['web_port']}", wanted="two different ports")
    _check_watched(values, given)
    _check_memory(values, given)


def _absolute(root: Path, folder: Any) -> Path:  # noqa: ANN401  what the parser of a folder returns
    return Path(os.path.abspath(root / Path(folder).expanduser()))  # noqa: PTH100  keeps symlinks


def _found_base_image(root: Path) -> str:
    """Return the base image that set-up chose; "" without set-up, for the pinned image of docker-compose.yml."""
    try:
        return (root / ".locust-kit" / "base-image").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _check_watched(values: Mapping[str, Any], given: Mapping[str, Given]) -> None:
    if values["watch_project"] and values["watch_project"] == values["project"]:
        raise SettingError(
            f"WATCH_PROJECT is {values['watch_project']!r}, the name of this stack",
            wanted="another Compose project (`docker compose ls` lists them), or no value",
            where=given["WATCH_PROJECT"].source,
        )


def _check_memory(values: dict[str, Any], given: Mapping[str, Given]) -> None:
    if values["worker_memory_reservation"] <= values["worker_memory"]:
        return
    entry = given.get("WORKER_MEMORY_RESERVATION")
    if entry is None or not entry.raw:  # a reservation that nobody set follows a smaller limit
        values["worker_memory_reservation"] = values["worker_memory"]
        return
    limit = (given["WORKER_MEMORY"].raw if "WORKER_MEMORY" in given else "") or SETTINGS["WORKER_MEMORY"].default
    raise SettingError(
        f"WORKER_MEMORY_RESERVATION is {entry.raw!r}, more than WORKER_MEMORY, which is {limit}",
        wanted="at most WORKER_MEMORY",
        where=entry.source,
    )
