"""What the rules make of evidence: causes, their order, what is folded under them, and what is no cause at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.diagnose.evidence import (
    Attachment,
    ContainerFacts,
    EngineFacts,
    EnvLine,
    Evidence,
    FileProblem,
    Filesystem,
    FirewallRule,
    Gap,
    HttpTry,
    KnownIncident,
    ListedWorker,
    NameTry,
    Network,
    Pool,
    PortFacts,
    Socket,
    TcpTry,
)
from sidecar.diagnose.judge import diagnose, up_command
from sidecar.diagnose.rules.topology import free_subnet
from sidecar.model.finding import Check, Status
from sidecar.model.incident import Severity
from sidecar.stack.as_decided import Difference
from tests.unit.diagnose.scene import (
    GIB,
    MASTER_IP,
    Change,
    ago,
    causes,
    changed,
    event,
    inside,
    lines,
    probed,
    rows,
    starting_master,
    told,
    unregistered,
    well,
    with_master,
    with_monitor,
)

FIRST, SECOND = "locust-worker-1", "locust-worker-2"


def test_a_stack_that_is_well_has_no_finding_and_no_doubt() -> None:
    found = diagnose(well())
    assert found.findings == ()
    assert found.summary.root_cause is None
    assert {check.status for check in found.checks} == {Status.OK}
    assert (found.workers, found.connected) == (2, 2)


# ---- red herrings ----------------------------------------------------------------------------------------------------


def yesterdays_kill() -> KnownIncident:
    return KnownIncident(
        "a" * 16, "oom_kill", ago(86400), "killed", container=FIRST, container_id=well().containers[1].id
    )


HERRINGS: dict[str, Change] = {
    "an OOM kill of yesterday in the ledger": lambda e: with_monitor(e, incidents=(yesterdays_kill(),)),
    "OOMKilled since a child died long ago": lambda e: changed(e, FIRST, oom_killed=True),
    "a kill in the ledger before it was given more memory": lambda e: with_monitor(
        e, incidents=(replace(yesterdays_kill(), at=ago(60), memory_limit_bytes=GIB),)
    ),
    "kills in the ledger, the last of them before it was given more memory": lambda e: with_monitor(
        e,
        incidents=(
            replace(yesterdays_kill(), id="b" * 16, at=ago(60), memory_limit_bytes=GIB),
            replace(yesterdays_kill(), at=ago(62), memory_limit_bytes=2 * GIB),
        ),
    ),
    "a kill in the ledger before its limits were changed": lambda e: replace(
        with_monitor(e, incidents=(replace(yesterdays_kill(), at=ago(60)),)), events=(event(e, FIRST, "update", 50),)
    ),
    "kills before it was given more memory": lambda e: replace(
        e, events=(event(e, FIRST, "oom", 60), event(e, FIRST, "update", 50))
    ),
    "a failed import before the start that went well": lambda e: changed(
        e,
        FIRST,
        started_at=ago(30),
        finished_at=ago(31),
        log=(
            *lines("ModuleNotFoundError: No module named 'x'", seconds_ago=32),
            *lines("Starting Locust 2.47.0", seconds_ago=29),
        ),
    ),
    "an exited container of another project": lambda e: replace(
        e,
        containers=(
            *e.containers,
            replace(e.containers[1], id="f" * 64, name="shop-db-1", project="shop", neighbour=True, state="exited"),
        ),
    ),
    "a patch release apart": lambda e: probed(e, FIRST, inside=inside(locust_version="2.47.3")),
    "a slow page under load": lambda e: with_master(e, answer="slow", workers=(), state=""),
    "workers that have only just started": lambda e: changed(
        changed(unregistered(e), FIRST, started_at=ago(4), created_at=ago(4)),
        SECOND,
        started_at=ago(4),
        created_at=ago(4),
    ),
    "containers that scaling is making": lambda e: replace(
        changed(e, FIRST, created_at=ago(2)), config=replace(e.config, workers=8)
    ),
    "the row of the Locust that ran there until a restart": lambda e: with_master(
        changed(e, FIRST, started_at=ago(3)), workers=(replace(rows(e)[0], state="missing"), rows(e)[1])
    ),
    "a worker that was missing and is back": lambda e: changed(
        e,
        "locust-master-1",
        log=lines(f"Worker {rows(e)[0].id} failed to send heartbeat, setting state to missing."),
    ),
    "a processor limit that slows the start down": lambda e: changed(
        e, FIRST, cpu_limit=1.0, throttled_percent=60.0, started_at=ago(9)
    ),
    "workers that scaling down has told to go": lambda e: replace(
        unregistered(changed(e, FIRST, started_at=ago(7200)), FIRST),
        events=(event(e, FIRST, "kill", 2, signal="15"),),
        config=replace(e.config, workers=1),
    ),
    "a worker that scaling down has ended": lambda e: replace(
        unregistered(changed(e, FIRST, state="exited", exit_code=0, finished_at=ago(1)), FIRST),
        config=replace(e.config, workers=1),
    ),
    "a worker that scaling up has made and not started yet": lambda e: unregistered(
        changed(e, FIRST, state="created", created_at=ago(2), started_at=None), FIRST
    ),
    "workers that have stopped a run and will be back": lambda e: changed(
        unregistered(told(told(e, FIRST, LOCUST_STOP_TIMEOUT="20"), SECOND, LOCUST_STOP_TIMEOUT="20")),
        "locust-master-1",
        log=tuple(
            line
            for row in rows(e)
            for line in lines(
                f"{row.id} (index 0) reported that it has stopped",
                f"Discarded report from unrecognized worker {row.id}",
                seconds_ago=18,
            )
        ),
    ),
    "a door to the engine that was opened just now": lambda e: with_monitor(
        changed(e, "docker-proxy-1", started_at=ago(3)),
        stale=True,
        age_seconds=40.0,
        warnings=("Docker does not answer",),
    ),
    "an error in the log of an earlier start": lambda e: changed(
        e, FIRST, log=lines("ModuleNotFoundError: No module named 'x'", seconds_ago=7200)
    ),
    "limits above the memory of the machine, unused": lambda e: replace(
        e, engine=replace(e.engine, memory_bytes=3 * GIB)
    ),
    "swap on the host, none for containers": lambda e: replace(e, host=replace(e.host, swap_total_bytes=8 * GIB)),
    "a proxy that the target does not need": lambda e: told(e, FIRST, HTTP_PROXY="http://proxy:3128"),
    "a target that answers 404 at its root": lambda e: probed(
        e, FIRST, http=(HttpTry("http://shop/", "ok", "open", ("10.0.0.9",), status=404),)
    ),
    "rules of Docker's own": lambda e: replace(
        e,
        host=replace(
            e.host,
            firewall=(
                FirewallRule(
                    "this machine", "iptables", "filter", "DOCKER-ISOLATION-STAGE-2", "-o docker0 -j DROP", 12
                ),
            ),
        ),
    ),
    "a master reached by the host's own port": lambda e: probed(
        told(
            told(e, FIRST, LOCUST_MASTER_NODE_HOST="host.docker.internal"),
            SECOND,
            LOCUST_MASTER_NODE_HOST="host.docker.internal",
        ),
        FIRST,
        names=(NameTry("host.docker.internal", ("172.17.0.1",)),),
        tcp=(TcpTry("172.17.0.1", 5557, "open", "", 0.0, "zmtp"),),
    ),
}


def test_of_several_failed_starts_the_last_one_counts() -> None:
    shadowed = "ModuleNotFoundError: No module named 'locust.main'; 'locust' is not a package"
    removed = "AttributeError: 'Events' object has no attribute 'request_failure'"
    log = (*lines(shadowed, seconds_ago=12), *lines(removed, seconds_ago=3))
    e = unregistered(
        changed(well(), FIRST, restarts=2, health="starting", started_at=ago(2), finished_at=ago(2.5), log=log), FIRST
    )
    assert causes(e) == ["locustfile-removed-api"]


def test_a_stopped_container_tells_of_its_last_life_alone() -> None:
    e = well()
    log = (*lines("ModuleNotFoundError: No module named 'x'", seconds_ago=18), *lines("fine", seconds_ago=14))
    for container in e.containers:
        e = changed(e, container.name, state="exited", exit_code=0, started_at=ago(15), finished_at=ago(3), log=log)
    assert causes(e) == ["stack-down"]


@pytest.mark.parametrize("change", HERRINGS.values(), ids=HERRINGS.keys())
def test_a_red_herring_is_no_cause(change: Change) -> None:
    assert causes(change(well())) == []


# ---- what is not known yet is not well -------------------------------------------------------------------------------


def check_of(e: Evidence, name: str) -> Check:
    """One check of a diagnosis."""
    return next(check for check in diagnose(e).checks if check.name == name)


@pytest.mark.parametrize("name", ["master-bind", "master-answers", "web-page", "workers"])
def test_a_master_that_only_starts_is_neither_well_nor_broken(name: str) -> None:
    found = diagnose(starting_master())
    assert (found.findings, found.summary.root_cause, found.connected) == ((), None, None)
    assert check_of(starting_master(), name).status is Status.UNKNOWN


def test_of_a_master_that_only_starts_it_is_said_since_when_and_what_to_do() -> None:
    assert check_of(starting_master(), "master-answers").text == (
        "locust-master-1 started 2 s ago and does not listen on port 5557 yet; wait 30 s and diagnose again"
    )
    e = probed(starting_master(), "locust-master-1", listening=(Socket("0.0.0.0", 5557),))
    assert "started 2 s ago and its web page does not answer yet" in check_of(e, "master-answers").text


@pytest.mark.parametrize("health", ["healthy", "starting"])
def test_a_workers_health_tells_nothing_of_a_master_that_only_starts(health: str) -> None:
    e = starting_master()
    for name in (FIRST, SECOND):
        e = changed(probed(e, name, inside=inside(heartbeat_age_seconds=None)), name, health=health)
    assert check_of(e, "workers").status is Status.UNKNOWN


def test_a_master_of_which_no_answer_was_seen_is_not_well() -> None:
    e = changed(starting_master(), "locust-master-1", started_at=ago(3600))
    e = probed(e, "locust-master-1", listening=(Socket("0.0.0.0", 5557),))
    e = probed(probed(e, FIRST, tcp=()), SECOND, tcp=())
    assert check_of(e, "master-answers").status is Status.UNKNOWN


UNSETTLED: dict[str, Change] = {
    "workers that started just now": lambda e: changed(
        changed(unregistered(e), FIRST, started_at=ago(4)), SECOND, started_at=ago(4)
    ),
    "one worker that started just now": lambda e: changed(unregistered(e, FIRST), FIRST, started_at=ago(4)),
    "containers that scaling is making": lambda e: replace(
        changed(e, FIRST, created_at=ago(2)), config=replace(e.config, workers=8)
    ),
}


@pytest.mark.parametrize("change", UNSETTLED.values(), ids=UNSETTLED.keys())
def test_fewer_workers_than_expected_are_not_well(change: Change) -> None:
    assert check_of(change(well()), "workers").status is Status.UNKNOWN


# ---- causes ----------------------------------------------------------------------------------------------------------


def at_other_address(e: Evidence, address: str, **tried: object) -> Evidence:
    """Both workers find the master's name at an address, and knock there."""
    for name in (FIRST, SECOND):
        knock = TcpTry(address, 5557, "open", "", 0.0, "none")
        e = probed(e, name, names=(NameTry("locust-master", (address,)),), tcp=(replace(knock, **tried),))  # type: ignore[arg-type]
    return unregistered(e)


def calling(e: Evidence, seconds: float) -> Evidence:
    """Workers that Docker started anew, whose calls the master takes and does not answer."""
    starting = lines("Starting Locust 2.47.0", seconds_ago=seconds)
    for name in (FIRST, SECOND):
        e = changed(e, name, started_at=ago(seconds + 2), log=starting)
    return unregistered(e)


def knocking(e: Evidence, outcome: str, greeting: str = "") -> Evidence:
    """Both workers knock at the master's door, with an outcome."""
    for name in (FIRST, SECOND):
        e = probed(e, name, tcp=(TcpTry(MASTER_IP, 5557, outcome, "", 3.0, greeting),))
    return unregistered(e)


def both(e: Evidence, **environment: str | None) -> Evidence:
    """Both workers told otherwise, and so not registered."""
    return unregistered(told(told(e, FIRST, **environment), SECOND, **environment))


def tried(e: Evidence, attempt: HttpTry) -> Evidence:
    """The first worker's try at the target."""
    return probed(e, FIRST, http=(attempt,))


def stranger(e: Evidence, address: str) -> ContainerFacts:
    """A container of another project in the stack's network."""
    at = Attachment("locust_default", "net0", address, ("locust-master",))
    return replace(e.containers[1], id="f" * 64, name="other", project="other", neighbour=True, networks=(at,))


def drop(hits: int | None) -> FirewallRule:
    return FirewallRule(
        "this machine", "iptables", "filter", "DOCKER-USER", "-p tcp -m tcp --dport 5557 -j DROP", 9, hits
    )


def engine(**changes: object) -> Change:
    return lambda e: replace(e, engine=replace(e.engine, **changes))  # type: ignore[arg-type]


PLAIN_COMPOSE = (
    Difference("LOCUSTFILE", "locustfile.py", "mine.py", is_default=True),
    Difference("HOST", "", "http://shop.example", is_default=True),
)


def otherwise(e: Evidence, *differences: Difference) -> Evidence:
    return replace(e, config=replace(e.config, differences=differences))


CASES: list[tuple[str, str, Change]] = [
    ("made-by-another-command", "plain compose", lambda e: otherwise(e, *PLAIN_COMPOSE)),
    ("docker-unreachable", "absent", engine(status="absent")),
    ("docker-unreachable", "hung", engine(status="hung")),
    ("docker-permission-denied", "denied", engine(status="denied")),
    ("engine-too-old", "engine", engine(version="20.10.24", api_version="1.41")),
    ("engine-too-old", "compose", engine(compose_version="2.12.2")),
    (
        "engine-too-old",
        "no compose",
        engine(compose_version="", compose_error="docker: 'compose' is not a docker command."),
    ),
    (
        "disk-full",
        "host",
        lambda e: replace(
            e, host=replace(e.host, filesystems=(Filesystem("this machine", "/", 100 * GIB, 1 << 20, 9),))
        ),
    ),
    (
        "disk-full",
        "inodes",
        lambda e: replace(
            e, host=replace(e.host, filesystems=(Filesystem("this machine", "/", 100 * GIB, GIB * 50, 0),))
        ),
    ),
    (
        "disk-full",
        "tmpfs",
        lambda e: probed(e, FIRST, inside=inside(filesystems=(Filesystem(FIRST, "/home/locust", 64 << 20, 0),))),
    ),
    ("disk-full", "log", lambda e: changed(e, FIRST, log=lines("OSError: [Errno 28] No space left on device"))),
    (
        "disk-full",
        "ledger",
        lambda e: with_monitor(e, problems=("the ledger: no space left on device",)),
    ),
    (
        "memory-overcommitted",
        "near",
        lambda e: replace(
            e, engine=replace(e.engine, memory_bytes=5 * GIB), host=replace(e.host, memory_available_bytes=100 << 20)
        ),
    ),
    (
        "port-in-use",
        "process",
        lambda e: replace(
            e,
            containers=(),
            probes=(),
            master=None,
            monitor=None,
            host=replace(e.host, ports=(PortFacts("WEB_PORT", 8089, free=False, holder="the process nginx (pid 7)"),)),
        ),
    ),
    (
        "compose-invalid",
        "compose",
        lambda e: replace(e, config=replace(e.config, compose_error="yaml: line 7: mapping")),
    ),
    (
        "compose-invalid",
        "setting",
        lambda e: replace(e, config=replace(e.config, settings_error="WORKERS is 'x' (.env line 2)")),
    ),
    (
        "unknown-locust-variable",
        "host",
        lambda e: both(e, LOCUST_MASTER_NODE_HOST=None, LOCUST_MASTER_HOST="locust-master"),
    ),
    (
        "unknown-locust-variable",
        "any name",
        lambda e: both(e, LOCUST_MASTER_NODE_HOST=None, COORDINATOR="locust-master"),
    ),
    ("unknown-locust-variable", "mode", lambda e: both(e, LOCUST_MODE_WORKER=None, LOCUST_MODE="worker")),
    ("invalid-locust-value", "text", lambda e: both(e, LOCUST_MASTER_NODE_PORT="tcp://10.0.0.1:5557")),
    ("invalid-locust-value", "empty", lambda e: told(e, FIRST, LOCUST_MASTER_NODE_PORT="")),
    ("invalid-locust-value", "range", lambda e: both(e, LOCUST_MASTER_NODE_PORT="70000")),
    ("invalid-locust-value", "removed", lambda e: told(e, "locust-master-1", LOCUST_WEB_AUTH="ann:secret")),
    ("master-url-with-scheme", "http", lambda e: both(e, LOCUST_MASTER_NODE_HOST="http://locust-master")),
    ("master-url-with-scheme", "port", lambda e: both(e, LOCUST_MASTER_NODE_HOST="locust-master:5557")),
    ("host-without-scheme", "page", lambda e: with_master(e, host="shop.example")),
    ("log-file-hides-logs", "variable", lambda e: told(e, FIRST, LOCUST_LOGFILE="/var/l.log")),
    (
        "log-file-hides-logs",
        "flag",
        lambda e: changed(e, FIRST, command=("locust", "--worker", "--logfile=/var/l.log")),
    ),
    *(
        ("opentelemetry-missing", name, lambda e, line=line: changed(e, FIRST, log=lines(line)))
        for name, line in (
            ("sdk", "OpenTelemetry SDK is not installed, opentelemetry not enabled. Run 'pip install locust[otel]'"),
            ("grpc", "OpenTelemetry otlp exporter for 'grpc' is not available. Please install the required package"),
            ("requests", "OpenTelemetry 'requests' instrumentation is not installed. Please install"),
        )
    ),
    ("stack-down", "nothing", lambda e: replace(e, containers=(), probes=(), master=None, monitor=None)),
    (
        "master-exited",
        "killed",
        lambda e: replace(
            unregistered(changed(e, "locust-master-1", state="exited", exit_code=137, finished_at=ago(9))),
            events=(
                event(e, "locust-master-1", "kill", 9.1, signal="9"),
                event(e, "locust-master-1", "die", 9.0, exit_code=137),
            ),
        ),
    ),
    ("master-exited", "removed", lambda e: unregistered(replace(e, containers=e.containers[1:]))),
    (
        "worker-exited",
        "killed",
        lambda e: unregistered(changed(e, SECOND, state="exited", exit_code=137, finished_at=ago(9)), SECOND),
    ),
    (
        "worker-oom-killed",
        "down",
        lambda e: unregistered(
            changed(e, FIRST, state="exited", exit_code=137, oom_killed=True, finished_at=ago(9)), FIRST
        ),
    ),
    ("worker-oom-killed", "events alone", lambda e: replace(e, events=(event(e, FIRST, "oom", 60),))),
    (
        "worker-oom-killed",
        "ledger alone",
        lambda e: with_monitor(e, incidents=(replace(yesterdays_kill(), at=ago(60)),)),
    ),
    ("master-oom-killed", "lately", lambda e: replace(e, events=(event(e, "locust-master-1", "oom", 60),))),
    (
        "restart-loop",
        "restarting",
        lambda e: unregistered(changed(e, FIRST, state="restarting", restarts=9, exit_code=3), FIRST),
    ),
    ("container-paused", "worker", lambda e: unregistered(changed(e, FIRST, state="paused"), FIRST)),
    ("container-paused", "master", lambda e: unregistered(changed(e, "locust-master-1", state="paused"))),
    (
        "image-without-locust",
        "error",
        lambda e: unregistered(
            changed(e, FIRST, state="created", error='exec: "locust": executable file not found in $PATH'), FIRST
        ),
    ),
    (
        "image-without-locust",
        "tini",
        lambda e: unregistered(
            changed(
                e,
                FIRST,
                state="restarting",
                exit_code=127,
                finished_at=ago(1),
                started_at=ago(1.1),
                log=lines("[FATAL tini (7)] exec locust failed: No such file or directory", seconds_ago=1),
            ),
            FIRST,
        ),
    ),
    (
        "cpu-throttled",
        "starved from the start",
        lambda e: changed(e, FIRST, cpu_limit=0.05, throttled_percent=12.0, started_at=ago(9)),
    ),
    ("cpu-throttled", "quota", lambda e: changed(e, FIRST, cpu_limit=0.05, throttled_percent=80.0)),
    ("nofile-too-low", "inside", lambda e: probed(e, FIRST, inside=inside(nofile=64))),
    ("memory-limit-not-enforced", "none", lambda e: changed(e, FIRST, memory_limit_bytes=0)),
    ("memory-limit-not-enforced", "kernel", lambda e: probed(e, FIRST, inside=inside(memory_limit_bytes=None))),
    (
        "memory-limit-not-enforced",
        "swap",
        lambda e: replace(changed(e, FIRST, memory_swap_bytes=-1), host=replace(e.host, swap_total_bytes=GIB)),
    ),
    ("network-not-shared", "no network", lambda e: unregistered(changed(e, "locust-master-1", networks=()))),
    (
        "network-not-shared",
        "another",
        lambda e: unregistered(changed(e, FIRST, networks=(Attachment("other", "net9", "10.1.0.2"),)), FIRST),
    ),
    (
        "master-bound-to-loopback",
        "ipv4",
        lambda e: knocking(
            probed(e, "locust-master-1", listening=(Socket("127.0.0.1", 5557), Socket("0.0.0.0", 8089))), "refused"
        ),
    ),
    ("worker-points-at-web-port", "8089", lambda e: both(e, LOCUST_MASTER_NODE_PORT="8089")),
    ("master-port-mismatch", "worker", lambda e: both(e, LOCUST_MASTER_NODE_PORT="5558")),
    (
        "master-name-unresolvable",
        "wrong name",
        lambda e: probed(
            probed(
                both(e, LOCUST_MASTER_NODE_HOST="mastr"),
                FIRST,
                names=(NameTry("mastr", (), "Name or service not known"),),
            ),
            SECOND,
            names=(NameTry("mastr", (), "Name or service not known"),),
        ),
    ),
    ("master-name-resolves-elsewhere", "stranger", lambda e: at_other_address(e, "172.18.0.99")),
    (
        "master-name-resolves-elsewhere",
        "two answers",
        lambda e: probed(
            replace(e, containers=(*e.containers, stranger(e, "172.18.0.99"))),
            FIRST,
            names=(NameTry("locust-master", (MASTER_IP, "172.18.0.99")),),
        ),
    ),
    ("network-filtered", "silence", lambda e: knocking(e, "timeout")),
    ("network-filtered", "reset", lambda e: knocking(e, "refused")),
    ("master-not-answering", "silent", lambda e: knocking(e, "open", "none")),
    ("master-not-answering", "stopped", lambda e: probed(e, "locust-master-1", inside=inside(process_state="T"))),
    ("master-not-answering", "deaf", lambda e: calling(e, 25)),
    (
        "version-mismatch",
        "minor",
        lambda e: probed(changed(e, FIRST, image_id="sha256:bb"), FIRST, inside=inside(locust_version="2.32.2")),
    ),
    ("workers-orphaned", "restarted master", lambda e: unregistered(changed(e, "locust-master-1", started_at=ago(20)))),
    (
        "heartbeat-missed",
        "missing row",
        lambda e: with_master(e, workers=(replace(rows(e)[0], state="missing"), rows(e)[1])),
    ),
    (
        "workers-fewer-than-expected",
        "removed",
        lambda e: unregistered(replace(e, containers=(*e.containers[:2], *e.containers[3:])), SECOND),
    ),
    (
        "web-login-misconfigured",
        "no code",
        lambda e: with_master(e, answer="broken-login", error="Locust auth exception: no user"),
    ),
    (
        "web-login-misconfigured",
        "no password",
        lambda e: with_master(e, answer="login", error="the master asks for a login: set LOCUST_WEB_USERNAME"),
    ),
    (
        "target-unresolvable",
        "name",
        lambda e: tried(e, HttpTry("http://shop.invalid/", "name", error="Name or service not known")),
    ),
    (
        "target-refused",
        "port",
        lambda e: tried(e, HttpTry("http://shop:9/", "connect", "refused", ("10.0.0.9",), "Connection refused")),
    ),
    (
        "target-timeout",
        "drop",
        lambda e: tried(e, HttpTry("http://shop/", "connect", "timeout", ("10.0.0.9",), "no answer within 3 s")),
    ),
    (
        "target-timeout",
        "hang",
        lambda e: tried(e, HttpTry("http://shop/", "http", "open", ("10.0.0.9",), "no answer within 4 s")),
    ),
    (
        "target-tls",
        "certificate",
        lambda e: tried(
            e, HttpTry("https://shop/", "tls", "open", ("10.0.0.9",), "certificate: self-signed certificate")
        ),
    ),
    (
        "target-is-localhost",
        "localhost",
        lambda e: tried(e, HttpTry("http://localhost:8080/", "connect", "refused", ("127.0.0.1",), "refused")),
    ),
    ("target-http-error", "503", lambda e: tried(e, HttpTry("http://shop/", "ok", "open", ("10.0.0.9",), status=503))),
    (
        "subnet-overlaps-target",
        "own range",
        lambda e: tried(
            e, HttpTry("http://172.18.0.200/", "connect", "unreachable", ("172.18.0.200",), "No route to host")
        ),
    ),
    (
        "proxy-not-applied",
        "works through it",
        lambda e: probed(
            e,
            FIRST,
            http=(
                HttpTry("http://shop.invalid/", "name", error="Name or service not known"),
                HttpTry("http://shop.invalid/", "ok", "open", ("10.0.0.3",), status=200, proxy="http://proxy:3128"),
            ),
        ),
    ),
    ("monitor-down", "stopped", lambda e: replace(changed(e, "monitor-1", state="exited", exit_code=0), monitor=None)),
    (
        "monitor-down",
        "silent",
        lambda e: with_monitor(e, answer="slow", error="no answer in time"),
    ),
    (
        "docker-proxy-down",
        "stopped",
        lambda e: with_monitor(changed(e, "docker-proxy-1", state="exited"), stale=True),
    ),
    (
        "docker-proxy-down",
        "hangs",
        lambda e: with_monitor(e, stale=True, age_seconds=40.0, warnings=("Docker does not answer",)),
    ),
]


@pytest.mark.parametrize(
    ("cause", "change"),
    [(cause, change) for cause, _, change in CASES],
    ids=[f"{cause}, {how}" for cause, how, _ in CASES],
)
def test_a_cause_is_named_and_it_alone(cause: str, change: Change) -> None:
    assert causes(change(well())) == [cause]


@pytest.mark.parametrize(
    ("cause", "change"),
    [(cause, change) for cause, _, change in CASES],
    ids=[f"{cause}, {how}" for cause, how, _ in CASES],
)
def test_each_finding_has_evidence_and_a_mend_without_blanks(cause: str, change: Change) -> None:
    (found,) = (finding for finding in diagnose(change(well())).findings if finding.slug == cause)
    assert found.evidence
    assert all(one.seen for one in found.evidence)
    assert found.affects
    filled = [found.title, found.cause, found.impact, *found.fix.commands]
    assert not [text for text in filled if "<" in text]


# ---- two at once, and what is folded ---------------------------------------------------------------------------------


def test_what_an_override_of_ones_own_changed_is_a_note_beside_what_is_wrong_with_it() -> None:
    e = otherwise(told(well(), FIRST, LOCUST_LOGFILE="/var/l.log"), Difference("NOFILE", "64", "10000", (FIRST,)))
    assert [finding.slug for finding in diagnose(e).findings] == ["log-file-hides-logs", "made-by-another-command"]
    assert [finding.severity for finding in diagnose(e).findings] == [Severity.WARN, Severity.INFO]
    assert diagnose(e).summary.root_cause == "log-file-hides-logs"


def test_missing_workers_follow_from_the_command_that_took_them_away() -> None:
    e = unregistered(replace(well(), containers=(*well().containers[:2], *well().containers[3:])), SECOND)
    (found,) = diagnose(otherwise(e, *PLAIN_COMPOSE)).findings
    assert found.slug == "made-by-another-command"
    assert [consequence.slug for consequence in found.consequences] == ["workers-fewer-than-expected"]


def test_the_variable_of_an_argument_of_the_locustfile_is_read() -> None:
    e = told(well(), FIRST, LOCUST_TENANT="green")
    assert [finding.slug for finding in diagnose(e).findings] == ["unknown-locust-variable"]
    assert diagnose(with_master(e, argument_variables=("LOCUST_TENANT",))).findings == ()


def test_a_key_error_of_a_task_says_nothing_of_the_files() -> None:
    task = ('  File "/mnt/locust/mine.py", line 9, in buy', "KeyError: 'in_stock'")
    assert causes(changed(well(), FIRST, log=lines(*task))) == []
    runner = ('  File "/opt/venv/lib/python3.13/site-packages/locust/runners.py", line 227, in spawn', "KeyError: 'U'")
    assert causes(changed(well(), FIRST, log=lines(*runner))) == ["locustfile-mismatch"]


def test_two_independent_faults_are_two_findings_in_the_order_of_dependency() -> None:
    wrong = NameTry("mastr", (), "Name or service not known")
    e = both(well(), LOCUST_MASTER_NODE_HOST="mastr")
    for name in (FIRST, SECOND):
        e = changed(
            probed(e, name, names=(wrong,), tcp=()),
            name,
            state="restarting",
            restarts=5,
            exit_code=137,
            oom_killed=True,
            finished_at=ago(2),
        )
    found = diagnose(e)
    assert [finding.slug for finding in found.findings] == ["worker-oom-killed", "master-name-unresolvable"]
    assert found.summary.root_cause == "worker-oom-killed"
    folded = {symptom.slug for finding in found.findings for symptom in finding.consequences}
    assert {"restart-loop", "workers-fewer-than-expected"} <= folded


def test_the_consequences_of_a_dead_master_are_folded_under_it() -> None:
    e = unregistered(changed(well(), "locust-master-1", state="exited", exit_code=1, finished_at=ago(30)))
    e = changed(e, FIRST, state="restarting", restarts=4, exit_code=0)
    (found,) = diagnose(e).findings
    assert found.slug == "master-exited"
    assert "restart-loop" in {consequence.slug for consequence in found.consequences}


def test_a_fault_of_one_worker_does_not_hide_that_of_another() -> None:
    e = unregistered(changed(well(), FIRST, state="paused"), FIRST)
    e = unregistered(changed(e, SECOND, state="exited", exit_code=1, finished_at=ago(9)), SECOND)
    assert causes(e) == ["container-paused", "worker-exited"]


def test_a_warning_explains_no_error() -> None:
    e = told(well(), FIRST, LOCUST_LOGFILE="/var/l.log", LOCUST_MASTER_HOST="locust-master")
    e = unregistered(replace(e, containers=(*e.containers[:2], *e.containers[3:])), SECOND)
    assert causes(e) == ["workers-fewer-than-expected", "unknown-locust-variable", "log-file-hides-logs"]


# ---- what is not known -----------------------------------------------------------------------------------------------


def test_what_could_not_be_checked_is_unknown_and_never_ok() -> None:
    e = replace(
        well(),
        probes=(),
        gaps=(Gap("inside:locust-worker-1", "no Python in it"), Gap("host.firewall", "Permission denied")),
    )
    found = diagnose(replace(e, host=replace(e.host, is_root=False)))
    status = {check.name: check.status for check in found.checks}
    unknown = ("dns", "route", "master-port", "firewall", "master-bind", "target")
    assert {status[name] for name in unknown} == {Status.UNKNOWN}
    text = next(check.text for check in found.checks if check.name == "firewall")
    assert "needs root" in text


def test_without_an_engine_the_rest_is_skipped_and_says_why() -> None:
    found = diagnose(
        replace(
            well(),
            engine=replace(well().engine, status="hung", error="Docker does not answer"),
            containers=(),
            probes=(),
            networks=(),
        )
    )
    skipped = [check for check in found.checks if check.status is Status.SKIP]
    assert len(skipped) > 15
    assert all(one.text for one in skipped)
    assert found.summary.root_cause == "docker-unreachable"


# ---- mends -----------------------------------------------------------------------------------------------------------


def commands(e: Evidence) -> tuple[str, ...]:
    return diagnose(e).findings[0].fix.commands


def test_a_counted_rule_is_named_and_taken_away_word_for_word() -> None:
    e = knocking(well(), "timeout")
    e = replace(
        e,
        host=replace(
            e.host,
            firewall=(drop(6), FirewallRule("this machine", "iptables", "filter", "INPUT", "-p udp -j DROP", 0, 0)),
        ),
    )
    found = diagnose(e).findings[0]
    assert found.fix.commands == ("iptables -D DOCKER-USER -p tcp -m tcp --dport 5557 -j DROP",)
    assert "DOCKER-USER" in found.title


def test_a_policy_inside_a_container_is_set_back_there() -> None:
    e = knocking(well(), "timeout")
    rule = FirewallRule(FIRST, "iptables", "filter", "OUTPUT", "policy DROP", 4, 4)
    (command,) = commands(replace(e, host=replace(e.host, firewall=(rule,))))
    enter = "nsenter --target $(docker inspect --format '{{.State.Pid}}' locust-worker-1) --net"
    assert command == f"{enter} iptables -P OUTPUT ACCEPT"


def test_a_variable_in_an_env_file_is_commented_out_where_it_stands() -> None:
    e = told(well(), FIRST, LOCUST_LOGFILE="/var/l.log")
    e = replace(e, config=replace(e.config, env_lines=(EnvLine(".env", 3, "LOCUST_LOGFILE", "/var/l.log"),)))
    assert commands(e) == ("sed -i '3s/^/# /' .env", "make up WORKERS=2")


def test_a_container_made_from_other_files_is_made_anew_from_these() -> None:
    assert commands(both(well(), LOCUST_MASTER_NODE_PORT="5558")) == ("make up WORKERS=2",)


def test_a_compose_file_that_was_changed_here_is_kept_aside_and_taken_back() -> None:
    e = both(well(), LOCUST_MASTER_NODE_PORT="5558")
    services = tuple(
        replace(service, environment=next(c.environment for c in e.containers if c.name == FIRST))
        if service.service == "locust-worker"
        else service
        for service in e.config.services
    )
    e = replace(e, config=replace(e.config, services=services, compose_modified=True))
    assert commands(e)[1] == "git checkout -- docker-compose.yml"


def test_up_repeats_what_the_last_one_was_told_with_what_must_change() -> None:
    config = replace(well().config, up_words=("PROJECT=shop", "WORKERS=8", "'HOST=http://x y'", "WORKER_MEMORY=64m"))
    assert (
        up_command(config, 8, {"WORKER_MEMORY": "2048m"})
        == "make up PROJECT=shop WORKERS=8 'HOST=http://x y' WORKER_MEMORY=2048m"
    )
    assert up_command(replace(config, remembered=False, up_words=()), 3, {}) == "make up WORKERS=3"


def test_a_higher_limit_is_not_offered_where_there_is_no_room() -> None:
    e = replace(well(), events=(event(well(), FIRST, "oom", 60),), engine=replace(well().engine, memory_bytes=3 * GIB))
    assert commands(e) == ()


# ---- small rules -----------------------------------------------------------------------------------------------------


def test_a_pool_is_exhausted_when_no_subnet_is_left_and_not_before() -> None:
    taken = [Network(str(number), f"n{number}", "bridge", (f"10.9.{number}.0/24",)) for number in range(4)]
    pools = [Pool("10.9.0.0/22", 24)]
    assert free_subnet(taken, pools, ()) == ""
    assert free_subnet(taken[1:], pools, ()) == "10.9.0.0/24"
    assert free_subnet(taken[1:], pools, ("10.9.0.0/24 dev tun0",)) == ""


def test_a_worker_is_known_by_its_containers_host_name() -> None:
    strangers = tuple(ListedWorker(f"stranger_{number}", "ready") for number in range(2))
    assert causes(with_master(well(), workers=strangers)) == ["workers-fewer-than-expected"]


def test_only_leaves_the_other_checks_out() -> None:
    e = both(well(), LOCUST_MASTER_NODE_PORT="5558")
    found = diagnose(replace(e, engine=replace(e.engine, version="20.1")), frozenset({"topology"}))
    assert {check.layer for check in found.checks} == {"topology"}
    assert [finding.slug for finding in found.findings] == ["master-port-mismatch"]


def test_a_kill_that_was_got_over_is_a_warning_behind_what_is_broken_now() -> None:
    e = replace(well(), events=(event(well(), FIRST, "oom", 300),))
    (kill,) = diagnose(e).findings
    assert (kill.slug, kill.severity) == ("worker-oom-killed", Severity.WARN)
    assert causes(changed(e, "locust-master-1", state="paused")) == ["container-paused", "worker-oom-killed"]


@pytest.mark.parametrize(
    "change",
    [
        lambda e: replace(e, events=(event(e, FIRST, "oom", 30),)),
        lambda e: changed(e, FIRST, started_at=ago(20)),
        lambda e: replace(
            e, events=(*e.events, *(event(e, FIRST, "die", after, exit_code=137) for after in (300, 250, 200)))
        ),
    ],
    ids=["just now", "has not run for long", "again and again"],
)
def test_a_kill_that_was_not_got_over_is_an_error(change: Change) -> None:
    e = change(replace(well(), events=(event(well(), FIRST, "oom", 300),)))
    assert [finding.severity for finding in diagnose(e).findings if finding.slug == "worker-oom-killed"] == [
        Severity.ERROR
    ]


def test_a_list_of_networks_that_could_not_be_read_is_not_ok() -> None:
    e = replace(well(), networks=(), gaps=(Gap("networks", "no answer in time"),))
    (check,) = (check for check in diagnose(e).checks if check.name == "docker-network")
    assert (check.status, check.text) == (Status.UNKNOWN, "no answer in time")


@pytest.mark.parametrize(("has_cli", "first"), [(True, "env -u DOCKER_HOST"), (False, "make setup")])
def test_without_any_docker_the_mend_is_to_install_it(has_cli: bool, first: str) -> None:  # noqa: FBT001
    absent = EngineFacts("absent", "/nowhere.sock", "nothing listens", "unix:///nowhere.sock", has_cli)
    e = replace(well(), engine=absent, containers=(), networks=(), probes=(), master=None, monitor=None)
    assert diagnose(e).findings[0].fix.commands[0].startswith(first)


def test_the_network_that_forbids_its_containers_to_talk_is_made_anew_not_its_rule_deleted() -> None:
    rule = FirewallRule("this machine", "iptables", "filter", "FORWARD", "-i br-1 -o br-1 -j DROP", hits=16)
    e = knocking(well(), "timeout")
    e = replace(
        e,
        networks=tuple(replace(network, containers_talk=False) for network in e.networks),
        host=replace(e.host, firewall=(rule,)),
    )
    (found,) = diagnose(e).findings
    assert found.fix.commands[0] == "make down"
    assert any("-i br-1 -o br-1" in one.seen for one in found.evidence)


@pytest.mark.parametrize(
    ("processes", "restarts", "is_found"),
    [
        (("/sbin/docker-init -- sleep 3600", "sleep 3600"), 0, True),
        (("/sbin/docker-init -- sleep 3600",), 0, False),  # it has not got there yet
        (("sh /start", "[python3] <defunct>"), 2, False),  # it ends by itself: its log says why
        (("/sbin/docker-init -- python3", "/opt/venv/bin/python3 /opt/venv/bin/locust --worker"), 0, False),
        (None, 0, False),
    ],
)
def test_an_image_that_runs_something_else_is_seen_by_its_processes(
    processes: tuple[str, ...] | None,
    restarts: int,
    is_found: bool,  # noqa: FBT001
) -> None:
    e = changed(unregistered(well(), FIRST), FIRST, processes=processes, restarts=restarts)
    assert ("image-without-locust" in causes(e)) is is_found


def test_addresses_in_another_order_are_the_same_finding() -> None:
    e = replace(well(), containers=(*well().containers, stranger(well(), "172.18.0.9")))
    for name, addresses in ((FIRST, (MASTER_IP, "172.18.0.9")), (SECOND, ("172.18.0.9", MASTER_IP))):
        e = probed(e, name, names=(NameTry("locust-master", addresses),))
    assert causes(unregistered(e)) == ["master-name-resolves-elsewhere"]


def test_a_worker_that_was_restarted_is_not_the_orphan_that_it_was() -> None:
    e = unregistered(changed(well(), FIRST, started_at=ago(20)), FIRST)
    discarded = f"Discarded report from unrecognized worker {e.containers[1].id[:12]}_ab"
    assert "workers-orphaned" in causes(changed(e, "locust-master-1", log=lines(discarded, seconds_ago=10)))
    assert "workers-orphaned" not in causes(changed(e, "locust-master-1", log=lines(discarded, seconds_ago=25)))


def test_a_master_is_deaf_only_to_workers_that_called_for_a_while() -> None:
    assert causes(calling(well(), 25)) == ["master-not-answering"]
    assert causes(calling(well(), 8)) == []
    one_heard = lines(f"{well().containers[1].id[:12]}_ab (index 0) reported as ready. 1 workers connected.")
    assert "master-not-answering" not in causes(changed(calling(well(), 25), "locust-master-1", log=one_heard))
    assert "master-not-answering" not in causes(changed(calling(well(), 25), "locust-master-1", started_at=ago(20)))


def test_a_stopped_process_is_no_worker_that_still_starts() -> None:
    e = changed(well(), FIRST, started_at=ago(15))
    e = with_master(e, workers=(replace(rows(e)[0], state="missing"), rows(e)[1]))
    assert causes(probed(e, FIRST, inside=inside(process_state="T"))) == ["heartbeat-missed"]


@pytest.mark.parametrize(
    ("rule", "is_named"),
    [
        ("-p tcp -m tcp --dport 5557 -j DROP", True),
        ("-p tcp -m tcp --dport 5000:6000 -j DROP", True),
        ("-p tcp -m multiport --dports 22,5557 -j DROP", True),
        ("-p tcp -m multiport --dports 22,5000: -j DROP", True),
        ("-p tcp -m tcp ! --dport 22 -j DROP", True),
        ("-p tcp -m tcp --dport 22 -j DROP", False),
        ("-p tcp -m tcp --dport 6000:7000 -j DROP", False),
    ],
)
def test_of_rules_that_stopped_something_those_are_named_that_could_stop_this(rule: str, is_named: bool) -> None:  # noqa: FBT001
    both = (
        FirewallRule("this machine", "iptables", "filter", "INPUT", rule, hits=3),
        FirewallRule("this machine", "iptables", "filter", "OTHER", "-p tcp -m tcp --dport 5557 -j REJECT", hits=1),
    )
    e = knocking(well(), "timeout")
    (found,) = diagnose(replace(e, host=replace(e.host, firewall=both))).findings
    assert any(rule in one.seen for one in found.evidence) is is_named


def test_what_locust_silently_ignores_is_a_warning_with_its_place() -> None:
    ignored = FileProblem("no-effect", "locustfile.py", "catch_response=True without `with`", 9, "with ... as answer:")
    e = replace(well(), config=replace(well().config, file_problems=(ignored,)))
    diagnosis = diagnose(e)
    (finding,) = diagnosis.findings
    assert (finding.slug, finding.severity, diagnosis.summary.error) == ("locustfile-no-effect", "warn", 0)
    assert finding.title == "locustfile.py line 9: catch_response=True without `with`"
    assert "with ... as answer:" in finding.fix.text


def test_a_container_with_a_process_less_than_told_is_named_with_its_restart() -> None:
    e = well()
    assert e.master
    hosts = {worker.name: worker.hostname for worker in e.containers if worker.service == "locust-worker"}
    rows = [ListedWorker(f"{host}_{n}", "ready", 5, 2) for host in hosts.values() for n in "ab"]
    assert causes(with_master(e, workers=tuple(rows), registered=4)) == []
    e = with_master(e, workers=tuple(rows[:-1]), registered=3)
    (finding,) = diagnose(e).findings
    assert (finding.slug, finding.title) == (
        "workers-fewer-than-expected",
        "Too few workers: 3 of 4 running, 3 connected",
    )
    assert finding.evidence[0].what == "Locust processes of locust-worker-2 at the master"
    assert (finding.evidence[0].seen, finding.evidence[0].wanted) == ("1", "2")
    assert finding.fix.commands == ("docker restart locust-worker-2",)
