"""The stack, from `up` to `down`, as one story on one stack: each test leaves it running with two workers."""

import json
import os
import signal
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.integration.stacks import SLOWER, Stack, docker, until
from tests.paths import ROOT

pytestmark = pytest.mark.usefixtures("running")

GIB = 1024**3


@pytest.fixture(scope="module")
def running(stack: Stack) -> Stack:
    """The module's stack with two workers and the memory of the seed."""
    stack.settings = {}
    stack.up("WORKERS=2")
    return stack


def started(stack: Stack) -> dict[str, str]:
    """When each container of the stack started, by id."""
    found = json.loads(docker("inspect", *stack.containers()))
    return {one["Id"]: one["State"]["StartedAt"] for one in found}


def test_up_waits_until_the_master_counts_the_workers(stack: Stack) -> None:
    assert stack.worker_count() == 2


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = started(stack)
    done = stack.up("WORKERS=2")
    assert started(stack) == before
    assert f"http://127.0.0.1:{stack.web_port}" in done.stdout.replace("localhost", "127.0.0.1")


def test_workers_have_the_limits_and_names_of_the_design(stack: Stack) -> None:
    for one in stack.inspect("locust-worker"):
        host, config = one["HostConfig"], one["Config"]
        assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (2 * GIB, 2 * GIB, GIB)
        environment = dict(pair.split("=", 1) for pair in config["Env"])
        assert environment["LOCUST_MODE_WORKER"] == "1"
        assert environment["LOCUST_MASTER_NODE_HOST"] == "locust-master"
        assert "LOCUST_MASTER_HOST" not in environment
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"]["Config"]["max-size"] == "10m"
        nofile = next(limit for limit in host["Ulimits"] if limit["Name"] == "nofile")
        assert nofile["Soft"] >= 10000


def test_no_process_of_the_stack_is_root(stack: Stack) -> None:
    users = {
        load["Config"]["Labels"]["com.docker.compose.service"]: docker(
            "exec", load["Id"], "sh", "-c", "awk '/^(Uid|CapBnd|NoNewPrivs):/ {print $2}' /proc/1/status"
        ).split()
        for load in json.loads(docker("inspect", *stack.containers()))
    }
    assert set(users) == {"locust-master", "locust-worker", "monitor", "docker-proxy", "mock-target"}
    for service, (uid, most_capabilities, no_new_privileges) in users.items():
        assert uid != "0", service
        assert int(most_capabilities, 16) == 0, service
        assert no_new_privileges == "1", service


def test_ports_are_published_on_loopback_alone(stack: Stack) -> None:
    published = [
        (load["Config"]["Labels"]["com.docker.compose.service"], binding["HostIp"], int(binding["HostPort"]))
        for load in json.loads(docker("inspect", *stack.containers()))
        for bindings in load["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]
    assert sorted(published) == [
        ("locust-master", "127.0.0.1", stack.web_port),
        ("monitor", "127.0.0.1", stack.monitor_port),
    ]


def test_both_pages_refuse_foreign_names_and_foreign_pages(stack: Stack) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    monitor_port = int(docker("port", *stack.containers("monitor"), "8090/tcp").rpartition(":")[2])
    for port in (stack.web_port, monitor_port):
        for headers, expected in (({"Host": "evil.example"}, 400), (foreign, 403), ({}, 200)):
            with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("GET", "/", headers=headers)
                answer = connection.getresponse()
                assert answer.status == expected
                assert answer.getheader("Access-Control-Allow-Origin") is None


def test_the_sidecar_cannot_see_the_engines_socket_and_the_proxy_no_network(stack: Stack) -> None:
    (monitor,) = stack.inspect("monitor")
    (proxy,) = stack.inspect("docker-proxy")
    assert not [mount for mount in monitor["Mounts"] if "docker.sock" in mount["Source"]]
    assert list(proxy["NetworkSettings"]["Networks"]) == ["none"]
    assert docker("exec", monitor["Id"], "sh", "-c", "test -e /var/run/docker.sock || echo none") == "none"


def test_a_workers_health_is_a_heartbeat_and_not_a_process(stack: Stack) -> None:
    until(
        lambda: all(one["State"]["Health"]["Status"] == "healthy" for one in stack.inspect("locust-worker")),
        40,
        "health",
    )
    probe = stack.inspect("locust-worker")[0]["State"]["Health"]["Log"][-1]["Output"]
    assert "heartbeat" in probe


def test_the_snapshot_knows_every_container_and_the_master(stack: Stack) -> None:
    def whole() -> Any:
        """Return the snapshot once the sidecar has read the master's list of workers, which a worker may reach late."""
        seen = stack.snapshot()
        return seen if seen["locust"] and seen["locust"]["workers_connected"] >= 2 else None

    snapshot = until(whole, 30, "the sidecar to have both workers from the master")
    assert snapshot["project"] == stack.project
    assert sorted(container["service"] for container in snapshot["containers"]) == [
        "docker-proxy",
        "locust-master",
        "locust-worker",
        "locust-worker",
        "mock-target",
        "monitor",
    ]
    assert snapshot["locust"]["workers_connected"] == 2
    names = {container["name"] for container in snapshot["containers"] if container["service"] == "locust-worker"}
    assert {worker["container"] for worker in snapshot["locust"]["workers"]} == names


def test_the_figures_are_those_of_docker_stats(stack: Stack) -> None:
    def readings() -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Both readings of each container; nothing while Docker's health probe, each ten seconds, is in one of them."""
        lines = docker("stats", "--no-stream", "--format", "{{json .}}", *stack.containers()).splitlines()
        theirs = {row["Name"]: row for row in map(json.loads, lines)}
        ours = {container["name"]: container for container in stack.snapshot()["containers"]}
        assert set(ours) == set(theirs)
        pairs = [(ours[name], row) for name, row in theirs.items()]
        is_clean = all(abs(our["cpu_percent"] - float(row["CPUPerc"].rstrip("%"))) <= 10 for our, row in pairs)
        return pairs if is_clean else []

    for our, row in until(readings, 30, "the same share of a CPU in both"):
        used, limit = row["MemUsage"].split(" / ")
        assert our["memory_working_set_bytes"] == pytest.approx(in_bytes(used), rel=0.05, abs=2 * 1024**2)
        assert our["memory_limit_bytes"] == pytest.approx(in_bytes(limit), rel=0.01)
        assert our["pids"] == pytest.approx(int(row["PIDs"]), abs=3)


def in_bytes(text: str) -> float:
    """`1.5GiB` as docker stats prints it, in bytes."""
    units = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": GIB}
    unit = max((name for name in units if text.endswith(name)), key=len)
    return float(text.removesuffix(unit)) * units[unit]


def test_a_run_reaches_every_worker_and_ends_in_a_word_and_a_code(stack: Stack) -> None:
    done = stack.kit("run", "USERS=8", "SPAWN_RATE=8", "RUN_TIME=8s", "THRESHOLDS=p50<60s ?p50<0.001 requests>1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("PASS")
    (folder,) = [path for path in stack.reports.iterdir() if path.is_dir()]
    assert {path.suffix for path in folder.iterdir()} >= {".html", ".csv", ".json", ".xml", ".md"}
    document = json.loads((folder / "report.json").read_text())
    assert document["schema_version"] == 1
    assert [threshold["passed"] for threshold in document["judged"]["thresholds"]] == [True, False, True]
    assert folder.stat().st_uid == os.getuid()
    for worker in stack.containers("locust-worker"):
        assert received_bytes(worker) > 10_000


def received_bytes(container: str) -> int:
    """What the container's eth0 received so far."""
    return int(docker("exec", container, "sh", "-c", "awk '/eth0/ {print $2}' /proc/net/dev"))


def test_failed_requests_beyond_the_limit_fail_the_run(stack: Stack) -> None:
    done = stack.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=4s", "HOST=http://mock-target:9")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("FAIL")


def test_a_second_run_is_refused_and_ctrl_c_stops_saves_and_sums_up(stack: Stack) -> None:
    first = stack.start_run("USERS=4", "SPAWN_RATE=4", "RUN_TIME=60s")
    try:
        second = stack.kit("run", "USERS=1", "SPAWN_RATE=1", "RUN_TIME=5s")
        assert second.returncode == 2
        assert "ATTACH=1" in second.stderr
        assert stack.web("/stats/requests")["state"] == "running"
        until(lambda: stack.web("/stats/requests")["total_rps"] > 0, 30, "the first requests")
        first.send_signal(signal.SIGINT)
        output, _ = first.communicate(timeout=240)
    finally:
        first.kill()
    assert first.returncode == 4, output
    assert "INVALID" in output.rstrip().splitlines()[-1]
    assert stack.web("/stats/requests")["state"] in ("stopped", "ready")
    newest = max(stack.reports.iterdir(), key=lambda path: path.stat().st_mtime)
    assert list(newest.glob("*.html"))


def test_scaling_during_a_run_loses_nobody(stack: Stack) -> None:
    run = stack.start_run("USERS=20", "SPAWN_RATE=20", f"RUN_TIME={20 * SLOWER:.0f}s")
    try:
        assert stack.kit("scale", "WORKERS=6").returncode == 0
        assert stack.worker_count() == 6
        assert stack.kit("scale", "WORKERS=2").returncode == 0
        assert stack.worker_count() == 2
        states = {worker["state"] for worker in stack.web("/stats/requests")["workers"]}
        assert "missing" not in states
        until(lambda: stack.web("/stats/requests")["user_count"] == 20, 15, "the users of those who left")
        assert stack.web("/stats/requests")["state"] == "running"
        output, _ = run.communicate(timeout=320)
    finally:
        run.kill()
    assert run.returncode == 0, output
    log = docker("logs", *stack.containers("locust-master"))
    assert "failed to send heartbeat" not in log


def test_reload_brings_an_edited_locustfile_to_every_worker_without_a_build(
    stack: Stack, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("users")
    folder.chmod(0o755)
    file = folder / "locustfile.py"
    text = (ROOT / "locustfiles" / "locustfile.py").read_text()
    file.write_text(text)
    stack.up("WORKERS=2", f"LOCUSTFILES_DIR={folder}")
    images = [one["Image"] for one in stack.inspect("locust-worker")]

    file.write_text(text + "\n# edited\n")
    status = stack.web("/locust-kit/status")
    assert status["locustfile"]["changed_on_disk"] == ["locustfile.py"]
    until(
        lambda: any("locustfile.py" in warning["text"] for warning in stack.snapshot()["warnings"]),
        20,
        "the view to say so",
    )
    run = stack.kit("run", "USERS=1", "SPAWN_RATE=1", "RUN_TIME=1s")
    assert "reload" in run.stdout + run.stderr

    done = stack.kit("reload")
    assert done.returncode == 0, done.stdout + done.stderr
    status = stack.web("/locust-kit/status")
    assert len(status["workers"]) == 2
    assert not any(worker["changed_on_disk"] for worker in status["workers"].values())
    assert [one["Image"] for one in stack.inspect("locust-worker")] == images


def test_workers_find_a_new_master_without_help(stack: Stack) -> None:
    (master,) = stack.inspect("locust-master")
    host_pid = docker("top", master["Id"], "-eo", "pid,args").splitlines()[1:]
    locust = next(
        int(line.split()[0]) for line in host_pid if "/opt/venv/bin/locust" in line and "tini" not in line.split()[1]
    )
    os.kill(locust, signal.SIGKILL)

    def unhealthy() -> bool:
        return any(one["State"]["Health"]["Status"] == "unhealthy" for one in stack.inspect("locust-worker"))

    until(unhealthy, 25, "a worker without master to be unhealthy")

    def connected() -> bool:
        try:
            return stack.worker_count() == 2
        except OSError:
            return False

    until(connected, 90, "the workers to be at the new master")
    assert stack.inspect("locust-master")[0]["RestartCount"] >= 1


def test_the_view_prints_plain_frames_when_piped(stack: Stack) -> None:
    done = stack.kit("monitor", "ONCE=1")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    for wanted in ("locust-worker", "MiB", stack.project):
        assert wanted in done.stdout


def test_down_leaves_no_container_and_no_network_and_keeps_the_volumes(stack: Stack) -> None:
    done = stack.kit("down")
    assert done.returncode == 0, done.stderr
    assert stack.containers() == []
    assert docker("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={stack.project}") == ""
    volumes = docker(
        "volume", "ls", "--format", "{{.Name}}", "--filter", f"label=com.docker.compose.project={stack.project}"
    )
    assert {f"{stack.project}_runs", f"{stack.project}_ledger"} <= set(volumes.split())
    monitor = stack.kit("monitor")
    assert monitor.returncode == 2
    assert "make up" in monitor.stderr
    assert len(monitor.stderr.strip().splitlines()) == 1
