"""Gather the settings from where people set them, check them, and make Settings of them.

The first that speaks wins: command line, make command line, environment (never for HOST), what the last `up`
decided (for the verbs that follow it), .env of the checkout, default. An empty value on the command line means
the default; anywhere else it means nothing.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.common.errors import SettingError
from sidecar.settings import dotenv, makeflags, parse
from sidecar.settings.model import COMMAND_LINE, ENVIRONMENT, MAKE_COMMAND_LINE, REMEMBERED, Given, Settings
from sidecar.settings.registry import ALIASES, MAKE_ONLY, SETTINGS
from sidecar.settings.setting import Setting
from sidecar.settings.typo import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FALLBACK_BASE_IMAGE = "debian:trixie-slim"
_USER_INFO = re.compile(r"(?P<scheme>^[A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_NO_PORT = re.compile(r"(?P<host>^(?:[A-Za-z][A-Za-z0-9+.-]*:/*)?[^\s:/?#@\[\]]*:)(?!/|\d*/?$).+", re.DOTALL)


def load(
    args: Sequence[str],
    environ: Mapping[str, str],
    root: Path,
    *,
    remembered: Mapping[str, str] | None = None,
    processors: int | None = None,
) -> Settings:
    """The settings of this call.

    Args:
        args: the verb's arguments; those of the form NAME=VALUE are read, others left alone.
        environ: the process environment, with MAKEFLAGS when make started us.
        root: the checkout, whose .env is read.
        remembered: the texts that the last `up` wrote down, by name.
        processors: how many processors this machine has, for WORKERS=auto.

    Raises:
        SettingError: a value that cannot be, or a name one typo away from a known one.

    """
    entries = dotenv.read(root / ".env", environ)
    given = _gather(args, environ, entries, remembered or {})
    setting_values = _parse_all(given, processors or os.cpu_count() or 1)
    _settle(setting_values, given, root)
    return Settings(
        root=root,
        given=given,
        passthrough={e.name: e.value for e in entries if e.name.startswith("LOCUST_") and e.name not in SETTINGS},
        **setting_values,
    )


def project_name(args: Sequence[str], environ: Mapping[str, str], root: Path) -> str:
    """The PROJECT alone, to find what its last `up` wrote down."""
    given = _gather(args, environ, dotenv.read(root / ".env", environ), {})
    return str(_parse(SETTINGS["PROJECT"], given.get("PROJECT"), 1))


def command_line(args: Iterable[str]) -> dict[str, str]:
    """The NAME=VALUE arguments of a verb."""
    pairs = (arg.partition("=") for arg in args if not arg.startswith("-"))
    return {name: value for name, equals, value in pairs if equals}


def _gather(
    args: Sequence[str],
    environ: Mapping[str, str],
    entries: Sequence[dotenv.DotenvEntry],
    remembered: Mapping[str, str],
) -> dict[str, Given]:
    """Each setting with the text of the source that wins. Later layers overwrite earlier ones."""
    typed = command_line(args)
    made = [name for name in makeflags.given(environ.get("MAKEFLAGS", "")) if name in environ]
    for name in typed:
        _refuse_typo(name, COMMAND_LINE, (*SETTINGS, *ALIASES))
    for name in made:
        _refuse_typo(name, MAKE_COMMAND_LINE, (*SETTINGS, *ALIASES))
    for entry in entries:
        _refuse_typo(entry.name, f".env line {entry.line}", (*SETTINGS, *ALIASES))

    given: dict[str, Given] = {}
    for entry in entries:
        _put(given, entry.name, entry.value, f".env line {entry.line}")
    for name, raw in remembered.items():
        _put(given, name, raw, REMEMBERED)
    for name in SETTINGS:  # aliases are not asked for here: TIME and RATE are other programs' names too
        if name in environ and name not in MAKE_ONLY:
            _put(given, name, environ[name], ENVIRONMENT)
    for name in made:
        _put(given, name, environ[name], MAKE_COMMAND_LINE)
    for name, raw in typed.items():
        _put(given, name, raw, COMMAND_LINE)
    return given


def _put(given: dict[str, Given], name: str, raw: str, source: str) -> None:
    name = ALIASES.get(name, name)
    raw = raw.strip()
    if name in SETTINGS and (raw or source in (COMMAND_LINE, MAKE_COMMAND_LINE)):
        given[name] = Given(raw, source)


def _refuse_typo(name: str, where: str, known: Iterable[str]) -> None:
    if name in SETTINGS or name in ALIASES:
        return
    meant = nearest(name, known)
    if meant:
        raise SettingError(f"{name} is no setting, but one typo away from {meant}", where=where, fix=f"write {meant}")


def _parse_all(given: Mapping[str, Given], processors: int) -> dict[str, Any]:
    return {name.lower(): _parse(setting, given.get(name), processors) for name, setting in SETTINGS.items()}


def _parse(setting: Setting, entry: Given | None, processors: int) -> object:
    raw = (entry.raw if entry else "") or setting.default
    parser = partial(parse.workers, processors) if setting.name == "WORKERS" else setting.parse
    if not raw:
        return _of_nothing(parser)
    try:
        return parser(raw)
    except ValueError as error:
        seen = "cannot be used" if setting.secret else f"is {_shown(setting, raw)!r}"
        raise SettingError(f"{setting.name} {seen}", wanted=str(error), where=entry.source if entry else "") from None


def _shown(setting: Setting, raw: str) -> str:
    """A refused text without the password that may be in it: where one begins, nobody knows of a mistyped URL."""
    if "@" in raw:
        return _USER_INFO.sub(lambda found: f"{found['scheme'] or ''}***@", raw, count=1)
    return _NO_PORT.sub(r"\g<host>***", raw) if "://" in f"{setting.unit}{raw}" else raw


def _of_nothing(parser: Callable[[str], object]) -> object:
    """What no text means: the empty text or list of a parser that knows one, else None."""
    try:
        return parser("")
    except ValueError:
        return None


def _settle(values: dict[str, Any], given: Mapping[str, Given], root: Path) -> None:
    """Defaults that hang on other settings, folders made absolute, and pairs that contradict each other."""
    values["host"] = values["host"] or ""
    values["watch_project"] = values["watch_project"] or ""
    values["base_image"] = values["base_image"] or _found_base_image(root)
    values["monitor_port"] = values["monitor_port"] or _next_port(values["web_port"])
    for name in ("locustfiles_dir", "reports_dir"):
        values[name] = Path(os.path.abspath(root / Path(values[name]).expanduser()))  # noqa: PTH100  keeps symlinks
    _check_ports(values)
    _check_watched(values, given)
    _check_memory(values, given)


def _found_base_image(root: Path) -> str:
    try:
        found = (root / ".locust-kit" / "base-image").read_text(encoding="utf-8").strip()
    except OSError:
        found = ""
    return found or FALLBACK_BASE_IMAGE


def _next_port(web_port: int) -> int:
    return web_port + 1 if web_port < 65535 else web_port - 1  # noqa: PLR2004  the highest TCP port


def _check_ports(values: Mapping[str, Any]) -> None:
    if values["web_port"] == values["monitor_port"]:
        raise SettingError(f"WEB_PORT and MONITOR_PORT are both {values['web_port']}", wanted="two different ports")


def _check_watched(values: Mapping[str, Any], given: Mapping[str, Given]) -> None:
    if values["watch_project"] and values["watch_project"] == values["project"]:
        raise SettingError(
            f"WATCH_PROJECT is {values['watch_project']!r}, which is this stack itself",
            wanted="another Compose project (docker compose ls shows them), or nothing",
            where=given["WATCH_PROJECT"].source,
        )


def _check_memory(values: dict[str, Any], given: Mapping[str, Given]) -> None:
    if values["worker_memory_reservation"] <= values["worker_memory"]:
        return
    entry = given.get("WORKER_MEMORY_RESERVATION")
    if entry is None or not entry.raw:  # nobody asked for the default reservation: it follows a smaller limit
        values["worker_memory_reservation"] = values["worker_memory"]
        return
    limit = (given["WORKER_MEMORY"].raw if "WORKER_MEMORY" in given else "") or SETTINGS["WORKER_MEMORY"].default
    raise SettingError(
        f"WORKER_MEMORY_RESERVATION is {entry.raw!r}, more than the limit WORKER_MEMORY {limit}",
        wanted="a reservation of at most the limit",
        where=entry.source,
    )
