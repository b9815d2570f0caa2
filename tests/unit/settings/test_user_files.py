"""Files that a person saved on Windows: read as they are meant, or refused with the file and what to do."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.commands import up
from sidecar.common.errors import KitError
from sidecar.settings import Settings, load
from sidecar.stack import limits, locustfile, workspace

SAVED: dict[str, Callable[[str], bytes]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "mark and CRLF": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
}
REFUSED: dict[str, Callable[[str], bytes]] = {
    "UTF-16, little end first": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "one byte a letter": lambda text: text.encode() + 'NAME = "für"\n'.encode("cp1252"),
}
FILES = {
    ".env": "USERS=7\nLOCUST_MINE=1\n",
    "tests/.env": "LOCUST_USERS=7\nSHOP=1\n",
    "tests/locust.conf": "users = 7\nspawn-rate = 2\n",
    "tests/pyproject.toml": "[tool.locust]\nusers = 7\n",
    "limits": "rps>7\np95<800\n",
    "tests/locustfile.py": "import locust\nclass Shop(locust.HttpUser): pass\n",
}


def read(root: Path) -> Settings:
    """Read each file of a checkout in the way that `up` does."""
    settings = load(["LOCUSTFILES_DIR=./tests", "THRESHOLDS_FILE=limits"], {}, root)
    workspace.user_env(settings)
    up.refuse_options(settings, {})
    limits.thresholds(settings, {})
    locustfile.check(locustfile.sources(settings), settings.locustfiles_dir)
    return settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "limits").touch()
    (tmp_path / "tests/locustfile.py").write_text(FILES["tests/locustfile.py"])
    return tmp_path


@pytest.mark.parametrize("form", SAVED)
@pytest.mark.parametrize("file", FILES)
def test_a_file_from_windows_is_read_as_any_other(root: Path, file: str, form: str) -> None:
    (root / file).write_bytes(SAVED[form](FILES[file]))
    settings = read(root)
    given = [*settings.thresholds, *limits.thresholds(settings, {})]
    assert settings.users == 7 or file in ("limits", "tests/locustfile.py")
    assert file != "limits" or [limit.text for limit in given] == ["rps>7", "p95<800"]


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("file", FILES)
def test_a_file_in_another_encoding_is_one_line_with_what_to_do(root: Path, file: str, form: str) -> None:
    (root / file).write_bytes(REFUSED[form](FILES[file]))
    with pytest.raises(KitError) as error:
        read(root)
    line = error.value.line()
    assert line.endswith("save it as UTF-8")
    assert ("THRESHOLDS_FILE" if file == "limits" else Path(file).name) in line
    assert "\n" not in line
    assert ("UTF-16" in line) == form.startswith("UTF-16")
    assert "UTF-16" in line or "line 3" in line or file == "tests/pyproject.toml"
