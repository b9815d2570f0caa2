"""The settings of the verdict beyond thresholds, and of reports."""

from __future__ import annotations

from functools import partial

from sidecar.settings import parse
from sidecar.settings.setting import Setting

JUDGING = (
    Setting(
        "GENERATOR_CPU",
        "90",
        "% of a core",
        "CPU of a worker from which on a run is INVALID, when sustained: what it measures is then its own queue.",
        "A high one takes the load machine's delays for the target's.",
        parse.positive,
    ),
    Setting(
        "GENERATOR_THROTTLED",
        "25",
        "% of CPU periods",
        "CPU periods in which a worker was throttled (WORKER_CPUS), from which on a run is INVALID, when sustained.",
        "The same.",
        parse.positive,
    ),
    Setting(
        "SUSTAINED_SECONDS",
        "30",
        "seconds",
        "What lasts this long in a row is sustained ...",
        "A long one overlooks what spoils a short run.",
        parse.positive,
    ),
    Setting(
        "SUSTAINED_SHARE",
        "10%",
        "10% or 0.1",
        "... and what takes this share of a run in all, and 10 s at least.",
        "The same.",
        parse.share,
    ),
)

REPORTS = (
    Setting(
        "RUN",
        "",
        "a run's id, or last",
        "Of which run `report` tells; empty: the list of all.",
        "Nothing.",
        lasting=False,
    ),
    Setting(
        "BASELINE",
        "",
        "a run's id",
        "The run with which `report` compares it.",
        "Nothing.",
        lasting=False,
    ),
)

CAPACITY = (
    Setting(
        "ENDPOINT",
        "",
        "/path",
        "The endpoint that `capacity` puts under ever more users.",
        "All the load that it carries, and a step more.",
        parse.endpoint,
        lasting=False,
    ),
    Setting(
        "METHOD",
        "GET",
        "GET, POST ...",
        "How it is asked.",
        "Nothing.",
        parse.http_method,
        lasting=False,
    ),
    Setting(
        "MOST_USERS",
        "256",
        "users",
        "Where `capacity` ends at the latest; it doubles from 1.",
        "A step each.",
        partial(parse.whole, 2, 65_536),
        lasting=False,
    ),
    Setting(
        "STEP_SECONDS",
        "12",
        "seconds",
        "How long a step of it lasts.",
        "Time; below 10 s a step still has the last one in it.",
        partial(parse.whole, 5, 3600),
        lasting=False,
    ),
)
