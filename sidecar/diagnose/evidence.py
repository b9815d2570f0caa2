"""All evidence of a diagnosis, as frozen facts. The rules judge this and nothing else.

It goes to JSON and back without loss (`sidecar.model.document`). So a recorded Evidence is a test, and the evidence of
a bundle can be diagnosed again elsewhere. Sizes are bytes, times UTC, durations seconds. An empty text or tuple means
that there is nothing. None means that the fact is unknown, and a Gap has the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from sidecar.model.snapshot import SCHEMA_VERSION
from sidecar.stack.as_decided import Difference


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A missing part of the evidence (`engine`, `host.firewall`, `inside:NAME`), and the reason."""

    part: str
    reason: str


# ---- The machine -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filesystem:
    """One file system that the stack writes to. `owner` is a container's name, or `this machine`."""

    owner: str
    path: str
    total_bytes: int
    free_bytes: int
    free_inodes: int | None = None
    use: str = ""


class PortFacts(msgspec.Struct, frozen=True, rename={"setting": "knob"}):  # a dataclass cannot rename a key
    """A port that the stack publishes, and the program that uses it on this machine if it is not free."""

    setting: str
    port: int
    free: bool
    holder: str = ""
    container: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """A rule that can drop or reject packets. `where` is `this machine` or a container's name.

    `rule` is the rule as iptables-save prints it, after `-A CHAIN`. For a chain's policy it is `policy DROP`.
    `hits` is the number of packets that it stopped during our probes; None if it was read only once.
    """

    where: str
    tool: str
    table: str
    chain: str
    rule: str
    packets: int | None = None
    hits: int | None = None
    handle: str = ""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The facts of this machine."""

    user: str
    is_root: bool
    filesystems: tuple[Filesystem, ...] = ()
    ports: tuple[PortFacts, ...] = ()
    firewall: tuple[FirewallRule, ...] = ()
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    memory_total_bytes: int = 0
    memory_available_bytes: int = 0
    swap_total_bytes: int = 0
    locust_processes: tuple[str, ...] = ()


# ---- The engine ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pool:
    """One of the engine's default address pools. Docker takes subnets of /`size` from `base`."""

    base: str
    size: int


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The engine. `status`: ok, absent (not installed), stopped, denied, hung, remote or broken."""

    status: str
    socket: str = ""
    error: str = ""
    docker_host: str = ""
    cli_installed: bool = True
    version: str = ""
    api_version: str = ""
    compose_version: str = ""
    compose_error: str = ""
    memory_bytes: int = 0
    root_dir: str = ""
    warnings: tuple[str, ...] = ()
    pools: tuple[Pool, ...] = ()
    cgroup_version: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """One Docker network of the engine."""

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    project: str = ""
    internal: bool = False
    containers_talk: bool = True
    bridge: str = ""
    in_use: bool = True


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """One event of the engine about a container of the stack."""

    at: datetime
    action: str
    container: str
    container_id: str
    signal: str = ""
    exit_code: int | None = None


# ---- Containers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's place in a network."""

    network: str
    network_id: str
    address: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a container."""

    type: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container as the engine knows it. `neighbour` marks containers of other projects, with few facts."""

    id: str
    name: str
    service: str
    project: str
    index: int = 0
    neighbour: bool = False
    helper: bool = False
    image: str = ""
    image_id: str = ""
    state: str = ""
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    health: str = ""
    health_output: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restarts: int = 0
    restart_policy: str = ""
    hostname: str = ""
    environment: tuple[Pair, ...] = ()
    command: tuple[str, ...] = ()
    network_mode: str = ""
    networks: tuple[Attachment, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    log_driver: str = ""
    memory_limit_bytes: int | None = None
    memory_swap_bytes: int | None = None
    cpu_limit: float | None = None
    nofile: int | None = None
    pid: int | None = None
    cpu_percent: float | None = None
    throttled_percent: float | None = None
    memory_usage_bytes: int | None = None
    memory_working_set_bytes: int | None = None
    processes: tuple[str, ...] | None = None
    log: tuple[GatheredLogLine, ...] = ()


@dataclass(frozen=True, slots=True)
class GatheredLogLine:
    """One line of a container's log."""

    text: str
    at: datetime | None = None


# ---- From inside -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NameTry:
    """One DNS lookup: the addresses of a name, or the resolver's error."""

    name: str
    addresses: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class TcpTry:
    """One tried TCP connection.

    `outcome`: open, refused, timeout, unreachable, reset or error. `greeting` is the kind of the first bytes that the
    server sends: zmtp (a Locust master), http, other, none (no bytes) or closed.
    """

    address: str
    port: int
    outcome: str
    error: str = ""
    seconds: float = 0.0
    greeting: str = ""
    first_bytes: str = ""


@dataclass(frozen=True, slots=True)
class HttpTry:
    """One tried HTTP request. `stage` is the last step: name, connect, tls, http, or ok. `error` is why it ended there.

    `outcome` is the outcome of the connection, as in TcpTry. `proxy` is the proxy that was used.
    """

    url: str
    stage: str
    outcome: str = ""
    addresses: tuple[str, ...] = ()
    error: str = ""
    status: int | None = None
    location: str = ""
    content_type: str = ""
    body: str = ""
    proxy: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening TCP socket."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Inside:
    """Facts that only a process in the container can read. `process_state` is the kernel's letter: T is stopped."""

    locust_version: str = ""
    python_version: str = ""
    filesystems: tuple[Filesystem, ...] = ()
    process_state: str = ""
    nofile: int | None = None
    open_files: int | None = None
    memory_limit_bytes: int | None = None
    heartbeat_age_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The observations from one container's network.

    `way`: exec (a process in the container), beside (our own container in its network namespace) or alone (our own
    container on the same networks, because the container does not run). `hosts` are the lines of its /etc/hosts.
    """

    container: str
    way: str
    at: datetime
    names: tuple[NameTry, ...] = ()
    tcp: tuple[TcpTry, ...] = ()
    http: tuple[HttpTry, ...] = ()
    listening: tuple[Socket, ...] | None = None
    nameservers: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    inside: Inside | None = None


# ---- Configuration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnvLine:
    """One variable of an env file."""

    file: str
    line: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A problem in the user's files. `kind`: missing, unreadable, syntax, removed-api, shadow or no-effect."""

    kind: str
    file: str
    text: str
    line: int | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ComposeService:
    """A service as the configuration of this checkout defines it now."""

    service: str
    image: str = ""
    environment: tuple[Pair, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The configuration of this checkout. `up_words` are the NAME=VALUE words of the last `make up` or `make join`.

    `master` is the address of the master on another machine from the last `make join`; "" after `make up`.
    `differences` lists what differs in master and workers from the last `make up`.
    """

    settings_error: str = ""
    remembered: bool = False
    up_words: tuple[str, ...] = ()
    workers: int = 0
    processes: int = 1
    host: str = ""
    mock: bool = False
    target_network: str = ""
    remote_workers: str = ""
    remote_address_is_own: bool = True
    remote_allow: tuple[str, ...] = ()
    remote_workers_per_address: int = 64
    master: str = ""
    locust_image: str = ""
    locust_image_there: bool = True
    locust_image_starts: bool = True
    worker_memory_bytes: int = 0
    master_memory_bytes: int = 0
    nofile: int = 0
    web_port: int = 0
    monitor_port: int = 0
    locustfile: str = ""
    locustfiles_dir: str = ""
    class_hosts: tuple[Pair, ...] = ()
    env_lines: tuple[EnvLine, ...] = ()
    compose_error: str = ""
    compose_modified: bool = False
    services: tuple[ComposeService, ...] = ()
    file_problems: tuple[FileProblem, ...] = ()
    own_variables: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


# ---- The master, the monitor -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """A worker in the master's list. `processes` is the expected number of Locust processes in its container."""

    id: str
    state: str
    users: int = 0
    processes: int = 1


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A row of the master's failures or exceptions."""

    name: str
    error: str
    occurrences: int
    last_seen: datetime | None = None
    method: str = ""


@dataclass(frozen=True, slots=True)
class MasterFacts:
    """The master's web API. `answer`: ok, login, broken-login, slow, down, foreign (another program answers).

    `workers` comes from Locust's cache and is two seconds old or more. `registered` is the number of workers right now.
    `argument_variables` are the variables of the locustfile's own arguments.
    """

    url: str
    answer: str
    error: str = ""
    state: str = ""
    users: int = 0
    host: str = ""
    version: str = ""
    workers: tuple[ListedWorker, ...] = ()
    requests: int = 0
    failures: int = 0
    errors: tuple[ErrorRow, ...] = ()
    exceptions: tuple[ErrorRow, ...] = ()
    class_hosts: tuple[Pair, ...] = ()
    digests: tuple[Pair, ...] = ()
    master_digest: str = ""
    has_plugin: bool = False
    registered: int | None = None
    argument_variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownIncident:
    """The parts of an incident in the ledger that the rules need."""

    id: str
    kind: str
    at: datetime
    text: str
    severity: str = "error"
    until: datetime | None = None
    container: str = ""
    container_id: str = ""
    reason: str = ""
    count: int = 1
    process_survived: bool | None = None
    memory_limit_bytes: int | None = None


class MonitorFacts(msgspec.Struct, frozen=True, rename={"problems": "troubles"}):  # a dataclass cannot rename a key
    """The monitor's page. `answer`: ok, starting, slow, down, foreign."""

    url: str
    answer: str
    error: str = ""
    project: str = ""
    stale: bool = False
    age_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    locust_error: str = ""
    problems: tuple[str, ...] = ()
    incidents: tuple[KnownIncident, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All evidence, gathered at `at` within `seconds`."""

    project: str
    at: datetime
    host: HostFacts
    engine: EngineFacts
    config: ConfigFacts
    containers: tuple[ContainerFacts, ...] = ()
    networks: tuple[Network, ...] = ()
    events: tuple[ContainerEvent, ...] = ()
    probes: tuple[Probe, ...] = ()
    master: MasterFacts | None = None
    monitor: MonitorFacts | None = None
    gaps: tuple[Gap, ...] = ()
    seconds: float = 0.0
    schema_version: int = SCHEMA_VERSION
