"""What Prometheus gets."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar.engine import stats
from sidecar.model.observation import ContainerSeries, Lag, Listed, SelfMetrics, StatsReading, Total
from sidecar.model.snapshot import EndpointStats, Failure, Locust, RunLabel, RunStatus, Snapshot, Worker
from sidecar.views.metrics import metrics_text, number
from tests.fakes.sidecar_samples import NOW, recorded

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_0-9]+=\"(?:[^\"\\\n]|\\.)*\",?)*)\})? (\S+)$")
OWN = SelfMetrics(
    NOW, cpu_seconds=1.5, memory_bytes=50_000_000, blind_seconds=2.25, unattributed_kills=1, journal_bytes=4096
)
ENDPOINT = EndpointStats("GET", "/cart", 100, 2, 9.5, 120.0, 0.5, 40.0, 45.5, 3.0, 900.0, 512.0)
LOCUST = Locust(
    state="running",
    users=20,
    rps=9.5,
    fail_per_second=0.5,
    fail_ratio=0.02,
    p50_ms=40.0,
    p95_ms=120.0,
    workers_connected=2,
    workers_expected=3,
    workers=tuple(
        Worker(f"w{number}", None, state, 5, 1.0, 1) for number, state in enumerate(("running", "spawning", "missing"))
    ),
    total=replace(ENDPOINT, method="", name="Aggregated"),
)
SNAPSHOT = Snapshot(
    "locust", NOW, stale=False, interval_seconds=2.0, locust=LOCUST, endpoints=(ENDPOINT,),
    failures=(Failure("GET", "/cart", 'HTTPError("500")\nbroken \\ back', 2),),
)  # fmt: skip


def counters(name: str = "v2/stats_one_shot") -> StatsReading:
    found = stats.counters(recorded(name))
    assert found is not None
    return found


def row(reading: StatsReading | None = None, **changes: object) -> ContainerSeries:
    listed = Listed("ab" * 32, "locust-locust-worker-1", "locust-worker", 1, "running", "healthy")
    listed = replace(listed, project="locust", image="i:1")
    totals = {Total("cpu_ns"): 2_500_000_000, Total("throttled_ns"): 500_000_000, Total("rx_bytes", "eth0"): 7}
    made = ContainerSeries(
        listed,
        present=True,
        seen_at=NOW,
        started_at=NOW - timedelta(seconds=60),
        memory_limit_bytes=64 << 20,
        counters=reading,
        totals=totals,
        oom_kills=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # what a test wants otherwise


def samples(text: str) -> dict[str, dict[str, float]]:
    """Values by name and written labels; every line must be a comment or a sample."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = SAMPLE.match(line)
            assert match, line
            found.setdefault(match[1], {})[match[2] or ""] = float(match[3])
    return found


def one(text: str, name: str) -> float:
    (value,) = samples(text)[name].values()
    return value


def test_a_container_has_cadvisors_names_units_and_labels() -> None:
    text = metrics_text([row(counters())], SNAPSHOT, OWN)
    assert one(text, "container_cpu_usage_seconds_total") == 2.5
    assert one(text, "container_cpu_cfs_throttled_seconds_total") == 0.5
    assert one(text, "container_start_time_seconds") == NOW.timestamp() - 60
    assert one(text, "container_spec_memory_limit_bytes") == 64 << 20
    assert one(text, "container_health_state") == 1
    (labels,) = samples(text)["container_last_seen"]
    assert labels == (
        f'id="/docker/{"ab" * 32}",name="locust-locust-worker-1",image="i:1",'
        'container_label_com_docker_compose_project="locust",'
        'container_label_com_docker_compose_service="locust-worker",'
        'container_label_com_docker_compose_container_number="1"'
    )
    assert 'interface="eth0"' in next(iter(samples(text)["container_network_receive_bytes_total"]))


@pytest.mark.parametrize("name", ["v1/stats_one_shot", "v2/stats_one_shot"])
def test_memory_is_what_the_engine_recorded_on_both_kinds_of_cgroups(name: str) -> None:
    memory = recorded(name)["memory_stats"]
    kept = memory["stats"]
    text = metrics_text([row(counters(name))], SNAPSHOT, OWN)
    assert one(text, "container_memory_usage_bytes") == memory["usage"]
    inactive = kept["total_inactive_file"] if name.startswith("v1") else kept["inactive_file"]
    assert one(text, "container_memory_working_set_bytes") == memory["usage"] - inactive
    assert one(text, "container_memory_rss") == (kept["total_rss"] if name.startswith("v1") else kept["anon"])
    assert one(text, "container_memory_cache") == (kept["total_cache"] if name.startswith("v1") else kept["file"])


def test_each_network_card_has_its_own_figures() -> None:
    interfaces = {interface.name: interface for interface in counters().interfaces}
    networks = recorded("v2/stats_one_shot")["networks"]
    assert set(interfaces) == set(networks)
    assert {name: interface.tx_packets for name, interface in interfaces.items()} == {
        n: v["tx_packets"] for n, v in networks.items()
    }


def test_oom_kills_are_there_from_the_first_sight_on() -> None:
    assert one(metrics_text([row()], SNAPSHOT, OWN), "container_oom_events_total") == 0


def test_a_container_that_is_gone_keeps_its_counters_and_has_no_sizes() -> None:
    text = metrics_text([row(present=False, oom_kills=3)], SNAPSHOT, OWN)
    assert one(text, "container_oom_events_total") == 3
    assert one(text, "container_cpu_usage_seconds_total") == 2.5
    assert not {"container_memory_usage_bytes", "container_start_time_seconds"} & set(samples(text))


def test_what_is_old_is_not_said_to_be_of_now() -> None:
    text = metrics_text([row(counters())], replace(SNAPSHOT, stale=True), OWN)
    assert "container_memory_usage_bytes" not in samples(text)
    assert one(text, "container_cpu_usage_seconds_total") == 2.5
    assert one(text, "locust_kit_engine_up") == 0


@pytest.mark.parametrize(("health", "state"), [("healthy", 1), ("unhealthy", 0), ("starting", 0), (None, -1)])
def test_health_is_a_number(health: str | None, state: int) -> None:
    healthy = row(counters())
    text = metrics_text([replace(healthy, listed=replace(healthy.listed, health=health))], SNAPSHOT, OWN)
    assert one(text, "container_health_state") == state


def test_the_run_has_locust_exporters_names() -> None:
    found = samples(metrics_text([], SNAPSHOT, OWN))
    plain = {name: values[""] for name, values in found.items() if "" in values}
    assert {name: plain[f"locust_{name}"] for name in ("up", "running", "users", "workers_count")} == {
        "up": 1, "running": 2, "users": 20, "workers_count": 2,
    }  # fmt: skip
    assert [plain[f"locust_workers_{state}_count"] for state in ("running", "hatching", "missing")] == [1, 1, 1]
    assert plain["locust_requests_fail_ratio"] == 0.02
    assert [plain[f"locust_requests_current_response_time_percentile_{of}"] for of in (50, 95)] == [40, 120]
    assert found["locust_requests_num_requests"] == {
        'method="GET",name="/cart"': 100,
        'method="",name="Aggregated"': 100,
    }
    rows = {name.removeprefix("locust_requests_"): min(values.values()) for name, values in found.items()}
    wanted = {"num_failures": 2, "avg_response_time": 45.5, "min_response_time": 3, "max_response_time": 900}
    wanted |= {
        "median_response_time": 40,
        "current_rps": 9.5,
        "current_fail_per_second": 0.5,
        "avg_content_length": 512,
    }
    assert {name: rows[name] for name in wanted} == wanted


def test_the_one_name_that_promtool_refuses_is_given_on_request() -> None:
    old, new = "locust_requests_current_fail_per_sec", "locust_requests_current_fail_per_second"
    assert old not in samples(metrics_text([], SNAPSHOT, OWN))
    found = samples(metrics_text([], SNAPSHOT, OWN, legacy=True))
    assert found[old] == found[new]


def test_an_error_with_quotes_lines_and_backslashes_stays_one_label() -> None:
    (labels,) = samples(metrics_text([], SNAPSHOT, OWN))["locust_errors"]
    assert labels.endswith(r'error="HTTPError(\"500\")\nbroken \\ back"')


def test_the_runs_labels_are_on_a_series_of_its_own_and_a_class_on_its_errors() -> None:
    run = RunStatus("20261122T150405Z-ab12", "running", labels=(RunLabel("env", 'a "b"'),))
    failure = Failure("GET", "/cart", "busy <n>", 3, failure_class="server_error", detail="503")
    found = samples(metrics_text([], replace(SNAPSHOT, run=run, failures=(failure,)), OWN))
    assert found["locust_run_info"] == {r'run_id="20261122T150405Z-ab12",env="a \"b\""': 1}
    assert found["locust_errors"] == {'method="GET",name="/cart",error="busy <n>",class="server_error"': 3}


def test_rows_that_look_alike_become_one() -> None:
    twice = replace(SNAPSHOT, endpoints=(ENDPOINT, ENDPOINT), failures=SNAPSHOT.failures * 2)
    text = metrics_text([], twice, OWN)
    written = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(set(written)) == len(written)
    assert one(text, "locust_errors") == 4


def test_a_master_that_gives_no_figures_is_down_and_nothing_else_is_said_of_it() -> None:
    for snapshot in (None, replace(SNAPSHOT, locust=None)):
        found = samples(metrics_text([], snapshot, OWN))
        assert [name for name in found if name.startswith("locust_") and "_kit_" not in name] == ["locust_up"]
        assert found["locust_up"] == {"": 0}


def test_the_sidecar_says_what_it_could_not_see_and_what_it_costs() -> None:
    lag = Lag(((0.1, 3), (1.0, 4)), 5, 7.5)
    found = samples(metrics_text([], SNAPSHOT, replace(OWN, event_lag=lag)))
    assert found["locust_kit_blind_seconds_total"] == {"": 2.25}
    assert found["locust_kit_unattributed_oom_kills_total"] == {"": 1}
    assert found["locust_kit_event_lag_seconds_bucket"] == {'le="0.1"': 3, 'le="1"': 4, 'le="+Inf"': 5}
    assert (found["locust_kit_event_lag_seconds_sum"][""], found["locust_kit_event_lag_seconds_count"][""]) == (7.5, 5)


def test_every_family_has_help_and_type_once_and_its_samples_together() -> None:
    text = metrics_text([row(counters()), row(counters())], SNAPSHOT, OWN)
    typed = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    assert [name for name, _ in typed] == re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    assert len(dict(typed)) == len(typed)
    for name, kind in typed:
        assert (kind == "counter") == name.endswith("_total")
        assert kind == "untyped" or not name.endswith("_count")


@pytest.mark.parametrize(
    ("value", "written"), [(3, "3"), (0.1, "0.1"), (1e20, "1e+20"), (2**64, "18446744073709551616")]
)
def test_numbers_keep_every_digit(value: float, written: str) -> None:
    assert number(value) == written
