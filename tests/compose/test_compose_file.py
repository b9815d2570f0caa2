"""docker-compose.yml, read as Compose reads it. No daemon is asked."""

import json
import os
import subprocess
from typing import Any

import pytest

from sidecar.settings import SETTINGS
from sidecar.stack import secrets
from tests.paths import ROOT

LOCUST = ["locust-master", "locust-worker"]
OURS = [*LOCUST, "monitor", "docker-proxy", "mock-target"]
GIB = 1024**3


def config(*files: str, **environ: str) -> dict[str, Any]:
    """What Compose makes of the files, with no .env and only `environ` set."""
    command = ["docker", "compose", "--env-file", os.devnull, "--profile", "*"]
    for file in ("docker-compose.yml", *files):
        command += ["-f", str(ROOT / file)]
    done = subprocess.run(
        [*command, "config", "--format", "json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


REMOTE = {"REMOTE_WORKERS": "10.0.0.5"}


@pytest.fixture(scope="module")
def opened() -> dict[str, Any]:
    return config("docker/remote-workers.yml", **REMOTE)


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    return config()


@pytest.mark.parametrize("service", OURS)
def test_each_service_is_hardened_and_its_logs_are_rotated(default: dict[str, Any], service: str) -> None:
    it = default["services"][service]
    assert it["restart"] == "unless-stopped"
    assert it["init"] is True
    assert it["read_only"] is True
    assert it["cap_drop"] == ["ALL"]
    assert it["security_opt"] == ["no-new-privileges:true"]
    assert it["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert it["deploy"]["resources"]["limits"]["pids"] > 0
    assert "privileged" not in it
    assert "container_name" not in it


@pytest.mark.parametrize("service", OURS)
def test_each_service_has_a_memory_limit_that_swap_does_not_widen(default: dict[str, Any], service: str) -> None:
    it = default["services"][service]
    assert it["memswap_limit"] == it["deploy"]["resources"]["limits"]["memory"]


def test_a_workers_memory_is_the_seeds_and_both_are_settings(default: dict[str, Any]) -> None:
    resources = default["services"]["locust-worker"]["deploy"]["resources"]
    assert (resources["limits"]["memory"], resources["reservations"]["memory"]) == (str(2 * GIB), str(GIB))
    small = config(WORKER_MEMORY="256m", WORKER_MEMORY_RESERVATION="128m")["services"]["locust-worker"]
    assert small["deploy"]["resources"]["limits"]["memory"] == str(GIB // 4)
    assert small["memswap_limit"] == str(GIB // 4)
    assert small["deploy"]["resources"]["reservations"]["memory"] == str(GIB // 8)


def test_master_and_worker_find_each_other_by_names_that_locust_reads(default: dict[str, Any]) -> None:
    master = default["services"]["locust-master"]["environment"]
    worker = default["services"]["locust-worker"]["environment"]
    assert (master["LOCUST_MODE_MASTER"], master["LOCUST_MASTER_BIND_HOST"]) == ("1", "0.0.0.0")
    assert worker["LOCUST_MODE_WORKER"] == "1"
    assert worker["LOCUST_MASTER_NODE_HOST"] == "locust-master"
    assert worker["LOCUST_MASTER_NODE_PORT"] == master["LOCUST_MASTER_BIND_PORT"] == "5557"
    assert "LOCUST_MASTER_HOST" not in worker


def test_only_the_web_ui_and_the_sidecars_page_are_published_and_only_here(default: dict[str, Any]) -> None:
    published = {
        (service, port["host_ip"], port["target"])
        for service, it in default["services"].items()
        for port in it.get("ports", [])
    }
    assert published == {("locust-master", "127.0.0.1", 8089), ("monitor", "127.0.0.1", 8090)}


def test_only_the_proxy_has_the_engines_socket_and_it_has_no_network(default: dict[str, Any]) -> None:
    holders = [
        service
        for service, it in default["services"].items()
        if any(volume["source"] == "/var/run/docker.sock" for volume in it.get("volumes", []))
    ]
    assert holders == ["docker-proxy"]
    assert default["services"]["docker-proxy"]["network_mode"] == "none"
    users = [
        service
        for service, it in default["services"].items()
        if any(volume["source"] == "docker-proxy" for volume in it.get("volumes", []))
    ]
    assert sorted(users) == ["docker-proxy", "monitor"]


def test_the_proxy_watches_the_projects_that_the_monitor_watches(default: dict[str, Any]) -> None:
    monitor, proxy = (default["services"][name]["environment"] for name in ("monitor", "docker-proxy"))
    assert proxy == {name: monitor[name] for name in ("PROJECT", "WATCH_PROJECT")}


@pytest.mark.parametrize("service", LOCUST)
def test_locust_has_the_descriptors_it_asks_for_and_the_users_files_read_only(
    default: dict[str, Any], service: str
) -> None:
    it = default["services"][service]
    assert it["ulimits"]["nofile"] == {"soft": 10000, "hard": 10000}
    mount = next(volume for volume in it["volumes"] if volume["target"] == "/mnt/locust")
    assert mount["read_only"] is True
    assert mount["source"] == str(ROOT / "locustfiles")
    assert it["extra_hosts"] == ["host.docker.internal=host-gateway"]


def test_project_and_ports_are_settings_and_name_the_network() -> None:
    other = config(PROJECT="other", WEB_PORT="9089", MONITOR_PORT="9090")
    assert other["name"] == "other"
    assert other["networks"]["default"]["name"] == "other_default"
    ports = [port["published"] for it in other["services"].values() for port in it.get("ports", [])]
    assert sorted(ports) == ["9089", "9090"]


def test_an_inherited_host_never_becomes_the_target() -> None:
    services = config(HOST="http://somewhere.invalid")["services"]
    assert all("somewhere" not in json.dumps(it.get("environment", {})) for it in services.values())


@pytest.mark.parametrize(
    ("files", "joined"),
    [
        (("docker/target-network.yml",), ["locust-worker"]),
        (("docker/target-network.yml", "docker/target-network-master.yml"), LOCUST),
    ],
)
def test_the_targets_network_is_joined_by_the_workers_and_by_the_master_only_if_asked(
    files: tuple[str, ...], joined: list[str]
) -> None:
    services = config(*files, TARGET_NETWORK="shop_default")["services"]
    members = [name for name, it in services.items() if "target" in (it.get("networks") or {})]
    assert sorted(members) == joined
    assert all("default" in services[name]["networks"] for name in members)
    assert services["locust-worker"]["sysctls"] == {"net.ipv4.ip_forward": "0"}


def test_the_gate_publishes_locusts_port_on_that_address_alone_and_is_hardened(
    opened: dict[str, Any], default: dict[str, Any]
) -> None:
    gate, proxy = opened["services"]["gate"], default["services"]["docker-proxy"]
    (port,) = gate["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("10.0.0.5", "5557", 5557)
    alike = ("image", "restart", "init", "read_only", "cap_drop", "security_opt", "logging")
    assert {name: gate[name] for name in alike} == {name: proxy[name] for name in alike}
    assert gate["memswap_limit"] == gate["deploy"]["resources"]["limits"]["memory"]
    assert gate["deploy"]["resources"]["limits"]["pids"] == 64
    assert "volumes" not in gate
    assert opened["services"].keys() - default["services"].keys() == {"gate"}
    assert opened["services"]["locust-master"] == default["services"]["locust-master"]


def test_only_an_empty_list_lets_everybody_in(opened: dict[str, Any]) -> None:
    assert opened["services"]["gate"]["environment"]["KIT_REMOTE_ALLOW"] == "0.0.0.0/0 ::/0"
    some = config("docker/remote-workers.yml", **REMOTE, KIT_REMOTE_ALLOW="10.0.0.7 10.1.0.0/16")["services"]["gate"]
    assert some["environment"]["KIT_REMOTE_ALLOW"] == "10.0.0.7 10.1.0.0/16"


def test_the_gate_may_listen_on_an_ipv6_address() -> None:
    (port,) = config("docker/remote-workers.yml", REMOTE_WORKERS="2001:db8::5")["services"]["gate"]["ports"]
    assert port["host_ip"] == "2001:db8::5"


def test_a_joined_worker_differs_in_its_master_and_its_name_alone(default: dict[str, Any]) -> None:
    told = {"KIT_MASTER_HOST": "10.0.0.5", "KIT_MASTER_PORT": "6557", "KIT_MACHINE": "load2"}
    worker = config("docker/join.yml", **told)["services"]["locust-worker"]
    assert worker.pop("hostname") == "load2"
    assert worker["environment"]["LOCUST_MASTER_NODE_HOST"] == "10.0.0.5"
    assert worker["environment"]["LOCUST_MASTER_NODE_PORT"] == "6557"
    plain = default["services"]["locust-worker"]
    worker["environment"] |= {name: value for name, value in plain["environment"].items() if "MASTER_NODE" in name}
    assert worker == plain


def test_a_probe_is_rare_and_a_lost_master_shows_within_25_seconds(default: dict[str, Any]) -> None:
    check = default["services"]["locust-worker"]["healthcheck"]
    assert check["interval"] == "10s"
    stale_after_seconds = 10
    assert stale_after_seconds + 10 * check["retries"] + 5 <= 25


def test_secrets_reach_whom_they_are_for_alone_and_as_files() -> None:
    told = {"ALERT_URLS": "https://hunter2.example/", "LOCUST_WEB_PASSWORD": "hunter2", "PUSH_KEY": "hunter2"}
    told |= {"WEB_PASSWORD": "hunter2", "PUSH_URL": "http://hunter2/", "HEALTH_URLS": "a=http://hunter2/"}
    assert told.keys() == {name for name, setting in SETTINGS.items() if setting.secret and setting.to}
    services = config(**told, KIT_ALERT_URLS_FILE="/run/hook")
    assert "hunter2" not in json.dumps(services)
    holders = {
        name: [secret["source"] for secret in it["secrets"]]
        for name, it in services["services"].items()
        if it.get("secrets")
    }
    assert holders == {
        "locust-master": ["push_key", "push_url", "web_password"],
        "monitor": ["alert_urls", "health_urls", "locust_web_password", "web_password"],
    }
    assert services["secrets"]["alert_urls"]["file"] == "/run/hook"


def test_without_secrets_their_files_are_empty_and_always_there(default: dict[str, Any]) -> None:
    files = {default["secrets"][name.lower()]["file"] for name in secrets.names()}
    assert files == {"/dev/null"}


def test_only_the_master_is_told_where_to_push(default: dict[str, Any]) -> None:
    told = {name: it["environment"] for name, it in default["services"].items() if "KIT_PUSH_URL" in str(it)}
    assert list(told) == ["locust-master"]
    master = config(PUSH_SPOOL_MEGABYTES="8")["services"]["locust-master"]
    found = {name: value for name, value in master["environment"].items() if name.startswith("KIT_PUSH")}
    assert found == {
        "KIT_PUSH_URL_FILE": "/run/secrets/push_url",
        "KIT_PUSH_KEY_FILE": "/run/secrets/push_key",
        "KIT_PUSH_SPOOL_MEGABYTES": "8",
        "KIT_PUSH_MARK": "",
    }
