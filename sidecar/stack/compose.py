"""`docker compose` as a subprocess, with the environment for docker-compose.yml."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from sidecar.common import atomic
from sidecar.common.errors import KitError, StackError
from sidecar.common.visible_text import harmless
from sidecar.settings import SECRET_FILES, SETTINGS, Settings
from sidecar.stack import limits, secrets
from sidecar.stack.docker_command import installed, last_words

MOCK_HOST = "mock-target"
_GRACE_SECONDS = 20  # above Locust's own stop timeout: Locust then reports and disconnects
_NO_HOST_NAME = re.compile(r"[^A-Za-z0-9.-]")
_LONGEST_HOST_NAME = 63
_KNOWN_ERRORS = Path(__file__).with_name("known_errors.yaml")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")

# A variable that is not empty → the file in docker/ that it adds.
_ADDED = (
    ("TARGET_NETWORK", "target-network.yml"),
    ("KIT_MASTER_NETWORK", "target-network-master.yml"),
    ("REMOTE_WORKERS", "remote-workers.yml"),
    ("KIT_MASTER_HOST", "join.yml"),
)


@dataclass(frozen=True)
class Decided:
    """The facts that only `up` knows: the target, the image, the proxy's user, the hashes of the images' inputs.

    `master` is the address of another machine's master, for `join`; None if the stack has its own master. `processes`
    is the number of Locust processes in each worker container.
    """

    host: str = ""
    mock: bool = False
    locust_image: str = ""
    proxy_user: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    master: tuple[str, int] | None = None
    processes: int = 1


def environment(
    settings: Settings, decided: Decided, environ: Mapping[str, str], master_url: str = ""
) -> dict[str, str]:
    """Return the environment of one `docker compose` call: the caller's, with our settings as decided.

    `master_url` is the master's web API for the monitor; "" means the default.
    """
    ours = {*SETTINGS, *SECRET_FILES, "MAKEFLAGS"}
    inherited = {name: value for name, value in environ.items() if name not in ours}
    given = {
        setting.variable: _text(getattr(settings, name.lower()))
        for name, setting in SETTINGS.items()
        if setting.to and not setting.secret
    }
    made = {
        "KIT_HOST": decided.host,
        "HEALTH_TARGET": _text(settings.health_target and not settings.target_network),
        "KIT_MASTER_NETWORK": settings.target_network if settings.target_network_master else "",
        "KIT_ENV_FILE": str(env_file_path(settings)),
        "LABELS": " ".join(settings.labels),
        "THRESHOLDS": " ".join(threshold.text for threshold in limits.thresholds(settings, environ)),
        "LOCUST_IMAGE": decided.locust_image or settings.locust_image,
        "DOCKER_PROXY_USER": decided.proxy_user,
        "STOP_GRACE_PERIOD": f"{settings.stop_timeout + _GRACE_SECONDS}s",
        "KIT_LOCUST_URL": master_url,
        "KIT_PROCESSES": str(decided.processes) if decided.processes > 1 else "",
        "COMPOSE_PROFILES": "mock" if decided.mock else "",
    }
    hashes = {f"KIT_INPUTS_{image.upper().replace('-', '_')}": digest for image, digest in decided.inputs.items()}
    return {**inherited, **given, **made, **hashes, **_elsewhere(settings, decided), **secrets.environment(settings)}


def _elsewhere(settings: Settings, decided: Decided) -> dict[str, str]:
    """Return the variables for remote workers: who may join here, or the master to join."""
    host, port = decided.master or ("", "")
    return {
        "KIT_REMOTE_ALLOW": " ".join(settings.remote_allow),
        "KIT_MASTER_HOST": host,
        "KIT_MASTER_PORT": str(port),
        "KIT_MACHINE": _NO_HOST_NAME.sub("-", socket.gethostname())[:_LONGEST_HOST_NAME].strip("-.") or "machine",
    }


def _text(value: object) -> str:
    """Return a setting in the form of docker-compose.yml: a switch as 1 or 0, a list with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def env_file_path(settings: Settings) -> Path:
    """Return the file that passes LOCUST_* settings of the checkout's .env to the containers."""
    return settings.state_dir / "state" / f"{settings.project}.env"


def write_env_file(settings: Settings) -> None:
    """Write the LOCUST_* of .env, and no other line of it, to the file that docker-compose.yml reads."""
    path = env_file_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = render_env_file(settings.passthrough)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic.write_text(path, text)


def render_env_file(variables: Mapping[str, str]) -> str:
    """Return an env file whose values Docker Compose reads unchanged.

    Text in single quotes is literal. A value with a single quote needs escapes.
    """
    return "".join(f"{name}={_quote(value)}\n" for name, value in sorted(variables.items()))


def _quote(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'


@dataclass(frozen=True)
class Compose:
    """One project's `docker compose`."""

    root: Path
    project: str
    env: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command line. With `--env-file`, Compose does not read .env by itself."""
        files = ["-f", str(self.root / "docker-compose.yml")]
        for variable, name in _ADDED:
            if self.env.get(variable):
                files += ["-f", str(self.root / "docker" / name)]
        options = ("--project-directory", str(self.root), "--env-file", os.devnull, "-p", self.project)
        return ["docker", "compose", *options, *files, *arguments]

    @installed()
    def run(self, *arguments: str, timeout: float = 300) -> str:
        """Run it to its end and return its output.

        Raises:
            StackError: it failed. The message is a known cause in one line, or the last line of the output.

        """
        try:
            done = subprocess.run(
                self.command(*arguments),
                env=dict(self.env),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"docker compose {arguments[0]} took more than {timeout:.0f} s") from None
        if done.returncode:
            raise explain(done.stdout, arguments[0])
        return done.stdout

    @installed()
    def print_plain(self, *arguments: str, out: TextIO) -> int:
        """Run it, write all its output to `out` without terminal escapes, and return its exit code."""
        streams: Mapping[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(self.command(*arguments), env=dict(self.env), **streams) as process:
            try:
                for line in process.stdout or ():
                    out.write(without_escapes(line.decode(errors="replace")))
                    out.flush()
            except BaseException:  # the reader is gone; a command with `--follow` would never end by itself
                process.terminate()
                raise
        return process.returncode


def without_escapes(text: str) -> str:
    """Return lines without terminal escape sequences (colours, window titles), other control characters as escapes."""
    return harmless(_ESCAPES.sub("", text).replace("\r\n", "\n"), keep="\n\t")


def explain(output: str, verb: str) -> KitError:
    """Return the one-line error for a failed `docker compose VERB`."""
    return known_cause(output) or StackError(f"docker compose {verb} failed: {last_words(output) or 'no output'}")


def known_cause(output: str) -> KitError | None:
    """Return the known cause of Docker's message, or None."""
    import yaml  # noqa: PLC0415  slow to import, and only needed after a failure

    for known in yaml.safe_load(_KNOWN_ERRORS.read_text(encoding="utf-8")):
        match = re.search(known["pattern"], output)
        if match:
            values = {name.rstrip("2"): value for name, value in match.groupdict().items() if value}
            return StackError(known["problem"].format(**values), fix=known["fix"])
    return None
