"""One POST with `requests`, whose sockets Locust has made gevent's: it waits, the event loop does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import gevent
import requests
import urllib3

from locust_kit.push.pace import RetryPace
from locust_kit.push.settings import PushSettings

_ALREADY_THERE, _TOO_LARGE = 409, 413
_LATER = frozenset({408, 429})
_KEY_REFUSED = frozenset({401, 403})


class BatchFate(Enum):
    """What becomes of a batch: it is accepted; tried again; kept and tried seldom; cut in two; given up."""

    TAKEN = "taken"
    AGAIN = "again"
    KEPT = "kept"
    TOO_LARGE = "too large"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """A status with its Retry-After; or status 0 and, in `broken`, why no whole answer came."""

    status: int = 0
    retry_after: str = ""
    broken: str = ""

    @property
    def text(self) -> str:
        """Return the answer in a word or two. Holds nothing of what was sent, or where to."""
        return self.broken or f"status {self.status}"

    @property
    def fate(self) -> BatchFate:
        """Return what it means. A broken one means another try: the receiver knows by the key what it has already."""
        status = self.status
        if self.broken or status in _LATER:
            return BatchFate.AGAIN
        if 200 <= status < 300 or status == _ALREADY_THERE:
            return BatchFate.TAKEN
        if 300 <= status < 400 or status in _KEY_REFUSED:
            return BatchFate.KEPT
        if status == _TOO_LARGE:
            return BatchFate.TOO_LARGE
        if 400 <= status < 500:
            return BatchFate.REFUSED
        return BatchFate.AGAIN


MOST_ANSWER_BYTES = 64 * 1024

Post = Callable[[bytes, str], PushAnswer]


def poster(settings: PushSettings, pace: RetryPace) -> Post:
    """Make a function that posts a body under an idempotency key, and never raises for the network or the receiver.

    Of an exception only the type is kept: its text may hold the URL with its query, or a header.
    """
    session = requests.Session()
    session.trust_env = False  # no .netrc instead of the key, no proxy that the test's own settings name

    def post(body: bytes, idempotency_key: str) -> PushAnswer:
        headers = {
            "Authorization": f"Bearer {settings.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
        }
        with session.post(
            settings.url,
            data=body,
            headers=headers,
            timeout=(pace.connect, pace.whole),
            allow_redirects=False,
            stream=True,
        ) as response:
            # Read, so that the connection can be used again and one that breaks is noticed; no more than is bearable.
            room = MOST_ANSWER_BYTES
            while room and (piece := response.raw.read(room)):  # a break shows only in the read after the last piece
                room -= len(piece)
            return PushAnswer(response.status_code, response.headers.get("Retry-After", ""))

    def bounded(body: bytes, idempotency_key: str) -> PushAnswer:
        try:
            with gevent.Timeout(pace.whole) as own:
                return post(body, idempotency_key)
        except gevent.Timeout as timeout:
            if timeout is not own:
                raise
            return PushAnswer(broken="no complete answer in time")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return PushAnswer(broken=type(error).__name__)

    return bounded
