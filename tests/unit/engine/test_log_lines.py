"""A followed log, read into whole lines whatever the bytes are cut into."""

from __future__ import annotations

import pytest

from sidecar.engine.log_lines import MOST_KEPT_BYTES, LineReader, RawLine
from sidecar.engine.transport import NotALogError
from tests.fakes.log_samples import BASE_NS, frame, stamp

NS = BASE_NS + 891_189_152


def read(body: bytes, *, tty: bool = False, step: int = 1 << 20) -> list[RawLine]:
    reader = LineReader(tty=tty)
    lines = [line for start in range(0, len(body), step) for line in reader.feed(body[start : start + step])]
    return lines + reader.end()


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_frames_cut_anywhere_give_whole_lines_with_stream_and_time(step: int) -> None:
    body = frame(NS, b"one\n") + frame(NS - 5, b"two\n", stream=2) + frame(NS + 9, b"\n")
    lines = read(body, step=step)
    assert [(line.ns, line.stream, line.raw) for line in lines] == [
        (NS, 1, b"one"), (NS - 5, 2, b"two"), (NS + 9, 1, b""),
    ]  # fmt: skip


def test_parts_of_a_long_line_are_one_line_though_the_other_stream_speaks_between() -> None:
    body = frame(NS, b"x" * 16384) + frame(NS + 1, b"other\n", stream=2) + frame(NS, b"y\n")
    lines = read(body)
    assert [(line.stream, line.size_bytes) for line in lines] == [(2, 5), (1, 16385)]


def test_a_line_of_a_megabyte_is_cut_and_says_its_length() -> None:
    reader = LineReader(tty=False)
    for _ in range(64):
        assert reader.feed(frame(NS, b"z" * 16384)) == []
    (line,) = reader.feed(frame(NS, b"\n"))
    assert (len(line.raw), line.size_bytes) == (MOST_KEPT_BYTES, 1 << 20)
    assert line.text().endswith("z… (1048576 bytes)")


def test_last_words_without_a_line_end_are_ended_by_the_next_line() -> None:
    lines = read(frame(NS, b"killed here") + frame(NS + 1, b"next start\n"))
    assert [line.raw for line in lines] == [b"killed here", b"next start"]


def test_last_words_without_a_line_end_are_ended_by_the_end_of_the_log() -> None:
    assert [line.raw for line in read(frame(NS, b"killed here"))] == [b"killed here"]


def test_a_frame_that_never_came_whole_is_no_line() -> None:
    assert read(frame(NS, b"half of it\n")[:-4]) == []


@pytest.mark.parametrize("step", [97, 5000, 100_000])
def test_a_tty_has_no_frames_and_glues_the_parts_of_a_long_line(step: int) -> None:
    body = stamp(NS) + b"a" * 16384 + stamp(NS) + b"b\r\n" + stamp(NS + 3) + b"last"
    lines = read(body, tty=True, step=step)
    assert [(line.ns, line.size_bytes) for line in lines] == [(NS, 16386), (NS + 3, 4)]
    assert lines[0].text().startswith("aaa")
    assert lines[-1].raw == b"last"


def test_last_words_of_a_tty_do_not_swallow_the_next_start() -> None:
    lines = read(stamp(NS) + b"killed here" + stamp(NS + 7) + b"next start\n", tty=True)
    assert [(line.ns, line.raw) for line in lines] == [(NS, b"killed here"), (NS + 7, b"next start")]


def test_what_could_steer_a_terminal_or_is_no_text_does_not_reach_it() -> None:
    (line,) = read(frame(NS, b"\x1b[31mred\x1b]0;title\x07 \x00nul \xff\xfe \xe2\x80\xaeover\n"))
    assert line.text() == "red nul \ufffd\ufffd over"


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x01\x00\x00\x00\x00\x00\x00\x04oops"])
def test_what_is_no_log_is_refused(body: bytes) -> None:
    with pytest.raises(NotALogError):
        read(body)


def test_a_tty_without_time_stamps_does_not_grow_for_ever() -> None:
    reader = LineReader(tty=True)
    assert reader.feed(b"q" * 16384) == []
    with pytest.raises(NotALogError):
        reader.feed(b"q" * 65536)
