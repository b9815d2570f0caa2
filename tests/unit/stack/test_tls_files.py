"""TLS_CA, TLS_CERT and TLS_KEY: what the users could not use is refused in one line before anything starts."""

from __future__ import annotations

import codecs
import re
import subprocess
from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import load
from sidecar.stack import locustfile

REQUEST = "req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=x -keyout key.pem -out cert.pem"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    for sub in ("", "other"):
        (made / sub).mkdir(exist_ok=True)
        subprocess.run(["openssl", *REQUEST.split()], cwd=made / sub, check=True, capture_output=True)
        (made / sub / "key.pem").chmod(0o644)
    (made / "notes.pem").write_text("no certificate")
    (made / "marked.pem").write_bytes(codecs.BOM_UTF8 + (made / "cert.pem").read_bytes())
    (made / "mine.pem").write_text((made / "key.pem").read_text())
    (made / "mine.pem").chmod(0o600)
    return made


def refused(folder: Path, *words: str) -> str:
    with pytest.raises(SettingError) as error:
        locustfile.check_tls(load([f"LOCUSTFILES_DIR={folder}", *words], {}, folder))
    line = error.value.line()
    assert "\n" not in line
    return line


def test_good_files_pass(folder: Path) -> None:
    for words in (["TLS_CA=cert.pem"], ["TLS_CERT=cert.pem", "TLS_KEY=key.pem"], ["TLS_CA=other/cert.pem"], []):
        locustfile.check_tls(load([f"LOCUSTFILES_DIR={folder}", *words], {}, folder))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["TLS_CA=gone.pem"], "TLS_CA: .*gone.pem cannot be read: No such file"),
        (["TLS_CA=other"], "TLS_CA: .*other has the mode d"),
        (["TLS_CA=notes.pem"], "notes.pem has no certificate in PEM form"),
        (["TLS_CA=marked.pem"], "marked.pem begins with a byte order mark → save it as UTF-8 without a mark"),
        (["TLS_CERT=cert.pem"], "TLS_CERT .*does not work with its key"),
        (["TLS_CERT=cert.pem", "TLS_KEY=other/key.pem"], "TLS_CERT .*does not work with its key"),
        (["TLS_KEY=key.pem"], "TLS_KEY is 'key.pem' without TLS_CERT"),
        (
            ["TLS_CERT=cert.pem", "TLS_KEY=mine.pem"],
            "mode -rw-------; expected: a file that others may read.*chmod o.r",
        ),
    ],
)
def test_files_that_cannot_be_used_are_one_line(folder: Path, words: list[str], told: str) -> None:
    assert re.search(told, refused(folder, *words)), refused(folder, *words)
