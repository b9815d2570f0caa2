"""Real messages to real receivers on loopback, through the process that sends them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apprise.plugins.slack import NotifySlack

from sidecar.notify import send
from sidecar.notify.notifier import MessageSender
from sidecar.notify.policy import Message, Tone
from tests.ports import free_port
from tests.unit.notify.alerts import Receiver

MESSAGE = Message("[locust] 1 OOM kill", "15:04:05 UTC  OOM kill  a-1: <!channel> & *bold*", Tone.FAILURE)
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"  # gitleaks:allow  made up
JOB = {"title": MESSAGE.title, "body": MESSAGE.body, "type": MESSAGE.tone.value}

# Apprise imports what Python 3.11 has deprecated and 3.13 removed, when it is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def courier() -> Iterator[MessageSender]:
    made = MessageSender(os.environ)
    yield made
    made.close()


def test_a_plain_webhook_gets_json_with_its_path_and_query_as_they_were(
    courier: MessageSender, receiver: Receiver
) -> None:
    assert courier.send([f"http://127.0.0.1:{receiver.port}/hook/a%20b?token=x%26y&verify=no"], MESSAGE) == ("",)
    ((path, body),) = receiver.got
    assert path == "/hook/a%20b?token=x%26y&verify=no"
    assert {name: body[name] for name in ("title", "message", "type")} == {
        "title": MESSAGE.title,
        "message": MESSAGE.body,
        "type": "failure",
    }


def test_slack_gets_its_own_format_and_names_cannot_call_the_channel(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{receiver.port}/services")
    assert send._deliver(SLACK, JOB) == ""
    ((path, body),) = receiver.got
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    (attachment,) = body["attachments"]
    assert MESSAGE.title in attachment["title"]
    assert "<!channel>" not in attachment["text"]
    assert "OOM kill  a-1" in attachment["text"]


def test_a_dead_and_a_refusing_receiver_do_not_keep_the_message_from_the_others(
    courier: MessageSender, receiver: Receiver
) -> None:
    refusing, broken = Receiver(403), Receiver(500)
    broken.pause_seconds = 0.3  # its answer comes last: the others' must not be taken for it
    try:
        ports = (free_port(), broken.port, refusing.port, receiver.port)
        urls = [f"http://127.0.0.1:{port}/x" for port in ports]
        assert courier.send(urls, MESSAGE) == ("no connection", "status 500", "status 403", "")
    finally:
        refusing.close()
        broken.close()
    assert len(receiver.got) == 1


def test_a_receiver_that_never_ends_its_answer_is_left_and_the_others_count(receiver: Receiver) -> None:
    slow = Receiver()
    slow.dribbles = True
    try:
        urls = [f"http://127.0.0.1:{port}/x" for port in (slow.port, receiver.port)]
        for seconds in (3, 12, 40):  # a busy machine may take longer than three for the process to start alone
            said = MessageSender(os.environ, timeout_seconds=seconds).send(urls, MESSAGE)
            if said[1] == "":
                break
        assert said == ("no answer in time", "")
    finally:
        slow.close()


def test_urls_are_checked_without_sending_anything(courier: MessageSender, receiver: Receiver) -> None:
    urls = [f"http://127.0.0.1:{receiver.port}/x", SLACK, "carrier-pigeon://coop", "slack://too-short"]
    assert courier.send(urls, None) == ("", "", "not understood by Apprise", "not understood by Apprise")
    assert receiver.got == []


def test_closing_ends_what_is_under_way(receiver: Receiver) -> None:
    receiver.dribbles = True
    courier = MessageSender(os.environ, timeout_seconds=60)
    answers: list[tuple[str, ...]] = []
    thread = threading.Thread(
        target=lambda: answers.append(courier.send([f"http://127.0.0.1:{receiver.port}/x"], MESSAGE))
    )
    thread.start()
    _until(lambda: receiver.got)
    courier.close()
    thread.join(20)
    assert answers == [("no answer in time",)]
    assert courier.send(["http://127.0.0.1:1/x"], MESSAGE) == ("no answer in time",)


def test_secrets_are_in_neither_arguments_nor_environment_of_the_process(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_URLS", "https://hunter2.example/")
    receiver.dribbles = True
    courier = MessageSender(os.environ, timeout_seconds=60)
    thread = threading.Thread(target=courier.send, args=([f"http://127.0.0.1:{receiver.port}/T0KEN"], MESSAGE))
    thread.start()
    try:
        _until(lambda: receiver.got)
        assert courier._process is not None
        for file in ("cmdline", "environ"):
            content = Path(f"/proc/{courier._process.pid}/{file}").read_bytes()
            assert content
            assert b"T0KEN" not in content
            assert b"hunter2" not in content
    finally:
        courier.close()
        thread.join(20)


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://u:p@h:8443/a/b?x=1", "jsons://u:p@h:8443/a/b?-x=1"),
        ("HTTP://h/", "json://h/"),
        ("http://h?a=b=c&d", "json://h?-a=b%3Dc&-d="),
    ],
)
def test_a_plain_address_is_written_as_a_webhook(url: str, written: str) -> None:
    assert send.webhook(url) == written


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Failed to send JSON POST notification: Unauthorized - https://t0ken@h, error=401.", "status 401"),
        ("A Connection error occurred sending JSON notification to h.", "no connection"),
        ("anything with a t0ken", "not sent"),
    ],
)
def test_a_reason_repeats_nothing_of_the_url(said: str, why: str) -> None:
    assert send.reason(said) == why


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
