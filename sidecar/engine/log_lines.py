"""The engine's log answer, read into lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.model.observation import LogEntry
from sidecar.model.text import clean
from sidecar.model.times import docker_time

_HEADER_BYTES = 8  # stream number, three zeros, length as four big-endian bytes


def log_entries(body: bytes, *, tty: bool) -> tuple[LogEntry, ...]:
    """Split an answer with `timestamps=1` into entries; without a tty it comes in frames that name their stream."""
    raw = body if tty else b"".join(_frames(body))
    return tuple(_entry(line) for line in raw.decode("utf-8", "replace").split("\n") if line.strip())


def _frames(body: bytes) -> Iterator[bytes]:
    position = 0
    while position + _HEADER_BYTES <= len(body):
        start = position + _HEADER_BYTES
        position = start + int.from_bytes(body[position + 4 : start], "big")
        yield body[start:position]


def _entry(line: str) -> LogEntry:
    stamp, _, text = line.partition(" ")
    at = docker_time(stamp)
    return LogEntry(at=at, text=clean(text if at else line).strip())
