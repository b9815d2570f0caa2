"""The settings of the push: what a URL may be, and how the key travels."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import Settings, load
from sidecar.stack import compose, secrets, state
from sidecar.stack.compose import Decided

URL = "https://failures.example:8443/v1/batches?tenant=7"


def settings(root: Path, *args: str) -> Settings:
    return load(args, {}, root)


def test_nothing_is_pushed_by_itself(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert (found.push_url, found.push_key, found.push_spool_megabytes) == ("", "", 64)


def test_a_url_with_port_path_and_query_is_taken_as_it_is(tmp_path: Path) -> None:
    assert settings(tmp_path, f"PUSH_URL={URL}").push_url == URL


@pytest.mark.parametrize(
    "url",
    [
        "failures.example/v1",
        "ftp://failures.example/",
        "http://",
        "https://user:hunter2@failures.example/",
        "https://hunter2@failures.example/",
        "https://failures.example/a b",
        "https://failures.example:port/",
        "https://[::1/",
        "https://fäilures.example/",
    ],
)
def test_a_url_that_cannot_be_is_refused_in_one_line_that_shows_no_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingError) as caught:
        settings(tmp_path, f"PUSH_URL={url}")
    line = caught.value.line()
    assert "an http or https URL without user name and password" in line
    assert "hunter2" not in line
    assert "\n" not in line


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        settings(tmp_path, "PUSH_KEY=hunter2\nX-Other: 1")
    assert "hunter2" not in caught.value.line()


@pytest.mark.parametrize("megabytes", ["0", "-1", "many", "65537"])
def test_a_spool_without_room_or_without_end_is_refused(tmp_path: Path, megabytes: str) -> None:
    with pytest.raises(SettingError, match="a whole number from 1"):
        settings(tmp_path, f"PUSH_SPOOL_MEGABYTES={megabytes}")


def test_the_key_reaches_compose_as_a_file_and_stands_in_no_text(tmp_path: Path) -> None:
    given = settings(tmp_path, f"PUSH_URL={URL}", "PUSH_KEY=hunter2")
    secrets.write(given)
    found = compose.environment(given, Decided(), {"PUSH_KEY": "hunter2"})
    assert "hunter2" not in repr(found) + repr(given) + repr(state.choices(given))
    assert found["PUSH_SPOOL_MEGABYTES"] == "64"
    assert "PUSH_URL" not in found
    assert Path(found["KIT_PUSH_URL_FILE"]).read_text() == URL
    assert Path(found["KIT_PUSH_KEY_FILE"]).read_text() == "hunter2"


def test_a_new_key_makes_a_new_master_and_a_new_address_for_alerts_does_not(tmp_path: Path) -> None:
    marks = []
    for args in (["PUSH_KEY=a"], ["PUSH_KEY=a", "ALERT_URLS=https://chat.example/"], ["PUSH_KEY=b"]):
        given = settings(tmp_path, *args)
        secrets.write(given)
        found = compose.environment(given, Decided(), {})
        marks.append((found["KIT_PUSH_MARK"], found["KIT_SECRETS_MARK"]))
    assert marks[0][0] == marks[1][0] != marks[2][0]
    assert marks[0][1] != marks[1][1]


def test_a_purged_key_is_gone(tmp_path: Path) -> None:
    given = settings(tmp_path, "PUSH_KEY=hunter2")
    secrets.write(given)
    secrets.forget(given)
    assert compose.environment(given, Decided(), {})["KIT_PUSH_KEY_FILE"] == "/dev/null"
