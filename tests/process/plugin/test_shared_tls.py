"""One TLS context for all users, and still the right answer to every certificate."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from locust.clients import HttpSession, LocustHttpAdapter
from locust.contrib.fasthttp import FastHttpSession
from locust_kit.shared_tls import Contexts, TlsSettings, install

from tests.process.plugin.conftest import World
from tests.process.plugin.https_servers import Proxy
from tests.process.plugin.locust_process import BOTH, FAST, REQUESTS, Outcome, Step, run

REFUSED = {
    "elsewhere": "mismatch|not valid for '127.0.0.1'",
    "expired": "certificate has expired",
    "self_signed": "self-signed certificate",
}
USERS = 12


def verifying(client: str, url: str, **more: Any) -> Step:
    attributes = {"insecure": False} if client == FAST else {}
    return Step(client, url, attributes=attributes | more.pop("attributes", {}), **more)


def trusting(client: str, url: str, **more: Any) -> Step:
    return Step(client, url, **({} if client == FAST else {"session": {"verify": False}}) | more)


def answered(outcome: Outcome) -> bool:
    return (outcome.status, outcome.error) == (200, "")


def refused(outcome: Outcome) -> bool:
    return outcome.status == 0 and "CERTIFICATE_VERIFY_FAILED" in outcome.error


# Verification


@pytest.fixture(scope="module")
def verdicts(world: World) -> dict[tuple[str, str, str], Outcome]:
    """(client, verification, server) to outcome; "on again" comes after the insecure users."""
    asked = {
        (client, way, name): step(client, world.servers[name])
        for client in BOTH
        for way, step in (("on", verifying), ("off", trusting), ("on again", verifying))
        for name in ("good", *REFUSED)
    }
    report = run(*asked.values(), TLS_CA=world.authority.path)
    return dict(zip(asked, report.each, strict=True))


@pytest.mark.parametrize("client", BOTH)
def test_a_certificate_of_the_private_ca_passes(verdicts: Any, client: str) -> None:
    assert all(answered(verdicts[client, way, "good"]) for way in ("on", "off", "on again"))


@pytest.mark.parametrize("way", ["on", "on again"])
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("client", BOTH)
def test_a_wrong_certificate_fails_before_and_after_insecure_users(
    verdicts: Any, client: str, name: str, way: str
) -> None:
    outcome = verdicts[client, way, name]
    assert refused(outcome)
    assert re.search(REFUSED[name], outcome.error)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("client", BOTH)
def test_without_verification_any_certificate_passes(verdicts: Any, client: str, name: str) -> None:
    assert answered(verdicts[client, "off", name])


def test_a_private_ca_that_nobody_set_is_not_trusted(world: World) -> None:
    report = run(*(verifying(client, world.servers["good"]) for client in BOTH))
    assert all(refused(outcome) for outcome in report.each)


def test_a_requests_own_verify_argument_counts(world: World) -> None:
    url, ca = world.servers["good"], world.authority.path
    off, on, path, other = run(
        Step(REQUESTS, url, arguments={"verify": False}),
        Step(REQUESTS, url, session={"verify": False}, arguments={"verify": True}),
        Step(REQUESTS, url, arguments={"verify": ca}),
        Step(REQUESTS, world.servers["self_signed"], arguments={"verify": ca}),
    ).each
    assert (answered(off), refused(on), answered(path), refused(other)) == (True, True, True, True)


def test_a_private_ca_is_trusted_besides_the_public_ones(world: World) -> None:
    public, both = (
        Contexts(settings).for_requests(verify=True, cert=None)
        for settings in (TlsSettings(), TlsSettings(ca=world.authority.path))
    )
    assert len(both.get_ca_certs()) == len(public.get_ca_certs()) + 1 > 2


# Sharing


def test_many_users_share_one_context_of_each_kind(world: World) -> None:
    steps = [step(client, world.servers["good"], users=USERS) for client in BOTH for step in (trusting, verifying)]
    report = run(*steps, TLS_CA=world.authority.path)
    assert [sum(map(answered, outcomes)) for outcomes in report.outcomes] == [USERS] * 4
    assert report.contexts == len(steps)


def test_sharing_can_be_turned_off_and_the_private_ca_stays(world: World) -> None:
    steps = [verifying(client, world.servers["good"], users=USERS, rounds=2) for client in BOTH]
    report = run(*steps, TLS_CA=world.authority.path, SHARE_TLS="0")
    assert [sum(map(answered, outcomes)) for outcomes in report.outcomes] == [USERS * 2] * 2
    assert report.contexts == USERS * 2


def test_with_nothing_set_and_sharing_off_nothing_changes() -> None:
    before = (FastHttpSession.__init__, HttpSession.__init__)
    assert install(TlsSettings(share=False)) == "TLS and proxy: Locust's defaults"
    assert before == (FastHttpSession.__init__, HttpSession.__init__)


def test_a_context_is_made_once_for_each_kind() -> None:
    contexts = Contexts(TlsSettings())
    assert contexts.for_fast(insecure=True) is contexts.for_fast(insecure=True)
    assert contexts.for_fast(insecure=True) is not contexts.for_fast(insecure=False)
    assert contexts.for_requests(verify=True, cert="a") is contexts.for_requests(verify=True, cert="b")
    assert contexts.for_requests(verify=True, cert="a") is not contexts.for_requests(verify=True, cert=None)
    assert contexts.for_requests(verify=False, cert="a") is not contexts.for_requests(verify=False, cert="b")


def test_a_class_with_a_context_of_its_own_keeps_it(world: World) -> None:
    steps = [verifying(FAST, world.servers["good"], own=own) for own in ("ssl_context_factory", "client_pool")]
    assert all(refused(outcome) for outcome in run(*steps, TLS_CA=world.authority.path).each)


def test_a_pool_manager_without_host_check_takes_it_from_nobody_else(world: World) -> None:
    url = world.servers["elsewhere"]
    _, other = run(Step(REQUESTS, url, own="pool_manager"), verifying(REQUESTS, url), TLS_CA=world.authority.path).each
    assert refused(other)


# Client certificate


@pytest.mark.parametrize("separate", [False, True], ids=["one file", "two files"])
def test_the_client_certificate_reaches_the_server(world: World, separate: bool) -> None:  # noqa: FBT001
    client = world.one_client
    files = {"TLS_CERT": client.certificate, "TLS_KEY": client.key} if separate else {"TLS_CERT": client.both}
    steps = [step(client, world.servers["good"]) for client in BOTH for step in (verifying, trusting)]
    report = run(*steps, TLS_CA=world.authority.path, **files)
    assert [outcome.body.get("certificate") for outcome in report.each] == ["one-client"] * 4


def test_an_own_context_for_each_user_has_the_client_certificate_too(world: World) -> None:
    steps = [trusting(client, world.servers["good"]) for client in BOTH]
    report = run(*steps, SHARE_TLS="0", TLS_CERT=world.one_client.both)
    assert [outcome.body.get("certificate") for outcome in report.each] == ["one-client"] * 2


@pytest.mark.parametrize("name", [None, "one-client"])
def test_a_certificate_of_the_users_own_wins_and_stays_with_that_user(world: World, name: str | None) -> None:
    own = {"arguments": {"cert": world.another_client.both}}
    steps = [step(REQUESTS, world.servers["good"], **more) for step in (verifying, trusting) for more in ({}, own, {})]
    report = run(*steps, TLS_CA=world.authority.path, TLS_CERT=world.one_client.both if name else "")
    assert [outcome.body.get("certificate") for outcome in report.each] == [name, "another-client", name] * 2


# Proxy


def test_both_schemes_go_through_the_proxy(world: World, proxy: Proxy) -> None:
    plain, good = world.servers["plain"], world.servers["good"]
    steps = [step for client in BOTH for step in (Step(client, plain), verifying(client, good))]
    report = run(*steps, TLS_CA=world.authority.path, PROXY=f"http://someone:p%40ss@{proxy.address}")
    assert all(answered(outcome) for outcome in report.each)
    lines = [f"GET {plain}/asked someone:p@ss", f"CONNECT {good.removeprefix('https://')} someone:p@ss"]
    assert proxy.seen == lines * 2
    assert report.said[0] == (
        f"FastHttpUser, HttpUser: shared TLS contexts, CA {world.authority.path} in addition to the public ones, "
        f"proxy {proxy.address}"
    )


def test_the_proxy_alone_leaves_tls_to_locust(world: World, proxy: Proxy) -> None:
    url = world.servers["good"]
    report = run(Step(FAST, url), trusting(REQUESTS, url), SHARE_TLS="0", PROXY=f"http://{proxy.address}")
    assert all(answered(outcome) for outcome in report.each)
    assert len(proxy.seen) == 2


def test_a_proxy_of_the_users_own_wins(world: World, proxy: Proxy) -> None:
    url, address = world.servers["plain"], f"http://{proxy.address}"
    host, _, port = proxy.address.partition(":")
    report = run(
        Step(FAST, url, attributes={"proxy_host": host, "proxy_port": int(port)}),
        Step(REQUESTS, url, session={"proxies": {"http": address}}),
        Step(REQUESTS, url, arguments={"proxies": {"http": address}}),
        PROXY="http://127.0.0.1:9",
    )
    assert all(answered(outcome) for outcome in report.each)
    assert len(proxy.seen) == 3


# Settings, and what goes wrong


def test_unset_and_empty_variables_are_the_defaults() -> None:
    assert TlsSettings.from_environ({}) == TlsSettings()
    assert TlsSettings.from_environ({"KIT_TLS_CA": "", "KIT_SHARE_TLS": ""}) == TlsSettings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SHARE_TLS", "yes", "KIT_SHARE_TLS is 'yes'; expected: 1 or 0"),
        ("TLS_KEY", "a.key", "KIT_TLS_KEY is set without KIT_TLS_CERT"),
        ("PROXY", "socks5://secret@host:1080", "KIT_PROXY is not valid; expected: http://host:port"),
        ("PROXY", "https://secret@host:3128", "KIT_PROXY is not valid; expected: http://host:port"),
        ("PROXY", "http://secret@host:99999", "KIT_PROXY is not valid; expected: http://host:port"),
        ("PROXY", "http://", "KIT_PROXY is not valid; expected: http://host:port"),
    ],
)
def test_an_invalid_value_is_named_and_no_password_with_it(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        TlsSettings.from_environ({f"KIT_{name}": value})
    assert "secret" not in str(raised.value)


def test_the_proxys_password_is_in_no_repr() -> None:
    assert "secret" not in repr(TlsSettings(proxy="http://me:secret@host:3128"))


@pytest.mark.parametrize(
    ("name", "made"), [("CA", lambda path: TlsSettings(ca=path)), ("CERT", lambda path: TlsSettings(cert=path))]
)
def test_a_file_that_cannot_be_used_is_named_and_nothing_changes(
    tmp_path: Path, name: str, made: Callable[[str], TlsSettings]
) -> None:
    before = (FastHttpSession.__init__, HttpSession.__init__)
    text = tmp_path / "notes.pem"
    text.write_text("no certificate")
    for path in (text, tmp_path / "gone.pem"):
        with pytest.raises(ValueError, match=f"KIT_TLS_{name}={re.escape(str(path))} cannot be used: "):
            install(made(str(path)))
    assert before == (FastHttpSession.__init__, HttpSession.__init__)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(world: World, tmp_path: Path) -> None:
    key = world.authority.locked(world.one_client, tmp_path)
    with pytest.raises(ValueError, match=re.escape(f"with KIT_TLS_KEY={key} cannot be used: ")):
        install(TlsSettings(cert=world.one_client.certificate, key=key))


def other_init(_self: object, _base_url: str, _request_event: object, _user: object) -> None:
    pass


def no_choice(*_: object) -> None:
    raise RuntimeError("another requests")


def test_a_locust_of_another_make_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FastHttpSession, "__init__", other_init)
    monkeypatch.setattr(LocustHttpAdapter, "build_connection_pool_key_attributes", no_choice)
    before = HttpSession.__init__
    line = install(TlsSettings())
    assert line == (
        "FastHttpUser keeps Locust's default: KeyError: 'insecure'; "
        "HttpUser keeps Locust's default: RuntimeError: another requests"
    )
    assert vars(FastHttpSession)["__init__"] is other_init
    assert vars(LocustHttpAdapter)["build_connection_pool_key_attributes"] is no_choice
    assert HttpSession.__init__ is before


def test_sessions_that_do_not_ask_for_the_context_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contexts, "used", False)
    before = (FastHttpSession.__init__, HttpSession.__init__)
    assert install(TlsSettings()).count("its sessions do not use the shared contexts") == 2
    assert before == (FastHttpSession.__init__, HttpSession.__init__)
