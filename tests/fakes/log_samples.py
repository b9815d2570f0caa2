"""Log answers as the engine writes them: frames, parts of long lines, chunks."""

from __future__ import annotations

from datetime import UTC, datetime

BASE_NS = 1_795_000_000_000_000_000


def stamp(ns: int) -> bytes:
    second = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{ns % 1_000_000_000:09d}Z ".encode()


def frame(ns: int, text: bytes, stream: int = 1) -> bytes:
    body = stamp(ns) + text
    return bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


def chunk(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
