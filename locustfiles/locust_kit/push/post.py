"""One POST with `requests`. Locust has patched its sockets with gevent, so the event loop does not wait."""

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
    """The result for a batch: accepted; tried again; kept and tried rarely; cut in two; dropped."""

    TAKEN = "taken"
    AGAIN = "again"
    KEPT = "kept"
    TOO_LARGE = "too large"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """A status with its Retry-After; or status 0 and the reason in `broken` if the answer is not complete."""

    status: int = 0
    retry_after: str = ""
    broken: str = ""

    @property
    def text(self) -> str:
        """Return the answer in a word or two, without any part of the request or the URL."""
        return self.broken or f"status {self.status}"

    @property
    def fate(self) -> BatchFate:
        """Return the result. A broken answer means another attempt: the receiver knows the key of a repeated batch."""
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
    """Make a function that posts a body with an idempotency key. Errors of network or receiver never raise.

    It keeps only the type of an exception: the text may contain the URL with its query, or a header.
    """
    session = requests.Session()
    session.trust_env = False  # no .netrc instead of the key, and no proxy of the test's settings

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
            # Read the body, up to a limit, so that the connection can be used again and a broken one is noticed.
            room = MOST_ANSWER_BYTES
            while room and (piece := response.raw.read(room)):  # a broken one shows only after the last piece
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
