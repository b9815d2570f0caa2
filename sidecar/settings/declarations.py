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
METHOD = Kind("GET, POST ...", partial(parse.choice, ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")))
PROJECT_NAME = parse.matching(
    r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _, beginning with a letter or a digit"
)
MEMORY = Kind("512m, 2G, bytes", parse.locust_memory_bytes)


@dataclass(frozen=True)
class StackSettings(Section):
    """The stack."""

    project: str = setting(
        "PROJECT=locust",
        Kind("name", PROJECT_NAME),
        "Name of the stack: prefix of its containers, network and volumes.",
        "A second name is a second stack beside the first; give it its own WEB_PORT.",
        to=COMPOSE | MONITOR,
    )
    workers: int = setting(
        "WORKERS=4",
        Kind("workers, or auto", parse.workers),
        "How many Locust workers; auto = processors - 1.",
        "Each one can fill one processor and takes up to WORKER_MEMORY.",
    )
    web_port: int = setting("WEB_PORT=8089", PORT, "Locust's web page, published on 127.0.0.1 only.", to=COMPOSE)
    monitor_port: int = setting(
        "MONITOR_PORT=", PORT, "The sidecar's page, published on 127.0.0.1 only; default WEB_PORT + 1.", to=COMPOSE
    )
    host: str = setting(
        "HOST=",
        Kind("URL", parse.optional(addresses.target_url)),
        "The target. Read from .env and the command line, never from the environment.",
        "Replaces the host of every User class.",
        in_environment=False,
    )
    mock: bool = setting(
        "MOCK=0",
        SWITCH,
        "Aim at the kit's own mock target instead of the classes' own host.",
        "One more container, which shares this machine's processors with the load.",
    )
    target_network: str = setting(
        "TARGET_NETWORK=",
        text("Docker network"),
        "Another project's network that workers join, to reach its services.",
        "Workers can reach everything on that network.",
        to=COMPOSE,
    )


@dataclass(frozen=True)
class RemoteSettings(Section):
    """Workers on other machines."""

    remote_workers: str = setting(
        "REMOTE_WORKERS=",
        Kind("address of this machine", addresses.own_address),
        "Where workers of other machines reach the master, on port 5557; default nowhere. docs/remote-workers.md.",
        "Locust's port knows no password and no encryption: whoever reaches it can join, and give false figures.",
        to=COMPOSE,
    )
    remote_allow: tuple[str, ...] = setting(
        "REMOTE_ALLOW=",
        Kind("addresses and networks", addresses.allow_list),
        "Who may connect there, such as 10.0.0.7,10.1.0.0/16; default everybody.",
        "A machine that the list does not hold cannot join.",
        to=COMPOSE,
        variable="KIT_REMOTE_ALLOW",
    )
    master: tuple[str, int] | None = setting(
        "MASTER=",
        Kind("address[:port]", addresses.place_of_master),
        "For `make join`: the REMOTE_WORKERS of the machine whose master these workers work for. "
        "Read from .env and the command line, never from the environment.",
        in_environment=False,
    )


@dataclass(frozen=True)
class LocustfileSettings(Section):
    """Your locustfiles."""

    locustfiles_dir: Path = setting(
        "LOCUSTFILES_DIR=./locustfiles",
        FOLDER,
        "Your locustfiles, with their data files, modules, requirements.txt and .env.",
        "The whole folder is readable in every container of Locust.",
        to=COMPOSE,
    )
    locustfile: str = setting(
        "LOCUSTFILE=locustfile.py",
        text("file, list or package"),
        "What to load from LOCUSTFILES_DIR: a file, several with commas, or a folder.",
        "Every User class in these files takes part, unless CLASSES says otherwise.",
        to=LOCUST,
    )
    classes: tuple[str, ...] = setting(
        "CLASSES=", NAMES, "User classes that take part; default all.", to=LOCUST, variable="KIT_CLASSES"
    )
    tags: tuple[str, ...] = setting(
        "TAGS=",
        NAMES,
        "Only tasks with one of these tags.",
        "A change recreates master and workers.",
        to=LOCUST,
        variable="KIT_TAGS",
    )
    exclude_tags: tuple[str, ...] = setting(
        "EXCLUDE_TAGS=",
        NAMES,
        "No tasks with one of these tags.",
        "A change recreates master and workers.",
        to=LOCUST,
        variable="KIT_EXCLUDE_TAGS",
    )


@dataclass(frozen=True)
class RunSettings(Section):
    """A run."""

    shape: str = setting(
        "SHAPE=",
        text("name, or none"),
        "The load shape of a run; default the first in your files, which is Locust's choice; none: USERS and RUN_TIME.",
    )
    users: int = setting(
        "USERS=10",
        count("users", 1),
        "Simulated users at the height of a run.",
        "Memory: about 30 kB a user over HTTP, up to 900 kB over HTTPS.",
        lasting=False,
    )
    spawn_rate: float = setting(
        "SPAWN_RATE=10",
        Kind("users per second", parse.positive),
        "How fast the users arrive.",
        "Above 100 per worker and second, Locust itself falters.",
        aliases=("RATE",),
        lasting=False,
    )
    run_time: int = setting(
        "RUN_TIME=1m",
        Kind("90, 90s, 2m, 1h30m", parse.duration_seconds),
        "How long a run lasts; 0 = until Ctrl-C.",
        aliases=("TIME",),
        lasting=False,
    )
    fail_ratio: float = setting(
        "FAIL_RATIO=0",
        Kind("1% or 0.01", parse.ratio),
        "Share of failed requests above which a run is FAIL.",
        "A lenient limit hides real failures.",
        to=MASTER | MONITOR,
    )
    outage_ratio: float = setting(
        "OUTAGE_RATIO=50%",
        Kind("50% or 0.5; 0: not judged", parse.ratio),
        "Share of failed requests in any ten seconds from which on a run is FAIL, whatever the share of the whole run; "
        "not judged where FAIL_RATIO or a threshold on fail_ratio allows half.",
        "A high one passes a target that was down for a while.",
        to=MASTER,
    )
    task_error_ratio: float = setting(
        "TASK_ERROR_RATIO=0",
        Kind("1% or 0.01", parse.ratio),
        "Share of task runs that raise an exception above which a run is FAIL. Locust counts no request for them.",
        "A lenient one passes users who stop half-way through each task.",
        to=MASTER,
    )
    thresholds: tuple[Threshold, ...] = setting(
        "THRESHOLDS=",
        Kind("p95<800 fail_ratio<1% rps>50", threshold.parse),
        "What figures of a run must be, or it is FAIL: docs/verdict.md. One on fail_ratio takes FAIL_RATIO's place.",
        to=MASTER,
    )
    thresholds_file: str = setting(
        "THRESHOLDS_FILE=", text("path"), "A file with more of them, one a line; # begins a comment."
    )
    on_invalid: str = setting(
        "ON_INVALID=fail",
        Kind("fail or warn", partial(parse.choice, ("fail", "warn"))),
        "Whether an INVALID run exits with 4, or as PASS or FAIL would.",
        "With warn, a pipeline goes on without evidence.",
        to=MASTER,
    )
    labels: tuple[str, ...] = setting(
        "LABELS=",
        Kind("env=staging team=shop", parse.labels),
        "What the run is called by: in its folder, its report, the metrics (`locust_run_info`) and what is pushed.",
        to=MASTER,
    )
    args: tuple[str, ...] = setting(
        "ARGS=",
        Kind('"--tenant green --think 0.2"', parse.words),
        "Arguments that your locustfile adds, as on Locust's command line; one by one: `run tenant=green think=0.2`.",
        lasting=False,
        secret=True,
        in_environment=False,
    )
    attach: bool = setting("ATTACH=0", SWITCH, "Follow the run that is going instead of starting one.", lasting=False)
    stop_timeout: int = setting(
        "STOP_TIMEOUT=0",
        count("seconds", 0, 3600),
        "How long users may finish their task when a run stops.",
        "A run with hanging requests ends that much later; at 0, requests under way are cut and not counted.",
        to=LOCUST,
    )
    reports_dir: Path = setting(
        "REPORTS_DIR=./reports", FOLDER, "Where each run leaves its report.", "About 1 MB of disk a run."
    )
    artifacts: str = setting(
        "ARTIFACTS=results",
        Kind("folder", parse.inner_folder),
        "What the test writes into this folder of its working directory, on the master or a worker, comes into the "
        "report of `make run`.",
        "Until then it is in the container's memory.",
        to=LOCUST,
        in_environment=False,
    )
    artifacts_megabytes: int = setting(
        "ARTIFACTS_MEGABYTES=256",
        count("MB", 0, 1_000_000),
        "How much of it a report holds; of more, files are left out, and that is said. 0: nothing is taken.",
    )


@dataclass(frozen=True)
class InvalidSettings(Section):
    """What makes a run INVALID, and what counts as failed."""

    TO = MASTER
    generator_cpu: float = setting(
        "GENERATOR_CPU=90",
        Kind("% of a core", parse.positive),
        "CPU of a worker from which on a run is INVALID, when sustained: what it measures is then its own queue.",
        "A high one takes the load machine's delays for the target's.",
    )
    generator_throttled: float = setting(
        "GENERATOR_THROTTLED=25",
        Kind("% of CPU periods", parse.positive),
        "CPU periods in which a worker was throttled (WORKER_CPUS), from which on a run is INVALID, when sustained.",
        "The same.",
    )
    generator_blocked: float = setting(
        "GENERATOR_BLOCKED=5%",
        Kind("5% or 0.05; 0: not judged", parse.ratio),
        "Share of a worker's time from which on a run is INVALID, when sustained, if code held the worker's loop so "
        "long, 100 ms or more at a time: nothing else of that worker goes on meanwhile.",
        "The same.",
    )
    sustained_seconds: float = setting(
        "SUSTAINED_SECONDS=30",
        SECONDS,
        "What lasts this long in a row is sustained ...",
        "A long one overlooks what spoils a short run.",
    )
    sustained_share: float = setting(
        "SUSTAINED_SHARE=10%",
        Kind("10% or 0.1", parse.share),
        "... and what takes this share of a run in all, and 10 s at least.",
        "The same.",
    )
    rate_kept: float = setting(
        "RATE_KEPT=95%",
        Kind("95% or 0.95; 0 = off", parse.ratio),
        "Share of the runs that constant_throughput and constant_pacing plan, below which a run is INVALID.",
        "A low one passes a rate that nobody asked for.",
    )
    stuck_seconds: int = setting(
        "STUCK_SECONDS=10",
        count("seconds", 0, 86400),
        "How long a request may wait before it counts as never answered, and so as failed; 0 = however long.",
        "A long one overlooks requests that hang.",
    )


@dataclass(frozen=True)
class ReportSettings(Section):
    """Reports."""

    run: str = setting(
        "RUN=", text("a run's id, or last"), "Of which run `report` tells; empty: the list of all.", lasting=False
    )
    baseline: str = setting("BASELINE=", text("a run's id"), "The run with which `report` compares it.", lasting=False)


@dataclass(frozen=True)
class CapacitySettings(Section):
    """Capacity."""

    endpoint: str = setting(
        "ENDPOINT=",
        Kind("/path", parse.matching(r"/[^\s#]*", "a path such as /api/cart?page=2; the target is HOST")),
        "The endpoint that `capacity` puts under ever more users.",
        "All the load that it carries, and a step more.",
        lasting=False,
    )
    method: str = setting("METHOD=GET", METHOD, "How it is asked.", lasting=False)
    most_users: int = setting(
        "MOST_USERS=256",
        count("users", 2, 65536),
        "Where `capacity` ends at the latest; it doubles from 1.",
        "A step each.",
        lasting=False,
    )
    step_seconds: int = setting(
        "STEP_SECONDS=12",
        count("seconds", 5, 3600),
        "How long a step of it lasts.",
        "Time; below 10 s a step still has the last one in it.",
        lasting=False,
    )


@dataclass(frozen=True)
class LimitSettings(Section):
    """Limits."""

    TO = COMPOSE
    worker_memory: int = setting(
        "WORKER_MEMORY=2G",
        MEMORY,
        "Memory limit of each worker; swap is never added.",
        "A worker above it is killed, and the run is INVALID.",
    )
    worker_memory_reservation: int = setting(
        "WORKER_MEMORY_RESERVATION=1G",
        Kind("512m, 2G, bytes", parse.memory_bytes),
        "Memory that a worker is left when the machine runs short.",
        "Takes nothing until memory is short. At most WORKER_MEMORY.",
    )
    master_memory: int = setting(
        "MASTER_MEMORY=2G",
        MEMORY,
        "Memory limit of the master.",
        "Grows about 2 kB for each request name; a killed master ends the run.",
    )
    worker_cpus: float | None = setting(
        "WORKER_CPUS=",
        Kind("processors", parse.positive),
        "Processor limit of each worker, such as 1.5; default none.",
        "A throttled worker measures wrong response times.",
    )
    nofile: int = setting(
        "NOFILE=10000",
        count("open files", 1024, 1_048_576),
        "Open files allowed to each Locust process; Locust wants 10000.",
        "More needs a daemon that may raise its own limit.",
    )


@dataclass(frozen=True)
class ImageSettings(Section):
    """Images."""

    TO = COMPOSE
    base_image: str = setting(
        "BASE_IMAGE=",
        text("image"),
        "Debian image that all images are built on; default what set-up found.",
        "A change rebuilds every image.",
    )
    locust_image: str = setting(
        "LOCUST_IMAGE=",
        text("image"),
        "An image of your own in place of the kit's Locust image.",
        "Needs the kit's entry point and plugin, or status and try do less.",
    )


@dataclass(frozen=True)
class ViewSettings(Section):
    """The view."""

    interval: float = setting(
        "INTERVAL=2",
        Kind("seconds", partial(parse.seconds, 0.5, 3600.0)),
        "How often the sidecar measures and the view is drawn.",
        "Half the interval costs nearly twice the processor time.",
        to=MONITOR,
    )
    tail: int = setting(
        "TAIL=5",
        count("lines", 0, 10000),
        "Recent lines of the master's log in the view, and of each service in `logs`.",
        to=MONITOR,
    )
    once: bool = setting("ONCE=0", SWITCH, "One frame of the view as plain text, then end.", lasting=False)
    service: str = setting("SERVICE=", text("service"), "Only the logs of this service.", lasting=False)
    follow: bool = setting("FOLLOW=0", SWITCH, "Keep following the logs.", lasting=False)


@dataclass(frozen=True)
class WatchingSettings(Section):
    """What the sidecar watches, and for how long it keeps it."""

    TO = MONITOR
    watch_project: str = setting(
        "WATCH_PROJECT=",
        Kind("name", PROJECT_NAME),
        "Another Compose project whose containers are watched beside ours: the system under test.",
        "Each of its containers costs the sidecar as much as a worker.",
    )
    fail_threshold: float = setting(
        "FAIL_THRESHOLD=5%",
        Kind("5% or 0.05", parse.share),
        "Share of failed requests, over ten seconds, from which on the sidecar speaks of an incident.",
        "A low one speaks up for noise. FAIL_RATIO alone decides whether a run is FAIL.",
        to=MASTER,
    )
    health_seconds: int = setting(
        "HEALTH_SECONDS=10",
        count("seconds", 0, 3600),
        "How often the sidecar asks master, statistics, target and HEALTH_URLS whether they answer; 0 = never.",
        "One small request each, to the target as well.",
    )
    health_target: bool = setting(
        "HEALTH_TARGET=1",
        SWITCH,
        "Whether the target of the last run is asked, too; never behind TARGET_NETWORK, where the sidecar is not.",
        "A request each HEALTH_SECONDS.",
    )
    health_urls: tuple[tuple[str, str], ...] = setting(
        "HEALTH_URLS=",
        Kind("name=http://host/path", addresses.named_urls),
        "What else is asked, several divided by blanks; seen from inside the stack.",
        "One request each.",
    )
    ledger_days: int = setting(
        "LEDGER_DAYS=30",
        count("days", 1, 3650),
        "For how long the sidecar keeps incidents, events, figures and log lines.",
        "Disk, up to LEDGER_MEGABYTES.",
    )
    ledger_megabytes: int = setting(
        "LEDGER_MEGABYTES=512",
        count("MB", 16, 1_048_576),
        "Disk that the ledger may fill; the oldest figures and log lines go first, incidents last.",
        "Disk, on the volume `ledger`.",
    )
    locust_web_username: str = setting(
        "LOCUST_WEB_USERNAME=",
        text("name"),
        "User name with which the sidecar and `run` sign in to a master that asks for a login (--web-login).",
    )
    locust_web_password: str = setting(
        "LOCUST_WEB_PASSWORD=",
        text("text"),
        "Its password.",
        "Whoever may read .locust-kit/ may read it. The sidecar gets it as a file, not in its environment.",
        lasting=False,
        secret=True,
    )


@dataclass(frozen=True)
class ClientSettings(Section):
    """Inside Locust."""

    TO = LOCUST
    share_tls: bool = setting(
        "SHARE_TLS=1",
        SWITCH,
        "All users of a worker share one TLS context in place of one each, of about 875 kB. What they verify stays.",
        "A context of one's own (ssl_context_factory) is left alone.",
    )
    connect_timeout: float | None = setting(
        "CONNECT_TIMEOUT=",
        SECONDS,
        "How long a user waits for a connection; empty: Locust's own (HttpUser for ever, FastHttpUser 60 s).",
        "What a test says itself comes first: `timeout=` of a request, `connection_timeout` of a class.",
    )
    read_timeout: float | None = setting(
        "READ_TIMEOUT=",
        SECONDS,
        "How long it waits for an answer, or the next piece of one; empty: as above.",
        "What a test says itself comes first: `timeout=` of a request, `network_timeout` of a class.",
    )
    pool_size: int | None = setting(
        "POOL_SIZE=",
        count("connections", 1, 10_000),
        "How many connections a user keeps; empty: Locust's own, 10.",
        "Descriptors and memory, for users that ask for several things at once.",
    )
    retries: int = setting(
        "RETRIES=0",
        count("times", 0, 10),
        "How often a request whose connection failed is sent again, if it can do no harm twice; each is counted.",
        "They hide failures: a report with retries is of a target that had help.",
    )
    tls_ca: str | None = setting(
        "TLS_CA=",
        FILE,
        "A private authority whose certificates users trust besides the public ones; a file in LOCUSTFILES_DIR.",
        "Python wants its key usage said in it (keyCertSign).",
    )
    tls_cert: str | None = setting(
        "TLS_CERT=",
        FILE,
        "The certificate that users show to the target, a file in LOCUSTFILES_DIR; its key in it, or in TLS_KEY.",
    )
    tls_key: str | None = setting(
        "TLS_KEY=",
        FILE,
        "The key of TLS_CERT, without a passphrase; a file in LOCUSTFILES_DIR that others may read.",
        "Whoever may read the folder has the key.",
    )
    proxy: str | None = setting(
        "PROXY=",
        Kind("http://host:port", addresses.proxy),
        "The HTTP proxy through which users reach the target; variables such as HTTPS_PROXY are not read.",
        "What is measured is target and proxy together.",
    )
    trace_memory: bool = setting(
        "TRACE_MEMORY=0",
        SWITCH,
        "At the end of a run each worker says which lines of code hold the most memory (tracemalloc).",
        "Each allocation takes about twice as long, and more memory: never for a run that is to be measured.",
    )
    gc_freeze: bool = setting(
        "GC_FREEZE=0",
        SWITCH,
        "As a run starts, workers put what is loaded by then out of the sight of Python's garbage collection.",
        "What was garbage by then is never given back.",
    )
    gc_thresholds: tuple[int, ...] | None = setting(
        "GC_THRESHOLDS=",
        Kind("10000,20,50", parse.gc_thresholds),
        "When Python's garbage collection comes, as `gc.set_threshold` has it; empty: Python's own.",
        "Rarer collections mean fewer pauses and more memory.",
    )


@dataclass(frozen=True)
class TraceSettings(Section):
    """Traces (OpenTelemetry)."""

    otel: str = setting(
        "OTEL=",
        Kind("http://host:port", parse.optional(addresses.collector)),
        "The collector (OTLP over HTTP) that gets a span of each request; each request then has a traceparent header. "
        "docs/failures.md.",
        "CPU of the workers, for each request 0.2 ms (FastHttpUser) to 0.4 ms (HttpUser).",
        to=LOCUST,
    )
    trace_url: str = setting(
        "TRACE_URL=",
        Kind("URL with {trace_id}", parse.optional(addresses.trace_url)),
        "Where a trace is shown, such as http://jaeger:16686/trace/{trace_id}: page and report link failures to it.",
        to=MASTER,
    )


@dataclass(frozen=True)
class FailureSettings(Section):
    """Failed and slow requests."""

    TO = LOCUST
    slow_ms: float = setting("SLOW_MS=3000", Kind("ms", parse.positive), "A request that takes longer is slow.")
    slow_requests: int = setting(
        "SLOW_REQUESTS=5",
        count("requests", 0),
        "An endpoint with more slow requests than this is told as a bottleneck at the end of a run.",
    )
    slow_top: int = setting(
        "SLOW_TOP=5",
        count("endpoints", 1, 1000),
        "How many bottlenecks are told, those with the most time spent in slow requests first.",
    )
    redact: tuple[str, ...] = setting(
        "REDACT=",
        Kind("names", parse.field_names),
        "Headers, parameters and fields that hold secrets, in addition to those the kit knows; none can be taken off.",
    )
    redact_keep_last: int = setting(
        "REDACT_KEEP_LAST=0",
        count("characters", 0, 4),
        "How many characters of a token's end stay readable, 4 at most, to tell which one a 401 was about.",
        "They are in every file and message. Of passwords, cookies, and tokens shorter than 16 nothing stays.",
    )
    failure_level: str = setting(
        "FAILURE_LEVEL=full",
        Kind(
            "one of counts, groups, exemplars, full", partial(parse.choice, ("counts", "groups", "exemplars", "full"))
        ),
        "What is kept of failed requests: counts of classes, groups of the same, examples of each group with headers "
        "and body, or a row for each.",
        "Each level costs the workers more per failure; `full` also disk, on the volume `runs`.",
    )
    failure_records_per_second: int = setting(
        "FAILURE_RECORDS_PER_SECOND=200",
        count("rows", 0, 10_000),
        "Rows a second and worker at FAILURE_LEVEL=full; beyond that a sample, whose rows say how many they stand for.",
        "Messages to the master and disk. Counts are exact at any value.",
    )


@dataclass(frozen=True)
class PushingSettings(Section):
    """Failed requests, pushed elsewhere."""

    TO = MASTER
    push_url: str = setting(
        "PUSH_URL=",
        Kind("URL", addresses.push_url),
        "Where the master sends failed requests as JSON, in batches; empty: nowhere.",
        "A request for up to 500 rows, or every 2 s while requests fail.",
    )
    push_key: str = setting(
        "PUSH_KEY=",
        Kind("text", parse.matching(r"[!-~]+", "visible ASCII characters without a blank")),
        "The key that is sent along (Authorization: Bearer).",
        "Whoever may read .locust-kit/ may read it. The master gets it as a file, not in its environment.",
        lasting=False,
        secret=True,
    )
    push_spool_megabytes: int = setting(
        "PUSH_SPOOL_MEGABYTES=64",
        count("MB", 1, 65_536),
        "Disk for batches that PUSH_URL has not accepted yet; beyond it new ones are dropped, and counted.",
        "Disk, on the volume `runs`.",
    )


@dataclass(frozen=True)
class AlertSettings(Section):
    """Alerts."""

    TO = MONITOR
    alert_urls: tuple[str, ...] = setting(
        "ALERT_URLS=",
        Kind("URLs", addresses.alert_urls),
        "Where alerts go, divided by blanks: https://hooks.slack.com/services/..., any other http(s) webhook "
        "(it gets JSON), or a service as Apprise writes it (mailto://, msteams://, ntfy://).",
        "50 MB and a second of processor time for each message. Whoever may read .locust-kit/ may read the URLs.",
        lasting=False,
        secret=True,
    )
    alert_kinds: tuple[IncidentKind, ...] = setting(
        "ALERT_KINDS=oom_kill,worker_lost,restart_loop,memory_high,forecast,failure_ratio",
        Kind("kinds of incidents", partial(parse.choices, tuple(IncidentKind))),
        f"What is worth an alert. All kinds: {', '.join(IncidentKind)}.",
        "A kind that is common makes every message less read.",
    )
    alert_cooldown_seconds: int = setting(
        "ALERT_COOLDOWN_SECONDS=300",
        count("seconds", 0, 86_400),
        "How long the same kind of incident of the same service stays quiet after a message about it.",
        "A long one tells of a repeated incident late: the next message then says how many there were.",
    )


@dataclass(frozen=True)
class SwarmSettings(Section):
    """Many machines (swarm-up)."""

    registry: str = setting(
        "REGISTRY=",
        Kind("host[:port][/path]", addresses.registry),
        "Where swarm-up pushes the images, and every node pulls them.",
        "The nodes must be able to reach it, and to log in.",
    )
    swarm_nodes: tuple[str, ...] = setting(
        "SWARM_NODES=",
        Kind("contexts or hosts", addresses.engines),
        "Without a registry: a docker context or ssh://user@host of each other node, to load images there.",
        "About 90 MB a node, once for each change.",
    )
    swarm_master_node: str = setting(
        "SWARM_MASTER_NODE=",
        Kind("node", addresses.node),
        "The node that the master stays on; otherwise Swarm chooses, and moves it when that node fails.",
        "Nothing runs while that node is down.",
    )
    swarm_encrypted: bool = setting(
        "SWARM_ENCRYPTED=0",
        SWITCH,
        "Encrypt what goes between the nodes (IPsec).",
        "Processor time on every node; IP protocol 50 must be open between them.",
    )


@dataclass(frozen=True)
class SafetySettings(Section):
    """Safety."""

    dry_run: bool = setting("DRY_RUN=0", SWITCH, "Say what set-up would do, and change nothing.", lasting=False)
    yes: bool = setting(
        "YES=0",
        SWITCH,
        "Answer every question with yes; lets `reload` interrupt a run.",
        "`purge` deletes without asking.",
        lasting=False,
    )
    with_reports: bool = setting(
        "WITH_REPORTS=0", SWITCH, "`purge` deletes REPORTS_DIR too.", "The reports of all runs are gone.", lasting=False
    )
