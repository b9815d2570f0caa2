"""Every setting of the kit: its default, unit, meaning, price, and how its text becomes a value.

`.env.example` documents the same list; a unit test keeps the two equal.
"""

from __future__ import annotations

from functools import partial

from sidecar.model import threshold
from sidecar.settings import parse
from sidecar.settings.clustering import CLUSTERING
from sidecar.settings.inside import FAILING, INSIDE, PUSHING
from sidecar.settings.judging import CAPACITY, JUDGING, REPORTS
from sidecar.settings.remote import REMOTE
from sidecar.settings.setting import Setting
from sidecar.settings.watching import ALERTS, WATCHING

# Many shells set HOST to the machine's own name, and other programs know a MASTER: the environment is not asked.
MAKE_ONLY = frozenset({"HOST", "MASTER"})


_STACK = (
    Setting(
        "PROJECT",
        "locust",
        "name",
        "Name of the stack: prefix of its containers, network and volumes.",
        "A second name is a second stack beside the first; give it its own WEB_PORT.",
        parse.project,
    ),
    Setting(
        "WORKERS",
        "4",
        "workers, or auto",
        "How many Locust workers; auto = processors - 1.",
        "Each one can fill one processor and takes up to WORKER_MEMORY.",
    ),
    Setting("WEB_PORT", "8089", "TCP port", "Locust's web page, published on 127.0.0.1 only.", "Nothing.", parse.port),
    Setting(
        "MONITOR_PORT",
        "",
        "TCP port",
        "The sidecar's page, published on 127.0.0.1 only; default WEB_PORT + 1.",
        "Nothing.",
        parse.port,
    ),
    Setting(
        "HOST",
        "",
        "URL",
        "The target. Read from .env and the command line, never from the environment.",
        "Replaces the host of every User class.",
        parse.target_url,
    ),
    Setting(
        "MOCK",
        "0",
        "1 or 0",
        "Aim at the kit's own mock target instead of the classes' own host.",
        "One more container, which shares this machine's processors with the load.",
        parse.boolean,
    ),
    Setting(
        "TARGET_NETWORK",
        "",
        "Docker network",
        "Another project's network that workers join, to reach its services.",
        "Workers can reach everything on that network.",
    ),
)
_FILES = (
    Setting(
        "LOCUSTFILES_DIR",
        "./locustfiles",
        "folder",
        "Your locustfiles, with their data files, modules, requirements.txt and .env.",
        "The whole folder is readable in every container of Locust.",
    ),
    Setting(
        "LOCUSTFILE",
        "locustfile.py",
        "file, list or package",
        "What to load from LOCUSTFILES_DIR: a file, several with commas, or a folder.",
        "Every User class in these files takes part, unless CLASSES says otherwise.",
    ),
    Setting("CLASSES", "", "names", "User classes that take part; default all.", "Nothing.", parse.names),
    Setting(
        "TAGS", "", "names", "Only tasks with one of these tags.", "A change recreates master and workers.", parse.names
    ),
    Setting(
        "EXCLUDE_TAGS",
        "",
        "names",
        "No tasks with one of these tags.",
        "A change recreates master and workers.",
        parse.names,
    ),
)
_RUN = (
    Setting(
        "USERS",
        "10",
        "users",
        "Simulated users at the height of a run.",
        "Memory: about 30 kB a user over HTTP, up to 900 kB over HTTPS.",
        partial(parse.whole, 1, None),
        lasting=False,
    ),
    Setting(
        "SPAWN_RATE",
        "10",
        "users per second",
        "How fast the users arrive.",
        "Above 100 per worker and second, Locust itself falters.",
        parse.positive,
        ("RATE",),
        lasting=False,
    ),
    Setting(
        "RUN_TIME",
        "1m",
        "90, 90s, 2m, 1h30m",
        "How long a run lasts; 0 = until Ctrl-C.",
        "Nothing.",
        parse.duration_seconds,
        ("TIME",),
        lasting=False,
    ),
    Setting(
        "FAIL_RATIO",
        "0",
        "1% or 0.01",
        "Share of failed requests above which a run is FAIL.",
        "A lenient limit hides real failures.",
        parse.ratio,
    ),
    Setting(
        "THRESHOLDS",
        "",
        "p95<800 fail_ratio<1% rps>50",
        "What figures of a run must be, or it is FAIL: docs/verdict.md. One on fail_ratio takes FAIL_RATIO's place.",
        "Nothing.",
        threshold.parse,
    ),
    Setting(
        "THRESHOLDS_FILE",
        "",
        "path",
        "A file with more of them, one a line; # begins a comment.",
        "Nothing.",
    ),
    Setting(
        "ON_INVALID",
        "fail",
        "fail or warn",
        "Whether an INVALID run exits with 4, or as PASS or FAIL would.",
        "With warn, a pipeline goes on without evidence.",
        partial(parse.choice, ("fail", "warn")),
    ),
    Setting(
        "LABELS",
        "",
        "env=staging team=shop",
        "What the run is called by: in its folder, its report, the metrics (`locust_run_info`) and what is pushed.",
        "Nothing.",
        parse.labels,
    ),
    Setting(
        "ATTACH",
        "0",
        "1 or 0",
        "Follow the run that is going instead of starting one.",
        "Nothing.",
        parse.boolean,
        lasting=False,
    ),
    Setting(
        "STOP_TIMEOUT",
        "0",
        "seconds",
        "How long users may finish their task when a run stops.",
        "A run with hanging requests ends that much later; at 0, requests under way are cut and not counted.",
        partial(parse.whole, 0, 3600),
    ),
    Setting("REPORTS_DIR", "./reports", "folder", "Where each run leaves its report.", "About 1 MB of disk a run."),
)
_RESOURCES = (
    Setting(
        "WORKER_MEMORY",
        "2G",
        "512m, 2G, bytes",
        "Memory limit of each worker; swap is never added.",
        "A worker above it is killed, and the run is INVALID.",
        parse.locust_memory_bytes,
    ),
    Setting(
        "WORKER_MEMORY_RESERVATION",
        "1G",
        "512m, 2G, bytes",
        "Memory that a worker is left when the machine runs short.",
        "Takes nothing until memory is short. At most WORKER_MEMORY.",
        parse.memory_bytes,
    ),
    Setting(
        "MASTER_MEMORY",
        "2G",
        "512m, 2G, bytes",
        "Memory limit of the master.",
        "Grows about 2 kB for each request name; a killed master ends the run.",
        parse.locust_memory_bytes,
    ),
    Setting(
        "WORKER_CPUS",
        "",
        "processors",
        "Processor limit of each worker, such as 1.5; default none.",
        "A throttled worker measures wrong response times.",
        parse.positive,
    ),
    Setting(
        "NOFILE",
        "10000",
        "open files",
        "Open files allowed to each Locust process; Locust wants 10000.",
        "More needs a daemon that may raise its own limit.",
        partial(parse.whole, 1024, 1048576),
    ),
)
_IMAGES = (
    Setting(
        "BASE_IMAGE",
        "",
        "image",
        "Debian image that all images are built on; default what set-up found.",
        "A change rebuilds every image.",
    ),
    Setting(
        "LOCUST_IMAGE",
        "",
        "image",
        "An image of your own in place of the kit's Locust image.",
        "Needs the kit's entry point and plugin, or status and try do less.",
    ),
)
_VIEW = (
    Setting(
        "INTERVAL",
        "2",
        "seconds",
        "How often the sidecar measures and the view is drawn.",
        "Half the interval costs nearly twice the processor time.",
        parse.positive,
    ),
    Setting(
        "TAIL",
        "5",
        "lines",
        "Recent lines of the master's log in the view, and of each service in `logs`.",
        "Nothing.",
        partial(parse.whole, 0, 10000),
    ),
    Setting(
        "ONCE",
        "0",
        "1 or 0",
        "One frame of the view as plain text, then end.",
        "Nothing.",
        parse.boolean,
        lasting=False,
    ),
    Setting("SERVICE", "", "service", "Only the logs of this service.", "Nothing.", lasting=False),
    Setting("FOLLOW", "0", "1 or 0", "Keep following the logs.", "Nothing.", parse.boolean, lasting=False),
)
_SAFETY = (
    Setting(
        "DRY_RUN",
        "0",
        "1 or 0",
        "Say what set-up would do, and change nothing.",
        "Nothing.",
        parse.boolean,
        lasting=False,
    ),
    Setting(
        "YES",
        "0",
        "1 or 0",
        "Answer every question with yes; lets `reload` interrupt a run.",
        "`purge` deletes without asking.",
        parse.boolean,
        lasting=False,
    ),
    Setting(
        "WITH_REPORTS",
        "0",
        "1 or 0",
        "`purge` deletes REPORTS_DIR too.",
        "The reports of all runs are gone.",
        parse.boolean,
        lasting=False,
    ),
)

GROUPS: tuple[tuple[str, tuple[Setting, ...]], ...] = (
    ("The stack", _STACK),
    ("Workers on other machines", REMOTE),
    ("Your locustfiles", _FILES),
    ("A run", _RUN),
    ("What makes a run INVALID", JUDGING),
    ("Reports", REPORTS),
    ("Capacity", CAPACITY),
    ("Limits", _RESOURCES),
    ("Images", _IMAGES),
    ("The view", _VIEW),
    ("What the sidecar watches, and for how long it keeps it", WATCHING),
    ("Inside Locust", INSIDE),
    ("Failed and slow requests", FAILING),
    ("Failed requests, pushed elsewhere", PUSHING),
    ("Alerts", ALERTS),
    ("Many machines (swarm-up)", CLUSTERING),
    ("Safety", _SAFETY),
)
SETTINGS: dict[str, Setting] = {setting.name: setting for _, settings in GROUPS for setting in settings}
ALIASES: dict[str, str] = {alias: setting.name for setting in SETTINGS.values() for alias in setting.aliases}
