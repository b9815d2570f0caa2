"""Run `look_around.py` in a container's network, and read its answer.

If that disturbs nothing, a process in the container itself runs it (exec). If the container is paused or short of
memory, a short-lived container of ours runs it in the same network namespace. If the container does not run, ours joins
the same networks. Our containers have a label and no capability, and are always removed.
"""

from __future__ import annotations

import base64
import json
import secrets
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sidecar.common.errors import EngineError
from sidecar.common.times import format_time
from sidecar.diagnose.evidence import ContainerFacts, Probe
from sidecar.diagnose.gather.later import Deadline
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.transport import RefusedError, demultiplex
from sidecar.model import document
from sidecar.stack.state import json_object

PROGRAM = Path(__file__).resolve().with_name("look_around.py")
ROLE = {"io.locust-kit.role": "probe"}
EXEC, BESIDE, ALONE = "exec", "beside", "alone"

_PROBE_SECONDS = 7.0
_NEEDED_BYTES = 32 << 20  # more than a small Python needs; it counts as the container's own memory
_OUR_MEMORY_BYTES = 96 << 20
_LEAST_PROCESSORS = 0.25  # with less, starting Python takes seconds of Locust's own CPU time
_LOG_LINES = 1000  # of a probe's output; the answer is the last line
_UNPACK = "import base64,sys,zlib;exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))))"


@dataclass(frozen=True, slots=True)
class Job:
    """The task of a probe: names, (host, port) pairs, (url, proxy) pairs, and facts inside the container."""

    names: tuple[str, ...] = ()
    tcp: tuple[tuple[str, int], ...] = ()
    http: tuple[tuple[str, str], ...] = ()
    inside: bool = True

    def text(self, seconds: float) -> str:
        """Return the job as JSON for the program."""
        http = [{"url": url, "proxy": proxy} for url, proxy in self.http]
        return json.dumps({**asdict(self), "http": http, "deadline": seconds})


def way_to(container: ContainerFacts) -> str:
    """Choose how to probe a container's network without disturbing the container. Pure."""
    if container.state == "paused":
        return BESIDE
    if container.state != "running":
        return ALONE
    limit, used = container.memory_limit_bytes or 0, container.memory_usage_bytes or 0
    is_full = bool(limit and used) and limit - used < _NEEDED_BYTES
    is_slow = container.cpu_limit is not None and container.cpu_limit < _LEAST_PROCESSORS
    return BESIDE if is_full or is_slow else EXEC


def look(engine: DockerEngine, container: ContainerFacts, job: Job, images: Sequence[str], deadline: Deadline) -> Probe:
    """Run a probe in a container's network.

    Args:
        engine: Docker.
        container: the container.
        job: the task of the probe.
        images: images with Python for our own container, the best first.
        deadline: the end of the probe.

    Raises:
        EngineError: no way to run the probe worked.

    """
    way = way_to(container)
    if way == EXEC:
        try:
            return read_answer(_exec(engine, container, job, deadline), container, EXEC)
        except NoPythonError:
            way = BESIDE
    if way == BESIDE:
        run = _current_run(engine, container, deadline)
        answer = _own(engine, container, way, job, images, deadline) if run else None
        if answer and run == _current_run(engine, container, deadline):
            return read_answer(answer, container, way)
    return read_answer(_own(engine, container, ALONE, job, images, deadline), container, ALONE)


def _current_run(engine: DockerEngine, container: ContainerFacts, deadline: Deadline) -> str:
    """Return the start time of a container's run, "" between two runs. The network of our container ends with it."""
    try:
        state = (engine.inspect(container.id, deadline.left(2.0)) or {}).get("State") or {}
    except RefusedError:
        return ""
    except EngineError:
        return "unknown"
    return str(state.get("StartedAt")) if state.get("Running") else ""


class NoPythonError(EngineError):
    """The container has no Python that could run the program."""


@cache
def _packed() -> str:
    """Return the program as one short word, because the engine repeats commands in its events."""
    return base64.b64encode(zlib.compress(PROGRAM.read_bytes(), 9)).decode()


def command(job: Job, seconds: float, python: str = "python3") -> list[str]:
    """Return the command that runs the program with a job."""
    return [python, "-I", "-S", "-c", _UNPACK, _packed(), job.text(seconds)]


def _seconds(deadline: Deadline) -> float:
    """Return how many seconds the program may run, so its answer still comes in time."""
    return max(1.0, min(_PROBE_SECONDS, deadline.left() - 1.5))


def _exec(engine: DockerEngine, container: ContainerFacts, job: Job, deadline: Deadline) -> dict[str, Any]:
    for python in ("python3", "python"):
        seconds = _seconds(deadline)
        try:
            output = engine.execute(container.id, command(job, seconds, python), deadline.left(seconds + 2.0))
        except RefusedError as error:
            if _lacks(error.reason.encode()):  # some engines check this before they start anything
                continue
            raise EngineError(f"Docker rejects exec: {error.reason}", where=container.name) from error
        answer = _last_json(output)
        if answer is not None:
            return answer
        if not _lacks(output):
            raise EngineError(f"the probe gave no answer: {_words(output)}", where=container.name)
    raise NoPythonError("the container has no Python", where=container.name)


def _lacks(output: bytes) -> bool:
    return b"executable file not found" in output or b"no such file" in output.lower()


def _words(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:120] if lines else "no output"


def _own(
    engine: DockerEngine, container: ContainerFacts, way: str, job: Job, images: Sequence[str], deadline: Deadline
) -> dict[str, Any]:
    """Run the program in our own container, from the first image that exists and has Python."""
    for image in images:
        answer = _in_image(engine, container, way, job, image, deadline)
        if answer is not None:
            return answer
    raise EngineError("no image with Python is available for the probe", fix="make up builds one")


def _in_image(
    engine: DockerEngine, container: ContainerFacts, way: str, job: Job, image: str, deadline: Deadline
) -> dict[str, Any] | None:
    name = f"locust-kit-probe-{secrets.token_hex(4)}"
    spec = own_container(container, way, image, command(replace(job, inside=False), _seconds(deadline)))
    try:
        engine.ask("create", lambda api: api.create_container_from_config(spec, name), seconds=deadline.left(5.0))
    except RefusedError:
        return None
    try:
        for further in container.networks[1:] if way == ALONE else ():
            _join(engine, name, further.network, deadline)
        _start(engine, name, container, deadline)
        with suppress(RefusedError):
            engine.ask("wait", lambda api: api.wait(name), seconds=deadline.left(_PROBE_SECONDS + 3.0))
        return _last_json(demultiplex(engine.log(name, _LOG_LINES, seconds=deadline.left(3.0))))
    finally:
        with suppress(EngineError):
            engine.ask("remove", lambda api: api.remove_container(name, v=True, force=True), seconds=5.0)


def _start(engine: DockerEngine, name: str, container: ContainerFacts, deadline: Deadline) -> None:
    try:
        engine.ask("start", lambda api: api.start(name), seconds=deadline.left(8.0))
    except RefusedError as error:
        raise EngineError(f"the container of the probe does not start: {error.reason}", where=container.name) from error


def own_container(container: ContainerFacts, way: str, image: str, command: Sequence[str]) -> dict[str, Any]:
    """Return the specification of our own container in another container's network. Pure."""
    host: dict[str, Any] = {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Memory": _OUR_MEMORY_BYTES,
        "MemorySwap": _OUR_MEMORY_BYTES,
        "PidsLimit": 64,
        "NetworkMode": f"container:{container.id}",
    }
    if way == ALONE:
        first = container.networks[0].network if container.networks else container.network_mode or "none"
        host |= {"NetworkMode": first, "ExtraHosts": list(container.extra_hosts), "Dns": list(container.dns)}
    return {
        "Image": image,
        "Entrypoint": [command[0]],
        "Cmd": list(command[1:]),
        "User": "65534:65534",
        "Labels": ROLE,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }


def _join(engine: DockerEngine, name: str, network: str, deadline: Deadline) -> None:
    with suppress(RefusedError):
        engine.ask("connect", lambda api: api.connect_container_to_network(name, network), seconds=deadline.left(5.0))


def _last_json(output: bytes) -> dict[str, Any] | None:
    lines = reversed(output.decode(errors="replace").splitlines())
    return next((answer for line in lines if "tcp" in (answer := json_object(line))), None)


def read_answer(answer: dict[str, Any], container: ContainerFacts, way: str) -> Probe:
    """Return the program's answer as facts."""
    for filesystem in (answer.get("inside") or {}).get("filesystems") or []:
        filesystem["owner"] = container.name
    about = {"container": container.name, "way": way, "at": format_time(datetime.now(UTC))}
    return document.loads_as(Probe, json.dumps({**answer, **about}), "answer")
