"""One TLS context for all users of a process, where each would load the whole list of authorities for itself.

A FastHttpUser on HTTPS makes a context of its own: about 875 kB, verified or not. An HttpUser with `verify=False` makes
as much; with verification Locust itself shares one. Here those that verify get one shared context, those that do not
another one; what a user asked for stays: its own `ssl_context_factory`, a client certificate, a list of authorities.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from locust.clients import LocustHttpAdapter
from locust.contrib.fasthttp import FastHttpSession
from urllib3.util.ssl_ import create_urllib3_context

VARIABLE = "KIT_SHARE_TLS"
_OWN = ("ssl_context_factory", "client_pool", "ssl_options")  # with one of these a session is left alone

Factory = Callable[..., ssl.SSLContext]


def install(environ: Mapping[str, str]) -> str:
    """Share contexts in this process, unless the variable says 0; returns what is done, in one line."""
    if environ.get(VARIABLE, "1") == "0":
        return f"each user has a TLS context of its own ({VARIABLE}=0)"
    FastHttpSession.__init__ = _sharing(FastHttpSession.__init__)  # type: ignore[method-assign]
    keys = LocustHttpAdapter.build_connection_pool_key_attributes
    LocustHttpAdapter.build_connection_pool_key_attributes = _unverified_shared(keys)  # type: ignore[method-assign]
    return "all users share one TLS context, those that do not verify another one"


def _sharing(init: Callable[..., None]) -> Callable[..., None]:
    """A session's `__init__` that hands a shared context on where it would make one."""

    @functools.wraps(init)
    def shared(self: Any, *args: Any, **kwargs: Any) -> None:
        if not any(kwargs.get(name) for name in _OWN):
            kwargs["ssl_context_factory"] = _insecure_factory if kwargs.get("insecure", True) else _verifying_factory
        init(self, *args, **kwargs)

    return shared


def _verifying_factory(cafile: str | None = None) -> ssl.SSLContext:
    return _verifying(cafile)


def _insecure_factory(cafile: str | None = None) -> ssl.SSLContext:
    del cafile  # a context that verifies nothing needs no authorities
    return _insecure()


@functools.cache
def _verifying(cafile: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)  # gevent's own: Locust has changed the module


@functools.cache
def _insecure() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@functools.cache
def _insecure_for_requests() -> ssl.SSLContext:
    """As urllib3 makes one. It sets `verify_mode` anew for each connection, so this one serves such requests alone."""
    context: ssl.SSLContext = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
    context.check_hostname = False
    return context


def _unverified_shared(keys: Callable[..., tuple[dict[str, Any], dict[str, Any]]]) -> Callable[..., Any]:
    """An adapter's choice of a connection pool, with the shared context for requests that verify nothing."""

    @functools.wraps(keys)
    def shared(self: Any, request: Any, verify: Any, cert: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        host, pool = keys(self, request, verify, cert)
        if verify is False and not cert:
            pool["ssl_context"] = _insecure_for_requests()
        return host, pool

    return shared
