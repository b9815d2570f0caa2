"""The frames in which the engine hands out the output of a process that has no terminal. Pure.

The one demultiplexer: the SDK's drops the tag that says which stream a frame is of, and takes anything for a frame.
"""

from __future__ import annotations

from collections.abc import Iterator

_HEADER_BYTES = 8  # stream number, three zeros, length as four big-endian bytes
_STDOUT, _STDERR = 1, 2
_MOST_FRAME_BYTES = 1 << 20  # the engine cuts lines at 16 KiB; a longer frame is no frame


class NotALogError(Exception):
    """The bytes are no log stream of the engine."""


def demultiplex(body: bytes) -> bytes:
    """Return a whole output without the headers of its frames; one that has none, as a terminal's, as it is."""
    if len(body) < _HEADER_BYTES:
        return body
    parts, position = [], 0
    try:
        for _, start, position in frames(body):
            parts.append(body[start:position])
    except NotALogError:
        return b"".join(parts) or body
    return b"".join([*parts, body[position + _HEADER_BYTES :]])  # with what came of a frame that was cut off


def frames(buffer: bytes) -> Iterator[tuple[int, int, int]]:
    """Give the stream, the start and the end of each whole frame: an output of two streams comes in such.

    Raises:
        NotALogError: these are no frames.
    """
    position = 0
    while position + _HEADER_BYTES <= len(buffer):
        start = position + _HEADER_BYTES
        end = start + int.from_bytes(buffer[position + 4 : start], "big")
        if end - start > _MOST_FRAME_BYTES or buffer[position] > _STDERR:
            raise NotALogError(f"a frame of {end - start} bytes on stream {buffer[position]}")
        if end > len(buffer):
            break
        yield buffer[position] or _STDOUT, start, end
        position = end
