"""Let Locust itself, inside the image, check the user's files: modules, classes, shapes, hosts."""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sidecar.common.errors import KitError, LocustfileError
from sidecar.common.units import MIB, mebibytes
from sidecar.model.incident import SIGKILL_EXIT
from sidecar.settings import Settings
from sidecar.stack import locustfile, state, user_files
from sidecar.stack.compose import MOCK_HOST, known_cause
from sidecar.stack.docker_command import DockerSlowError, csv_line, docker, last_words

_TIMEOUT_SECONDS = 60
_ENGINE_REFUSED = 125  # `docker run`'s own exit code, when the container never ran
_TIGHT_MEMORY_BYTES = 128 * MIB  # with so little memory, loading may be very slow instead of being killed


@dataclass(frozen=True)
class UserClass:
    """One User class as Locust found it.

    `host` is None if the class has no host. `http` means that it needs a host, which must be a URL.
    """

    name: str
    host: str | None
    http: bool = True


@dataclass(frozen=True)
class CodeWarning:
    """A line of the user's files that Locust ignores without a message, and its replacement."""

    file: str
    line: int | None
    text: str
    fix: str

    @property
    def shown(self) -> str:
        """Return it as one line."""
        place = f"{self.file} line {self.line}" if self.line else self.file
        return f"warning: {place}: {self.text} → {self.fix}"


@dataclass(frozen=True)
class Checked:
    """The content of the user's files. Locust uses the first of several load shapes."""

    user_classes: tuple[UserClass, ...]
    shapes: tuple[str, ...] = ()
    warnings: tuple[CodeWarning, ...] = ()


def fingerprint(settings: Settings, image_id: str, user_env: Mapping[str, str]) -> str:
    """Return a hash of every input of the check: the image, each file's name, size and time, the settings."""
    digest = hashlib.sha256()
    depends_on = [
        image_id,
        settings.locustfile,
        settings.locustfiles_dir,
        settings.otel,
        settings.allowed_targets,
        sorted(user_env.items()),
        sorted(settings.passthrough.items()),
        limits(settings),
        (settings.target_network, settings.mock or MOCK_HOST in settings.host),  # what they can reach on import
    ]
    digest.update(repr(depends_on).encode())
    files = user_files.walk(settings.locustfiles_dir, obey_ignores=False)  # the check's container has the whole folder
    if not files.is_whole:
        digest.update(secrets.token_bytes())  # an unseen file may have changed
    for path in files.paths:
        about = path.stat() if path.exists() else path.lstat()
        digest.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
        if path.suffix == ".py" and path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def check(
    settings: Settings,
    image: str,
    image_id: str,
    user_env: Mapping[str, str],
    networks: Callable[[], Sequence[str]] = tuple,
) -> tuple[Checked, bool]:
    """Return the content of the user's files, and whether it was already known for the same files and image.

    `networks` starts the services that the files may call on import, and returns the workers' networks.

    Raises:
        LocustfileError: they cannot run. The message names file and line.
        KitError: the check itself failed, or Docker refuses the limits of a worker.

    """
    cache = settings.state_dir / "state" / "check" / f"{settings.project}.json"
    print_of_now = fingerprint(settings, image_id, user_env)
    known = state.read(cache)
    if known.get("fingerprint") == print_of_now:
        return read(known["answer"], settings), True
    answer = _ask(settings, image, user_env, networks())
    checked = read(answer, settings)
    state.write(cache, {"fingerprint": print_of_now, "answer": answer})
    return checked, False


def read(answer: Mapping[str, Any], settings: Settings) -> Checked:
    """Read the check's answer: the content of the files, or its error."""
    problems = answer.get("problems") or []
    if not answer.get("passed"):
        first = problems[0] if problems else {"text": "the locustfile cannot run"}
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        place = " line ".join(str(part) for part in (first.get("file"), first.get("line")) if part)
        raise LocustfileError(f"{first['text']}{more}", where=place, fix=_fix(first, settings))
    classes = tuple(
        UserClass(user_class["name"], user_class.get("host") or None, bool(user_class.get("http", True)))
        for user_class in answer.get("user_classes") or []
    )
    return Checked(classes, tuple(answer.get("shapes") or ()), code_warnings(answer))


def code_warnings(document: Mapping[str, Any]) -> tuple[CodeWarning, ...]:
    """Return the warnings in the check's answer, new or saved."""
    rows = document.get("warnings") or []
    return tuple(CodeWarning(row["file"], row.get("line"), row["text"], row.get("fix") or "") for row in rows)


def _fix(problem: Mapping[str, Any], settings: Settings) -> str:
    """Return the problem's fix, with facts that only the host knows: the folder's real path, and the files near it."""
    fix, folder = str(problem.get("fix") or ""), settings.locustfiles_dir
    if problem.get("name"):
        return locustfile.elsewhere(str(problem["name"]), settings) or fix
    if problem.get("kind") != "unreadable":
        return fix
    if fix.startswith("chmod o+rx"):
        return f"chmod o+rx {shlex.quote(str(folder))}"
    return f"chmod o+r {shlex.quote(str(folder / str(problem.get('file'))))}"


def limits(settings: Settings) -> list[str]:
    """Return a worker's limits as flags of `docker run`, so that Docker refuses bad limits before anything starts."""
    memory = str(settings.worker_memory)
    cpus = [] if settings.worker_cpus is None else ["--cpus", f"{settings.worker_cpus:g}"]
    ulimit = f"nofile={settings.nofile}:{settings.nofile}"
    return ["--ulimit", ulimit, "--memory", memory, "--memory-swap", memory, *cpus]


def _ask(settings: Settings, image: str, user_env: Mapping[str, str], networks: Sequence[str]) -> dict[str, Any]:
    name = f"{settings.project}-check-{os.getpid()}"
    own = {"LOCUSTFILE": settings.locustfile, "KIT_ARTIFACTS": settings.artifacts, "KIT_OTEL": settings.otel}
    own["KIT_ALLOWED_TARGETS"] = ",".join(settings.allowed_targets)
    with _env_file({**settings.passthrough, **user_env, **own}) as env_flags:
        try:
            done = docker(
                *_command(settings, image, name, [*env_flags, *(f"--network={network}" for network in networks)]),
                seconds=_TIMEOUT_SECONDS,
            )
        except DockerSlowError:
            with suppress(KitError):  # or the container would never end
                docker("rm", "--force", name, seconds=_TIMEOUT_SECONDS)
            raise _too_slow(settings) from None
    answer = _last_json(done.stdout)
    if answer is None:
        raise failure(done.returncode, done.stderr or done.stdout, settings)
    return answer


def _command(settings: Settings, image: str, name: str, flags: Sequence[str]) -> list[str]:
    """Return the check's `docker run`: hardened and limited like a worker, with the user's folder and settings."""
    return [
        *("run", "--rm", "--name", name, "--label", "io.locust-kit.role=check"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--init"),
        *limits(settings),
        *("--tmpfs", "/tmp:size=64m,mode=1777"),  # noqa: S108  inside the container
        *("--tmpfs", "/home/locust:size=128m,uid=10001,gid=10001,mode=0750"),
        *("--mount", csv_line("type=bind", f"source={settings.locustfiles_dir}", "target=/mnt/locust", "readonly")),
        *("--add-host", "host.docker.internal:host-gateway", *flags),
        image,
        "check",
    ]


def _too_slow(settings: Settings) -> LocustfileError:
    problem = f"loading {settings.locustfile} took more than {_TIMEOUT_SECONDS} s"
    if settings.worker_memory < _TIGHT_MEMORY_BYTES:
        memory = f"WORKER_MEMORY is {mebibytes(settings.worker_memory)}"
        return LocustfileError(f"{problem}; {memory}", fix="make up WORKER_MEMORY=2G")
    if settings.worker_cpus is not None and settings.worker_cpus < 1:
        return LocustfileError(f"{problem}; WORKER_CPUS is {settings.worker_cpus:g}", fix="make up WORKER_CPUS=1")
    return LocustfileError(problem, fix="move slow work from import time into a test_start listener")


def _last_json(stdout: str) -> dict[str, Any] | None:
    """Return the check's answer: the last JSON line, because the user's own prints may come before it."""
    for line in reversed(stdout.splitlines()):
        if "passed" in (answer := state.json_object(line)):
            return answer
    return None


def failure(code: int, output: str, settings: Settings) -> KitError:
    """Return why a check container gave no answer, from its exit code and its output."""
    if code == _ENGINE_REFUSED and (known := known_cause(output)):
        return known
    if code == SIGKILL_EXIT:
        return KitError(
            f"loading {settings.locustfile} was killed (exit code {code}), probably for lack of memory: "
            f"WORKER_MEMORY is {mebibytes(settings.worker_memory)}",
            fix="make up WORKER_MEMORY=2G",
        )
    return KitError(f"the locustfile could not be checked: {last_words(output) or 'no answer'} (exit code {code})")


@contextmanager
def _env_file(variables: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield flags that give a container these variables in a file, because every local user can read arguments."""
    plain = {name: value for name, value in variables.items() if "\n" not in value}
    with tempfile.NamedTemporaryFile("w", suffix=".env", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in plain.items())
        file.flush()
        several_lines = [
            part for name in variables.keys() - plain.keys() for part in ("-e", f"{name}={variables[name]}")
        ]
        yield ["--env-file", file.name, *several_lines]
