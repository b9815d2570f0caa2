"""The real Locust's web API behind a login, TLS and a base path, read by the sidecar's own reader."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import Credentials
from tests.integration._containers import container, engine_absent, need_image, run_docker, wait_until

pytestmark = pytest.mark.skipif(bool(engine_absent()), reason=engine_absent() or "an engine is here")

IMAGE = "locust-kit/locust:local"
RIGHT = Credentials("tester", "pa ss&wörd")
# As in Locust's own example of a login, with a base path: the callback's name is the user's to choose.
LOCUSTFILE = """
import os
from flask import redirect, request, session
from flask_login import UserMixin, login_user
from locust import HttpUser, constant, events, task

BASE = os.environ.get("LOCUST_WEB_BASE_PATH", "")

class Someone(UserMixin):
    id = "tester"

@events.init.add_listener
def protect(environment, **_):
    ui = environment.web_ui
    if not ui.web_login:
        return
    ui.app.config["SECRET_KEY"] = os.urandom(8)
    ui.login_manager.user_loader(lambda _: Someone())
    ui.auth_args["username_password_callback"] = f"{BASE}/submit"

    @ui.app.route(f"{BASE}/submit", methods=["POST"])
    def submit():
        if (request.form["username"], request.form["password"]) == ("tester", "pa ss&wörd"):
            login_user(Someone())
            return redirect(f"{BASE}/")
        session["auth_error"] = "no"
        return redirect(f"{BASE}/login")

class Visitor(HttpUser):
    host = "http://127.0.0.1:9"
    wait_time = constant(0.2)

    @task
    def refused(self):
        self.client.get("/refused")
"""


@contextmanager
def locust(folder: Path, *environment: str) -> Iterator[str]:
    """A Locust of its own that has begun to run; yields the published `host:port`."""
    (folder / "locustfile.py").write_text(LOCUSTFILE)
    folder.chmod(0o755)
    options = ["--publish", "127.0.0.1::8089", "--volume", f"{folder}:/web:ro", "--workdir", "/tmp"]  # noqa: S108
    options += ["--entrypoint", "locust", "--env", "LOCUST_LOCUSTFILE=/web/locustfile.py"]
    for setting in ("LOCUST_AUTOSTART=1", "LOCUST_USERS=1", *environment):
        options += ["--env", setting]
    with container(need_image(IMAGE), *options) as container_id:
        wait_until(lambda: "All users spawned" in _log(container_id), "Locust runs its user")
        yield run_docker("port", container_id, "8089/tcp").splitlines()[0]


def _log(container_id: str) -> str:
    asked = ["docker", "logs", container_id]
    return subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stderr


def key_pair(folder: Path) -> None:
    """A self-signed certificate for a name that is not the one it is read by."""
    out = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=elsewhere.invalid"]
    subprocess.run([*made, *out], capture_output=True, timeout=60, check=True)
    (folder / "key.pem").chmod(0o644)  # the container's user is another


def error(url: str, credentials: Credentials) -> str:
    with closing(LocustApi(url, keep_alive=True, credentials=credentials)) as api:
        return api.read().error or ""


def test_figures_come_through_a_login_tls_and_a_base_path(tmp_path: Path) -> None:
    key_pair(tmp_path)
    tls = ("LOCUST_TLS_CERT=/web/cert.pem", "LOCUST_TLS_KEY=/web/key.pem")
    with (
        locust(tmp_path, "LOCUST_WEB_LOGIN=1", "LOCUST_WEB_BASE_PATH=/load", *tls) as where,
        closing(LocustApi(f"https://{where}/load", keep_alive=True, credentials=RIGHT)) as api,
    ):
        wait_until(lambda: bool(getattr(api.read().stats, "failures", ())), "the failures of the run")
        stats = api.read().stats
        assert stats is not None
        assert stats.state == "running"
        (failure,) = stats.failures
        assert (failure.method, failure.name) == ("GET", "/refused")
        assert failure.first_seen is not None
        (endpoint,) = stats.endpoints
        assert stats.total is not None
        assert endpoint.failures == stats.total.failures == endpoint.requests == stats.total.requests > 0
        assert "does it need https" in error(f"http://{where}/load", RIGHT)
        assert "status 404: is LOCUST_WEB_BASE_PATH" in error(f"https://{where}", RIGHT)


def test_a_login_that_is_missing_or_wrong_is_said(tmp_path: Path) -> None:
    with locust(tmp_path, "LOCUST_WEB_LOGIN=1") as where:
        assert "set LOCUST_WEB_USERNAME" in error(f"http://{where}", Credentials())
        assert "refuses the login" in error(f"http://{where}", Credentials("tester", "guess"))
        assert error(f"http://{where}", RIGHT) == ""
