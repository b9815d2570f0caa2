"""The settings of what is watched and of alerts: values, refusals, and how secrets travel."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.model.incident import IncidentKind
from sidecar.settings import Settings, addresses, load, parse
from sidecar.settings.monitor import WatchSettings, from_environment
from sidecar.stack import compose, secrets, state, workspace
from sidecar.stack.compose import Decided

URL = "https://user:hunter2@chat.example/hook"


def settings(root: Path, *args: str) -> Settings:
    return load(args, {}, root)


def refusal(root: Path, *args: str) -> str:
    with pytest.raises(SettingError) as caught:
        load(args, {}, root)
    return caught.value.line()


def test_the_watched_project_must_be_another_one(tmp_path: Path) -> None:
    assert settings(tmp_path).watch_project == ""
    assert settings(tmp_path, "WATCH_PROJECT=shop").watch_project == "shop"
    assert "the name of this stack" in refusal(tmp_path, "WATCH_PROJECT=locust")
    assert "lower-case letters" in refusal(tmp_path, "WATCH_PROJECT=My Shop")


@pytest.mark.parametrize("raw", ["0", "0%", "101%", "-1%", "much", ""])
def test_a_threshold_that_everything_or_nothing_reaches_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        parse.share(raw)


@pytest.mark.parametrize(("raw", "value"), [("5%", 0.05), ("0.05", 0.05), ("100%", 1.0)])
def test_a_threshold_is_a_share(raw: str, value: float) -> None:
    assert parse.share(raw) == value


@pytest.mark.parametrize(
    "arg", ["LEDGER_DAYS=0", "LEDGER_DAYS=4000", "LEDGER_MEGABYTES=1", "ALERT_COOLDOWN_SECONDS=-1"]
)
def test_sizes_out_of_range_are_refused(tmp_path: Path, arg: str) -> None:
    assert "a whole number from" in refusal(tmp_path, arg)


def test_an_unknown_kind_of_alert_is_named_with_all_that_there_are(tmp_path: Path) -> None:
    line = refusal(tmp_path, "ALERT_KINDS=oom_kill,oom")
    assert "not oom" in line
    assert "worker_lost" in line
    assert settings(tmp_path, "ALERT_KINDS=restart oom_kill").alert_kinds == ("restart", "oom_kill")


@pytest.mark.parametrize(
    ("raw", "urls"),
    [
        (f"{URL} slack://a/b/c", (URL, "slack://a/b/c")),
        (f"{URL}, slack://a/b/c\n{URL}", (URL, "slack://a/b/c")),
        ("mailto://u:p@h?to=a,b", ("mailto://u:p@h?to=a,b",)),
        ("", ()),
    ],
)
def test_addresses_are_divided_by_blanks_or_commas_before_a_scheme(raw: str, urls: tuple[str, ...]) -> None:
    assert addresses.alert_urls(raw) == urls


def test_an_address_that_cannot_be_is_refused_without_being_shown(tmp_path: Path) -> None:
    line = refusal(tmp_path, f"ALERT_URLS={URL} hunter2.example")
    assert "URL number 2 has no scheme" in line
    assert "hunter2" not in line


def test_secrets_are_in_no_text_of_the_settings(tmp_path: Path) -> None:
    text = repr(settings(tmp_path, f"ALERT_URLS={URL}", "LOCUST_WEB_PASSWORD=hunter2"))
    assert "hunter2" not in text


def test_secrets_are_not_among_what_up_remembers(tmp_path: Path) -> None:
    chosen = state.choices(settings(tmp_path, f"ALERT_URLS={URL}", "LOCUST_WEB_PASSWORD=hunter2", "LEDGER_DAYS=3"))
    assert chosen == {"LEDGER_DAYS": "3"}


def test_secrets_reach_compose_as_files_in_a_closed_folder(tmp_path: Path) -> None:
    given = settings(tmp_path, f"ALERT_URLS={URL}", "LOCUST_WEB_PASSWORD=hunter2")
    secrets.write(given)
    found = compose.environment(given, Decided(), {"ALERT_URLS": URL})
    assert "hunter2" not in repr(found)
    path = Path(found["KIT_ALERT_URLS_FILE"])
    assert path.read_text() == URL
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}


def test_without_secrets_compose_gets_an_empty_file(tmp_path: Path) -> None:
    given = settings(tmp_path, f"ALERT_URLS={URL}")
    secrets.write(given)
    secrets.write(settings(tmp_path))
    found = compose.environment(given, Decided(), {})
    assert (found["KIT_ALERT_URLS_FILE"], found["KIT_SECRETS_MARK"]) == ("/dev/null", "")


def test_the_mark_changes_with_a_secret_and_only_then(tmp_path: Path) -> None:
    marks = []
    for urls in (URL, URL, f"{URL}2"):
        given = settings(tmp_path, f"ALERT_URLS={urls}")
        secrets.write(given)
        marks.append(compose.environment(given, Decided(), {})["KIT_SECRETS_MARK"])
    assert marks[0] == marks[1] != marks[2]


def test_purged_secrets_are_gone(tmp_path: Path) -> None:
    given = settings(tmp_path, f"ALERT_URLS={URL}")
    secrets.write(given)
    secrets.forget(given)
    assert [path for path in (tmp_path / ".locust-kit").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("dotenv", "url"),
    [
        ("", "http://locust-master:8089"),
        ("LOCUST_WEB_BASE_PATH=/load/\n", "http://locust-master:8089/load"),
        ("LOCUST_TLS_CERT=a\nLOCUST_TLS_KEY=b\n", "https://locust-master:8089"),
        ("LOCUST_WEB_BASE_PATH='\n", "http://locust-master:8089"),
    ],
)
def test_the_sidecar_is_told_where_the_master_listens(tmp_path: Path, dotenv: str, url: str) -> None:
    (tmp_path / "locustfiles").mkdir()
    (tmp_path / "locustfiles" / ".env").write_text(dotenv)
    found = workspace.compose_for(settings(tmp_path), Decided(), {}).env["KIT_LOCUST_URL"]
    assert (found or "http://locust-master:8089") == url


def test_the_sidecar_reads_what_compose_passes_on(tmp_path: Path) -> None:
    given = settings(
        tmp_path, "WATCH_PROJECT=shop", "FAIL_THRESHOLD=2%", "FAIL_RATIO=1%", "LEDGER_DAYS=3", "LEDGER_MEGABYTES=64",
        "LOCUST_WEB_USERNAME=me", "ALERT_KINDS=blind", "ALERT_COOLDOWN_SECONDS=0",
    )  # fmt: skip
    found = from_environment(compose.environment(given, Decided(), {}))
    assert found == WatchSettings(
        watch_project="shop",
        fail_threshold=0.02,
        fail_ratio=0.01,
        ledger_days=3,
        ledger_megabytes=64,
        locust_web_username="me",
        alert_kinds=(IncidentKind.BLIND,),
        alert_cooldown_seconds=0,
        locust_url=found.locust_url,
    )


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    urls, password = tmp_path / "alert_urls", tmp_path / "pw"
    urls.write_text(f"{URL}\n")
    password.write_text("with a blank at its end \n")
    found = from_environment({"ALERT_URLS_FILE": str(urls), "LOCUST_WEB_PASSWORD_FILE": str(password)})
    assert (found.alert_urls, found.locust_web_password) == ((URL,), "with a blank at its end ")
    assert "hunter2" not in repr(found)


def test_a_secret_may_stand_in_the_environment_too() -> None:
    assert from_environment({"ALERT_URLS": URL, "ALERT_URLS_FILE": "/none"}).alert_urls == (URL,)


def test_a_secrets_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SettingError, match=r"ALERT_URLS_FILE is '/none'; the file cannot be read: No such file"):
        from_environment({"ALERT_URLS_FILE": "/none"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCH_PROJECT", "My Shop"),
        ("FAIL_THRESHOLD", "0"),
        ("FAIL_RATIO", "2"),
        ("LEDGER_DAYS", "0"),
        ("LEDGER_MEGABYTES", "x"),
        ("ALERT_KINDS", "oom"),
        ("ALERT_COOLDOWN_SECONDS", "1.5"),
    ],
)
def test_the_sidecar_names_a_variable_that_cannot_be(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is '{value}'.*expected"):
        from_environment({name: value})


def test_the_sidecar_does_not_show_addresses_that_cannot_be() -> None:
    with pytest.raises(SettingError) as caught:
        from_environment({"ALERT_URLS": "hunter2"})
    assert "hunter2" not in caught.value.line()


def test_the_sidecar_refuses_to_watch_its_own_stack_twice() -> None:
    with pytest.raises(SettingError, match="the name of this stack"):
        from_environment({"PROJECT": "shop", "WATCH_PROJECT": "shop"})
