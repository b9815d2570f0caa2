"""The evidence as a Locust stack: master, workers, and the addresses that they use for each other. Pure.

A container's environment and command line decide its role, not its name. So any stack of Locust can be diagnosed,
whatever the names of its services.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import PurePosixPath

from sidecar.common.text import some
from sidecar.common.units import GIB, MIB
from sidecar.diagnose.evidence import (
    Attachment,
    ComposeService,
    ContainerFacts,
    Evidence,
    Inside,
    ListedWorker,
    NameTry,
    Network,
    Probe,
    Socket,
)
from sidecar.model.finding import FindingEvidence

MASTER, WORKER, STANDALONE = "master", "worker", "standalone"
MONITOR, PROXY, GATE, MOCK, OTHER = "monitor", "docker-proxy", "gate", "mock-target", "other"
LOCUST_ROLES = frozenset({MASTER, WORKER, STANDALONE})

DEFAULT_MASTER_HOST, DEFAULT_PORT, DEFAULT_WEB_PORT = "127.0.0.1", 5557, 8089
YOUNG = timedelta(seconds=30)
RECENT = timedelta(minutes=15)
LEAVING = timedelta(seconds=60)
_ENDING = frozenset({"2", "9", "15"})
HEARTBEAT_SECONDS = 10.0  # the same limit as in the health check
_HOSTNAME_LENGTH = 12
_TRUE = frozenset({"1", "true", "yes", "y", "t", "on"})
_KIT = {"monitor": MONITOR, "docker-proxy": PROXY, "mock-target": MOCK}
_NAMESPACE_OF = "container:"


@dataclass(frozen=True, slots=True)
class LocustOption:
    """A setting of Locust in a container: its text, and its variable or flag ("" for the default)."""

    value: str
    source: str


def environment(container: ContainerFacts) -> Mapping[str, str]:
    """Return a container's environment."""
    return {pair.name: pair.value for pair in container.environment}


def setting(container: ContainerFacts, variable: str, *flags: str) -> LocustOption:
    """Return a setting of Locust. The command line beats the environment, and an empty value does not count."""
    words = container.command
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in flags:
            if equals:
                return LocustOption(value, name)
            if position + 1 < len(words):
                return LocustOption(words[position + 1], name)
    value = environment(container).get(variable, "")
    return LocustOption(value, variable if value else "")


def is_on(container: ContainerFacts, variable: str, flag: str) -> bool:
    """Return whether a switch of Locust is on."""
    return flag in container.command or environment(container).get(variable, "").strip().lower() in _TRUE


def role_of(container: ContainerFacts) -> str:
    """Return the role of a container."""
    image = PurePosixPath(container.image.partition("@")[0]).name.partition(":")[0]
    if "locust-kit" in container.image and image in _KIT:
        return GATE if (image, container.service) == (PROXY, GATE) else _KIT[image]
    if is_on(container, "LOCUST_MODE_MASTER", "--master"):
        return MASTER
    if is_on(container, "LOCUST_MODE_WORKER", "--worker"):
        return WORKER
    if container.service in _KIT:
        return _KIT[container.service]
    return _meant_to_be(container)


def _meant_to_be(container: ContainerFacts) -> str:
    """Guess the role of a container that gives Locust no role, from its names."""
    variables = environment(container)
    mode = " ".join((container.service, variables.get("LOCUST_MODE", ""), variables.get("LOCUST_ROLE", ""))).lower()
    is_locust = (
        any(name.startswith("LOCUST") for name in variables)
        or "locust" in _image_and_command(container)
        or container.service.startswith("locust-")
    )
    if not is_locust:
        return OTHER
    if any(word in mode for word in ("worker", "slave")):
        return WORKER
    return MASTER if "master" in mode else STANDALONE


def _image_and_command(container: ContainerFacts) -> str:
    """Return the text to search for Locust: the command, and the image's name without registry and owner."""
    return " ".join((PurePosixPath(container.image.partition("@")[0]).name, *container.command)).lower()


@dataclass(frozen=True)  # without slots: what is computed once is kept on it
class Stack:
    """Answers to questions that several rules have."""

    evidence: Evidence

    @cached_property
    def _roles(self) -> Mapping[str, str]:
        return {container.id: role_of(container) for container in self.evidence.containers}

    # ---- containers

    @cached_property
    def ours(self) -> tuple[ContainerFacts, ...]:
        """Return the project's containers, without helpers."""
        known = self.evidence.containers
        return tuple(container for container in known if not container.neighbour and not container.helper)

    def role(self, container: ContainerFacts) -> str:
        """Return a container's role."""
        return self._roles[container.id]

    def of(self, *roles: str) -> tuple[ContainerFacts, ...]:
        """Return the project's containers of some roles."""
        return tuple(our for our in self.ours if self.role(our) in roles)

    @property
    def locusts(self) -> tuple[ContainerFacts, ...]:
        """Return master, workers, and containers that should be one of them."""
        return self.of(*LOCUST_ROLES)

    @property
    def workers(self) -> tuple[ContainerFacts, ...]:
        """Return the workers."""
        return self.of(WORKER)

    @cached_property
    def master(self) -> ContainerFacts | None:
        """Return the master, a running one if possible; None without a master."""
        return min(self.of(MASTER), key=lambda master: (master.state != "running", master.name), default=None)

    @property
    def running_master(self) -> ContainerFacts | None:
        """Return the master, if it runs."""
        return self.master if self.master and self.master.state == "running" else None

    @property
    def running_workers(self) -> tuple[ContainerFacts, ...]:
        """Return the workers that run."""
        return tuple(worker for worker in self.workers if worker.state == "running")

    def named(self, name: str) -> ContainerFacts | None:
        """Return a container by its name."""
        return next((container for container in self.evidence.containers if container.name == name), None)

    def is_young(self, container: ContainerFacts) -> bool:
        """Return whether a container started so lately that its process may not be ready yet."""
        return container.started_at is not None and self.evidence.at - container.started_at < YOUNG

    def is_leaving(self, container: ContainerFacts) -> bool:
        """Return whether Docker is stopping a container on request, as in `make scale`: Locust then exits in order."""
        own = [event for event in self.evidence.events if event.container_id == container.id]
        asked = [event.at for event in own if event.action == "kill" and event.signal in _ENDING]
        started = [event.at for event in own if event.action == "start"]
        if not asked or self.evidence.at - max(asked) > LEAVING:
            return False
        return not started or max(started) < max(asked)

    # ---- the master's list of workers

    def listed(self, worker: ContainerFacts) -> tuple[ListedWorker, ...]:
        """Return the master's rows of the Locust workers in a container: their ids begin with its host name."""
        rows = self.evidence.master.workers if self.evidence.master else ()
        names = {name for name in (worker.hostname, worker.id[:_HOSTNAME_LENGTH]) if name}
        return tuple(row for row in rows if any(row.id.startswith(f"{name}_") for name in names))

    @property
    def remote_rows(self) -> tuple[ListedWorker, ...]:
        """Return the master's rows of workers on other machines."""
        rows = self.evidence.master.workers if self.evidence.master else ()
        here = {row.id for worker in self.workers for row in self.listed(worker)}
        return tuple(row for row in rows if row.id not in here)

    @property
    def is_joined(self) -> bool:
        """Return whether the stack has only workers, for a master on another machine."""
        return bool(self.evidence.config.master) and not self.of(MASTER)

    @property
    def knows_registered(self) -> bool:
        """Return whether the master's list of workers is known."""
        return self.evidence.master is not None and self.evidence.master.answer == "ok"

    def is_registered(self, worker: ContainerFacts) -> bool | None:
        """Return whether the master has a worker; None if that is unknown."""
        if self.knows_registered:
            return any(row.state != "missing" for row in self.listed(worker))
        age, master = self.inside(worker).heartbeat_age_seconds, self.running_master
        if age is not None:
            # A heartbeat from before the master's start came from the master before it.
            is_stale = self._heard_before(worker, age, master)
            return None if is_stale and age <= HEARTBEAT_SECONDS else age <= HEARTBEAT_SECONDS
        if worker.health in ("healthy", "unhealthy") and not (master and self.is_young(master)):
            return worker.health == "healthy"
        return None

    def _heard_before(self, worker: ContainerFacts, age: float, master: ContainerFacts | None) -> bool:
        probe = self.probe_of(worker)
        if probe is None or master is None or master.started_at is None:
            return False
        return probe.at - timedelta(seconds=age) < master.started_at

    @property
    def connected(self) -> int | None:
        """Return how many workers the master has."""
        if not self.knows_registered or self.evidence.master is None:
            return None
        if self.evidence.master.registered is not None:
            return self.evidence.master.registered
        return sum(1 for row in self.evidence.master.workers if row.state != "missing")

    @property
    def expected(self) -> int:
        """Return the expected number of workers: from the last `up`, else the number of containers."""
        config = self.evidence.config
        return (config.workers if config.remembered else 0) or len(self.workers)

    # ---- probes

    def probe_of(self, container: ContainerFacts | None) -> Probe | None:
        """Return the probe from a container's network."""
        if container is None:
            return None
        return next((probe for probe in self.evidence.probes if probe.container == container.name), None)

    def inside(self, container: ContainerFacts) -> Inside:
        """Return the facts that a process in a container reported; an empty Inside without a probe."""
        probe = self.probe_of(container)
        return (probe.inside if probe else None) or Inside()

    def lookup(self, worker: ContainerFacts) -> NameTry | None:
        """Return the DNS lookup of the master's name in a worker's network; None if nobody tried."""
        probe, host = self.probe_of(worker), self.master_host(worker).value
        return next((name for name in probe.names if name.name == host), None) if probe else None

    def observed(self, what: str, seen: str, wanted: str = "") -> FindingEvidence:
        """Return a piece of evidence with the time of the diagnosis."""
        return FindingEvidence(what, seen, wanted, self.evidence.at)

    @property
    def probed_workers(self) -> Iterator[tuple[ContainerFacts, Probe]]:
        """Yield the workers that have a probe, with the probe."""
        for worker in self.workers:
            probe = self.probe_of(worker)
            if probe is not None:
                yield worker, probe

    @cached_property
    def master_sockets(self) -> tuple[Socket, ...] | None:
        """Return the listening sockets in the master's network namespace; None if they could not be read."""
        probe = self.probe_of(self.running_master)
        return probe.listening if probe else None

    def listening(self, port: int | None = None) -> str:
        """Return the listening addresses in the master's network namespace, for one port or all."""
        sockets = [socket for socket in self.master_sockets or () if port in (None, socket.port)]
        return ", ".join(sorted({f"{socket.address}:{socket.port}" for socket in sockets}))

    # ---- addresses that they use

    def master_host(self, worker: ContainerFacts) -> LocustOption:
        """Return the host that a worker uses for its master."""
        option = setting(worker, "LOCUST_MASTER_NODE_HOST", "--master-host")
        return option if option.value else LocustOption(DEFAULT_MASTER_HOST, "")

    def master_port(self, worker: ContainerFacts) -> int | None:
        """Return the port that a worker uses for its master; None if the text is not a port."""
        return _port(setting(worker, "LOCUST_MASTER_NODE_PORT", "--master-port").value, DEFAULT_PORT)

    def bind_port(self, master: ContainerFacts) -> int | None:
        """Return the port that is configured for the master."""
        return _port(setting(master, "LOCUST_MASTER_BIND_PORT", "--master-bind-port").value, DEFAULT_PORT)

    def web_port(self, master: ContainerFacts) -> int | None:
        """Return the port of the master's web page, in its container."""
        return _port(setting(master, "LOCUST_WEB_PORT", "--web-port", "-P").value, DEFAULT_WEB_PORT)

    def addresses(self, container: ContainerFacts) -> frozenset[str]:
        """Return a container's addresses in all its networks."""
        return frozenset(network.address for network in container.networks if network.address)

    def names_of(self, container: ContainerFacts) -> frozenset[str]:
        """Return the names that other containers can use for a container."""
        aliases = (alias for at in container.networks for alias in at.aliases)
        return frozenset((container.name, container.service, container.hostname, *aliases)) - {""}

    def shared_networks(self, container: ContainerFacts, other: ContainerFacts) -> tuple[Attachment, ...]:
        """Return the networks that both containers are in."""
        ids = {at.network_id or at.network for at in self._effective(container)}
        return tuple(at for at in self._effective(other) if (at.network_id or at.network) in ids)

    def shares_network(self, container: ContainerFacts, other: ContainerFacts) -> bool:
        """Return whether two containers share a Docker network, the host's network, or a network namespace."""
        return (
            {container.network_mode, other.network_mode} == {"host"}
            or self._namespace(container) == self._namespace(other)
            or any(at.network != "none" for at in self.shared_networks(container, other))
        )

    def _namespace(self, container: ContainerFacts) -> str:
        """Return the id of the container whose network namespace a container uses."""
        mode = container.network_mode
        return mode.removeprefix(_NAMESPACE_OF) if mode.startswith(_NAMESPACE_OF) else container.id

    def _effective(self, container: ContainerFacts) -> tuple[Attachment, ...]:
        owner = self._namespace(container)
        other = next((container for container in self.evidence.containers if container.id == owner), container)
        return other.networks

    def network(self, network_id: str) -> Network | None:
        """Return a network by its id."""
        return next((network for network in self.evidence.networks if network.id == network_id), None)

    def owner_of(self, address: str) -> ContainerFacts | None:
        """Return the container that has an address."""
        return next((container for container in self.evidence.containers if address in self.addresses(container)), None)

    def networks_over(self, address: str, container: ContainerFacts) -> Iterator[Network]:
        """Yield the networks of a container whose subnet covers an address."""
        for at in container.networks:
            network = self.network(at.network_id)
            if network and any(covers(subnet, address) for subnet in network.subnets):
                yield network

    # ---- configuration

    def wanted(self, container: ContainerFacts) -> ComposeService | None:
        """Return the container's service as the files of this checkout define it now."""
        services = self.evidence.config.services
        return next((service for service in services if service.service == container.service), None)

    def is_drifted(self, container: ContainerFacts, variable: str) -> bool:
        """Return whether a variable in a container differs from the files of this checkout."""
        wanted = self.wanted(container)
        if wanted is None:
            return False
        now = {pair.name: pair.value for pair in wanted.environment}
        return now.get(variable) != environment(container).get(variable)

    def gap(self, part: str) -> str:
        """Return why a part of the evidence is missing; "" if it is there."""
        return next((gap.reason for gap in self.evidence.gaps if gap.part == part), "")


def _port(text: str, default: int) -> int | None:
    if not text.strip():
        return default
    return int(text) if text.strip().isdigit() and 0 < int(text) < 65536 else None  # noqa: PLR2004  TCP's ports


def covers(subnet: str, address: str) -> bool:
    """Return whether a subnet contains an address."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Return whether a text is an IP address, not a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Return whether an address or name is a loopback one."""
    if address.rstrip(".").lower() == "localhost":
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_loopback or parsed.is_unspecified


def is_loopback_only(address: str) -> bool:
    """Return whether only the local machine can reach a socket at this address; 0.0.0.0 and :: are open to others."""
    return is_loopback(address) and address not in ("0.0.0.0", "::")  # noqa: S104  compared, never bound


def names(containers: Sequence[ContainerFacts], most: int = 4) -> str:
    """Return some containers' names, for a sentence."""
    return some([container.name for container in containers], most)


def listed(containers: Sequence[ContainerFacts]) -> dict[str, str]:
    """Return containers' names for the catalogue: all for a command, and the first four for a sentence."""
    return {"containers": " ".join(container.name for container in containers), "who": names(containers)}


def size(count: int, decimals: int = 0) -> str:
    """Return a number of bytes as text in GiB, or in MiB if it is less than one GiB."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.{decimals}f} MiB"
