from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.common.errors import LocustfileError, SettingError
from sidecar.settings import load
from sidecar.stack.check import UserClass
from sidecar.stack.target import Target, decide, refuse_others

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = UserClass("Own", "http://own")
NONE = UserClass("None", None)


def target(host: str = "", *classes: UserClass, mock: bool = False, env: Mapping[str, str] | None = None) -> Target:
    return decide(host, mock=mock, user_env=env or {}, classes=classes, web_port=8189)


def test_host_beats_every_class() -> None:
    assert target("http://given", OWN, NONE) == Target("http://given", "http://given", mock=False)


def test_mock_beats_the_classes_own_host() -> None:
    assert target("", OWN, mock=True) == Target("http://mock-target:8080", "http://mock-target:8080", mock=True)


def test_host_and_mock_together_are_refused_unless_they_agree() -> None:
    with pytest.raises(SettingError, match=r"HOST is http://given and MOCK is 1"):
        target("http://given", OWN, mock=True)
    assert target("https://mock-target:8443", OWN, mock=True).host == "https://mock-target:8443"


def test_classes_keep_their_own_hosts() -> None:
    found = target("", OWN, UserClass("Other", "http://other"))
    assert (found.host, found.mock) == ("", False)
    assert "http://own, http://other" in found.shown


def test_a_class_that_aims_at_the_mock_target_brings_it_up() -> None:
    assert target("", OWN, UserClass("M", "http://mock-target:8080/x")).mock


def test_the_mock_target_is_told_by_its_name_alone() -> None:
    assert target("http://mock-target:8080", NONE).mock
    assert not target("http://mock-target.example", NONE).mock
    assert not target("http://example/mock-target", NONE).mock


def test_no_target_at_all_is_refused_with_both_ways_out() -> None:
    with pytest.raises(LocustfileError, match=r"class None has no host.*HOST=.*MOCK=1"):
        target("", OWN, NONE)


def test_a_class_that_aims_at_itself_is_answered() -> None:
    with pytest.raises(
        LocustfileError, match=r"class Me has the host http://127\.0\.0\.1:5000.*http://host\.docker\.internal:5000"
    ):
        target("", UserClass("Me", "http://127.0.0.1:5000"))


def test_a_class_that_aims_at_locusts_own_page_is_answered_with_the_master() -> None:
    with pytest.raises(LocustfileError, match=r"make up HOST=http://locust-master:8089"):
        target("", UserClass("Me", "http://127.0.0.1:8189"))
    with pytest.raises(LocustfileError, match=r"make up HOST=http://host\.docker\.internal:8089"):
        target("", UserClass("Me", "http://127.0.0.1:8089"))
    with pytest.raises(SettingError, match=r"LOCUST_HOST is .*http://locust-master:8089/x"):
        target("", env={"LOCUST_HOST": "http://localhost:8189/x"})


@pytest.mark.parametrize("host", ["http://127.1:80", "http://0:80", "https://0.0.0.0"])
def test_every_way_to_write_this_container_is_seen(host: str) -> None:
    with pytest.raises(LocustfileError, match=r"class Me has the host .*means the container itself"):
        target("", UserClass("Me", host))


@pytest.mark.parametrize("host", ["mock-target:8080", "localhost:5000", "http://a:x", "mailto:x", "http://"])
def test_a_classs_host_that_is_no_url_is_refused_as_host_would_be(host: str) -> None:
    with pytest.raises(LocustfileError, match=rf"class Me has the host '{host}'; expected: a URL with its scheme"):
        target("", OWN, UserClass("Me", host))
    assert target("http://given", UserClass("Me", host)).host == "http://given", "HOST replaces it"


def test_other_schemes_are_for_clients_of_the_users_own() -> None:
    assert target("", UserClass("Me", "grpc://shop:5000")).host == ""


def test_the_users_own_env_names_a_target_too() -> None:
    assert target("", NONE, env={"LOCUST_HOST": "http://env"}).host == "http://env"
    assert target("", NONE, env={"HOST": "http://env"}).host == "http://env"
    with pytest.raises(LocustfileError):
        target("", NONE, env={"HOST": "my-machine"})
    with pytest.raises(SettingError, match=r"LOCUST_HOST is 'http://localhost'.*host\.docker\.internal"):
        target("", NONE, env={"LOCUST_HOST": "http://localhost"})


def test_a_client_of_another_protocol_may_have_any_host_or_none() -> None:
    assert target("", UserClass("Grpc", "shop:50051", http=False)).shown == "shop:50051 (the classes' own)"
    assert target("", UserClass("Queue", None, http=False)).host == ""
    with pytest.raises(LocustfileError):
        target("", UserClass("Grpc", "tcp://127.0.0.1:50051", http=False))


def test_a_target_outside_the_list_is_refused_with_its_source_and_the_list(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MOCK=0\nALLOWED_TARGETS=*.test.example, 10.0.0.0/8\n")
    settings = load([], {}, tmp_path)
    with pytest.raises(SettingError) as refused:
        refuse_others(settings, [("http://a.test.example", "class A"), ("https://ann:pw@Shop.example/x", "class B")])
    assert refused.value.line() == (
        "the target shop.example:443 is not in ALLOWED_TARGETS (class B); expected: one of *.test.example, 10.0.0.0/8 "
        "→ set HOST to one of these; or add it to ALLOWED_TARGETS (.env line 2), then make up"
    )
    refuse_others(settings, [("http://mock-target:8080", "HOST"), ("http://10.9.8.7", "HOST"), ("", "class C")])
    refuse_others(load([], {}, Path("/nowhere")), [("http://anywhere.example", "HOST")])


def test_a_bad_entry_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ALLOWED_TARGETS=a.example,http://b.example\n")
    with pytest.raises(SettingError, match=r"\(\.env line 1\); expected: host names, .*; but not http://b\.example$"):
        load([], {}, tmp_path)
