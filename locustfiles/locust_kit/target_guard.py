"""ALLOWED_TARGETS in a Locust process: no run against another host starts, and no request leaves for another host.

There are two layers, because a proxy hides the host of a request from its connection.

The first layer is in both HTTP clients, where they look for a connection, at each redirect, too. It checks the name
that the client itself read from the address. So no way of writing an address shows the check another name.

The second layer is each connection of Python code. It checks a name at its lookup, and an address when a socket
connects. An address that was the answer for an allowed name is allowed. Loopback is allowed in this layer alone.

Code in C that opens its own connections (gRPC, librdkafka, libpq) and child processes (a browser) are not seen.
Without ALLOWED_TARGETS nothing is changed.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import gevent
from flask import Response, jsonify, request
from geventhttpclient.client import HTTPClientPool
from geventhttpclient.url import URL
from locust.env import Environment
from locust.runners import WorkerRunner
from requests import RequestException
from urllib3.poolmanager import PoolManager, ProxyManager

from locust_kit.allowed_targets import AllowedTargets, HostAndPort, address_of, place_of
from locust_kit.patches import Patches, change_each
from locust_kit.texts import LONGEST_NAME, safe

logger = logging.getLogger("locust_kit")

VARIABLE = "KIT_ALLOWED_TARGETS"
REFUSED_EXIT_CODE = 2
_PROBE = "locust-kit.invalid"  # no such host: trial sessions of shared_tls.py and connections.py, which send nothing
_OWN_URLS = (
    *("KIT_PROXY", "KIT_OTEL", "KIT_PUSH_URL"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
)
_HTTP_PORTS = {"http": 80, "https": 443}
_SOCKET: Any = gevent.socket.socket  # type: ignore[attr-defined]  # at run time it has it
_MOST_PASSED, _MOST_LOGGED, _MOST_ADDRESSES = 10_000, 20, 10_000


class TargetNotAllowedError(OSError):
    """A host that is not in ALLOWED_TARGETS. Both clients report it as a failed request; nothing was sent."""

    def __init__(self, place: HostAndPort) -> None:
        super().__init__(f"{place} is not in ALLOWED_TARGETS; nothing was sent")


class RequestNotAllowedError(TargetNotAllowedError, RequestException):
    """The same for requests, whose sessions handle only their own exceptions."""


class TargetGuard:
    """The check of one process, with the names that its lookups were for."""

    def __init__(self, allowed: AllowedTargets) -> None:
        self._admits = allowed.admits
        self._names: dict[Any, set[str]] = {}
        self._logged: set[str] = set()

    def check(self, host: str, port: int | None, error: type[TargetNotAllowedError] = TargetNotAllowedError) -> None:
        """Raise TargetNotAllowedError for a host that is not in the list; log the first request to it."""
        if self._admits(host, port):
            return
        place = HostAndPort(safe(host, LONGEST_NAME), port)
        if str(place) not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(str(place))
            logger.warning("locust-kit: refused %s: it is not in ALLOWED_TARGETS; nothing was sent", place)
        raise error(place)

    def look_up(self, original: Callable[..., Any], resolver: Any, host: Any, *args: Any, **options: Any) -> Any:
        """Look up an allowed name, and keep which name its addresses are for."""
        name = host.decode("utf-8", "replace") if isinstance(host, bytes) else host
        if not name or address_of(name) is not None or name == "localhost":
            return original(resolver, host, *args, **options)
        self.check(name, None)
        found = original(resolver, host, *args, **options)
        if len(self._names) > _MOST_ADDRESSES:
            self._names.clear()
        for address in _addresses(found):
            self._names.setdefault(address_of(address), set()).add(name)
        return found

    def check_address(self, sock: Any, address: Any) -> None:
        """Raise TargetNotAllowedError if a socket must not connect, or send, to this address."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return
        host, port = str(address[0]), address[1]
        ip = address_of(host)
        if not host or (ip is not None and (ip.is_loopback or ip.is_unspecified)) or host == "localhost":
            return
        if not any(self._admits(name, port) for name in self._names.get(ip, ())):
            self.check(host, port)


def _addresses(found: Any) -> Iterable[str]:
    """Return the addresses in the answer of gethostbyname, gethostbyname_ex or getaddrinfo."""
    if isinstance(found, str):
        return (found,)
    return found[2] if isinstance(found, tuple) else (str(answer[4][0]) for answer in found)


def begin(environment: Environment, **_: Any) -> None:
    """Guard this process, and on a master the starts of runs."""
    is_worker, options = isinstance(environment.runner, WorkerRunner), environment.parsed_options
    allowed = guard_process(os.environ, f"{options.master_host}:{options.master_port}" if is_worker and options else "")
    if allowed and not is_worker:
        _guard_starts(environment, allowed, os.environ[VARIABLE])


def guard_process(environ: Mapping[str, str], master: str = "") -> AllowedTargets | None:
    """Guard all connections of this process. Return the list; None if ALLOWED_TARGETS is empty, and all is allowed.

    An unusable list allows nothing but the mock target. The kit's own hosts are added: the proxy, the collector of
    traces, the endpoint of pushed failures, the master.
    """
    if not (entries := environ.get(VARIABLE, "").replace(",", " ").split()):
        return None
    urls = (*(environ.get(name, "") for name in _OWN_URLS), master)
    try:
        allowed = AllowedTargets([*entries, _PROBE, *filter(None, map(_place, urls))])
    except ValueError as error:
        logger.error("locust-kit: %s is not valid, so no target is allowed; expected: %s", VARIABLE, error)  # noqa: TRY400
        allowed = AllowedTargets(())
    logger.info("locust-kit: %s", install(TargetGuard(allowed)))
    return allowed


def _place(url: str) -> str:
    try:
        return str(place_of(url)) if url else ""
    except ValueError:
        return ""


def install(guard: TargetGuard) -> str:
    """Guard both clients and all sockets of this process. Return one line that describes the result."""
    changes = {
        "HttpUser": partial(_guard_requests, guard),
        "FastHttpUser": partial(_guard_fast, guard),
        "lookups of names": partial(_guard_lookups, guard),
        "sockets": partial(_guard_sockets, guard),
    }
    return change_each(changes, "only hosts in ALLOWED_TARGETS")


def _guard_requests(guard: TargetGuard) -> None:
    """Check the host for which urllib3 is about to look for a connection; behind a proxy, both hosts."""
    passed: set[tuple[Any, Any]] = set()

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def connection_from_host(
            manager: Any, host: Any, port: Any = None, scheme: Any = "http", *args: Any, **options: Any
        ) -> Any:
            place = host, port or _HTTP_PORTS.get((scheme or "http").lower())
            if place not in passed:
                guard.check(host or "", place[1], RequestNotAllowedError)
                _remember(passed, place)
            return original(manager, host, port, scheme, *args, **options)

        return connection_from_host

    with Patches() as patches:
        for manager in (ProxyManager, PoolManager):
            patches.put(manager, "connection_from_host", guarded(manager.connection_from_host))


def _guard_fast(guard: TargetGuard) -> None:
    """Check the address for which geventhttpclient is about to look for a connection, behind a proxy, too."""
    get_client = HTTPClientPool.get_client
    passed: set[tuple[str, str]] = set()

    def guarded(pool: Any, url: Any) -> Any:
        address = URL(url) if isinstance(url, str) else url
        key = address.scheme, address.netloc
        if key not in passed:
            guard.check(address.host, address.port)
            _remember(passed, key)
        return get_client(pool, address)

    with Patches() as patches:
        patches.put(HTTPClientPool, "get_client", guarded)


def _remember(passed: set[tuple[Any, Any]], key: tuple[Any, Any]) -> None:
    if len(passed) >= _MOST_PASSED:
        passed.clear()
    passed.add(key)


def _guard_lookups(guard: TargetGuard) -> None:
    resolver = type(gevent.get_hub().resolver)
    with Patches() as patches:
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            patches.wrap(resolver, name, guard.look_up)


def _guard_sockets(guard: TargetGuard) -> None:
    def connect(original: Callable[..., Any], sock: Any, address: Any, *args: Any) -> Any:
        guard.check_address(sock, address)
        return original(sock, address, *args)

    def send_to(original: Callable[..., Any], sock: Any, data: Any, *args: Any) -> Any:
        guard.check_address(sock, args[-1] if args else None)
        return original(sock, data, *args)

    with Patches() as patches:
        patches.wrap(_SOCKET, "connect", connect)
        patches.wrap(_SOCKET, "connect_ex", connect)
        patches.wrap(_SOCKET, "sendto", send_to)


def refusal(allowed: AllowedTargets, shown: str, host: str | None, user_classes: Iterable[Any]) -> str:
    """Return why a run must not start: its host, or without one the first such class; "" if it may start."""
    targets = (
        [(host, "the host of the run")]
        if host
        else [(user.host, f"the host of the class {user.__name__}") for user in user_classes]
    )
    for target, what in targets:
        if other := allowed.refused(target):
            return (
                f"{what} is {safe(other, LONGEST_NAME)}, which is not in ALLOWED_TARGETS; expected: one of {shown}; "
                "to allow it, add it to ALLOWED_TARGETS, then make up"
            )
    return ""


def _guard_starts(environment: Environment, allowed: AllowedTargets, shown: str) -> None:
    """Refuse to start a run against another host, whoever starts it: Locust's page, its command line, a shape."""
    runner: Any = environment.runner

    def starting(start: Callable[..., Any]) -> Callable[..., Any]:
        def start_if_allowed(*args: Any, **options: Any) -> Any:
            if not (why := refusal(allowed, shown, environment.host, environment.user_classes)):
                return start(*args, **options)
            logger.error("locust-kit: the run does not start: %s", why)
            if environment.web_ui is None:
                environment.process_exit_code = REFUSED_EXIT_CODE
                gevent.spawn(runner.quit)
            return None

        return start_if_allowed

    runner.start, runner.start_shape = starting(runner.start), starting(runner.start_shape)
    if environment.web_ui and environment.web_ui.app:
        environment.web_ui.app.before_request(partial(_answer, environment, allowed, shown))


def _answer(environment: Environment, allowed: AllowedTargets, shown: str) -> Response | None:
    """Answer the order to start a refused run; None for every other request. Locust only logs what its start does."""
    if request.method != "POST" or not request.path.rstrip("/").endswith("/swarm"):
        return None
    classes: Iterable[Any] = environment.user_classes
    if environment.web_ui.userclass_picker_is_active:  # type: ignore[union-attr]  # it answers
        chosen, known = request.form.getlist("user_classes"), environment.available_user_classes or {}
        classes = [user for name, user in known.items() if not chosen or name in chosen]
    why = refusal(allowed, shown, request.form.get("host", environment.host), classes)
    return jsonify({"success": False, "message": why}) if why else None
