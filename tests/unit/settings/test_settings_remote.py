"""The settings of workers on other machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import load
from sidecar.settings.addresses import shown


def _error(word: str) -> str:
    with pytest.raises(SettingError) as caught:
        load([word], {}, Path("/nowhere"))
    line = caught.value.line()
    assert "\n" not in line
    return line


def test_without_a_word_the_port_is_closed() -> None:
    plain = load([], {}, Path("/nowhere"))
    assert (plain.remote_workers, plain.remote_allow, plain.master) == ("", (), None)


@pytest.mark.parametrize(
    ("raw", "address"),
    [("10.0.0.5", "10.0.0.5"), ("0.0.0.0", "0.0.0.0"), ("2001:DB8::5", "2001:db8::5"), ("[::1]", "::1")],
)
def test_an_address_of_either_kind_is_taken(raw: str, address: str) -> None:
    assert load([f"REMOTE_WORKERS={raw}"], {}, Path("/nowhere")).remote_workers == address


@pytest.mark.parametrize("raw", ["eth0", "load.example", "10.0.0.5:5557", "10.0.0.0/8", "1", "10.0.0.256"])
def test_a_name_a_port_or_a_network_is_no_address(raw: str) -> None:
    line = _error(f"REMOTE_WORKERS={raw}")
    assert f"REMOTE_WORKERS is {raw!r} (command line)" in line
    assert "without a name and without a port" in line


def test_an_allow_list_holds_addresses_and_networks_each_once() -> None:
    found = load(["REMOTE_ALLOW=10.0.0.7, 10.1.2.3/16 10.0.0.7/32,2001:db8::/32"], {}, Path("/nowhere")).remote_allow
    assert found == ("10.0.0.7", "10.1.0.0/16", "2001:db8::/32")


def test_the_word_that_is_no_network_is_named() -> None:
    assert "but not load2.example" in _error("REMOTE_ALLOW=10.0.0.7,load2.example")


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ("10.0.0.5", ("10.0.0.5", 5557)),
        ("load1.example:6557", ("load1.example", 6557)),
        ("2001:db8::5", ("2001:db8::5", 5557)),
        ("[2001:db8::5]:6557", ("2001:db8::5", 6557)),
    ],
)
def test_a_master_is_an_address_or_a_name_with_a_port_or_without(raw: str, place: tuple[str, int]) -> None:
    found = load([f"MASTER={raw}"], {}, Path("/nowhere")).master
    assert found == place
    assert shown(*place) == raw


@pytest.mark.parametrize("raw", ["http://10.0.0.5", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:70000", "a b", "-h", "x:y:z"])
def test_what_is_no_place_of_a_master_is_refused(raw: str) -> None:
    assert "an address or a name" in _error(f"MASTER={raw}")


def test_another_programs_master_in_the_environment_is_not_read() -> None:
    assert load([], {"MASTER": "spark://host:7077"}, Path("/nowhere")).master is None
