"""One declaration makes a setting: what is made from it follows, and what repeats it is checked against it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml

from sidecar.settings import SETTINGS, Destination, Settings
from sidecar.settings.monitor import WatchSettings
from tests.paths import ROOT

ADDED = ("target-network", "target-network-master", "remote-workers", "join")
COMPOSE_FILES = ("docker-compose.yml", *(f"docker/{name}.yml" for name in ADDED))
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::[-?]([^}]*))?\}")
BY_VARIABLE = {setting.variable: setting for setting in SETTINGS.values()}

DECLARATION = """
    peak_hours: int = setting(
        "PEAK_HOURS=8", count("hours", 1, 24), "How long a peak lasts.", "Patience.", aliases=("PEAK",)
    )
"""
READ = """
import json, sys
from pathlib import Path
from typing import get_type_hints
from sidecar.common.errors import SettingError
from sidecar.settings import Settings, load
from sidecar.settings.example import render
from sidecar.settings.monitor import from_environment
from sidecar.stack import compose, state
from sidecar.stack.compose import Decided

root = Path(sys.argv[1])
settings = load(["PEAK=12"], {}, root)
environment = compose.environment(settings, Decided(), {"PEAK_HOURS": "3"})
def refusal(read):
    try:
        return read()
    except SettingError as error:
        return error.line()
print(json.dumps({
    "default": load([], {}, root).peak_hours,
    "value": settings.peak_hours,
    "type": get_type_hints(Settings)["peak_hours"].__name__,
    "remembered": state.choices(settings),
    "compose": environment["PEAK_HOURS"],
    "monitor": from_environment(environment).peak_hours,
    "monitor_default": from_environment({}).peak_hours,
    "refused": refusal(lambda: load([], {"PEAK_HOURS": "0"}, root)),
    "slip": refusal(lambda: load(["PEAK_HOUR=9"], {}, root)),
    "refused_by_monitor": refusal(lambda: from_environment({"PEAK_HOURS": "x"})),
    "example": render(),
}))
"""


def services() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return document


def variables(text: str) -> set[str]:
    return {name for name, _ in VARIABLE.findall(text)}


def going_to(*places: Destination) -> set[str]:
    return {
        setting.variable
        for setting in SETTINGS.values()
        if not setting.secret and any(place in setting.to for place in places)
    }


def test_a_setting_is_one_entry_and_the_line_where_it_enters_a_container(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sidecar", tmp_path / "sidecar", ignore=shutil.ignore_patterns("__pycache__", "static"))
    declarations = tmp_path / "sidecar/settings/declarations.py"
    before, section, after = declarations.read_text().partition("    TO = MONITOR\n")
    declarations.write_text(before + section + DECLARATION + after)
    command = [sys.executable, "-c", READ, str(tmp_path / "checkout")]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    seen = json.loads(done.stdout)
    example = seen.pop("example")
    assert seen == {
        "default": 8,
        "value": 12,
        "type": "int",
        "remembered": {"PEAK_HOURS": "12"},
        "compose": "12",
        "monitor": 12,
        "monitor_default": 8,
        "refused": "PEAK_HOURS is '0' (environment); expected: a whole number from 1 to 24",
        "slip": "PEAK_HOUR is not a setting, but one typo away from PEAK_HOURS (command line) → write PEAK_HOURS",
        "refused_by_monitor": "PEAK_HOURS is 'x' (environment of the monitor); expected: a whole number from 1 to 24",
    }
    entry = "\n# How long a peak lasts.\n# Value: hours. Short name: PEAK.\n# Cost: Patience.\n#PEAK_HOURS=8\n"
    assert example.replace(entry, "", 1) == (ROOT / ".env.example").read_text()


def test_a_settings_name_is_its_fields_and_its_type_is_said() -> None:
    hints = get_type_hints(Settings)
    assert {name.lower() for name in SETTINGS} == set(hints) - {
        "root",
        "given",
        "passthrough",
        "words",
        "unasked",
        "environ",
        "TO",
    }


def test_each_container_gets_the_settings_that_are_declared_to_go_there() -> None:
    found = {
        name: variables(json.dumps(it.get("environment", {}))) & set(BY_VARIABLE) for name, it in services().items()
    }
    assert found == {
        "locust-master": going_to(Destination.LOCUST, Destination.MASTER),
        "locust-worker": going_to(Destination.LOCUST),
        "monitor": going_to(Destination.MONITOR),
        "docker-proxy": {"PROJECT", "WATCH_PROJECT"},
        "mock-target": set(),
    }


def test_each_setting_that_goes_anywhere_fills_a_compose_file_in() -> None:
    used = {name for file in COMPOSE_FILES for name in variables((ROOT / file).read_text())}
    assert used & set(BY_VARIABLE) == going_to(*Destination)


def test_secrets_are_files_of_the_container_they_go_to() -> None:
    theirs = {name: set(it.get("secrets", [])) for name, it in services().items()}
    for place, service in ((Destination.MASTER, "locust-master"), (Destination.MONITOR, "monitor")):
        wanted = {setting.name.lower() for setting in SETTINGS.values() if setting.secret and place in setting.to}
        assert theirs[service] == wanted


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_a_default_in_a_compose_file_is_the_declared_one(file: str) -> None:
    """Where nothing is declared, Compose has its own; an empty one in Compose means the declared one."""
    for name, default in VARIABLE.findall((ROOT / file).read_text()):
        if name in BY_VARIABLE and BY_VARIABLE[name].default and default:
            assert default == BY_VARIABLE[name].default, name


def test_the_monitor_reads_the_settings_that_go_there_and_no_other() -> None:
    read = {item.name.upper() for item in fields(WatchSettings)} & set(SETTINGS)
    assert read == {setting.name for setting in SETTINGS.values() if Destination.MONITOR in setting.to}
