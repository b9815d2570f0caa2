"""The settings of the sidecar's memory, of what it watches beside the stack, and of its alerts."""

from __future__ import annotations

from functools import partial

from sidecar.model.incident import IncidentKind
from sidecar.settings import parse
from sidecar.settings.setting import Setting

ALERT_KINDS = (
    IncidentKind.OOM_KILL,
    IncidentKind.WORKER_LOST,
    IncidentKind.RESTART_LOOP,
    IncidentKind.MEMORY_HIGH,
    IncidentKind.FORECAST,
    IncidentKind.FAILURE_RATIO,
)
LONGEST_LEDGER_DAYS = 3650
SMALLEST_LEDGER_MEGABYTES, LARGEST_LEDGER_MEGABYTES = 16, 1_048_576
LONGEST_COOLDOWN_SECONDS = 86_400

WATCHING = (
    Setting(
        "WATCH_PROJECT",
        "",
        "name",
        "Another Compose project whose containers are watched beside ours: the system under test.",
        "Each of its containers costs the sidecar as much as a worker.",
        parse.project,
    ),
    Setting(
        "FAIL_THRESHOLD",
        "5%",
        "5% or 0.05",
        "Share of failed requests, over ten seconds, from which on the sidecar speaks of an incident.",
        "A low one speaks up for noise. FAIL_RATIO alone decides whether a run is FAIL.",
        parse.share,
    ),
    Setting(
        "HEALTH_SECONDS",
        "10",
        "seconds",
        "How often the sidecar asks master, statistics, target and HEALTH_URLS whether they answer; 0 = never.",
        "One small request each, to the target as well.",
        partial(parse.whole, 0, 3600),
    ),
    Setting(
        "HEALTH_TARGET",
        "1",
        "1 or 0",
        "Whether the target of the last run is asked, too; never behind TARGET_NETWORK, where the sidecar is not.",
        "A request each HEALTH_SECONDS.",
        parse.boolean,
    ),
    Setting(
        "HEALTH_URLS",
        "",
        "name=http://host/path",
        "What else is asked, several divided by blanks; seen from inside the stack.",
        "One request each.",
        parse.named_urls,
    ),
    Setting(
        "LEDGER_DAYS",
        "30",
        "days",
        "For how long the sidecar keeps incidents, events, figures and log lines.",
        "Disk, up to LEDGER_MEGABYTES.",
        partial(parse.whole, 1, LONGEST_LEDGER_DAYS),
    ),
    Setting(
        "LEDGER_MEGABYTES",
        "512",
        "MB",
        "Disk that the ledger may fill; the oldest figures and log lines go first, incidents last.",
        "Disk, on the volume `ledger`.",
        partial(parse.whole, SMALLEST_LEDGER_MEGABYTES, LARGEST_LEDGER_MEGABYTES),
    ),
    Setting(
        "LOCUST_WEB_USERNAME",
        "",
        "name",
        "User name with which the sidecar signs in to a master that asks for a login (--web-login).",
        "Nothing.",
    ),
    Setting(
        "LOCUST_WEB_PASSWORD",
        "",
        "text",
        "Its password.",
        "Whoever may read .locust-kit/ may read it. The sidecar gets it as a file, not in its environment.",
        lasting=False,
        secret=True,
    ),
)
ALERTS = (
    Setting(
        "ALERT_URLS",
        "",
        "URLs",
        "Where alerts go, divided by blanks: https://hooks.slack.com/services/..., any other http(s) webhook "
        "(it gets JSON), or a service as Apprise writes it (mailto://, msteams://, ntfy://).",
        "50 MB and a second of processor time for each message. Whoever may read .locust-kit/ may read the URLs.",
        parse.alert_urls,
        lasting=False,
        secret=True,
    ),
    Setting(
        "ALERT_KINDS",
        ",".join(ALERT_KINDS),
        "kinds of incidents",
        f"What is worth an alert. All kinds: {', '.join(IncidentKind)}.",
        "A kind that is common makes every message less read.",
        partial(parse.choices, tuple(IncidentKind)),
    ),
    Setting(
        "ALERT_COOLDOWN_SECONDS",
        "300",
        "seconds",
        "How long the same kind of incident of the same service stays quiet after a message about it.",
        "A long one tells of a repeated incident late: the next message then says how many there were.",
        partial(parse.whole, 0, LONGEST_COOLDOWN_SECONDS),
    ),
)
