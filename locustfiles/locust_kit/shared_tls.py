"""One TLS context for all users of a process; Locust itself makes one for each user.

A context with the public CA bundle needs about 850 kB. FastHttpUser makes one for each user. HttpUser makes one for
each connection if verification is off. The plugin gives each client one context that verifies and one that does not.
The test still chooses between them (FastHttpUser.insecure; HttpUser's `client.verify` and `verify=`).

The two clients do not share a context: urllib3 sets its own options and ALPN, and the kit must not change the handshake
of a client.

A private CA, a client certificate and a proxy apply to both clients. Values of a class or a request override them:
`ssl_context_factory`, `client_pool`, `proxy_host`; `pool_manager` with TLS arguments, `client.cert`, `cert=`,
`client.proxies`, `proxies=`, a path as `verify`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import requests
from locust.clients import HttpSession, LocustHttpAdapter
from locust.contrib.fasthttp import FastHttpSession, insecure_ssl_context_factory
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.poolmanager import SSL_KEYWORDS
from urllib3.util import create_urllib3_context

from locust_kit.patches import Patches, change_each

SHARE = "KIT_SHARE_TLS"
CA = "KIT_TLS_CA"
CERT = "KIT_TLS_CERT"
KEY = "KIT_TLS_KEY"
PROXY = "KIT_PROXY"

PROBE = "https://locust-kit.invalid"
"""The address of the trial sessions of `install`; they send nothing."""

FAST_POSITIONS = 3
"""The number of FastHttpSession's arguments before `insecure`: base_url, request_event, user."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The settings of the user. `ca` is trusted in addition to the public CAs; a `cert` without `key` holds both."""

    share: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    proxy: str | None = field(default=None, repr=False)
    """http://[user:password@]host[:port], for both clients."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> TlsSettings:
        """Read the variables; an empty one counts as unset. Raises ValueError that names an invalid one."""
        values = {name: environ.get(name) or None for name in (SHARE, CA, CERT, KEY, PROXY)}
        if values[SHARE] not in {None, "0", "1"}:
            raise ValueError(f"{SHARE} is {values[SHARE]!r}; expected: 1 or 0")
        if values[KEY] and not values[CERT]:
            raise ValueError(f"{KEY} is set without {CERT}: set both")
        proxy = values[PROXY]
        if proxy and not _is_proxy(proxy):
            raise ValueError(f"{PROXY} is not valid; expected: http://host:port or http://user:password@host:port")
        return cls(values[SHARE] != "0", values[CA], values[CERT], values[KEY], proxy)

    @property
    def requests_cert(self) -> str | tuple[str, str] | None:
        """Return the client certificate in the form that requests expects."""
        return (self.cert, self.key) if self.cert and self.key else self.cert


class Contexts:
    """The contexts of one client; each is made at its first use."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._made: dict[Hashable, ssl.SSLContext] = {}

    @property
    def used(self) -> bool:
        """Return whether a client has ever used a context."""
        return bool(self._made)

    def for_fast(self, *, insecure: bool, cafile: str | None = None) -> ssl.SSLContext:
        """Return a context for geventhttpclient; each of its pools passes the path of the public bundle."""
        return self._once(insecure, lambda: _fast_context(self._settings, insecure=insecure, cafile=cafile))

    def for_requests(self, *, verify: bool, cert: object) -> ssl.SSLContext:
        """Return a context for urllib3, which puts the client certificate of each connection into it.

        So requests with a certificate get another context than requests without one. With verification, one context
        serves all certificates, as in Locust. Without verification, each certificate has its own context of 13 kB.
        """
        owner = str(cert) if cert and not verify else bool(cert)
        return self._once((verify, owner), lambda: _requests_context(self._settings, verify=verify))

    def _once(self, name: Hashable, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def install(settings: TlsSettings) -> str:
    """Change both clients for all later users of this process. Return one line that describes the result.

    If a client does not have the expected form, it keeps Locust's default, and the line shows the reason. Raises
    ValueError, with nothing changed, if a file of `settings` cannot be used.
    """
    if settings == TlsSettings(share=False):
        return "TLS and proxy: Locust's defaults"
    _check_files(settings)
    changes = {
        "FastHttpUser": partial(_change_fast, settings, Contexts(settings)),
        "HttpUser": partial(_change_requests, settings, Contexts(settings)),
    }
    return change_each(changes, _described(settings))


def _described(settings: TlsSettings) -> str:
    parts = ["shared TLS contexts" if settings.share else "TLS contexts not shared"]
    if settings.ca:
        parts.append(f"CA {settings.ca} in addition to the public ones")
    if settings.cert:
        parts.append(f"client certificate {settings.cert}")
    if settings.proxy:
        parts.append(f"proxy {urlsplit(settings.proxy).netloc.rpartition('@')[2]}")
    return ", ".join(parts)


def _check_files(settings: TlsSettings) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if settings.ca:
            bare.load_verify_locations(settings.ca)
    except OSError as error:
        raise ValueError(f"{CA}={settings.ca} cannot be used: {error}") from error
    try:
        if settings.cert:
            bare.load_cert_chain(settings.cert, settings.key, password="")  # no password: asks nobody on a terminal
    except OSError as error:
        files = f"{CERT}={settings.cert}" + (f" with {KEY}={settings.key}" if settings.key else "")
        raise ValueError(f"{files} cannot be used: {error}") from error


def _is_proxy(url: str) -> bool:
    try:
        _port(urlsplit(url))
    except ValueError:
        return False
    return urlsplit(url).scheme == "http" and bool(urlsplit(url).hostname)


def _port(url: SplitResult) -> int:
    return url.port or 80


# FastHttpUser


def _change_fast(settings: TlsSettings, contexts: Contexts) -> None:
    insecure = signature(FastHttpSession).parameters["insecure"].default

    def begin(original: Callable[..., None], session: FastHttpSession, *args: Any, **kwargs: Any) -> None:
        own = contexts if settings.share else Contexts(settings)
        more = {} if len(args) > FAST_POSITIONS else _fast_arguments(settings, own, {"insecure": insecure} | kwargs)
        original(session, *args, **kwargs | more)

    with Patches() as patches:
        patches.wrap(FastHttpSession, "__init__", begin)
        FastHttpSession(PROBE, None, None, insecure=True).client.clientpool.get_client(PROBE)
        _expect_use(settings, contexts)


def _fast_arguments(settings: TlsSettings, contexts: Contexts, kwargs: dict[str, Any]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    own_tls = kwargs.get("ssl_context_factory") or kwargs.get("ssl_options")
    if not own_tls and (settings.share or settings.ca or settings.cert):
        more["ssl_context_factory"] = partial(contexts.for_fast, insecure=kwargs["insecure"])
    if settings.proxy and not kwargs.get("proxy_host"):
        more |= _fast_proxy(urlsplit(settings.proxy))
    return more


def _fast_proxy(url: SplitResult) -> dict[str, Any]:
    address = {"proxy_host": url.hostname, "proxy_port": _port(url)}
    if url.username is None:
        return address
    return address | {"proxy_user": unquote(url.username), "proxy_password": unquote(url.password or "")}


def _fast_context(settings: TlsSettings, *, insecure: bool, cafile: str | None) -> ssl.SSLContext:
    if insecure:
        context: ssl.SSLContext = insecure_ssl_context_factory()
    else:
        context = ssl.create_default_context(cafile=cafile)
        _trust_private(context, settings)
    if settings.cert:
        context.load_cert_chain(settings.cert, settings.key)
    return context


# HttpUser


def _change_requests(settings: TlsSettings, contexts: Contexts) -> None:
    def begin(original: Callable[..., None], session: HttpSession, *args: Any, **kwargs: Any) -> None:
        original(session, *args, **kwargs)
        session.cert = settings.requests_cert
        if settings.proxy:
            session.proxies = dict.fromkeys(("http", "https"), settings.proxy)

    def choose(
        original: Callable[..., Any], adapter: LocustHttpAdapter, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        host, pool = original(adapter, request, verify, cert)
        if isinstance(verify, bool) and host["scheme"] == "https" and not _has_own_tls(adapter):
            own = contexts if settings.share else _contexts_of(adapter, settings)
            pool["ssl_context"] = own.for_requests(verify=verify, cert=cert)
        return host, pool

    with Patches() as patches:
        patches.wrap(HttpSession, "__init__", begin)
        if settings.share or settings.ca:
            patches.wrap(LocustHttpAdapter, "build_connection_pool_key_attributes", choose)
        _try_requests()
        _expect_use(settings, contexts)


def _try_requests() -> None:
    session = HttpSession(PROBE, None, None)
    request = requests.Request("GET", PROBE).prepare()
    adapter: Any = session.get_adapter(PROBE)
    adapter.get_connection_with_tls_context(request, verify=False, proxies=session.proxies, cert=session.cert)


def _has_own_tls(adapter: LocustHttpAdapter) -> bool:
    """Return whether the user's `pool_manager` has TLS arguments: urllib3 would put some of them into the context."""
    return not adapter.poolmanager.connection_pool_kw.keys().isdisjoint(SSL_KEYWORDS)


def _contexts_of(adapter: LocustHttpAdapter, settings: TlsSettings) -> Contexts:
    contexts: Contexts = vars(adapter).setdefault("_locust_kit_contexts", Contexts(settings))
    return contexts


def _requests_context(settings: TlsSettings, *, verify: bool) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
    if verify:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        _trust_private(context, settings)
    return context


# Both


def _trust_private(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.ca:
        context.load_verify_locations(settings.ca)


def _expect_use(settings: TlsSettings, contexts: Contexts) -> None:
    if settings.share and not contexts.used:
        raise TypeError("its sessions do not use the shared contexts")
