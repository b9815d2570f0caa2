"""Ask Locust itself, inside the image, whether the user's files can run: modules, classes, shapes, hosts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.drive import state
from sidecar.errors import KitError, LocustfileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidecar.settings import Settings

_TIMEOUT_SECONDS = 60
_MOST_FILES = 5000
_SKIPPED = frozenset({".git", ".hg", ".venv", ".locust-kit", "venv", "node_modules", "__pycache__"})


@dataclass(frozen=True)
class UserClass:
    """One User class as Locust found it; `host` is None when the class names none."""

    name: str
    host: str | None


@dataclass(frozen=True)
class Checked:
    """What the user's files hold."""

    user_classes: tuple[UserClass, ...]
    shape_class: str | None

    def as_json(self) -> dict[str, Any]:
        """The same as it is remembered."""
        return {
            "shape_class": self.shape_class,
            "user_classes": [{"name": one.name, "host": one.host} for one in self.user_classes],
        }


def fingerprint(settings: Settings, image_id: str, user_env: Mapping[str, str]) -> str:
    """A hash of everything that the check depends on: the image, every file's name, size and time, the settings."""
    digest = hashlib.sha256()
    told = [
        image_id,
        settings.locustfile,
        settings.locustfiles_dir,
        sorted(user_env.items()),
        sorted(settings.passthrough.items()),
    ]
    digest.update(repr(told).encode())
    for seen, path in enumerate(_walk(settings.locustfiles_dir)):
        if seen == _MOST_FILES:
            break
        about = path.stat() if path.exists() else path.lstat()
        digest.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
        if path.suffix == ".py":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (Path(here) / name for name in sorted(files))


def check(settings: Settings, image: str, image_id: str, user_env: Mapping[str, str]) -> tuple[Checked, bool]:
    """What the user's files hold, and whether that was known already from the same files and image.

    Raises:
        LocustfileError: they cannot run; names file and line.
        KitError: the check itself could not be done.

    """
    cache = settings.state_dir / "state" / "check" / f"{settings.project}.json"
    print_of_now = fingerprint(settings, image_id, user_env)
    known = state.read(cache)
    if known.get("fingerprint") == print_of_now:
        return read(known["answer"]), True
    answer = _ask(settings, image, user_env)
    checked = read(answer)
    state.write(cache, {"fingerprint": print_of_now, "answer": answer})
    return checked, False


def read(answer: Mapping[str, Any]) -> Checked:
    """The check's answer as what it holds, or the error that it tells of."""
    problems = answer.get("problems") or []
    if not answer.get("passed"):
        first = problems[0] if problems else {"text": "the locustfile cannot run"}
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        place = " line ".join(str(part) for part in (first.get("file"), first.get("line")) if part)
        raise LocustfileError(f"{first['text']}{more}", where=place, fix=first.get("fix") or "")
    classes = tuple(UserClass(one["name"], one.get("host") or None) for one in answer.get("user_classes") or [])
    return Checked(classes, answer.get("shape_class"))


def _ask(settings: Settings, image: str, user_env: Mapping[str, str]) -> dict[str, Any]:
    with _env_file({**user_env, **settings.passthrough, "LOCUSTFILE": settings.locustfile}) as env_flags:
        command = [
            "docker",
            "run",
            "--rm",
            "--label",
            "io.locust-kit.role=check",
            "--read-only",
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges:true",
            "--init",
            "--memory",
            str(settings.worker_memory),
            "--tmpfs",
            "/tmp:size=64m,mode=1777",  # noqa: S108  the container's own
            "--tmpfs",
            "/home/locust:size=128m,uid=10001,gid=10001,mode=0750",
            "--mount",
            f"type=bind,source={settings.locustfiles_dir},target=/mnt/locust,readonly",
            *env_flags,
            image,
            "check",
        ]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise LocustfileError(
                f"loading {settings.locustfile} did not end within {_TIMEOUT_SECONDS} s",
                fix="move slow work from import time into a test_start listener",
            ) from None
        except OSError as error:
            raise KitError(f"the locustfile could not be checked: {error}") from None
    return _last_json(done.stdout, done.stderr)


def _last_json(stdout: str, stderr: str) -> dict[str, Any]:
    """The check's JSON line: the last that is one, for the user's own prints may stand before it."""
    for line in reversed(stdout.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "passed" in found:
            return found
    words = [line for line in (stderr or stdout).splitlines() if line.strip()]
    raise KitError(f"the locustfile could not be checked: {words[-1].strip() if words else 'no answer'}")


@contextmanager
def _env_file(variables: Mapping[str, str]) -> Iterator[list[str]]:
    """Flags that give a container these variables. A file, not arguments: arguments are seen by every local user."""
    plain = {name: value for name, value in variables.items() if "\n" not in value}
    with tempfile.NamedTemporaryFile("w", suffix=".env", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in plain.items())
        file.flush()
        several_lines = [
            part for name in variables.keys() - plain.keys() for part in ("-e", f"{name}={variables[name]}")
        ]
        yield ["--env-file", file.name, *several_lines]
