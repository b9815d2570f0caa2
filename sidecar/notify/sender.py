"""Hands messages to the process that sends them, and ends it when it takes too long."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from sidecar.notify.policy import Message

_ROOT = Path(__file__).resolve().parents[2]
_SECRETS = ("ALERT_URLS", "LOCUST_WEB_PASSWORD")
# Apprise gives a receiver 4 s to connect and 4 s between two bytes of its answer; loading it takes 1 s of processor
# time, which on a machine that is being load-tested can take many.
TIMEOUT_SECONDS = 45.0


class MessageSender:
    """Sends with `sidecar.notify.send`.

    Args:
        environ: the sidecar's environment, for proxies and certificates; secrets are not passed on.
        timeout_seconds: how long a message may take, to all receivers together.
    """

    def __init__(self, environ: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._environ = {name: value for name, value in environ.items() if name not in _SECRETS}
        self._timeout_seconds = timeout_seconds
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def send(self, urls: Sequence[str], message: Message | None) -> tuple[str, ...]:
        """Send a message to each URL at the same time; returns "" or the reason of the failure for each.

        Without a message nothing is sent, and a reason says that a URL is not understood.
        """
        job = {"urls": list(urls), "title": "", "body": "", "type": ""}
        if message is not None:
            job |= {"title": message.title, "body": message.body, "type": message.tone.value}
        try:
            output = self._run(json.dumps(job))
        except OSError as error:
            return (f"the sending process could not be started: {error.strerror}",) * len(urls)
        answers = dict(_answers(output))
        return tuple(answers.get(number, "no answer in time") for number in range(len(urls)))

    def close(self) -> None:
        """End what is under way, and start nothing more. For any thread."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _run(self, job: str) -> str:
        with self._lock:
            if self._closed:
                return ""
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "sidecar.notify.send"],
                cwd=_ROOT,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a traceback shows the arguments it stumbled over
                text=True,
            )
        try:
            output, _ = process.communicate(job, timeout=self._timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()  # what was answered before stays true
        finally:
            with self._lock:
                self._process = None
        return output


def _answers(output: str) -> list[tuple[int, str]]:
    """Read the lines of the sending process; half a line, from a process that was ended, is ignored."""
    answers = []
    for line in output.splitlines():
        try:
            answer = json.loads(line)
            answers.append((int(answer["url"]), "" if answer["sent"] else str(answer["why"])))
        except (ValueError, KeyError, TypeError):
            continue
    return answers
