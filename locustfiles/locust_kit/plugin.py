"""Entry point of the plugin at Locust's init. worker.py and master.py have the parts of a process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import gevent
from locust.env import Environment
from locust.event import Events
from locust.runners import MasterRunner, WorkerRunner

from locust_kit import connections, guarded_page, messages, shared_tls, target_guard
from locust_kit.failures import assertions, redirects
from locust_kit.guard import guarded, listen_first, reach_all
from locust_kit.loaded_files import loaded_modules
from locust_kit.master import MasterPart
from locust_kit.shown import HiddenHosts, LogFilter
from locust_kit.worker import WorkerPart

logger = logging.getLogger("locust_kit")


def install(events: Events) -> None:
    """Wait for Locust's init, then start the part of this process: worker, master, or both in one."""
    try:
        messages.install()
    except AttributeError as error:  # another Locust version than expected
        logger.warning("locust-kit: messages between master and workers are not checked: %s", error)
    listen_first(events.init, target_guard.begin)  # the test's own listeners may send requests
    events.init.add_listener(guarded(_on_init))


def _on_init(environment: Environment, **_: Any) -> None:
    if environment.web_ui and environment.web_ui.app:
        guarded_page.install(environment.web_ui.app)
        HiddenHosts(environment).install(environment.web_ui.app)
    LogFilter().install(environment)
    loaded = loaded_modules()
    of_a_run = "test_start", "test_stopping", "test_stop", "spawning_complete", "report_to_master", "worker_report"
    reach_all(*(getattr(environment.events, name) for name in of_a_run))
    if not isinstance(environment.runner, MasterRunner):
        _change_clients()
        if getattr(environment.parsed_options, "otel", False):
            _trace(environment)
    if isinstance(environment.runner, WorkerRunner):
        WorkerPart(environment, environment.runner, loaded).listen()
    else:
        MasterPart(environment, loaded).listen()
    # Locust counts `-t` from gevent's clock, which stands still while modules are imported: without this, the time
    # for loading them would be missing from a headless run.
    gevent.get_hub().loop.update_now()


def _trace(environment: Environment) -> None:
    try:
        from locust_kit import traces  # noqa: PLC0415  OpenTelemetry takes a second to load, and may not be there
    except ImportError as error:
        logger.warning("locust-kit: no traces of FastHttpUser, and no run in the spans: %s", error)
        return
    if line := traces.install(environment.parsed_options):
        logger.info("locust-kit: %s", line)


def _change_clients() -> None:
    """Apply the environment's TLS and connection settings to all users. An invalid setting logs one warning."""
    parts: tuple[Callable[[], str], ...] = (
        lambda: shared_tls.install(shared_tls.TlsSettings.from_environ(os.environ)),
        lambda: connections.install(connections.ConnectionSettings.from_environ(os.environ)),
        redirects.install,
        assertions.install,
    )
    for install_part in parts:
        try:
            logger.info("locust-kit: %s", install_part())
        except ValueError as error:  # an unusable file, or a value that only a user's own .env can have set
            logger.warning("locust-kit: Locust's default is used, because a connection setting is not valid: %s", error)
