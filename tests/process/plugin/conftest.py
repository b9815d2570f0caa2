"""Certificates and servers, made once a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.process.plugin.https_servers import Authority, Certificate, Proxy, Server, serving, showing


@dataclass(frozen=True)
class World:
    """A private CA, and a server for each certificate that one may meet."""

    authority: Authority
    one_client: Certificate
    another_client: Certificate
    servers: dict[str, str]
    """Name to URL: good, elsewhere, expired, self_signed, plain."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl command here")
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    shown = {
        "good": authority.signed("good"),
        "elsewhere": authority.signed("elsewhere", "DNS:elsewhere.invalid"),
        "expired": authority.signed("expired", days=-1),
        "self_signed": authority.self_signed("self_signed"),
    }
    with ExitStack() as stack:
        servers = {"plain": stack.enter_context(serving(Server())).url}
        for name, certificate in shown.items():
            servers[name] = stack.enter_context(serving(Server(showing(certificate, authority)))).url
        yield World(authority, authority.signed("one-client"), authority.signed("another-client"), servers)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with serving(Proxy()) as server:
        yield server


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server
