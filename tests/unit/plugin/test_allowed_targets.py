"""Which hosts ALLOWED_TARGETS admits, as tables: entries, addresses, and ways to write another host."""

from __future__ import annotations

import pytest
from locust_kit.allowed_targets import MOCK_TARGET, AllowedTargets, place_of

from sidecar.settings.addresses import allowed_targets
from sidecar.stack.compose import MOCK_HOST

LIST = (
    "Staging.Example. *.test.example api.example:8443 *.port.example:81 localhost shop_db bücher.example "
    "10.1.0.0/16 192.0.2.7 192.0.2.8:8080 2001:db8::5 [2001:db8::6]:8080 [fd00::]/8 127.0.0.2"
)
ADMITTED = """
http://staging.example  https://STAGING.example.:9/x?y#z  http://user:pw@staging.example/  http://staging。example/
ws://staging.example  staging.example  staging.example:50051  postgresql://u:p@staging.example:5432/db
http://a.test.example  http://a.b.TEST.example:9  https://api.example:8443/  api.example:8443  grpc://api.example
http://x.port.example:81  http://localhost  http://localhost:8080  http://LOCALHOST.  http://shop_db:9
http://bücher.example  http://xn--bcher-kva.example  http://BÜCHER.example
http://10.1.2.3  http://10.1.255.255:9  http://0x0a010203  http://167838211  http://10.1.515  10.1.2.3:50051
http://192.0.2.7:1  http://192.0.2.8:8080  http://[::ffff:10.1.2.3]/  http://[::ffff:a01:203]
http://[2001:db8::5]  http://[2001:DB8:0::5]:9  http://[2001:db8::6]:8080  http://[fd12::1]:80  http://127.0.0.2
http://mock-target:8080  http://Mock-Target.:1
"""
REFUSED = r"""
http://evil.example  http://staging.example.evil.example  http://evilstaging.example  http://example
http://staging.example@evil.example/  http://staging.example:80@evil.example  http://evil.example#@staging.example
http://evil.example?@staging.example  http://evil.example/staging.example  http://staging.example\@evil.example/
http://evil.example\.staging.example  http://evil.example\@staging.example  //evil.example  evil.example:80
http://test.example  http://xtest.example  http://a.test.example.evil.example  http://.test.example
http://api.example  https://api.example  http://api.example:84430  http://api.example:844  api.example:80
http://x.port.example  http://port.example:81  http://127.0.0.1  http://[::1]  http://127.1  http://0
http://0x7f000001  http://2130706433  http://localhost.evil.example  http://10.2.0.0  http://10.0.255.255  http://9.1.2.3
http://192.0.2.6  http://192.0.2.70  http://192.0.2.8  http://192.0.2.8:8081  http://[::ffff:10.2.2.3]  http://[2001:db8::4]
http://[2001:db8::6]  http://[fc00::1]  http://[fe80::1%25eth0]  http://10.1.2.3.evil.example  http://staging%2eexample
http://stagıng.example  http://staging-example  http://%73taging.example  http://  https:///staging.example
http://staging.example:99999  http://mock-target.evil.example  http://xmock-target  http://bucher.example
HTTP://EVIL.EXAMPLE  http://staging.example,evil.example  postgresql://staging.example:1,evil.example:2/db
"""


@pytest.fixture(scope="module")
def allowed() -> AllowedTargets:
    return AllowedTargets(LIST.split())


@pytest.mark.parametrize("url", ADMITTED.split())
def test_admitted(allowed: AllowedTargets, url: str) -> None:
    assert allowed.refused(url) == ""


@pytest.mark.parametrize("url", REFUSED.split())
def test_refused(allowed: AllowedTargets, url: str) -> None:
    assert allowed.refused(url)


@pytest.mark.parametrize("text", ["", "my database", "/var/run/x.sock", "a b", None])
def test_what_names_no_host_is_no_target(allowed: AllowedTargets, text: str | None) -> None:
    assert allowed.refused(text) == ""


@pytest.mark.parametrize(
    "url", ["http://staging.example /", "http://staging.example\t.evil", "http://a\n.example", "http://é\x00"]
)
def test_an_address_that_clients_may_read_differently_is_invalid(allowed: AllowedTargets, url: str) -> None:
    assert allowed.refused(url) == "an invalid URL"


def test_the_message_has_the_host_alone(allowed: AllowedTargets) -> None:
    assert allowed.refused("https://ann:secret@Evil.example:8443/x?token=y") == "evil.example:8443"
    assert allowed.refused("https://[2001:db8::9]/") == "[2001:db8::9]:443"
    assert str(place_of("shop")) == "shop"


def test_a_host_without_a_port_is_asked_for_any_port(allowed: AllowedTargets) -> None:
    assert allowed.admits("api.example")
    assert not allowed.admits("api.example", 80)
    assert not AllowedTargets(()).admits("staging.example")


def test_the_setting_keeps_each_entry_once() -> None:
    assert allowed_targets("a.example, *.b.example:80  a.example") == ("a.example", "*.b.example:80")
    assert MOCK_TARGET == MOCK_HOST


@pytest.mark.parametrize(
    "entry",
    [
        "http://staging.example", "staging.example/", "a.example:0", "a.example:65536", "a.example:x", "*", "*.", "a.*",
        "*example", "*.*.example", "10.0.0.0/33", "10.1.0.0/x", "a.example/8", "[::1", "[::1]:x", "user@a.example",
        "a..example", "-", ".example", "[a.example]:x", "a b\\c",
    ],
)  # fmt: skip
def test_an_entry_of_another_form_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^host names, \*\.patterns, .*; but not "):
        allowed_targets(entry)
