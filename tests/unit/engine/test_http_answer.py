"""HTTP/1.1 taken apart as it comes."""

from __future__ import annotations

import pytest

from sidecar.engine.raw_statistics import BadHttpError, StreamResponse
from tests.fakes.log_samples import END, HEAD, chunk


def read(raw: bytes, step: int) -> tuple[StreamResponse, bytes]:
    answer = StreamResponse()
    return answer, b"".join(answer.feed(raw[start : start + step]) for start in range(0, len(raw), step))


@pytest.mark.parametrize("step", [1, 2, 3, 5, 10_000])
def test_chunks_cut_anywhere_give_the_body_and_its_end(step: int) -> None:
    answer, body = read(HEAD + chunk(b"first\r\n") + chunk(b"x" * 300) + END, step)
    assert (answer.status, answer.ended, body) == (200, True, b"first\r\n" + b"x" * 300)


def test_a_broken_off_stream_has_not_ended() -> None:
    answer, body = read(HEAD + chunk(b"first") + b"10\r\nhalf", 4)
    assert (answer.ended, body) == (False, b"firsthalf")


def test_a_body_of_known_length_ends_there() -> None:
    answer, body = read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", 6)
    assert (answer.status, answer.ended, body) == (404, True, b"gone")


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        HEAD + b"zz\r\n",
        HEAD + b"1" * 2000,
        b"HTTP/1.1 200 " + b"h" * 70_000,
    ],
)
def test_what_is_no_http_is_refused(raw: bytes) -> None:
    with pytest.raises(BadHttpError):
        read(raw, 1 << 20)
