"""A real Prometheus scrapes a real sidecar, and its alert rings at the first OOM kill."""

import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from tests.integration.prometheus import Prometheus, find
from tests.integration.stacks import Stack, docker, until
from tests.integration.watched_project import kill_child, watched

pytestmark = [
    pytest.mark.kills,
    pytest.mark.skipif(find("promtool") is None, reason="no Prometheus: scripts/setup test unpacks Debian's"),
]

SHOP = "kit-test-prometheus-shop"
NAMES = (
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_memory_usage_bytes",
    "container_memory_working_set_bytes",
    "container_memory_rss",
    "container_memory_cache",
    "container_spec_memory_limit_bytes",
    *(
        f"container_network_{way}_{what}_total"
        for way in ("receive", "transmit")
        for what in ("bytes", "packets", "errors")
    ),
    "container_fs_reads_bytes_total",
    "container_fs_writes_bytes_total",
    "container_oom_events_total",
    "container_last_seen",
    "container_start_time_seconds",
    "container_health_state",
    "locust_up",
    "locust_running",
    "locust_users",
    "locust_workers_count",
    *(f"locust_workers_{state}_count" for state in ("running", "hatching", "missing")),
    "locust_requests_fail_ratio",
    "locust_kit_blind_seconds_total",
    "locust_kit_unattributed_oom_kills_total",
    "locust_kit_event_lag_seconds_count",
    "locust_kit_cpu_seconds_total",
    "locust_kit_memory_bytes",
)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """A container of another Compose project, small enough to be killed; its id."""
    with watched(SHOP) as container_id:
        yield container_id


@pytest.fixture(scope="module")
def port(stack: Stack) -> int:
    """Where the sidecar's metrics are."""
    stack.up("WORKERS=1", "MOCK=1", f"WATCH_PROJECT={SHOP}", "INTERVAL=1")
    return stack.monitor_port


@pytest.fixture(scope="module")
def prometheus(port: int, shop: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped the shop's container."""
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), port)
    until(lambda: made.query(f'container_oom_events_total{{id="/docker/{shop}"}}'), 60, "the first scrape")
    yield made
    made.close()


def scrape(port: int, query: str = "") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics{query}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_promtool_has_nothing_to_say_about_it(prometheus: Prometheus, port: int) -> None:
    assert prometheus.targets()
    program = find("promtool")
    assert program
    done = subprocess.run(
        [program, "check", "metrics"], input=scrape(port), capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_one_unsound_name_of_locust_exporter_comes_on_request(port: int) -> None:
    unsound = "locust_requests_current_fail_per_sec{"
    assert unsound not in scrape(port)
    assert unsound in scrape(port, "?legacy=1")


def test_it_is_scraped_without_an_error(prometheus: Prometheus) -> None:
    (target,) = prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_dashboards_know_has_a_value(prometheus: Prometheus, name: str) -> None:
    until(lambda: prometheus.query(name), 30, name)


def test_its_cpu_counter_agrees_with_the_kernels_own(prometheus: Prometheus, shop: str) -> None:
    spin = "import time; end = time.process_time() + 2\nwhile time.process_time() < end: pass"
    before = float(prometheus.query(f'container_cpu_usage_seconds_total{{id="/docker/{shop}"}}')[0]["value"][1])
    docker("exec", shop, "python3", "-c", spin)
    used = until(
        lambda: [
            one
            for one in prometheus.query(f'container_cpu_usage_seconds_total{{id="/docker/{shop}"}}')
            if float(one["value"][1]) >= before + 2
        ],
        30,
        "two seconds of processor time",
    )
    assert float(used[0]["value"][1]) < before + 10


def test_the_alert_of_everybodys_rule_rings_at_the_first_kill(prometheus: Prometheus, shop: str) -> None:
    assert prometheus.query(f'container_oom_events_total{{id="/docker/{shop}"}}')[0]["value"][1] == "0"
    assert prometheus.alerts() == []
    kill_child(shop)
    (alert,) = until(prometheus.alerts, 30, "the alert to fire")
    assert alert["labels"]["name"] == f"{SHOP}-web-1"
    assert alert["labels"]["container_label_com_docker_compose_service"] == "web"
    (value,) = prometheus.query(f'container_oom_events_total{{id="/docker/{shop}"}}')
    assert value["value"][1] == "1"


def test_the_counter_of_a_container_that_is_gone_stays(prometheus: Prometheus, shop: str) -> None:
    docker("rm", "-f", shop)
    until(lambda: not prometheus.query(f'container_memory_usage_bytes{{id="/docker/{shop}"}}'), 60, "its sizes to go")
    (value,) = prometheus.query(f'container_oom_events_total{{id="/docker/{shop}"}}')
    assert value["value"][1] == "1"
