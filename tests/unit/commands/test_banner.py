"""What `up` says at its end."""

from __future__ import annotations

from pathlib import Path

from sidecar.commands.up import banner
from sidecar.settings import load


def test_the_banner_names_each_page_and_three_commands(tmp_path: Path) -> None:
    text = "\n".join(banner(load(["WORKERS=1"], {}, tmp_path), "http://t", "http://127.0.0.1:8089/", 3.21, {}))
    assert "Ready in 3.2 s: stack 'locust', 1 worker, target http://t" in text
    assert "http://127.0.0.1:8089/" in text
    assert "http://127.0.0.1:8090/" in text
    assert text.count("  make ") == 3
    assert "ssh" not in text


def test_workers_are_counted_by_processes(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOCUST_PROCESSES=2\n")
    text = "\n".join(banner(load(["WORKERS=3"], {}, tmp_path), "t", "u", 1, {}))
    assert "6 workers in 3 containers, target t" in text


def test_over_ssh_the_banner_names_the_tunnel(tmp_path: Path) -> None:
    environ = {"SSH_CONNECTION": "10.0.0.1 5555 10.0.0.2 2222", "USER": "joe"}
    text = "\n".join(banner(load(["PROJECT=b", "WEB_PORT=9000"], {}, tmp_path), "t", "u", 1, environ))
    assert "ssh -p 2222 -L 9000:127.0.0.1:9000 -L 9001:127.0.0.1:9001 joe@10.0.0.2" in text
    assert "make reload PROJECT=b" in text
