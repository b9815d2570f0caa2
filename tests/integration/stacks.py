"""A stack under test, and small tools around the real engine."""

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from tests.paths import ROOT
from tests.ports import free_port

USERS_FILES = Path(__file__).parent / "users_files"
SLOWER = float(os.environ.get("KIT_TEST_SLOWER", "4"))  # than the machine that the deadlines were chosen on
DOCKER_SECONDS = float(os.environ.get("KIT_TEST_DOCKER_SECONDS", "120"))  # an emulated machine takes longer

# Put beneath a locustfile: a run that lasts until Stack.end_shape().
UNTIL_DONE = """
from pathlib import Path

from locust import LoadTestShape

class UntilDone(LoadTestShape):
    def tick(self):
        return None if Path("/tmp/done").exists() else (20, 20)
"""


def readable(folder: Path) -> None:
    """Let containers read a folder of pytest, which only its user can enter."""
    for path in takewhile(lambda path: path != Path(tempfile.gettempdir()), (folder, *folder.parents)):
        path.chmod(0o755)


def docker(*arguments: str, check: bool = True) -> str:
    """What the docker command line prints; stripped."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=DOCKER_SECONDS, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def log_of(container: str, lines: str = "all") -> str:
    """What a container printed, on both streams."""
    command = ["docker", "logs", "--tail", lines, container]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOCKER_SECONDS, check=True)
    return done.stdout + done.stderr


T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Wait for `condition` to be true; return its value.

    Fails after SLOWER times the `seconds` that are generous on a machine with nothing else to do, and says `what`.
    """
    deadline = time.monotonic() + seconds * SLOWER
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds * SLOWER:.0f} s for {what}"
        time.sleep(0.3)
    return value


@dataclass
class Stack:
    """One stack under test, driven as a person drives it: through scripts/kit."""

    project: str
    reports: Path
    web_port: int = field(default_factory=free_port)
    monitor_port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)

    def kit(self, verb: str, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run `scripts/kit VERB NAME=VALUE ...` to its end."""
        return subprocess.run(
            self.command(verb, *arguments),
            cwd=ROOT,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of `kit`."""
        own = {
            "PROJECT": self.project,
            "WEB_PORT": str(self.web_port),
            "MONITOR_PORT": str(self.monitor_port),
            "REPORTS_DIR": str(self.reports),
        }
        given = own | self.settings
        return [str(ROOT / "scripts/kit"), verb, *(f"{name}={value}" for name, value in given.items()), *arguments]

    def environ(self) -> dict[str, str]:
        """An environment in which nothing is set by accident."""
        kept = ("PATH", "HOME", "LANG", "DOCKER_HOST", "SSL_CERT_FILE", "PIP_CERT", "TERM")
        return {name: os.environ[name] for name in kept if name in os.environ}

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`kit up`, which must succeed."""
        done = self.kit("up", *arguments, timeout=1200)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done

    def start_run(self, *arguments: str) -> subprocess.Popen[str]:
        """`kit run` in the background, once the master says that it is running; end it with kill()."""
        run = subprocess.Popen(
            self.command("run", *arguments),
            cwd=ROOT,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            until(lambda: self.web("/stats/requests")["state"] == "running", 20, "the run to go")
        except BaseException:
            run.kill()
            raise
        return run

    def end_shape(self) -> None:
        """End a run of UNTIL_DONE."""
        docker("exec", *self.containers("locust-master"), "touch", "/tmp/done")  # noqa: S108  the container's own

    def web(self, path: str) -> Any:
        """JSON from the master's web API."""
        return get_json(f"http://127.0.0.1:{self.web_port}{path}")

    def snapshot(self) -> Any:
        """The sidecar's snapshot."""
        return get_json(f"http://127.0.0.1:{self.monitor_port}/api/snapshot")

    def newest_run(self) -> str:
        """The id of the run that is going, or was last; "" for none."""
        run = self.web("/locust-kit/status")["run"]
        return str(run["run_id"]) if run else ""

    def report(self, run_id: str) -> Any:
        """The sidecar's report of a run."""
        return get_json(f"http://127.0.0.1:{self.monitor_port}/api/runs/{run_id}")

    def ended(self, run_id: str, seconds: float = 90) -> Any:
        """The report of a run once it is over and nothing may change any more."""

        def found() -> Any:
            report = self.report(run_id)
            return report["state"] != "going" and report["settled"] and report

        return until(found, seconds, f"the end of {run_id}")

    def worker_count(self) -> int:
        """How many workers the master counts."""
        count: int = self.web("/worker-count")["worker_count"]
        return count

    def containers(self, service: str = "") -> list[str]:
        """The ids of the stack's containers, running or not, one-off ones aside."""
        filters = [f"label=com.docker.compose.project={self.project}", "label=com.docker.compose.oneoff=False"]
        if service:
            filters.append(f"label=com.docker.compose.service={service}")
        out = docker("ps", "-aq", "--no-trunc", *(part for f in filters for part in ("--filter", f)))
        return sorted(out.split())

    def inspect(self, service: str) -> list[dict[str, Any]]:
        """`docker inspect` of each container of a service."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", *self.containers(service)))
        return found


def get_json(url: str) -> Any:
    """The JSON document at a loopback address."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  loopback only
        return json.load(answer)


def remove(project: str) -> None:
    """End everything that belongs to a test's project, whatever state it is in."""
    label = f"label=com.docker.compose.project={project}"
    # With a number: an image that Compose built passes its project's label on to whatever else is started from it.
    numbered = ["--filter", "label=com.docker.compose.container-number"]
    for kind, listing in (
        ("container", ["ps", "-aq", *numbered]),
        ("network", ["network", "ls", "-q"]),
        ("volume", ["volume", "ls", "-q"]),
    ):
        found = docker(*listing, "--filter", label, check=False).split()
        if found:
            docker(kind, "rm", "-f", *found, check=False)
    for row in docker("volume", "ls", "-q", "--filter", f"label=io.locust-kit.project={project}", check=False).split():
        docker("volume", "rm", row, check=False)
    (ROOT / ".locust-kit/state" / f"{project}.json").unlink(missing_ok=True)
