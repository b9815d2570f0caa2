"""Every setting, declared once: name, default, unit, type, parser, meaning, cost, and where it goes.

To add one: a field here, the line in docker-compose.yml where it enters a container, and
`python -m sidecar.settings.example > .env.example`. Sizes are bytes, times seconds, shares 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sidecar.model import threshold
from sidecar.model.incident import IncidentKind
from sidecar.model.threshold import Threshold
from sidecar.settings import addresses, parse
from sidecar.settings.setting import Destination, Kind, Section, count, setting, text

COMPOSE, LOCUST, MASTER, MONITOR = Destination

SWITCH = Kind("1 or 0", parse.boolean)
SECONDS = Kind("seconds", parse.positive)
NAMES = Kind("names", parse.names)
FILE = Kind("file", parse.inner_file)
FOLDER = Kind("folder", Path)
PORT = Kind("TCP port", parse.port)
METHOD = Kind(
    "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
    partial(parse.choice, ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
)
PROJECT_NAME = parse.matching(
    r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _, beginning with a letter or a digit"
)
MEMORY = Kind("a size: 512m, 2G or bytes", parse.locust_memory_bytes)


@dataclass(frozen=True)
class StackSettings(Section):
    """Set up the stack, and choose the target."""

    project: str = setting(
        "PROJECT=locust",
        Kind("name", PROJECT_NAME),
        "Name of the stack. It is the prefix of its containers, network and volumes. Another name starts another "
        "stack beside the first. It needs its own WEB_PORT.",
        to=COMPOSE | MONITOR,
    )
    workers: int = setting(
        "WORKERS=4",
        Kind("workers, or auto", parse.workers),
        "Number of Locust workers. `auto`: the CPUs of this machine - 1.",
        "Each worker can use one CPU and up to WORKER_MEMORY.",
    )
    web_port: int = setting(
        "WEB_PORT=8089", PORT, "Port of Locust's web page. It is published on 127.0.0.1 only.", to=COMPOSE
    )
    monitor_port: int = setting(
        "MONITOR_PORT=",
        PORT,
        "Port of the monitor's page. It is published on 127.0.0.1 only. Empty: WEB_PORT + 1.",
        to=COMPOSE,
    )
    web_hosts: tuple[str, ...] = setting(
        "WEB_HOSTS=",
        Kind("host names", addresses.host_names),
        "More names under which browsers reach Locust's page and the monitor's, such as the name of a proxy. Both "
        "pages refuse other names; localhost, IP addresses and the services' own names always work.",
        "A web page of such a name can start runs and read results.",
        to=MASTER | MONITOR,
    )
    host: str = setting(
        "HOST=",
        Kind("URL", parse.optional(addresses.target_url)),
        "URL of the target. It replaces the host of every User class.",
        in_environment=False,
    )
    allowed_targets: tuple[str, ...] = setting(
        "ALLOWED_TARGETS=",
        Kind("hosts, patterns and networks", addresses.allowed_targets),
        "Hosts that the test may load, such as staging.example,*.test.example:8443,10.1.0.0/16. `up`, `run`, `try`, "
        "Locust's page and the workers refuse every other host. Empty: all hosts. The mock target is always allowed.",
        "Under 1 µs for each request. List databases and other services that the test connects to, too.",
        to=LOCUST,
    )
    mock: bool = setting(
        "MOCK=0",
        SWITCH,
        "Use the kit's own mock target instead of the host of the User classes.",
        "One more container, which shares this machine's CPUs with the workers.",
    )
    target_network: str = setting(
        "TARGET_NETWORK=",
        text("Docker network"),
        "Docker network of another project that the workers join, to reach its services.",
        "Workers can reach everything on that network.",
        to=COMPOSE,
    )
    target_network_master: bool = setting(
        "TARGET_NETWORK_MASTER=0",
        SWITCH,
        "The master joins TARGET_NETWORK, too. Use it if the import or a `test_start` listener needs the target.",
        "Every container in that network can open Locust's page, start and stop runs, and join as a worker.",
    )


@dataclass(frozen=True)
class RemoteSettings(Section):
    """Add workers on other machines."""

    remote_workers: str = setting(
        "REMOTE_WORKERS=",
        Kind("address of this machine", addresses.own_address),
        "Address of this machine at which workers of other machines reach the master, on port 5557. Empty: the "
        "port is not published. See docs/remote-workers.md.",
        "Locust's port has no password and no encryption. Anyone who reaches it can join and send false figures.",
        to=COMPOSE,
    )
    remote_allow: tuple[str, ...] = setting(
        "REMOTE_ALLOW=",
        Kind("addresses and networks", addresses.allow_list),
        "Addresses and networks that may connect to REMOTE_WORKERS, such as 10.0.0.7,10.1.0.0/16. A machine that "
        "is not in the list cannot join. Empty: `make up` asks if everyone may join. Without a terminal, it refuses. "
        "Everyone: 0.0.0.0/0,::/0.",
        to=COMPOSE,
        variable="KIT_REMOTE_ALLOW",
    )
    remote_workers_per_address: int = setting(
        "REMOTE_WORKERS_PER_ADDRESS=64",
        count("workers", 1, 1000),
        "Connections that REMOTE_WORKERS accepts from one address. Each worker has one, and all workers of a machine "
        "share its address.",
        to=COMPOSE,
    )
    master: tuple[str, int] | None = setting(
        "MASTER=",
        Kind("address[:port]", addresses.place_of_master),
        "Master that the workers of `make join` connect to. Use the REMOTE_WORKERS address of its machine.",
        in_environment=False,
    )


@dataclass(frozen=True)
class LocustfileSettings(Section):
    """Choose your locustfiles, user classes and tasks."""

    locustfiles_dir: Path = setting(
        "LOCUSTFILES_DIR=./locustfiles",
        FOLDER,
        "Folder with your locustfiles, their data files, modules, requirements.txt and .env.",
        "Every Locust container can read the whole folder.",
        to=COMPOSE,
    )
    locustfile: str = setting(
        "LOCUSTFILE=locustfile.py",
        text("file, list or package"),
        "What to load from LOCUSTFILES_DIR: one file, several files separated by commas, or a folder. Every User "
        "class in these files runs, unless CLASSES selects some.",
        to=LOCUST,
    )
    classes: tuple[str, ...] = setting(
        "CLASSES=", NAMES, "User classes that run. Empty: all.", to=LOCUST, variable="KIT_CLASSES"
    )
    tags: tuple[str, ...] = setting(
        "TAGS=",
        NAMES,
        "Run only tasks with one of these tags. A change recreates master and workers.",
        to=LOCUST,
        variable="KIT_TAGS",
    )
    exclude_tags: tuple[str, ...] = setting(
        "EXCLUDE_TAGS=",
        NAMES,
        "Do not run tasks with one of these tags. A change recreates master and workers.",
        to=LOCUST,
        variable="KIT_EXCLUDE_TAGS",
    )


@dataclass(frozen=True)
class RunSettings(Section):
    """Run a test, and decide when it fails."""

    shape: str = setting(
        "SHAPE=",
        text("name, or none"),
        "Load shape class of a run. Empty: the first one in your files, as in Locust itself. `none`: no shape, so "
        "USERS and RUN_TIME apply.",
    )
    users: int = setting(
        "USERS=10",
        count("users", 1),
        "Highest number of simulated users in a run.",
        "About 30 kB of memory per user over HTTP, up to 900 kB over HTTPS.",
        lasting=False,
    )
    spawn_rate: float = setting(
        "SPAWN_RATE=10",
        Kind("users per second", parse.positive),
        "Number of users started per second.",
        "Above 100 per second and worker, Locust itself cannot keep up.",
        aliases=("RATE",),
        lasting=False,
    )
    run_time: int = setting(
        "RUN_TIME=1m",
        Kind("a time: 90, 90s, 2m or 1h30m", parse.duration_seconds),
        "Duration of a run. 0: until Ctrl-C.",
        aliases=("TIME",),
        lasting=False,
    )
    fail_ratio: float = setting(
        "FAIL_RATIO=0",
        Kind("1% or 0.01", parse.ratio),
        "Share of failed requests above which a run is FAIL.",
        "A high value hides real failures.",
        to=MASTER | MONITOR,
    )
    outage_ratio: float = setting(
        "OUTAGE_RATIO=50%",
        Kind("50% or 0.5; 0: not judged", parse.ratio),
        "Share of failed requests in any 10 seconds from which a run is FAIL, whatever the share of the whole "
        "run. It is not judged if FAIL_RATIO or a threshold on fail_ratio allows half of the requests to fail.",
        "A high value passes a run in which the target was down for a while.",
        to=MASTER,
    )
    task_error_ratio: float = setting(
        "TASK_ERROR_RATIO=0",
        Kind("1% or 0.01", parse.ratio),
        "Share of task runs that raise an exception above which a run is FAIL. Locust counts no failed request "
        "for such an exception.",
        "A high value passes users that stop half-way through each task.",
        to=MASTER,
    )
    thresholds: tuple[Threshold, ...] = setting(
        "THRESHOLDS=",
        Kind("limits such as p95<800 fail_ratio<1% rps>50", threshold.parse),
        "Limits for the figures of a run. The run is FAIL if it misses one. A threshold on fail_ratio replaces "
        "FAIL_RATIO. See docs/verdict.md.",
        to=MASTER,
    )
    thresholds_file: str = setting(
        "THRESHOLDS_FILE=", text("path"), "File with more thresholds, one per line. # begins a comment."
    )
    on_invalid: str = setting(
        "ON_INVALID=fail",
        Kind("fail or warn", partial(parse.choice, ("fail", "warn"))),
        "Exit code of an INVALID run. `fail`: 4. `warn`: the exit code of PASS or FAIL.",
        "With `warn`, a pipeline continues without a valid measurement.",
        to=MASTER,
    )
    labels: tuple[str, ...] = setting(
        "LABELS=",
        Kind("labels such as env=staging team=shop", parse.labels),
        "Labels of the run. They appear in its folder, its report, the metrics (`locust_run_info`) and pushed data.",
        to=MASTER,
    )
    args: tuple[str, ...] = setting(
        "ARGS=",
        Kind('"--tenant green --think 0.2"', parse.words),
        "Arguments that your locustfile adds, written as on Locust's command line. `run tenant=green think=0.2` "
        "sets them one by one.",
        lasting=False,
        secret=True,
        in_environment=False,
    )
    attach: bool = setting("ATTACH=0", SWITCH, "Follow the active run instead of starting a new one.", lasting=False)
    stop_timeout: int = setting(
        "STOP_TIMEOUT=0",
        count("seconds", 0, 3600),
        "How long users may finish their task when a run stops.",
        "A run with hanging requests ends that much later. At 0, requests in progress are cut and not counted.",
        to=LOCUST,
    )
    reports_dir: Path = setting(
        "REPORTS_DIR=./reports", FOLDER, "Folder in which each run leaves its report.", "About 1 MB of disk per run."
    )
    artifacts: str = setting(
        "ARTIFACTS=results",
        Kind("folder", parse.inner_folder),
        "Folder in the test's working directory, on the master and each worker. `make run` copies the files in "
        "it into the report.",
        "Until then the files are in the container's memory.",
        to=LOCUST,
        in_environment=False,
    )
    artifacts_megabytes: int = setting(
        "ARTIFACTS_MEGABYTES=256",
        count("MB", 0, 1_000_000),
        "Largest size of the artifacts in one report. Files beyond it are left out, and `make run` reports that. "
        "0: copy nothing.",
    )


@dataclass(frozen=True)
class InvalidSettings(Section):
    """Decide when a run is INVALID."""

    TO = MASTER
    generator_cpu: float = setting(
        "GENERATOR_CPU=90",
        Kind("% of a core", parse.positive),
        "CPU use of a worker that makes a run INVALID, when sustained. Such a run measures the worker's own queue.",
        "A high value blames the target for delays of the load machine.",
    )
    generator_throttled: float = setting(
        "GENERATOR_THROTTLED=25",
        Kind("% of CPU periods", parse.positive),
        "CPU periods with throttling (WORKER_CPUS) of one worker that make a run INVALID, when sustained.",
        "A high value blames the target for delays of the load machine.",
    )
    generator_blocked: float = setting(
        "GENERATOR_BLOCKED=5%",
        Kind("5% or 0.05; 0: not judged", parse.ratio),
        "Share of a worker's time in blocking code that makes a run INVALID, when sustained. A block of 100 ms "
        "or more counts. Nothing else in that worker runs meanwhile.",
        "A high value blames the target for delays of the load machine.",
    )
    sustained_seconds: float = setting(
        "SUSTAINED_SECONDS=30",
        SECONDS,
        "A problem of a worker is sustained if it lasts this long in a row. SUSTAINED_SHARE is the alternative.",
        "A long time overlooks a problem in a short run.",
    )
    sustained_share: float = setting(
        "SUSTAINED_SHARE=10%",
        Kind("10% or 0.1", parse.share),
        "A problem of a worker is also sustained if it takes this share of the whole run, and at least 10 s.",
        "A high share overlooks a problem in a short run.",
    )
    rate_kept: float = setting(
        "RATE_KEPT=95%",
        Kind("95% or 0.95; 0 = off", parse.ratio),
        "Share of the task runs planned by constant_throughput and constant_pacing, below which a run is INVALID.",
        "A low value passes a run with less load than planned.",
    )
    stuck_seconds: int = setting(
        "STUCK_SECONDS=10",
        count("seconds", 0, 86400),
        "How long a request may wait before it counts as never answered, and so as failed. 0: no limit.",
        "A long time overlooks requests that hang.",
    )


@dataclass(frozen=True)
class ReportSettings(Section):
    """Read and compare reports."""

    run: str = setting(
        "RUN=", text("a run's id, or last"), "Run to report on: its id, or `last`. Empty: list all runs.", lasting=False
    )
    baseline: str = setting("BASELINE=", text("a run's id"), "Run that the report is compared with.", lasting=False)


@dataclass(frozen=True)
class CapacitySettings(Section):
    """Find the capacity of an endpoint."""

    endpoint: str = setting(
        "ENDPOINT=",
        Kind("/path", parse.matching(r"/[^\s#]*", "a path such as /api/cart?page=2; the target is HOST")),
        "Path of the endpoint that `capacity` loads with more and more users.",
        "The endpoint gets all the load that it can carry, and one step more.",
        lasting=False,
    )
    method: str = setting("METHOD=GET", METHOD, "HTTP method of the requests to ENDPOINT.", lasting=False)
    most_users: int = setting(
        "MOST_USERS=256",
        count("users", 2, 65536),
        "Number of users at which `capacity` ends at the latest. It begins with 1 and doubles.",
        "One step for each doubling.",
        lasting=False,
    )
    step_seconds: int = setting(
        "STEP_SECONDS=12",
        count("seconds", 5, 3600),
        "Duration of one step of `capacity`.",
        "Longer steps take more time. Below 10 s, the figures of a step still include the step before.",
        lasting=False,
    )


@dataclass(frozen=True)
class LimitSettings(Section):
    """Limit memory, CPU and open files."""

    TO = COMPOSE
    worker_memory: int = setting(
        "WORKER_MEMORY=2G",
        MEMORY,
        "Memory limit of each worker. Swap is never added. The kernel kills a worker above the limit, and the "
        "run is INVALID.",
    )
    worker_memory_reservation: int = setting(
        "WORKER_MEMORY_RESERVATION=1G",
        Kind("a size: 512m, 2G or bytes", parse.memory_bytes),
        "Memory that a worker keeps when the machine runs short. It takes nothing until then. At most WORKER_MEMORY.",
    )
    master_memory: int = setting(
        "MASTER_MEMORY=2G",
        MEMORY,
        "Memory limit of the master.",
        "The master needs about 2 kB for each request name. If it is killed, the run ends.",
    )
    worker_cpus: float | None = setting(
        "WORKER_CPUS=",
        Kind("CPUs", parse.positive),
        "CPU limit of each worker, such as 1.5. Empty: no limit.",
        "A throttled worker measures wrong response times.",
    )
    nofile: int = setting(
        "NOFILE=10000",
        count("open files", 1024, 1_048_576),
        "Open files allowed to each Locust process. Locust asks for 10000. A higher value needs a Docker daemon "
        "that may raise its own limit.",
    )


@dataclass(frozen=True)
class ImageSettings(Section):
    """Use your own images."""

    TO = COMPOSE
    base_image: str = setting(
        "BASE_IMAGE=",
        text("image"),
        "Debian image that all images are built on. Empty: the image that `make setup` found.",
        "A change rebuilds every image.",
    )
    locust_image: str = setting(
        "LOCUST_IMAGE=",
        text("image"),
        "Your own image instead of the kit's Locust image.",
        "Without the kit's entry point and plugin, `status` and `try` do less.",
    )


@dataclass(frozen=True)
class ViewSettings(Section):
    """Watch the stack in the terminal."""

    interval: float = setting(
        "INTERVAL=2",
        Kind("seconds", partial(parse.seconds, 0.5, 3600.0)),
        "Time between two measurements of the monitor (the sidecar container), and between two frames of the view.",
        "Half the interval takes nearly twice the CPU time.",
        to=MONITOR,
    )
    tail: int = setting(
        "TAIL=5",
        count("lines", 0, 10000),
        "Number of recent log lines: of the master in the view, and of each service in `logs`.",
        to=MONITOR,
    )
    once: bool = setting("ONCE=0", SWITCH, "Print one frame of the view as plain text, then exit.", lasting=False)
    service: str = setting("SERVICE=", text("service"), "Show the logs of this service only.", lasting=False)
    follow: bool = setting("FOLLOW=0", SWITCH, "Keep following the logs.", lasting=False)


@dataclass(frozen=True)
class WatchingSettings(Section):
    """Watch the target and other containers, and keep their history."""

    TO = MONITOR
    watch_project: str = setting(
        "WATCH_PROJECT=",
        Kind("name", PROJECT_NAME),
        "Another Compose project that is also monitored, such as the system under test.",
        "Each of its containers costs the monitor as much as a worker.",
    )
    fail_threshold: float = setting(
        "FAIL_THRESHOLD=5%",
        Kind("5% or 0.05", parse.share),
        "Share of failed requests, over 10 seconds, from which the monitor records an incident.",
        "A low value reports noise. FAIL_RATIO alone decides whether a run is FAIL.",
        to=MASTER,
    )
    health_seconds: int = setting(
        "HEALTH_SECONDS=10",
        count("seconds", 0, 3600),
        "Time between two health checks of the master, its statistics, the target and HEALTH_URLS. 0: no checks.",
        "One small request each, to the target as well.",
    )
    health_target: bool = setting(
        "HEALTH_TARGET=1",
        SWITCH,
        "Check the target of the last run, too. A target behind TARGET_NETWORK is never checked, because the "
        "monitor does not join that network.",
        "One request per HEALTH_SECONDS.",
    )
    health_urls: tuple[tuple[str, str], ...] = setting(
        "HEALTH_URLS=",
        Kind("name=http://host/path", addresses.named_urls),
        "More URLs to check, separated by spaces. They must be reachable from inside the stack.",
        "One request each.",
        lasting=False,
        secret=True,
    )
    ledger_days: int = setting(
        "LEDGER_DAYS=30",
        count("days", 1, 3650),
        "How long the monitor keeps incidents, events, figures and log lines.",
        "Disk, up to LEDGER_MEGABYTES.",
    )
    ledger_megabytes: int = setting(
        "LEDGER_MEGABYTES=512",
        count("MB", 16, 1_048_576),
        "Largest size of the ledger. The monitor deletes the oldest figures and log lines first, incidents last.",
        "Disk, on the volume `ledger`.",
    )
    web_password: str = setting(
        "WEB_PASSWORD=",
        text("text"),
        "Password of Locust's page and the monitor's page. The browser asks for it, and the user name does not matter. "
        "The kit's own commands use it by themselves. Empty: no password.",
        "Anyone who can read .locust-kit/ can read it. Without TLS it crosses the network readable.",
        to=MASTER,
        lasting=False,
        secret=True,
    )
    locust_web_username: str = setting(
        "LOCUST_WEB_USERNAME=",
        text("name"),
        "User name for a master that asks for a login (--web-login). The monitor and `run` sign in with it.",
    )
    locust_web_password: str = setting(
        "LOCUST_WEB_PASSWORD=",
        text("text"),
        "Password of LOCUST_WEB_USERNAME.",
        "Anyone who can read .locust-kit/ can read it. The monitor gets it as a file, not in its environment.",
        lasting=False,
        secret=True,
    )


@dataclass(frozen=True)
class ClientSettings(Section):
    """Change the users' connections and memory."""

    TO = LOCUST
    share_tls: bool = setting(
        "SHARE_TLS=1",
        SWITCH,
        "Let all users of a worker share one TLS context, instead of one each of about 875 kB. Certificates are "
        "checked as before. A context of your own (ssl_context_factory) is not changed.",
    )
    connect_timeout: float | None = setting(
        "CONNECT_TIMEOUT=",
        SECONDS,
        "How long a user waits for a connection. Empty: Locust's default (HttpUser no limit, FastHttpUser 60 s). "
        "The test's own values have priority: `timeout=` of a request, `connection_timeout` of a class.",
    )
    read_timeout: float | None = setting(
        "READ_TIMEOUT=",
        SECONDS,
        "How long a user waits for an answer, or for the next part of one. Empty: Locust's default (HttpUser no "
        "limit, FastHttpUser 60 s). The test's own values have priority: `timeout=` of a request, "
        "`network_timeout` of a class.",
    )
    pool_size: int | None = setting(
        "POOL_SIZE=",
        count("connections", 1, 10_000),
        "Number of connections that a user keeps. Empty: Locust's default, 10.",
        "File descriptors and memory, for users that send several requests at once.",
    )
    retries: int = setting(
        "RETRIES=0",
        count("retries", 0, 10),
        "How often a request is sent again after its connection failed. Only requests that do no harm twice are "
        "repeated. Each retry is counted.",
        "Retries hide failures: the report then shows a target that had help.",
    )
    tls_ca: str | None = setting(
        "TLS_CA=",
        FILE,
        "Certificate of a private authority that users trust besides the public ones. A file in LOCUSTFILES_DIR. "
        "Python requires a key usage (keyCertSign) in the certificate.",
    )
    tls_cert: str | None = setting(
        "TLS_CERT=",
        FILE,
        "Client certificate that users show to the target. A file in LOCUSTFILES_DIR. Its key is in the same "
        "file, or in TLS_KEY.",
    )
    tls_key: str | None = setting(
        "TLS_KEY=",
        FILE,
        "Key of TLS_CERT, without a passphrase. A file in LOCUSTFILES_DIR that others may read.",
        "Anyone who can read the folder has the key.",
    )
    proxy: str | None = setting(
        "PROXY=",
        Kind("http://host:port", addresses.proxy),
        "HTTP proxy through which users reach the target. Variables such as HTTPS_PROXY are not read.",
        "Response times then include the proxy.",
    )
    trace_memory: bool = setting(
        "TRACE_MEMORY=0",
        SWITCH,
        "At the end of a run, each worker reports the lines of code that hold the most memory (tracemalloc).",
        "Each allocation takes about twice as long, and more memory. Never set it for a run that you want to measure.",
    )
    gc_freeze: bool = setting(
        "GC_FREEZE=0",
        SWITCH,
        "At the start of a run, workers exclude all loaded objects from Python's garbage collection.",
        "Objects that are garbage at that moment are never freed.",
    )
    gc_thresholds: tuple[int, ...] | None = setting(
        "GC_THRESHOLDS=",
        Kind("numbers such as 10000,20,50", parse.gc_thresholds),
        "When Python's garbage collection runs, as in `gc.set_threshold`. Empty: Python's default.",
        "Fewer collections mean fewer pauses and more memory.",
    )


@dataclass(frozen=True)
class TraceSettings(Section):
    """Trace requests (OpenTelemetry)."""

    otel: str = setting(
        "OTEL=",
        Kind("http://host:port", parse.optional(addresses.collector)),
        "OpenTelemetry collector (OTLP over HTTP) that gets a span of each request. Each request then has a "
        "traceparent header. See docs/failures.md.",
        "CPU time of the workers: 0.2 ms (FastHttpUser) to 0.4 ms (HttpUser) per request.",
        to=LOCUST,
    )
    trace_url: str = setting(
        "TRACE_URL=",
        Kind("URL with {trace_id}", parse.optional(addresses.trace_url)),
        "Address that shows a trace, such as http://jaeger:16686/trace/{trace_id}. The page and the report link "
        "failures to it.",
        to=MASTER,
    )


@dataclass(frozen=True)
class FailureSettings(Section):
    """Analyse failed and slow requests."""

    TO = LOCUST
    slow_ms: float = setting("SLOW_MS=3000", Kind("ms", parse.positive), "Response time above which a request is slow.")
    slow_requests: int = setting(
        "SLOW_REQUESTS=5",
        count("requests", 0),
        "Number of slow requests above which an endpoint is reported as a bottleneck at the end of a run.",
    )
    slow_top: int = setting(
        "SLOW_TOP=5",
        count("endpoints", 1, 1000),
        "Largest number of bottlenecks that are reported. Endpoints with the most time in slow requests come first.",
    )
    redact: tuple[str, ...] = setting(
        "REDACT=",
        Kind("names", parse.field_names),
        "Headers, parameters and fields that hold secrets, in addition to the kit's own list. A name of that "
        "list cannot be removed.",
    )
    redact_keep_last: int = setting(
        "REDACT_KEEP_LAST=0",
        count("characters", 0, 4),
        "How many characters at the end of a token stay readable, at most 4. They show which token got a 401.",
        "The characters are in every file and message. Passwords, cookies and tokens with fewer than 16 "
        "characters are always hidden completely.",
    )
    failure_level: str = setting(
        "FAILURE_LEVEL=full",
        Kind("counts, groups, exemplars or full", partial(parse.choice, ("counts", "groups", "exemplars", "full"))),
        "How much is kept of failed requests. `counts`: the counts of each class. `groups`: also groups of equal "
        "failures. `exemplars`: also examples of each group, with headers and body. `full`: also one row for each "
        "failure.",
        "Each level costs the workers more per failure. `full` also needs disk, on the volume `runs`.",
    )
    failure_records_per_second: int = setting(
        "FAILURE_RECORDS_PER_SECOND=200",
        count("rows", 0, 10_000),
        "Rows per second and worker at FAILURE_LEVEL=full. Above it the kit keeps a sample. Each row has the "
        "number of failures that it stands for.",
        "Messages to the master, and disk. Counts are exact at any value.",
    )


@dataclass(frozen=True)
class PushingSettings(Section):
    """Send failed requests to another system."""

    TO = MASTER
    push_url: str = setting(
        "PUSH_URL=",
        Kind("URL", addresses.push_url),
        "URL to which the master sends failed requests as JSON, in batches. Empty: nothing is sent.",
        "One request for up to 500 rows, or every 2 s while requests fail.",
        lasting=False,
        secret=True,
    )
    push_key: str = setting(
        "PUSH_KEY=",
        Kind("text", parse.matching(r"[!-~]+", "visible ASCII characters without spaces")),
        "Key that is sent with each batch (Authorization: Bearer).",
        "Anyone who can read .locust-kit/ can read it. The master gets it as a file, not in its environment.",
        lasting=False,
        secret=True,
    )
    push_spool_megabytes: int = setting(
        "PUSH_SPOOL_MEGABYTES=64",
        count("MB", 1, 65_536),
        "Disk for batches that PUSH_URL has not accepted yet. Above it, new batches are dropped and counted.",
        "Disk, on the volume `runs`.",
    )


@dataclass(frozen=True)
class AlertSettings(Section):
    """Get alerts."""

    TO = MONITOR
    alert_urls: tuple[str, ...] = setting(
        "ALERT_URLS=",
        Kind("URLs", addresses.alert_urls),
        "Where alerts are sent, separated by spaces. Possible are https://hooks.slack.com/services/..., any "
        "other http(s) webhook (it gets JSON), and a service in Apprise's form (mailto://, msteams://, ntfy://).",
        "50 MB of memory and one second of CPU time per message. Anyone who can read .locust-kit/ can read the URLs.",
        lasting=False,
        secret=True,
    )
    alert_kinds: tuple[IncidentKind, ...] = setting(
        "ALERT_KINDS=oom_kill,worker_lost,restart_loop,memory_high,forecast,failure_ratio",
        Kind("kinds of incidents", partial(parse.choices, tuple(IncidentKind))),
        f"Kinds of incidents that send an alert. All kinds: {', '.join(IncidentKind)}.",
        "A frequent kind makes people ignore alerts.",
    )
    alert_cooldown_seconds: int = setting(
        "ALERT_COOLDOWN_SECONDS=300",
        count("seconds", 0, 86_400),
        "How long no further alert is sent for the same kind of incident of the same service.",
        "A long time reports a repeated incident late. The next message has the number of incidents.",
    )


@dataclass(frozen=True)
class SwarmSettings(Section):
    """Run on a cluster (Docker Swarm)."""

    registry: str = setting(
        "REGISTRY=",
        Kind("host[:port][/path]", addresses.registry),
        "Registry to which `swarm-up` pushes the images. Every node pulls them from there.",
        "The nodes must be able to reach the registry and to log in.",
    )
    swarm_nodes: tuple[str, ...] = setting(
        "SWARM_NODES=",
        Kind("contexts or hosts", addresses.engines),
        "Without a registry: a Docker context or ssh://user@host of each other node, to load images there.",
        "About 90 MB per node, once for each change.",
    )
    swarm_master_node: str = setting(
        "SWARM_MASTER_NODE=",
        Kind("node", addresses.node),
        "Node that the master stays on. Empty: Swarm chooses a node, and moves the master if that node fails.",
        "If the node is down, nothing runs.",
    )
    swarm_encrypted: bool = setting(
        "SWARM_ENCRYPTED=0",
        SWITCH,
        "Encrypt the traffic between the nodes (IPsec).",
        "CPU time on every node. IP protocol 50 must be open between them.",
    )


@dataclass(frozen=True)
class SafetySettings(Section):
    """Preview a change, or skip the questions."""

    dry_run: bool = setting("DRY_RUN=0", SWITCH, "Print what set-up would do, and change nothing.", lasting=False)
    yes: bool = setting(
        "YES=0",
        SWITCH,
        "Answer every question with yes. `reload` may then interrupt a run.",
        "`purge` deletes without asking.",
        lasting=False,
    )
    with_reports: bool = setting(
        "WITH_REPORTS=0",
        SWITCH,
        "`purge` deletes REPORTS_DIR, too.",
        "The reports of all runs are deleted.",
        lasting=False,
    )
