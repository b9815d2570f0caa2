"""A small stack as evidence, all well; each test changes what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec.structs

from sidecar.diagnose.evidence import (
    Attachment,
    ComposeService,
    ConfigFacts,
    ContainerEvent,
    ContainerFacts,
    EngineFacts,
    Evidence,
    Filesystem,
    GatheredLogLine,
    HostFacts,
    HttpTry,
    Inside,
    ListedWorker,
    MasterFacts,
    MonitorFacts,
    Mount,
    NameTry,
    Network,
    Pair,
    PortFacts,
    Probe,
    Socket,
    TcpTry,
)
from sidecar.diagnose.judge import diagnose
from sidecar.model.finding import Diagnosis

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
GIB = 1 << 30
NETWORK = "net0"
MASTER_IP, WORKER_IPS = "172.18.0.3", ("172.18.0.4", "172.18.0.5")
IMAGE = "locust-kit/locust:local"
GREETING = "ff00000000000000017f"


def ago(seconds: float) -> datetime:
    """A moment before the diagnosis."""
    return NOW - timedelta(seconds=seconds)


def container(name: str, service: str, index: int, address: str, told: Mapping[str, str]) -> ContainerFacts:
    """A container of the stack that has run for an hour."""
    return ContainerFacts(
        id=sha256(name.encode()).hexdigest(),
        name=name,
        service=service,
        project="locust",
        index=index,
        image=IMAGE,
        image_id="sha256:aa",
        state="running",
        health="healthy",
        created_at=ago(3600),
        started_at=ago(3600),
        restart_policy="unless-stopped",
        hostname=sha256(name.encode()).hexdigest()[:12],
        environment=tuple(Pair(key, value) for key, value in told.items()),
        command=("python3", "-I", "-S", "/opt/locust-kit/entrypoint.py"),
        network_mode="locust_default",
        networks=(Attachment("locust_default", NETWORK, address, (name, service)),),
        mounts=(Mount("bind", "/files", "/mnt/locust"),),
        log_driver="json-file",
        memory_limit_bytes=2 * GIB,
        memory_swap_bytes=2 * GIB,
        nofile=10000,
        pid=4242,
        memory_usage_bytes=50 << 20,
        memory_working_set_bytes=50 << 20,
    )


MASTER_ENV = {
    "LOCUST_MODE_MASTER": "1",
    "LOCUST_MASTER_BIND_HOST": "0.0.0.0",
    "LOCUST_MASTER_BIND_PORT": "5557",
    "LOCUSTFILE": "locustfile.py",
}
WORKER_ENV = {
    "LOCUST_MODE_WORKER": "1",
    "LOCUST_MASTER_NODE_HOST": "locust-master",
    "LOCUST_MASTER_NODE_PORT": "5557",
    "LOCUSTFILE": "locustfile.py",
}


def inside(**changes: object) -> Inside:
    """What a container that is well says of itself."""
    well = Inside(
        locust_version="2.47.0",
        python_version="3.13.5",
        process_state="S",
        nofile=10000,
        open_files=12,
        memory_limit_bytes=2 * GIB,
        heartbeat_age_seconds=0.5,
    )
    return replace(well, **changes)  # type: ignore[arg-type]


def workers_probe(name: str) -> Probe:
    """What is seen from the place of a worker that is well."""
    target = HttpTry("http://shop/", "ok", "open", ("10.0.0.9",), status=200)
    return Probe(
        container=name,
        way="exec",
        at=NOW,
        names=(NameTry("locust-master", (MASTER_IP,)),),
        tcp=(TcpTry(MASTER_IP, 5557, "open", "", 0.001, "zmtp", GREETING),),
        http=(target,),
        listening=(),
        nameservers=("127.0.0.11",),
        routes=("0.0.0.0/0 via 172.18.0.1 dev eth0", "172.18.0.0/16 dev eth0"),
        inside=inside(),
    )


def masters_probe() -> Probe:
    """What is seen from the place of a master that is well."""
    page = HttpTry(
        "http://127.0.0.1:8089/worker-count", "ok", "open", ("127.0.0.1",), status=200, body='{"worker_count":2}'
    )
    sockets = (Socket("0.0.0.0", 5557), Socket("0.0.0.0", 8089))
    return Probe(
        "locust-master-1", "exec", NOW, http=(page,), listening=sockets, inside=inside(heartbeat_age_seconds=None)
    )


def well() -> Evidence:
    """A master, two workers, the sidecar and its door: all well."""
    master = container("locust-master-1", "locust-master", 1, MASTER_IP, MASTER_ENV)
    workers = [
        container(f"locust-worker-{index}", "locust-worker", index, WORKER_IPS[index - 1], WORKER_ENV)
        for index in (1, 2)
    ]
    monitor = replace(container("monitor-1", "monitor", 1, "172.18.0.6", {}), image="locust-kit/monitor:local")
    proxy = replace(container("docker-proxy-1", "docker-proxy", 1, "", {}), image="locust-kit/docker-proxy:local")
    master = replace(master, published=("127.0.0.1:8089->8089/tcp",))
    monitor = replace(monitor, published=("127.0.0.1:8090->8090/tcp",))
    mine = "the container {} of the stack 'locust'"
    return Evidence(
        project="locust",
        at=NOW,
        host=HostFacts(
            "ann",
            is_root=True,
            filesystems=(Filesystem("this machine", "/", 100 * GIB, 50 * GIB, 1000),),
            ports=(
                PortFacts("WEB_PORT", 8089, free=False, holder=mine, container="locust-master-1", project="locust"),
                PortFacts("MONITOR_PORT", 8090, free=False, holder=mine, container="monitor-1", project="locust"),
            ),
            routes=("0.0.0.0/0 dev eth0", "10.0.0.0/24 dev eth0"),
            memory_total_bytes=32 * GIB,
            memory_available_bytes=20 * GIB,
        ),
        engine=EngineFacts(
            "ok",
            "/var/run/docker.sock",
            version="27.0.1",
            api_version="1.46",
            compose_version="2.29.0",
            memory_bytes=32 * GIB,
        ),
        config=ConfigFacts(
            remembered=True,
            up_words=("WORKERS=2",),
            workers=2,
            worker_memory_bytes=2 * GIB,
            master_memory_bytes=2 * GIB,
            nofile=10000,
            web_port=8089,
            monitor_port=8090,
            locustfile="locustfile.py",
            locustfiles_dir="/files",
            services=tuple(
                ComposeService(service, IMAGE, tuple(Pair(key, value) for key, value in told.items()))
                for service, told in (
                    ("locust-master", MASTER_ENV),
                    ("locust-worker", WORKER_ENV),
                    ("monitor", {}),
                    ("docker-proxy", {}),
                )
            ),
        ),
        containers=(master, *workers, monitor, proxy),
        networks=(Network(NETWORK, "locust_default", "bridge", ("172.18.0.0/16",), ("172.18.0.1",), "locust"),),
        probes=(masters_probe(), *(workers_probe(worker.name) for worker in workers)),
        master=MasterFacts(
            "http://127.0.0.1:8089/",
            "ok",
            state="ready",
            version="2.47.0",
            workers=tuple(ListedWorker(f"{worker.hostname}_{'a' * 32}", "ready") for worker in workers),
            has_plugin=True,
        ),
        monitor=MonitorFacts("http://127.0.0.1:8090/", "ok", project="locust", age_seconds=1.0),
        seconds=0.5,
    )


def changed(evidence: Evidence, name: str, **changes: object) -> Evidence:
    """The evidence with one container changed."""
    containers = tuple(
        replace(one, **changes) if one.name == name else one  # type: ignore[arg-type]
        for one in evidence.containers
    )
    return replace(evidence, containers=containers)


def with_master(evidence: Evidence, **changes: object) -> Evidence:
    """The evidence with another word of the master's."""
    assert evidence.master
    return replace(evidence, master=replace(evidence.master, **changes))  # type: ignore[arg-type]


def with_monitor(evidence: Evidence, **changes: object) -> Evidence:
    """The evidence with another word of the sidecar's."""
    assert evidence.monitor
    return replace(evidence, monitor=msgspec.structs.replace(evidence.monitor, **changes))


def rows(evidence: Evidence) -> tuple[ListedWorker, ...]:
    """The master's list of workers."""
    assert evidence.master
    return evidence.master.workers


def probed(evidence: Evidence, name: str, **changes: object) -> Evidence:
    """The evidence with one probe changed."""
    probes = tuple(
        replace(probe, **changes) if probe.container == name else probe  # type: ignore[arg-type]
        for probe in evidence.probes
    )
    return replace(evidence, probes=probes)


def told(evidence: Evidence, name: str, **environment: str | None) -> Evidence:
    """The evidence with other variables in a container; None takes one away."""
    (one,) = (one for one in evidence.containers if one.name == name)
    now = {pair.name: pair.value for pair in one.environment} | environment
    pairs = tuple(Pair(key, value) for key, value in now.items() if value is not None)
    return changed(evidence, name, environment=pairs)


def unregistered(evidence: Evidence, *names: str) -> Evidence:
    """The evidence with some workers unknown to the master; all when none is named."""
    away = {one.hostname for one in evidence.containers if not names or one.name in names}
    assert evidence.master
    kept = tuple(row for row in evidence.master.workers if row.id.partition("_")[0] not in away)
    found = replace(evidence, master=replace(evidence.master, workers=kept))
    for name in names or ("locust-worker-1", "locust-worker-2"):
        found = probed(found, name, inside=inside(heartbeat_age_seconds=None))
    return found


def starting_master() -> Evidence:
    """A master that has run for two seconds: nothing listens, no page answers; the workers last heard the one before.

    Seen on a slow machine, where it was taken for a stack that is well.
    """
    e = changed(well(), "locust-master-1", started_at=ago(2), health="starting")
    e = replace(e, master=MasterFacts("http://127.0.0.1:8089/", "down", "nothing listens there"))
    page = HttpTry("http://127.0.0.1:8089/worker-count", "connect", "refused", ("127.0.0.1",), "Connection refused")
    e = probed(e, "locust-master-1", http=(page,), listening=())
    for name in ("locust-worker-1", "locust-worker-2"):
        refused = TcpTry(MASTER_IP, 5557, "refused", "Connection refused")
        e = probed(e, name, tcp=(refused,), inside=inside(heartbeat_age_seconds=3.5))
    return e


def lines(*texts: str, seconds_ago: float = 5.0) -> tuple[GatheredLogLine, ...]:
    """Lines of a log."""
    return tuple(GatheredLogLine(text, ago(seconds_ago)) for text in texts)


def event(evidence: Evidence, name: str, action: str, seconds_ago: float, **about: object) -> ContainerEvent:
    """An event of one of the containers."""
    (one,) = (one for one in evidence.containers if one.name == name)
    return ContainerEvent(ago(seconds_ago), action, name, one.id, **about)  # type: ignore[arg-type]


def named(diagnosis: Diagnosis) -> list[str]:
    """The findings of a diagnosis that are more than a note, in order."""
    return [finding.slug for finding in diagnosis.findings if finding.severity != "info"]


def causes(evidence: Evidence) -> list[str]:
    """The causes that a diagnosis of this evidence names, in order."""
    return named(diagnose(evidence))


Change = Callable[[Evidence], Evidence]
