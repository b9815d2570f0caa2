"""The user that the proxy runs as."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.stack import proxy_user


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "user"),
    [
        (0, 105, 0o660, "65534:105"),
        (0, 0, 0o660, "65534:0"),
        (0, 0, 0o600, "0:0"),
        (1000, 1000, 0o600, "1000:1000"),
        (0, 0, 0o666, "65534:65534"),
        (0, 105, 0o640, "0:105"),
    ],
)
def test_the_proxy_gets_the_least_user_that_opens_the_socket(uid: int, gid: int, mode: int, user: str) -> None:
    assert proxy_user.choose(uid, gid, mode) == user


def test_the_proxys_user_is_found_once_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def inside(image: str) -> tuple[int, int, int]:
        asked.append(image)
        return 0, 7, 0o660

    monkeypatch.setattr(proxy_user, "_inside", inside)
    socket, cache = tmp_path / "sock", tmp_path / "cache.json"
    socket.touch()
    assert [proxy_user.find(cache, socket, "image", "id") for _ in range(3)] == ["65534:7"] * 3
    assert len(asked) == 1
    socket.chmod(0o600)
    proxy_user.find(cache, socket, "image", "id")
    assert len(asked) == 2
