"""Each secret setting can be given as NAME_FILE: the path of a file that contains it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import SECRET_FILES, SETTINGS, Settings, load, project_name
from sidecar.stack import compose, secrets, state
from sidecar.stack.compose import Decided

TEXTS = {
    "ALERT_URLS": "https://chat.example/Zq81 slack://a/b/c",
    "ARGS": "--pin Zq81",
    "HEALTH_URLS": "a=http://a/ok?k=Zq81 b=http://b/",
    "LOCUST_WEB_PASSWORD": "Zq81 with a blank",
    "PUSH_KEY": "Zq81",
    "PUSH_URL": "https://in.example/v1?k=Zq81",
    "WEB_PASSWORD": "Zq81",
}
EACH = pytest.mark.parametrize("name", TEXTS)


def refusal(root: Path, *args: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        load(args, environ or {}, root)
    line = caught.value.line()
    assert "\n" not in line
    assert "Zq81" not in line
    return line


def from_file(root: Path, name: str, text: str) -> Settings:
    (root / "secret").write_text(text)
    return load([f"{name}_FILE=secret"], {}, root)


def test_every_secret_of_the_catalogue_has_a_file_and_a_sample_here() -> None:
    assert {file: f"{name}_FILE" for file, name in SECRET_FILES.items()} == {file: file for file in SECRET_FILES}
    assert set(SECRET_FILES.values()) == {name for name, setting in SETTINGS.items() if setting.secret} == set(TEXTS)
    assert not set(SECRET_FILES) & set(SETTINGS)


@EACH
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_file_gives_what_the_value_gives(tmp_path: Path, name: str, end: str) -> None:
    given = from_file(tmp_path, name, TEXTS[name] + end)
    expected = load([f"{name}={TEXTS[name]}"], {}, tmp_path)
    assert getattr(given, name.lower()) == getattr(expected, name.lower()) != SETTINGS[name].value()
    assert given.words == {}


@EACH
def test_a_secret_is_in_no_text_that_up_saves_or_passes_on(tmp_path: Path, name: str) -> None:
    given = from_file(tmp_path, name, TEXTS[name])
    secrets.write(given)
    found = compose.environment(given, Decided(), {name: TEXTS[name], f"{name}_FILE": "Zq81"})
    assert "Zq81" not in repr(given) + repr(found) + repr(state.choices(given))
    assert state.choices(given) == {}
    if SETTINGS[name].to:
        path = Path(found[f"KIT_{name}_FILE"])
        assert path.read_text().split() == TEXTS[name].split()
        assert path.parent.stat().st_mode & 0o777 == 0o700


@EACH
def test_value_and_file_together_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}_FILE=secret\n")
    line = refusal(tmp_path, f"{name}={TEXTS[name]}")
    where = f"({name}: command line; {name}_FILE: .env line 1)"
    assert line == f"{name} and {name}_FILE are both set {where}; expected: one of them"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("none", "the file cannot be read: No such file or directory"),
        (".", "the file cannot be read: Is a directory"),
        ("empty", "the file is empty"),
        ("lines", "the file is empty"),
        ("latin", "PUSH_KEY_FILE is not UTF-8"),
    ],
)
def test_a_file_that_gives_nothing_is_one_clear_line(tmp_path: Path, file: str, why: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "lines").write_text("\n\n")
    (tmp_path / "latin").write_bytes(b"Zq81\xff")
    line = refusal(tmp_path, f"PUSH_KEY_FILE={file}")
    assert why in line
    assert "PUSH_KEY_FILE" in line
    assert project_name([f"PUSH_KEY_FILE={file}", "PROJECT=shop"], {}, tmp_path) == "shop"


def test_an_invalid_text_of_a_file_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("Zq81 and a blank\n")
    assert refusal(tmp_path, "PUSH_KEY_FILE=secret").startswith("PUSH_KEY cannot be used (command line); expected:")


def test_a_file_is_named_by_an_absolute_path_the_home_folder_or_one_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("Zq81\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("key", "~/key", str(tmp_path / "key")):
        assert load([], {"PUSH_KEY_FILE": path}, tmp_path).push_key == "Zq81"
    assert load([], {"ARGS_FILE": "key"}, tmp_path).args == ()  # as ARGS itself


def test_an_empty_value_on_the_command_line_turns_a_file_off(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("Zq81\n")
    (tmp_path / ".env").write_text("PUSH_KEY_FILE=key\n")
    assert load(["PUSH_KEY="], {}, tmp_path).push_key == ""
    assert load(["PUSH_KEY_FILE="], {}, tmp_path).push_key == ""


def test_a_mistyped_name_is_refused(tmp_path: Path) -> None:
    assert "one typo away from WEB_PASSWORD_FILE" in refusal(tmp_path, "WEB_PASWORD_FILE=x")
