"""Read the configuration of this checkout: settings, env files, the Compose file, the user's files on disk."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sidecar.common.errors import KitError, LocustfileError, SettingError, StackError
from sidecar.common.records import shared
from sidecar.diagnose.evidence import ComposeService, ConfigFacts, EnvLine, FileProblem, Pair
from sidecar.diagnose.rules.locust_names import LEGACY, NEEDED_BY_LOCUST
from sidecar.settings import Settings, dotenv, locust_options
from sidecar.settings.addresses import shown
from sidecar.stack import check, locustfile, remote, state, user_files, workspace

_COMPOSE_SECONDS = 8.0
_GIT_SECONDS = 3.0
_MOST_SOURCES = 200
_VARIABLE = re.compile(rb"\bLOCUST_[A-Z0-9_]+\b")


def load(args: Sequence[str], environ: Mapping[str, str], root: Path) -> tuple[Settings, str]:
    """Return the settings after the last `up`, and their error. With an error, only the project name is set."""
    try:
        settings = workspace.settings_after_up(args, environ, root)
        locust_options.processes(settings.unasked)  # find a number that Locust rejects here, not later
    except SettingError as error:
        return workspace.settings_of_project_alone(args, environ, root), error.line()
    return settings, ""


def facts(settings: Settings, settings_error: str) -> ConfigFacts:
    """Read all facts that are in files, without Docker."""
    hosts, master = workspace.loaded_hosts(settings), workspace.decided(settings).master
    problems = () if settings_error else (*_file_problems(settings), *_without_effect(settings))
    own = {
        "locustfiles_dir": str(settings.locustfiles_dir),
        "master": shown(*master) if master else "",
        "processes": 1 if settings_error else workspace.processes(settings),
    }
    return ConfigFacts(
        **shared(settings, ConfigFacts) | own,
        settings_error=settings_error,
        remembered=bool(state.read(state.path_of(settings.root, settings.project)).get("choices")),
        up_words=tuple(up_words(settings)),
        remote_address_is_own=not settings.remote_workers or remote.is_own(settings.remote_workers),
        worker_memory_bytes=settings.worker_memory,
        master_memory_bytes=settings.master_memory,
        class_hosts=tuple(Pair(name, host) for name, host in hosts.items()),
        env_lines=tuple(_env_lines(settings)),
        compose_modified=_is_modified(settings.root, "docker-compose.yml"),
        file_problems=problems,
        own_variables=_own_variables(settings.locustfiles_dir),
    )


def up_words(settings: Settings) -> Iterator[str]:
    """Yield the NAME=VALUE words of the last `make up` that are not in .env, to repeat it."""
    if settings.project != "locust":
        yield f"PROJECT={settings.project}"
    for name, raw in state.choices(settings).items():
        if not settings.given[name].is_of_a_file:
            yield shlex.quote(f"{name}={raw}".replace("$", "$$"))


def _env_lines(settings: Settings) -> Iterator[EnvLine]:
    for path in (settings.root / ".env", settings.locustfiles_dir / ".env"):
        shown = str(path.relative_to(settings.root)) if path.is_relative_to(settings.root) else str(path)
        try:
            entries = dotenv.read(path, {})
        except SettingError:
            continue  # reported by settings_error, or by Compose
        for entry in entries:
            if entry.name.startswith("LOCUST_") or entry.name in LEGACY:
                yield EnvLine(shown, entry.line, entry.name, entry.value)


def _is_modified(root: Path, name: str) -> bool:
    """Return whether a tracked file differs from the committed one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "diff", "--quiet", "HEAD", "--", name],
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 1


def _file_problems(settings: Settings) -> Iterator[FileProblem]:
    try:
        paths = locustfile.sources(settings)
    except LocustfileError as error:
        yield FileProblem("missing", settings.locustfile, error.what, fix=error.fix or error.wanted)
        return
    except SettingError as error:
        yield FileProblem("missing", str(settings.locustfiles_dir), error.what, fix=error.fix)
        return
    yield from _shadows(settings.locustfiles_dir)
    for path in paths:
        name = path.relative_to(settings.locustfiles_dir).as_posix()
        try:
            tree = ast.parse(path.read_bytes(), filename=name)
        except OSError as error:
            yield FileProblem("unreadable", name, f"cannot be read: {error.strerror}")
            continue
        except SyntaxError as error:
            if not locustfile.may_be_newer(error, locustfile.IMAGE_PYTHON):
                yield FileProblem("syntax", name, f"syntax error: {error.msg}", error.lineno)
            continue
        except ValueError as error:
            yield FileProblem("syntax", name, f"not Python text: {error}")
            continue
        for line, api, fix in sorted(locustfile.removed(tree)):
            yield FileProblem("removed-api", name, f"{api} is gone from Locust", line, fix)


def _without_effect(settings: Settings) -> Iterator[FileProblem]:
    """Yield lines that Locust silently ignores, as the last check of `up` or `reload` found them."""
    for warning in check.code_warnings(state.recall(settings).get("decided") or {}):
        yield FileProblem("no-effect", warning.file, warning.text, warning.line, warning.fix)


def _shadows(folder: Path) -> Iterator[FileProblem]:
    for name in sorted(NEEDED_BY_LOCUST):
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file():
                shown = path.relative_to(folder).as_posix()
                yield FileProblem("shadow", shown, f"Python imports it instead of the package {name}", fix=name)


def _own_variables(folder: Path) -> tuple[str, ...]:
    """Return the LOCUST_* names in the user's own code, which may read them itself."""
    names: set[bytes] = set()
    sources = [path for path in user_files.walk(folder).paths if path.suffix == ".py"]
    for path in sources[:_MOST_SOURCES]:
        with suppress(OSError):
            names.update(_VARIABLE.findall(path.read_bytes()))
    return tuple(sorted(name.decode() for name in names))


def with_compose(facts: ConfigFacts, settings: Settings, environ: Mapping[str, str]) -> ConfigFacts:
    """Return the facts with the services that Compose reads from the files now.

    Raises:
        StackError: Compose could not be run at all.

    """
    compose = workspace.compose_for(settings, workspace.decided(settings), environ)
    try:
        workspace.user_env(settings)  # Compose names neither the file nor its encoding
        text = compose.run("config", "--format", "json", timeout=_COMPOSE_SECONDS)
    except StackError as error:
        if "not installed" in error.what or "did not end" in error.what:
            raise
        return replace(facts, compose_error=error.what.removeprefix("docker compose config failed: "))
    except KitError as error:
        return replace(facts, compose_error=error.line())
    document = json.loads(text[text.index("{") :])
    return replace(facts, services=tuple(_services(document.get("services") or {})))


def _services(services: Mapping[str, Mapping[str, object]]) -> Iterator[ComposeService]:
    for name, service in services.items():
        environment = service.get("environment")
        pairs = environment.items() if isinstance(environment, dict) else ()
        words = [*_words(service.get("entrypoint")), *_words(service.get("command"))]
        yield ComposeService(
            service=str(name),
            image=str(service.get("image", "")),
            environment=tuple(Pair(str(key), "" if value is None else str(value)) for key, value in pairs),
            command=tuple(words),
        )


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return shlex.split(value)
    return [str(word) for word in value] if isinstance(value, list) else []
