"""One TLS context for all users, and no verification lost by it: real connections, in a process of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_tls.py")
REQUEST = (
    "req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    " -keyout key.pem -out cert.pem"
)
USERS = 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody should trust, with its key."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", *REQUEST.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both


def asked(certificate: Path, **environ: str) -> dict[str, Any]:
    found: dict[str, Any] = printed(PROGRAM, certificate, **environ)
    return found


def test_users_share_a_context_and_a_wrong_certificate_still_fails(certificate: Path) -> None:
    found = asked(certificate)
    assert found.pop("said") == "all users share one TLS context, those that do not verify another one"
    assert found == {
        "HttpUser does not": [USERS, 1],
        "HttpUser verifies": [0, 1],
        "FastHttpUser does not": [USERS, 1],
        "FastHttpUser verifies": [0, 1],
        "HttpUser has authorities of its own": [USERS, USERS],
        "FastHttpUser has a context of its own": [USERS, 1],
        "that context was used": USERS,
    }


def test_one_variable_switches_it_off(certificate: Path) -> None:
    found = asked(certificate, KIT_SHARE_TLS="0")
    assert found["said"] == "each user has a TLS context of its own (KIT_SHARE_TLS=0)"
    assert (found["FastHttpUser does not"], found["HttpUser does not"]) == ([USERS, USERS], [USERS, USERS])
