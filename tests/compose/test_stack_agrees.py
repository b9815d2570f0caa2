"""What `swarm-up` deploys is docker-compose.yml for Swarm, property by property; each difference is a meant one."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.settings import SETTINGS as CATALOGUE
from sidecar.stack import secrets
from sidecar.swarm.stack import render
from tests.compose.test_compose_file import OURS, config
from tests.paths import ROOT

SETTINGS = {
    "PROJECT": "shop",
    "WORKERS": "7",
    "WEB_PORT": "8123",
    "MONITOR_PORT": "8124",
    "WORKER_MEMORY": "300M",
    "WORKER_MEMORY_RESERVATION": "100M",
    "MASTER_MEMORY": "1G",
    "WORKER_CPUS": "1.5",
    "NOFILE": "12000",
    "STOP_TIMEOUT": "7",
    "STOP_GRACE_PERIOD": "27s",
    "INTERVAL": "3",
    "TAIL": "9",
    "FAIL_RATIO": "0.1",
    "FAIL_THRESHOLD": "7%",
    "LEDGER_DAYS": "3",
    "LEDGER_MEGABYTES": "99",
    "HEALTH_SECONDS": "11",
    "LABELS": "env=staging",
    "THRESHOLDS": "p95<500",
    "LOCUSTFILE": "other.py",
    "KIT_HOST": "http://shop.example",
    "SLOW_MS": "123",
    "REDACT": "x",
    "RETRIES": "2",
    "POOL_SIZE": "5",
    "ALERT_KINDS": "oom_kill",
}
IMAGES = {f"KIT_IMAGE_{key}": key.lower() for key in ("LOCUST", "MONITOR", "DOCKER_PROXY", "MOCK_TARGET")}

# What each file alone says to a container, and why that is so.
ONLY_COMPOSE = {
    "locust-master": {"KIT_PUSH_MARK"},  # Swarm's secrets have another name for another content
    "monitor": {
        "SECRETS_MARK",
        "WATCH_PROJECT",
    },  # the same; and no other project of one machine is in a cluster's view
    "docker-proxy": {"WATCH_PROJECT"},
}
ONLY_STACK = {
    "locust-master": {"KIT_FILES"},  # one archive in place of a folder that only one machine has
    "locust-worker": {"KIT_FILES"},
    "monitor": {"CLUSTER_NODE", "CLUSTER_TOKEN_FILE"},
}


def stack(*files: str, **environ: str) -> dict[str, Any]:
    """What `docker stack config` makes of what is deployed; it must have nothing to say about it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as rendered:
        rendered.write(render(ROOT))
        rendered.flush()
        flags = [part for path in (rendered.name, *map(ROOT.joinpath, files)) for part in ("--compose-file", str(path))]
        done = subprocess.run(
            ["docker", "stack", "config", *flags],
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **IMAGES, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = yaml.safe_load(done.stdout)
    return document


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compose's file and the stack's, with the same settings."""
    env_file = tmp_path_factory.mktemp("env") / "env"
    env_file.touch()
    return config(**SETTINGS), stack(**SETTINGS, KIT_ENV_FILE=str(env_file))


Both = tuple[dict[str, Any], dict[str, Any]]


def leaves(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value of a document that is no mapping, and each item of a list, with the keys that lead there."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from leaves(value, (*path, str(name)))
    else:
        yield from ((path, value) for value in (part if isinstance(part, list) else [part]))


def test_the_overlay_repeats_nothing() -> None:
    base, overlay = (yaml.safe_load((ROOT / name).read_text()) for name in ("docker-compose.yml", "docker/stack.yml"))
    said = [(path, str(value)) for path, value in leaves(base)]
    assert [path for path, value in leaves(overlay) if (path, str(value)) in said] == []


def test_the_services_are_the_same(both: Both) -> None:
    assert set(both[0]["services"]) == set(both[1]["services"]) == set(OURS)


@pytest.mark.parametrize("service", OURS)
def test_a_container_is_told_the_same(both: Both, service: str) -> None:
    ours, theirs = (dict(one["services"][service].get("environment") or {}) for one in both)
    assert set(ours) - set(theirs) == ONLY_COMPOSE.get(service, set())
    assert set(theirs) - set(ours) == ONLY_STACK.get(service, set())
    for name in set(ours) & set(theirs):
        assert str(ours[name] or "") == str(theirs[name] or ""), name


@pytest.mark.parametrize("service", OURS)
def test_each_secret_is_mounted_where_its_service_reads_it(both: Both, service: str) -> None:
    for one in both:
        texts = [str(value) for value in (one["services"][service].get("environment") or {}).values()]
        read = {text.removeprefix("/run/secrets/") for text in texts if text.startswith("/run/secrets/")}
        assert {mount["source"] for mount in one["services"][service].get("secrets") or ()} == read
        assert read <= one["secrets"].keys()


def test_every_secret_is_mounted_and_its_value_is_in_neither_model() -> None:
    planted = {name: "Zq81" for name, setting in CATALOGUE.items() if setting.secret}
    marks = {f"KIT_{name}_MARK": f"of-{name.lower()}" for name in secrets.names()}
    with tempfile.NamedTemporaryFile() as env_file:
        models = config(**planted), stack(**planted, **marks, KIT_ENV_FILE=env_file.name)
    for one in models:
        mounts = [mount for service in one["services"].values() for mount in service.get("secrets") or ()]
        assert {name.lower() for name in secrets.names()} <= {mount["source"] for mount in mounts}
        assert "Zq81" not in json.dumps(one)
    for name in secrets.names():  # new content is a new secret of Swarm
        assert models[1]["secrets"][name.lower()]["name"] == f"locust_{name.lower()}_of-{name.lower()}"


@pytest.mark.parametrize("service", OURS)
def test_limits_are_the_same(both: Both, service: str) -> None:
    def limits(one: dict[str, Any]) -> dict[str, Any]:
        resources = one["services"][service]["deploy"]["resources"]
        return {
            "memory": int(resources["limits"]["memory"]),
            "pids": resources["limits"]["pids"],
            "cpus": float(resources["limits"].get("cpus") or 0),
            "reserved": int((resources.get("reservations") or {}).get("memory") or 0),
            "nofile": one["services"][service].get("ulimits"),
        }

    assert limits(both[0]) == limits(both[1])


@pytest.mark.parametrize("service", OURS)
def test_what_hardens_a_container_is_the_same_or_is_replaced(both: Both, service: str) -> None:
    ours, theirs = (one["services"][service] for one in both)
    for name in ("init", "read_only", "cap_drop", "logging", "stop_grace_period"):
        assert json.dumps(ours[name], sort_keys=True) == json.dumps(theirs[name], sort_keys=True), name
    assert ours["security_opt"] == ["no-new-privileges:true"]
    assert theirs["entrypoint"][:2] == ["setpriv", "--no-new-privs"]
    assert "privileged" not in theirs
    assert "cap_add" not in theirs


@pytest.mark.parametrize("service", OURS)
def test_the_entry_point_behind_setpriv_is_the_images_own(both: Both, service: str) -> None:
    folder = {"locust-master": "locust", "locust-worker": "locust"}.get(service, service)
    dockerfile = Path(ROOT / "docker" / folder / "Dockerfile").read_text()
    line = next(line for line in dockerfile.splitlines() if line.startswith("ENTRYPOINT "))
    assert both[1]["services"][service]["entrypoint"][2:] == json.loads(line.removeprefix("ENTRYPOINT "))


@pytest.mark.parametrize("service", OURS)
def test_health_checks_differ_in_their_patience_alone(both: Both, service: str) -> None:
    """Under Swarm an unhealthy task is replaced, and a replaced worker breaks a run."""
    ours, theirs = (dict(one["services"][service].get("healthcheck") or {}) for one in both)
    patience = theirs.pop("retries", 0), ours.pop("retries", 0)
    assert {name: _seconds(value) for name, value in ours.items()} == {
        name: _seconds(value) for name, value in theirs.items()
    }
    assert patience in ((3, 1), (0, 0))


def _seconds(value: Any) -> Any:
    return {"1m": "60s", "1m0s": "60s"}.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("service", OURS)
def test_what_is_mounted_is_the_same(both: Both, service: str) -> None:
    def mounts(one: dict[str, Any]) -> dict[str, tuple[str, bool]]:
        found = {}
        for mount in one["services"][service].get("volumes") or []:
            if mount["type"] != "tmpfs":
                found[mount["target"]] = (mount["source"].rpartition("_")[2], bool(mount.get("read_only")))
        return found

    ours, theirs = mounts(both[0]), mounts(both[1])
    ours.pop("/mnt/locust", None)  # the archive stands in
    assert ours == theirs


@pytest.mark.parametrize("service", OURS)
def test_what_can_be_written_is_memory_and_as_small(both: Both, service: str) -> None:
    def size_of(text: str) -> int:
        size = next(part for part in text.split(":")[1].split(",") if part.startswith("size="))
        return int(size.removeprefix("size=").removesuffix("m")) << 20

    ours = {tmpf.partition(":")[0]: size_of(tmpf) for tmpf in both[0]["services"][service].get("tmpfs") or []}
    theirs = {
        volume["target"]: volume["tmpfs"]["size"]
        for volume in both[1]["services"][service].get("volumes") or []
        if volume["type"] == "tmpfs"
    }
    assert ours == theirs


def test_secrets_are_the_same_and_the_clusters_token_beside_them(both: Both) -> None:
    for service in OURS:
        ours, theirs = ({secret["source"] for secret in one["services"][service].get("secrets") or []} for one in both)
        assert theirs - ours == ({"cluster_token"} if service == "monitor" else set())
        assert ours <= theirs


def test_published_are_the_two_pages_and_not_the_workers_port(both: Both) -> None:
    published = {
        (name, port["published"], port["mode"])
        for name, one in both[1]["services"].items()
        for port in one.get("ports") or []
    }
    assert published == {("locust-master", 8123, "host"), ("monitor", 8124, "host")}


def test_it_needs_no_ipvs(both: Both) -> None:
    assert {service["deploy"]["endpoint_mode"] for service in both[1]["services"].values()} == {"dnsrr"}


def test_the_proxys_network_is_its_own(both: Both) -> None:
    users = {name for name, one in both[1]["services"].items() if "nobody" in one["networks"]}
    assert (users, both[1]["networks"]["nobody"]["internal"]) == ({"docker-proxy"}, True)


def test_the_proxy_of_a_stack_watches_the_stack_and_nothing_else(both: Both) -> None:
    services = both[1]["services"]
    assert services["docker-proxy"]["environment"] == {"PROJECT": services["monitor"]["environment"]["PROJECT"]}


def test_one_master_seven_workers_a_sidecar_a_node_and_no_mock_unless_asked(both: Both) -> None:
    deploy = {name: one["deploy"] for name, one in both[1]["services"].items()}
    assert (deploy["locust-master"]["replicas"], deploy["locust-worker"]["replicas"]) == (1, 7)
    assert (deploy["monitor"]["mode"], deploy["docker-proxy"]["mode"]) == ("global", "global")
    assert deploy["mock-target"]["replicas"] == 0


def test_encryption_is_one_file_more(tmp_path: Path) -> None:
    (tmp_path / "env").touch()
    found = stack("docker/stack-encrypted.yml", KIT_ENV_FILE=str(tmp_path / "env"))
    assert found["networks"]["default"] == {"driver": "overlay", "driver_opts": {"encrypted": ""}}
    assert found["networks"]["nobody"]["internal"] is True
