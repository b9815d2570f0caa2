"""The variables that Locust reads, and similar names that it does not read. Pure.

The names come from the argument parser of Locust 2.47, and from older images, other tools and blogs.
"""

from __future__ import annotations

_PARSER = """
LOCUSTFILE HOST USERS SPAWN_RATE RUN_TIME CONFIG_USERS WEB_HOST WEB_HOST_DISPLAY_NAME WEB_PORT WEB_BASE_PATH WEB_LOGIN
TLS_CERT TLS_KEY HEADLESS HEADFUL AUTOSTART AUTOQUIT USERCLASS_PICKER BUILD_PATH MODE_MASTER MASTER_BIND_HOST
MASTER_BIND_PORT EXPECT_WORKERS EXPECT_WORKERS_MAX_WAIT MODE_WORKER MASTER_NODE_HOST MASTER_NODE_PORT PROCESSES TAGS
EXCLUDE_TAGS CSV CSV_FULL_HISTORY PRINT_STATS ONLY_SUMMARY RESET_STATS HTML SKIP_LOG_SETUP LOGLEVEL LOGFILE
EXIT_CODE_ON_ERROR STOP_TIMEOUT ENABLE_OPENTELEMETRY
USER_CLASSES SKIP_MONKEY_PATCH SKIP_URLLIB3_PATCH WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP
WORKER_ADDITIONAL_WAIT_BEFORE_READY_AFTER_STOP PLAYWRIGHT
"""
REMOVED = {
    "LOCUST_WEB_AUTH": "no value, because Locust rejects this variable now (use LOCUST_WEB_LOGIN and your own code)",
    "LOCUST_LEGACY_UI": "no value, because Locust rejects this variable now",
}
"""Variables that Locust reads only to reject them."""

KNOWN = frozenset(f"LOCUST_{name}" for name in _PARSER.split()) | frozenset(REMOVED)

# locust-plugins and locust-exporter read these.
_OF_PLUGINS = (
    "LOCUST_CHECK_",
    "LOCUST_GRAFANA_",
    "LOCUST_TIMESCALE",
    "LOCUST_EXPORTER_",
    "LOCUST_OTEL_",
    "LOCUST_CLOUD_",
)
_OF_THE_KIT = ("LOCUST_KIT_", "LOCUST_WEB_USERNAME", "LOCUST_WEB_PASSWORD", "LOCUST_IMAGE")

LEGACY = {
    "LOCUST_MASTER_HOST": "LOCUST_MASTER_NODE_HOST",
    "LOCUST_MASTER_PORT": "LOCUST_MASTER_NODE_PORT",
    "LOCUST_MASTER": "LOCUST_MASTER_NODE_HOST",
    "LOCUST_MASTER_ADDRESS": "LOCUST_MASTER_NODE_HOST",
    "MASTER_HOST": "LOCUST_MASTER_NODE_HOST",
    "MASTER_PORT": "LOCUST_MASTER_NODE_PORT",
    "LOCUST_MODE": "LOCUST_MODE_WORKER",
    "LOCUST_ROLE": "LOCUST_MODE_WORKER",
    "LOCUST_WORKER": "LOCUST_MODE_WORKER",
    "LOCUST_SLAVE": "LOCUST_MODE_WORKER",
    "LOCUST_OPTS": "",
    "LOCUSTFILE_PATH": "LOCUST_LOCUSTFILE",
    "TARGET_URL": "LOCUST_HOST",
    "TARGET_HOST": "LOCUST_HOST",
    "LOCUST_TARGET_HOST": "LOCUST_HOST",
    "LOCUST_BIND_HOST": "LOCUST_MASTER_BIND_HOST",
    "LOCUST_BIND_PORT": "LOCUST_MASTER_BIND_PORT",
    "LOCUST_HATCH_RATE": "LOCUST_SPAWN_RATE",
    "LOCUST_CLIENTS": "LOCUST_USERS",
    "LOCUST_ENABLE_REBALANCING": "",
}
"""Names that nobody reads, and the variable that was meant; "" if Locust has no such variable."""

PORTS = frozenset({"LOCUST_MASTER_BIND_PORT", "LOCUST_MASTER_NODE_PORT", "LOCUST_WEB_PORT"})
NUMBERS = frozenset(
    {
        "LOCUST_USERS",
        "LOCUST_SPAWN_RATE",
        "LOCUST_EXPECT_WORKERS",
        "LOCUST_EXPECT_WORKERS_MAX_WAIT",
        "LOCUST_PROCESSES",
        "LOCUST_AUTOQUIT",
        "LOCUST_EXIT_CODE_ON_ERROR",
    }
)


NEEDED_BY_LOCUST = frozenset(
    {
        *("locust", "gevent", "geventhttpclient", "greenlet", "zmq", "msgpack", "psutil", "configargparse"),
        *("flask", "flask_cors", "flask_login", "werkzeug", "jinja2", "click", "itsdangerous"),
        *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "brotli"),
    }
)
"""Packages that Locust imports. Python imports a user's file with such a name instead of the package."""


def kit_owns(name: str) -> bool:
    """Return whether a variable belongs to the kit or to a known plugin."""
    return name.startswith((*_OF_THE_KIT, *_OF_PLUGINS)) or name in ("LOCUSTFILE", "LOCUSTFILES_DIR")
