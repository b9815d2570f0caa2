"""The thread between the recorder and the receivers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from sidecar.model.incident import IncidentKind
from sidecar.notify import notifier
from sidecar.notify.notifier import MOST_MESSAGES, MOST_QUEUED, MOST_TRIES, Notifier, make_notifier
from sidecar.notify.policy import AlertPolicy, Message, Tone
from sidecar.settings.monitor import WatchSettings
from tests.unit.notify.alerts import NOW, incident

SECRET = "https://user:hunter2@chat.example/T0KEN"  # noqa: S105  # made up
OTHER = "https://other.example/hook"


class Quick:
    """Time that runs a thousand times faster than the wall's: pauses of minutes pass in a moment."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * 1000

    def clock(self) -> object:
        return NOW + timedelta(seconds=self.monotonic())


class Fake:
    """A sender that does what it is told, and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, int], str] = lambda _url, _try: "") -> None:
        self.answer = answer
        self.sent: list[tuple[tuple[str, ...], Message]] = []
        self.closed = threading.Event()

    def send(self, urls: Sequence[str], message: Message | None) -> tuple[str, ...]:
        if message is None:
            return tuple("not understood by Apprise" if url.startswith("what") else "" for url in urls)
        self.sent.append((tuple(urls), message))
        return tuple(self.answer(url, len(self.sent)) for url in urls)

    def close(self) -> None:
        self.closed.set()


class Immediate(AlertPolicy):
    """A pager that makes one message of each batch, at once."""

    def __init__(self) -> None:
        super().__init__("locust", tuple(IncidentKind), 0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Notifier]]:
    monkeypatch.setattr(notifier, "_LONGEST_WAIT_SECONDS", 0.01)
    running: list[Notifier] = []

    def make(sender: Fake, *urls: str) -> Notifier:
        quick = Quick()
        one = Notifier(urls or (SECRET,), Immediate(), sender, clock=quick.clock, monotonic=quick.monotonic)  # type: ignore[arg-type]
        one.start()
        running.append(one)
        return one

    yield make
    for one in running:
        one.stop()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_an_incident_reaches_each_receiver(made: Callable[..., Notifier]) -> None:
    sender = Fake()
    one = made(sender, SECRET, OTHER)
    one.put([incident()])
    until(lambda: one.tally().sent == 2)
    ((urls, message),) = sender.sent
    assert urls == (SECRET, OTHER)
    assert message.title == "[locust] 1 OOM kill"


def test_only_the_receiver_that_failed_is_asked_again(made: Callable[..., Notifier]) -> None:
    sender = Fake(lambda url, attempt: "status 503" if url == OTHER and attempt < 3 else "")
    one = made(sender, SECRET, OTHER)
    one.put([incident()])
    until(lambda: one.tally().sent == 2)
    assert [urls for urls, _ in sender.sent] == [(SECRET, OTHER), (OTHER,), (OTHER,)]
    assert one.tally().failed == 0


def test_a_dead_receiver_is_given_up_and_counted_and_no_secret_is_logged(
    made: Callable[..., Notifier], caplog: pytest.LogCaptureFixture
) -> None:
    sender = Fake(lambda _url, _try: "no connection")
    one = made(sender)
    with caplog.at_level(logging.DEBUG):
        one.put([incident()])
        until(lambda: one.tally().failed == 1)
    assert len(sender.sent) == MOST_TRIES
    assert "dropped after 6 tries: ALERT_URLS number 1: no connection" in caplog.text
    assert "hunter2" not in caplog.text
    assert "T0KEN" not in caplog.text
    assert "chat.example" not in caplog.text


def test_a_url_that_cannot_work_is_named_by_its_number(made: Callable[..., Notifier]) -> None:
    one = made(Fake(), SECRET, "what://token")
    until(lambda: one.problems)
    assert one.problems == ("ALERT_URLS number 2 is not understood by Apprise",)


def test_handing_over_never_waits_and_counts_what_does_not_fit() -> None:
    quick = Quick()
    one = Notifier((SECRET,), Immediate(), Fake(), clock=quick.clock, monotonic=quick.monotonic)  # type: ignore[arg-type]
    for number in range(MOST_QUEUED + 3):
        one.put([incident(number)])
    assert one.tally().dropped == 3
    one.stop()


def test_what_is_not_worth_a_message_and_evidence_do_not_fill_the_queue() -> None:
    quick = Quick()
    one = Notifier((SECRET,), Immediate(), Fake(), clock=quick.clock, monotonic=quick.monotonic)  # type: ignore[arg-type]
    one.put([incident(1, helper=True)])
    one.put([incident(2)])
    assert one._queue.qsize() == 1
    batch = one._queue.get_nowait()
    assert batch is not None
    assert batch[0].evidence == ()


def test_while_receivers_are_dead_only_so_many_messages_are_kept(made: Callable[..., Notifier]) -> None:
    began, hold = threading.Event(), threading.Event()

    def never(_url: str, _attempt: int) -> str:
        began.set()
        assert hold.wait(20)
        return "no connection"

    one = made(Fake(never))
    one.put([incident()])
    assert began.wait(20)
    for number in range(MOST_MESSAGES + 5):
        one._post(Message(f"{number}", "", Tone.INFO))
    try:
        assert one.tally().dropped == 5
        assert [outgoing.message.title for outgoing in one._outbox][:2] == ["5", "6"]
    finally:
        hold.set()


def test_a_new_message_goes_before_one_that_is_tried_again() -> None:
    quick, sender = Quick(), Fake(lambda _url, attempt: "no connection" if attempt == 1 else "")
    one = Notifier((SECRET,), Immediate(), sender, clock=quick.clock, monotonic=quick.monotonic)  # type: ignore[arg-type]
    one._post(Message("old", "", Tone.INFO))
    one._send_next()
    until(lambda: one._outbox[0].backoff.due(quick.monotonic()))
    one._post(Message("new", "", Tone.INFO))
    one._send_next()
    one._send_next()
    assert [message.title for _, message in sender.sent] == ["old", "new", "old"]


def test_a_sender_that_breaks_does_not_end_the_thread(made: Callable[..., Notifier]) -> None:
    class Broken(Fake):
        def send(self, urls: Sequence[str], message: Message | None) -> tuple[str, ...]:
            if message is not None and not self.closed.is_set():
                self.closed.set()
                raise RuntimeError("broken")
            return super().send(urls, message)

    sender = Broken()
    one = made(sender)
    one.put([incident(1)])
    until(sender.closed.is_set)
    one.put([incident(2, service="other")])
    until(lambda: one.tally().sent == 1)


def test_stopping_does_not_wait_for_a_receiver(made: Callable[..., Notifier]) -> None:
    class Slow(Fake):
        def send(self, urls: Sequence[str], message: Message | None) -> tuple[str, ...]:
            answers = super().send(urls, message)
            if message is not None:
                assert self.closed.wait(20)
            return answers

    sender = Slow()
    one = made(sender)
    one.put([incident()])
    until(lambda: sender.sent)
    one.stop()
    assert not one._thread.is_alive()


def test_without_urls_there_is_nobody_to_tell() -> None:
    def clock() -> datetime:
        return NOW

    assert make_notifier(WatchSettings(), (), {}, clock=clock, monotonic=time.monotonic) is None
    one = make_notifier(WatchSettings(alert_urls=(OTHER,)), [incident(1)], {}, clock=clock, monotonic=time.monotonic)
    assert one is not None
    one.policy.take([incident(1)], NOW)
    assert one.policy.next_at(NOW) is None
