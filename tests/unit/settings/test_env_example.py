"""`.env.example` says of every setting what the registry says."""

from __future__ import annotations

import re
from pathlib import Path

from sidecar.settings import SETTINGS, dotenv, load
from sidecar.settings.example import render
from tests.paths import ROOT

EXAMPLE = ROOT / ".env.example"


def test_the_file_is_what_the_registry_says() -> None:
    assert EXAMPLE.read_text() == render(), "write it again: python -m sidecar.settings.example > .env.example"


def test_every_setting_has_its_unit_default_and_price() -> None:
    text = EXAMPLE.read_text()
    for setting in SETTINGS.values():
        assert f"\n#{setting.name}={setting.default}\n" in text
        assert f"# Value: {setting.unit}."[:60] in text
        assert not setting.cost or f"# Cost: {setting.cost}"[:60] in text
    assert "none" not in re.findall(r"^# (?:Cost|Default): (\w+)", text, re.MULTILINE)


def test_the_settings_that_matter_most_come_first_and_no_setting_twice() -> None:
    names = re.findall(r"^#([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)
    assert names[:10] == [
        *("HOST", "LOCUSTFILES_DIR", "LOCUSTFILE", "WORKERS", "USERS", "SPAWN_RATE", "RUN_TIME"),
        *("THRESHOLDS", "WORKER_MEMORY", "WEB_PORT"),
    ]
    assert sorted(names) == sorted(SETTINGS)


def test_uncommenting_every_line_changes_nothing(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [line[1:] for line in lines if line.startswith("#") and line[1:].partition("=")[0] in SETTINGS]
    (tmp_path / ".env").write_text("\n".join(bare))
    assert {entry.name for entry in dotenv.read(tmp_path / ".env", {})} == set(SETTINGS)
    from_file, default = load([], {}, tmp_path), load([], {}, tmp_path / "no-env")
    for name in ("workers", "web_port", "worker_memory", "run_time", "host", "tags", "fail_ratio"):
        assert getattr(from_file, name) == getattr(default, name)
