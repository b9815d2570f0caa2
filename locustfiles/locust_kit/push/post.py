"""One POST with `requests`, whose sockets Locust has made gevent's: it waits, the event loop does not."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import requests
import urllib3

from locust_kit.push.answer import PushAnswer
from locust_kit.push.pace import RetryPace
from locust_kit.push.settings import PushSettings

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
            return PushAnswer(broken="no whole answer in time")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return PushAnswer(broken=type(error).__name__)

    return bounded
