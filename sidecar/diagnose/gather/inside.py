"""Hand `look_around.py` to a process in a container's place, and read what it says.

A process in the container itself (exec) where that disturbs nothing; a short-lived container of our own in its network
namespace where it is paused or short of memory; one on the same networks where it does not run. Ours carry a label,
take no capability, and are removed whatever happens.
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
_NEEDED_BYTES = 32 << 20  # what a small Python may take, and then some: it counts as the container's own memory
_OUR_MEMORY_BYTES = 96 << 20
_LEAST_PROCESSORS = 0.25  # with less, starting a Python in it takes seconds, and those are taken from Locust
_LOG_LINES = 1000  # of a probe's own output: its answer is the last line
_UNPACK = "import base64,sys,zlib;exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))))"


@dataclass(frozen=True, slots=True)
class Job:
    """What to look at from a container's place: names, (host, port) pairs, (url, proxy) pairs; its inside."""

    names: tuple[str, ...] = ()
    tcp: tuple[tuple[str, int], ...] = ()
    http: tuple[tuple[str, str], ...] = ()
    inside: bool = True

    def text(self, seconds: float) -> str:
        """Write the job as the program takes it."""
        http = [{"url": url, "proxy": proxy} for url, proxy in self.http]
        return json.dumps({**asdict(self), "http": http, "deadline": seconds})


def way_to(container: ContainerFacts) -> str:
    """Choose how to stand in a container's place without disturbing it. Pure."""
    if container.state == "paused":
        return BESIDE
    if container.state != "running":
        return ALONE
    limit, used = container.memory_limit_bytes or 0, container.memory_usage_bytes or 0
    is_full = bool(limit and used) and limit - used < _NEEDED_BYTES
    is_slow = container.cpu_limit is not None and container.cpu_limit < _LEAST_PROCESSORS
    return BESIDE if is_full or is_slow else EXEC


def look(engine: DockerEngine, container: ContainerFacts, job: Job, images: Sequence[str], deadline: Deadline) -> Probe:
    """Look around from a container's place.

    Args:
        engine: Docker.
        container: whose place it is.
        job: what to look at.
        images: images with Python for a container of our own, the best first.
        deadline: when to be back.

    Raises:
        EngineError: it could not be done in any way.

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
    """Return when a container's run began, "" between two runs: with a run ends the network of its guests, too."""
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
    """Return the program as one short word: the engine repeats a command in its events, to everybody who listens."""
    return base64.b64encode(zlib.compress(PROGRAM.read_bytes(), 9)).decode()


def command(job: Job, seconds: float, python: str = "python3") -> list[str]:
    """Return the words that start the program on a job."""
    return [python, "-I", "-S", "-c", _UNPACK, _packed(), job.text(seconds)]


def _seconds(deadline: Deadline) -> float:
    """Return how many seconds the program may take, so that its answer still comes in time."""
    return max(1.0, min(_PROBE_SECONDS, deadline.left() - 1.5))


def _exec(engine: DockerEngine, container: ContainerFacts, job: Job, deadline: Deadline) -> dict[str, Any]:
    for python in ("python3", "python"):
        seconds = _seconds(deadline)
        try:
            output = engine.execute(container.id, command(job, seconds, python), deadline.left(seconds + 2.0))
        except RefusedError as error:
            if _lacks(error.reason.encode()):  # some engines find that out before they start anything
                continue
            raise EngineError(f"Docker refuses exec: {error.reason}", where=container.name) from error
        answer = _last_json(output)
        if answer is not None:
            return answer
        if not _lacks(output):
            raise EngineError(f"the probe gave no answer: {_words(output)}", where=container.name)
    raise NoPythonError("no Python in it", where=container.name)


def _lacks(output: bytes) -> bool:
    return b"executable file not found" in output or b"no such file" in output.lower()


def _words(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:120] if lines else "no output"


def _own(
    engine: DockerEngine, container: ContainerFacts, way: str, job: Job, images: Sequence[str], deadline: Deadline
) -> dict[str, Any]:
    """Run the program in a container of our own; only the first image that is there and has Python is needed."""
    for image in images:
        answer = _in_image(engine, container, way, job, image, deadline)
        if answer is not None:
            return answer
    raise EngineError("no image with Python is at hand for a probe of our own", fix="make up builds one")


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
        raise EngineError(f"the probe's container does not start: {error.reason}", where=container.name) from error


def own_container(container: ContainerFacts, way: str, image: str, command: Sequence[str]) -> dict[str, Any]:
    """Return the specification of a container of our own in another one's place. Pure."""
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
    """Read the program's answer as facts."""
    for filesystem in (answer.get("inside") or {}).get("filesystems") or []:
        filesystem["owner"] = container.name
    about = {"container": container.name, "way": way, "at": format_time(datetime.now(UTC))}
    return document.loads_as(Probe, json.dumps({**answer, **about}), "answer")
