"""Every fault of the matrix: how the test causes it, and the cause that the diagnosis must name."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sidecar.diagnose.rules.registration import JUST_MADE
from sidecar.stack.remote import EVERYONE
from tests.faults.engines import old_engine, socket_at
from tests.faults.world import (
    LABEL,
    SHOWN_SECONDS,
    WORKERS,
    Look,
    World,
    address_of_a_network,
    bridge_address,
    first_byte,
    rule,
    stranger,
)
from tests.integration.stacks import docker, remove, until
from tests.paths import ROOT

Inflict = Callable[[World], AbstractContextManager[Look | None]]
FAR = "kit-test-faults-far"
SLEEPER = ("-c", "import time; time.sleep(3600)")


@dataclass(frozen=True)
class Fault:
    """One way to break the stack. `commands`: whether commands can fix it. `often`: whether `make test` runs it."""

    name: str
    cause: str
    inflict: Inflict
    commands: bool = True
    often: bool = False
    severity: str = "error"


FAULTS: list[Fault] = []


def fault(
    cause: str, *, commands: bool = True, often: bool = False, severity: str = "error"
) -> Callable[[Callable[[World], Iterator[Look | None]]], Inflict]:
    """Register a generator that inflicts a fault, yields, and cleans up."""

    def register(function: Callable[[World], Iterator[Look | None]]) -> Inflict:
        inflict = contextmanager(function)
        FAULTS.append(Fault(function.__name__.replace("_", "-"), cause, inflict, commands, often, severity))
        return inflict

    return register


# ---- host ------------------------------------------------------------------------------------------------------------


@fault("docker-unreachable", often=True)
def a_docker_host_without_an_engine(world: World) -> Iterator[Look]:
    yield Look({"DOCKER_HOST": f"unix://{world.folder}/nobody.sock"})


@fault("docker-unreachable")
def an_engine_that_hangs(world: World) -> Iterator[Look]:
    with socket_at(world.folder / "silent.sock") as path:
        yield Look({"DOCKER_HOST": f"unix://{path}"})


@fault("docker-permission-denied", commands=False)
def a_socket_without_permission(world: World) -> Iterator[Look]:
    """Root without the right to override: what a user is who is not in the group."""
    with socket_at(world.folder / "theirs.sock", owner=1) as path:
        less = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
        yield Look({"DOCKER_HOST": f"unix://{path}"}, less)


@fault("engine-too-old", commands=False)
def an_engine_of_2017(world: World) -> Iterator[Look]:
    with old_engine(world.folder / "old.sock") as path:
        yield Look({"DOCKER_HOST": f"unix://{path}"})


@fault("disk-full")
def full_tmpfs_of_a_worker(world: World) -> Iterator[None]:
    docker("exec", world.worker(), "sh", "-c", "head -c 100000000 /dev/zero > /tmp/filler 2>/dev/null; true")
    yield


@fault("port-in-use", often=True)
def another_process_on_the_web_port(world: World) -> Iterator[None]:
    world.kit("down")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", world.web_port), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@fault("port-in-use")
def another_container_on_the_monitor_port(world: World) -> Iterator[None]:
    world.kit("down")
    with stranger("-p", f"127.0.0.1:{world.monitor_port}:80", command=SLEEPER):
        world.compose("services: {}\n")
        yield


@fault("memory-overcommitted", severity="warn")
def a_limit_above_the_machine(world: World) -> Iterator[None]:
    world.up("WORKER_MEMORY=900G")
    yield


# ---- configuration ---------------------------------------------------------------------------------------------------


@fault("compose-invalid")
def a_changed_compose_file(world: World) -> Iterator[Look]:
    with world.checkout() as copy:
        path = copy / "docker-compose.yml"
        path.write_text(path.read_text().replace("services:", "servics:", 1))
        yield Look(root=copy)


@fault("compose-invalid", commands=False)
def an_invalid_setting(world: World) -> Iterator[Look]:
    with world.checkout() as copy:
        (copy / ".env").write_text("MASTER_MEMORY=lots\n")
        yield Look(root=copy)


@fault("unknown-locust-variable", often=True)
def a_variable_that_locust_does_not_read(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_HOST=None, LOCUST_MASTER_HOST="locust-master")
    yield


@fault("unknown-locust-variable")
def a_mode_variable_that_locust_does_not_read(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MODE_WORKER=None, LOCUST_MODE="worker")
    yield


@fault("invalid-locust-value", often=True)
def a_port_value_from_kubernetes(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_PORT="tcp://10.0.0.1:5557")
    world.wait_for_line("locust: error", *world.workers)
    yield


@fault("invalid-locust-value", severity="warn")
def an_empty_port(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_PORT="")
    yield


@fault("invalid-locust-value")
def a_bind_address_of_another_machine(world: World) -> Iterator[None]:
    world.tell("locust-master", LOCUST_MASTER_BIND_HOST="10.99.99.99")
    world.wait_for_line("Socket bind failure", world.master)
    yield


@fault("locustfile-missing", commands=False)
def no_locustfile(world: World) -> Iterator[None]:
    (world.files / "locustfile.py").unlink()
    docker("restart", "-t", "1", world.master, world.worker(1), world.worker(2))
    world.wait_for_line("Could not find", world.master, *world.workers)
    yield


@fault("locustfile-missing")
def another_locustfile_for_the_workers(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUSTFILE="nowhere.py")
    world.wait_for_line("Could not find", *world.workers)
    yield


@fault("locustfile-broken", commands=False, often=True)
def a_syntax_error(world: World) -> Iterator[None]:
    path = world.files / "locustfile.py"
    path.write_text(path.read_text() + "\ndef broken(:\n")
    docker("restart", "-t", "1", world.master, world.worker(1), world.worker(2))
    world.wait_for_line("SyntaxError: ", world.master, *world.workers)
    yield


@fault("locustfile-broken", commands=False)
def a_module_that_only_the_master_has(world: World) -> Iterator[None]:
    (world.folder / "onlyhere.py").write_text("VALUE = 1\n")
    image = world.image(
        "with-module",
        "FROM locust-kit/locust:local\nCOPY onlyhere.py /opt/venv/lib/python3.13/site-packages/\n",
        world.folder / "onlyhere.py",
    )
    path = world.files / "locustfile.py"
    path.write_text("import onlyhere\n" + path.read_text())
    world.compose(f"services:\n  locust-master:\n    image: {image}\n")
    docker("restart", "-t", "1", world.worker(1), world.worker(2))
    world.wait_for_line("ModuleNotFoundError: ", *world.workers)
    world.wait_for_count(0)
    yield


@fault("module-shadows-locust", commands=False)
def a_file_called_locust(world: World) -> Iterator[None]:
    (world.files / "locust.py").write_text("VALUE = 1\n")
    docker("restart", "-t", "1", world.master, world.worker(1), world.worker(2))
    world.wait_for_line("Error: ", world.master, *world.workers)
    yield


@fault("locustfile-removed-api", commands=False)
def a_removed_locust_event(world: World) -> Iterator[None]:
    path = world.files / "locustfile.py"
    path.write_text(
        path.read_text() + "\nfrom locust import events\n\n\n@events.request_failure.add_listener\ndef f(**_): ...\n"
    )
    docker("restart", "-t", "1", world.master, world.worker(1), world.worker(2))
    world.wait_for_line("AttributeError: ", world.master, *world.workers)
    yield


@fault("locustfile-no-effect", commands=False, severity="warn")
def catch_response_without_with(world: World) -> Iterator[None]:
    path = world.files / "locustfile.py"
    path.write_text(path.read_text() + "\n\ndef ask(client):\n    client.get('/', catch_response=True)\n")
    assert "catch_response=True without `with`" in world.kit("reload", "YES=1").stdout
    yield


@fault("locustfile-mismatch")
def a_worker_that_loaded_a_newer_file(world: World) -> Iterator[None]:
    path = world.files / "locustfile.py"
    path.write_text(path.read_text() + "\n# newer\n")
    docker("restart", "-t", "1", world.worker(2))
    world.wait_for_files_of(world.worker(2))
    yield


@fault("host-without-scheme")
def a_host_without_scheme(world: World) -> Iterator[None]:
    for service in ("locust-master", "locust-worker"):
        world.tell(service, KIT_HOST="mock-target:8080")
    world.compose(
        "services:\n"
        + "".join(
            f"  {service}:\n    environment:\n      KIT_HOST: mock-target:8080\n"
            for service in ("locust-master", "locust-worker")
        )
    )
    world.wait_for_count(WORKERS)
    yield


@fault("master-url-with-scheme", often=True)
def a_url_as_the_masters_host(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_HOST="http://locust-master")
    world.wait_for_count(0)
    yield


@fault("master-url-with-scheme")
def a_port_after_the_masters_name(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_HOST="locust-master:5557")
    yield


@fault("log-file-hides-logs", severity="warn")
def a_log_file(world: World) -> Iterator[None]:
    (world.files / ".env").write_text("LOCUST_LOGFILE=/tmp/locust.log\n")
    world.up()
    yield


@fault("opentelemetry-missing", commands=False, severity="warn")
def traces_over_grpc(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_ENABLE_OPENTELEMETRY="1")
    world.wait_for_line("otlp exporter for 'grpc' is not available", *world.workers)
    yield


@fault("made-by-another-command")
def plain_compose_without_the_settings(world: World) -> Iterator[None]:
    world.plain_compose("up", "--detach", "--no-build", "--scale", f"locust-worker={WORKERS}")
    world.wait_for_count(WORKERS)
    yield


# ---- containers ------------------------------------------------------------------------------------------------------


@fault("stack-down", often=True)
def a_stack_that_was_ended(world: World) -> Iterator[None]:
    world.kit("down")
    yield


@fault("stack-down")
def all_containers_stopped(world: World) -> Iterator[None]:
    world.compose("services: {}\n", "stop", "--timeout", "2")
    yield


@fault("master-exited", often=True)
def a_killed_master(world: World) -> Iterator[None]:
    docker("kill", world.master)
    yield


@fault("worker-exited")
def a_killed_worker(world: World) -> Iterator[None]:
    docker("kill", world.worker(2))
    yield


def tighten(world: World, *containers: str) -> None:
    """Give containers less memory than Locust starts in; the kernel takes no limit below what is in use."""
    for container in containers:
        docker("stop", "-t", "1", container)
        docker("update", "--memory-reservation", "16m", "--memory", "24m", "--memory-swap", "24m", container)
        docker("start", container)
    world.wait_for_event("oom", *containers)


@fault("worker-oom-killed", often=True)
def workers_in_an_oom_loop(world: World) -> Iterator[None]:
    tighten(world, *world.workers)
    yield


@fault("worker-oom-killed")
def one_worker_killed_once(world: World) -> Iterator[None]:
    docker("exec", world.worker(2), "python3", "-c", "b'x' * (900 << 20)", check=False)
    world.wait_for_event("oom", world.worker(2))
    yield


@fault("master-oom-killed")
def the_master_in_an_oom_loop(world: World) -> Iterator[None]:
    tighten(world, world.master)
    yield


@fault("restart-loop")
def a_command_that_fails(world: World) -> Iterator[None]:
    world.compose("services:\n  locust-worker:\n    entrypoint: [sh, -c, 'echo it broke; exit 3']\n")
    world.wait_for_restarts(3, *world.workers)
    yield


@fault("container-paused", often=True)
def a_paused_worker(world: World) -> Iterator[None]:
    docker("pause", world.worker(2))
    world.wait_for_count(1)
    yield


@fault("container-paused")
def a_paused_master(world: World) -> Iterator[None]:
    docker("pause", world.master)
    yield


@fault("image-without-locust")
def an_image_without_locust(world: World) -> Iterator[None]:
    base = (ROOT / ".locust-kit/base-image").read_text().strip()
    image = world.image("without-locust", f'FROM {base}\nCMD ["sleep", "3600"]\n')
    world.compose(f"services:\n  locust-worker:\n    image: {image}\n")
    world.wait_for_count(0)
    yield


@fault("image-without-locust")
def an_image_whose_command_is_missing(world: World) -> Iterator[None]:
    base = (ROOT / ".locust-kit/base-image").read_text().strip()
    image = world.image("without-command", f'FROM {base}\nENTRYPOINT ["locust"]\n')
    world.compose(f"services:\n  locust-worker:\n    image: {image}\n")
    world.wait_for_count(0)
    yield


@fault("cpu-throttled")
def a_cpu_limit_of_five_percent(world: World) -> Iterator[None]:
    for index in (1, 2):
        docker("update", "--cpus", "0.05", world.worker(index))
    go = world.start_run("USERS=200", "SPAWN_RATE=200", "RUN_TIME=120s")
    try:
        until(lambda: world.web("/stats/requests")["user_count"] > 0, SHOWN_SECONDS, "the users")
        yield
    finally:
        go.terminate()
        go.communicate(timeout=240)
        for index in (1, 2):
            docker("update", "--cpu-quota", "-1", world.worker(index))


@fault("nofile-too-low")
def a_limit_of_64_open_files(world: World) -> Iterator[None]:
    world.compose("services:\n  locust-worker:\n    ulimits:\n      nofile: {soft: 64, hard: 64}\n")
    yield


@fault("memory-limit-not-enforced", severity="warn")
def workers_without_a_limit(world: World) -> Iterator[None]:
    world.compose(
        "services:\n  locust-worker:\n    memswap_limit: !reset null\n    deploy:\n      resources: !reset null\n"
    )
    world.wait_for_count(WORKERS)
    yield


# ---- topology --------------------------------------------------------------------------------------------------------


@fault("network-not-shared", often=True)
def a_master_out_of_its_network(world: World) -> Iterator[None]:
    docker("network", "disconnect", world.network, world.master)
    yield


@fault("network-not-shared")
def workers_in_another_network(world: World) -> Iterator[None]:
    world.compose("services:\n  locust-worker:\n    networks: !override [other]\nnetworks:\n  other: {}\n")
    yield


@fault("network-pool-exhausted")
def no_address_pool_left(world: World) -> Iterator[None]:
    world.kit("down")
    made = []
    try:
        for number in range(200):
            name = f"kit-test-pool-{number}"
            if not docker("network", "create", "--label", LABEL, name, check=False):
                break
            made.append(name)
        yield
    finally:
        docker("network", "rm", *made, check=False)


@fault("master-bound-to-loopback", often=True)
def a_master_that_listens_on_loopback(world: World) -> Iterator[None]:
    world.tell("locust-master", LOCUST_MASTER_BIND_HOST="127.0.0.1")
    world.wait_for_count(0)
    yield


@fault("master-port-mismatch")
def a_master_at_another_port(world: World) -> Iterator[None]:
    world.tell("locust-master", LOCUST_MASTER_BIND_PORT="5600")
    world.wait_for_count(0)
    yield


@fault("worker-points-at-web-port")
def workers_that_use_the_web_port(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_PORT="8089")
    world.wait_for_count(0)
    yield


# ---- network ---------------------------------------------------------------------------------------------------------


@fault("master-name-unresolvable", often=True)
def a_wrong_name(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_HOST="locust-mastr")
    world.wait_for_count(0)
    yield


@fault("master-name-unresolvable")
def a_master_without_its_alias(world: World) -> Iterator[None]:
    docker("network", "disconnect", world.network, world.master)
    docker("network", "connect", world.network, world.master)
    docker("restart", "-t", "1", world.worker(1), world.worker(2))
    world.wait_for_count(0)
    yield


@fault("master-name-resolves-elsewhere")
def another_container_with_the_masters_name(world: World) -> Iterator[None]:
    with stranger("--network", world.network, "--network-alias", "locust-master", command=SLEEPER):
        docker("restart", "-t", "1", world.worker(1), world.worker(2))
        world.wait_for_line("Starting Locust", *world.workers)
        yield


@fault("master-name-resolves-elsewhere")
def localhost_for_the_master(world: World) -> Iterator[None]:
    world.tell("locust-worker", LOCUST_MASTER_NODE_HOST="localhost")
    yield


@fault("master-name-resolves-elsewhere")
def an_old_entry_in_extra_hosts(world: World) -> Iterator[None]:
    mock = world.address(world.name("mock-target"))
    world.compose(f"services:\n  locust-worker:\n    extra_hosts: ['locust-master:{mock}']\n")
    yield


@fault("network-filtered", often=True)
def a_drop_in_docker_user(world: World) -> Iterator[None]:
    with rule("DOCKER-USER", "-d", world.address(world.master), "-p", "tcp", "--dport", "5557", "-j", "DROP"):
        world.wait_for_count(0)
        yield


@fault("network-filtered")
def a_reject_with_reset(world: World) -> Iterator[None]:
    with rule(
        "DOCKER-USER",
        "-d",
        world.address(world.master),
        "-p",
        "tcp",
        "--dport",
        "5557",
        "-j",
        "REJECT",
        "--reject-with",
        "tcp-reset",
    ):
        world.wait_for_count(0)
        world.wait_until_grown(world.master)  # before that, a refusal may come from a master that only starts
        yield


@fault("network-filtered")
def a_drop_inside_the_master(world: World) -> Iterator[None]:
    world.inside_network_of(world.master, "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "5557", "-j", "DROP")
    world.wait_for_count(0)
    yield


@fault("network-filtered")
def a_policy_inside_the_workers(world: World) -> Iterator[None]:
    for index in (1, 2):
        world.inside_network_of(world.worker(index), "iptables", "-P", "OUTPUT", "DROP")
    world.wait_for_count(0)
    yield


@fault("network-filtered")
def a_blackhole_route(world: World) -> Iterator[None]:
    address = world.address(world.master)
    for index in (1, 2):
        world.inside_network_of(world.worker(index), "ip", "route", "add", "blackhole", f"{address}/32")
    world.wait_for_count(0)
    yield


@fault("network-filtered")
def a_network_whose_containers_may_not_talk(world: World) -> Iterator[None]:
    world.kit("down")
    world.compose('networks:\n  default:\n    driver_opts:\n      com.docker.network.bridge.enable_icc: "false"\n')
    world.wait_for_count(0)
    yield


@fault("remote-workers-shut", often=True)
def a_gate_that_was_removed(world: World) -> Iterator[None]:
    world.up(f"REMOTE_WORKERS={bridge_address()}", f"REMOTE_ALLOW={EVERYONE}")
    docker("rm", "-f", world.name("gate"))
    yield


@fault("remote-workers-shut", commands=False)
def an_address_that_the_machine_has_lost(world: World) -> Iterator[None]:
    with address_of_a_network() as address:
        world.up(f"REMOTE_WORKERS={address}", f"REMOTE_ALLOW={EVERYONE}")
        docker("rm", "-f", world.name("gate"))
    yield


@fault("remote-worker-refused", severity="warn")
def a_machine_that_is_not_in_remote_allow(world: World) -> Iterator[None]:
    address = bridge_address()
    world.up(f"REMOTE_WORKERS={address}", "REMOTE_ALLOW=192.0.2.77")
    assert not first_byte(address), "the gate lets in whom it should not"
    yield


@fault("remote-port-open", commands=False, severity="warn")
def a_port_that_is_open_to_everyone(world: World) -> Iterator[None]:
    world.up("REMOTE_WORKERS=0.0.0.0", f"REMOTE_ALLOW={EVERYONE}")
    yield


@fault("remote-master-unreachable", commands=False)
def a_remote_master_that_is_gone(world: World) -> Iterator[None]:
    address, far = bridge_address(), World(FAR, world.reports, settings=dict(world.settings))
    world.kit("down")
    remove(FAR)
    try:
        far.up("WORKERS=1", f"REMOTE_WORKERS={address}", f"REMOTE_ALLOW={EVERYONE}")
        joined = world.kit("join", f"MASTER={address}")
        assert joined.returncode == 0, joined.stderr
        far.kit("down")
        yield
    finally:
        remove(FAR)
        world.kit("down")


# ---- locust ----------------------------------------------------------------------------------------------------------


@fault("master-not-answering")
def a_stopped_master_process(world: World) -> Iterator[None]:
    with world.frozen(world.master):
        yield


QUITTER = """
import sys
from pathlib import Path
import gevent
from locust import events

@events.init.add_listener
def quit_when_asked(environment, **_):
    def wait():
        while not Path("/mnt/locust/now").exists():
            gevent.sleep(0.5)
        sys.modules["locust_kit.quitting"].SERVED_SECONDS = 3600  # as if no plugin ended this process
        environment.runner.quit()
    if type(environment.runner).__name__ == "MasterRunner":
        gevent.spawn(wait)
"""


@fault("master-not-answering")
def a_locustfile_that_quits_the_master(world: World) -> Iterator[None]:
    path, now = world.files / "locustfile.py", world.files / "now"
    path.write_text(path.read_text() + QUITTER)
    assert world.kit("reload", "YES=1").returncode == 0
    now.touch()
    world.wait_for_restarts(1, *world.workers)  # by their policy, for the master told them to quit
    now.unlink()
    for worker in world.workers:
        world.wait_until_grown(worker)
    yield


@fault("version-mismatch")
def workers_with_an_older_locust(world: World) -> Iterator[None]:
    context = world.folder / "older"
    context.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(context), "locust==2.43.0"],
        check=True,
        timeout=120,
    )
    (wheel,) = context.glob("locust-2.43.0-*.whl")
    place = "/opt/venv/lib/python3.13/site-packages"
    image = world.image(
        "older-locust",
        f"FROM locust-kit/locust:local\nUSER root\nCOPY {wheel.name} /tmp/\nRUN rm -rf {place}/locust {place}/locust-*"
        f" && python3 -m zipfile -e /tmp/{wheel.name} {place}\nUSER 10001:10001\n",
        wheel,
    )
    world.compose(f"services:\n  locust-worker:\n    image: {image}\n")
    world.wait_for_line("running a different version", world.master)
    yield


@fault("workers-orphaned")
def a_master_that_crashed_and_is_back(world: World) -> Iterator[None]:
    docker("kill", world.master)  # stopped in order, it tells its workers to go, and they come back at once
    docker("start", world.master)
    world.wait_for_line("Discarded report from unrecognized worker", world.master)
    yield


@fault("heartbeat-missed")
def a_stopped_worker_process(world: World) -> Iterator[None]:
    with world.frozen(world.worker(2)):
        world.wait_for_count(1)
        yield


@fault("workers-fewer-than-expected", often=True)
def a_removed_worker(world: World) -> Iterator[None]:
    world.wait_until_grown(world.worker(1), JUST_MADE)  # before that, the others may still be on their way
    docker("rm", "-f", world.worker(2))
    world.wait_for_count(1)
    yield


@fault("web-login-misconfigured")
def a_login_without_code(world: World) -> Iterator[None]:
    (world.files / ".env").write_text("LOCUST_WEB_LOGIN=1\n")
    world.up()
    yield


# ---- target ----------------------------------------------------------------------------------------------------------


@fault("target-unresolvable", commands=False)
def a_target_name_that_does_not_resolve(world: World) -> Iterator[None]:
    world.up("HOST=http://shop.invalid")
    yield


@fault("target-refused", commands=False)
def a_target_port_without_a_server(world: World) -> Iterator[None]:
    world.up("MOCK=1")
    with stranger("--network", world.network, "--network-alias", "shop", command=SLEEPER):
        world.up("HOST=http://shop:8080")
        yield


@fault("target-timeout", commands=False)
def a_target_behind_a_drop(world: World) -> Iterator[None]:
    with stranger("--network", world.network, "--network-alias", "shop", command=SLEEPER) as shop:
        world.up("HOST=http://shop:8080")
        with rule("DOCKER-USER", "-d", world.address(shop), "-j", "DROP"):
            yield


@fault("target-timeout", commands=False)
def a_target_that_hangs(world: World) -> Iterator[None]:
    server = "import socket,time; s=socket.create_server(('0.0.0.0',8080)); time.sleep(3600)"
    with stranger("--network", world.network, "--network-alias", "shop", command=("-c", server)):
        world.up("HOST=http://shop:8080")
        yield


@fault("target-tls", commands=False)
def a_self_signed_certificate(world: World) -> Iterator[None]:
    world.up("HOST=https://mock-target:8443")
    yield


@fault("target-is-localhost")
def localhost_as_the_target(world: World) -> Iterator[None]:
    world.compose(
        "services:\n"
        + "".join(
            f"  {service}:\n    environment:\n      KIT_HOST: http://localhost:8080\n"
            for service in ("locust-master", "locust-worker")
        )
    )
    world.wait_for_count(WORKERS)
    yield


@fault("target-http-error", commands=False)
def a_target_that_fails(world: World) -> Iterator[None]:
    world.up("HOST=http://mock-target:8080/status/503")
    yield


@fault("proxy-not-applied", commands=False)
def a_target_behind_a_proxy(world: World) -> Iterator[None]:
    proxy = ROOT / "tests/faults/small_proxy.py"
    with stranger(
        "--network", world.network, "--network-alias", "proxy", "-v", f"{proxy}:/proxy.py:ro", command=("/proxy.py",)
    ):
        world.up("HOST=http://shop.invalid")
        world.compose("services:\n  locust-worker:\n    environment:\n      HTTP_PROXY: http://proxy:3128\n")
        world.wait_for_count(WORKERS)
        yield


@fault("subnet-overlaps-target", commands=False)
def a_target_in_dockers_own_subnet(world: World) -> Iterator[None]:
    prefix = world.address(world.master).rpartition(".")[0]
    world.up(f"HOST=http://{prefix}.222:8080")
    yield


# ---- monitor ---------------------------------------------------------------------------------------------------------


@fault("monitor-down")
def a_stopped_monitor(world: World) -> Iterator[None]:
    docker("stop", "-t", "2", world.name("monitor"))
    yield


@fault("docker-proxy-down", often=True)
def a_killed_proxy(world: World) -> Iterator[None]:
    docker("kill", world.name("docker-proxy"))
    yield
