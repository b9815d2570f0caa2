"""The settings of the push, and what is logged when they are invalid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from locust_kit.push.settings import PushSettings

URL = "https://failures.example:8443/v1?tenant=hunter3"


def environment(folder: Path, **changed: str) -> dict[str, str]:
    file = folder / "key"
    file.write_text("hunter2\n")
    return {"KIT_PUSH_URL": URL, "KIT_PUSH_KEY_FILE": str(file), "KIT_PUSH_SPOOL_MEGABYTES": "2", **changed}


def test_all_of_it_is_read_and_the_key_is_not_shown(tmp_path: Path) -> None:
    found = PushSettings.of(environment(tmp_path))
    assert found == PushSettings(URL, "hunter2", 2 * 1024**2)
    assert "hunter2" not in repr(found)
    assert found.host == "failures.example:8443"


@pytest.mark.parametrize("megabytes", ["", "many"])
def test_without_a_size_it_is_64_megabytes(tmp_path: Path, megabytes: str) -> None:
    found = PushSettings.of(environment(tmp_path, KIT_PUSH_SPOOL_MEGABYTES=megabytes))
    assert found is not None
    assert found.spool_bytes == 64 * 1024**2


def test_without_a_url_nothing_is_pushed_and_nothing_logged(tmp_path: Path, caplog: Any) -> None:
    assert PushSettings.of(environment(tmp_path, KIT_PUSH_URL="")) is None
    assert caplog.text == ""


@pytest.mark.parametrize("key", ["", "   \n", "hunter2 hunter2", "hünter2"])
def test_an_invalid_key_is_reported_and_not_shown(tmp_path: Path, caplog: Any, key: str) -> None:
    given = environment(tmp_path)
    (tmp_path / "key").write_text(key)
    assert PushSettings.of(given) is None
    assert "PUSH_KEY is missing" in caplog.text
    assert "nter2" not in caplog.text


@pytest.mark.parametrize("file", ["", "/none", "/"])
def test_a_missing_key_is_reported(tmp_path: Path, caplog: Any, file: str) -> None:
    assert PushSettings.of(environment(tmp_path, KIT_PUSH_KEY_FILE=file)) is None
    assert "PUSH_KEY is missing" in caplog.text


@pytest.mark.parametrize("url", ["shop", "ftp://a/", "https://me:hunter4@a/", "http://a:b/", "http://a/ b", "http://"])
def test_an_invalid_url_is_reported_and_not_shown(tmp_path: Path, caplog: Any, url: str) -> None:
    assert PushSettings.of(environment(tmp_path, KIT_PUSH_URL=url)) is None
    assert "PUSH_URL must be an http(s) URL" in caplog.text
    assert "hunter" not in caplog.text
