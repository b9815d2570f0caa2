"""Count a redirect that cannot be followed as a failed request.

For such a redirect (`ftp:`, `javascript:`, an invalid address) requests raises, and Locust does not catch it. The task
ends, and Locust counts no request although the target answered. FastHttpUser counts it.
"""

from __future__ import annotations

from typing import Any

from locust.clients import HttpSession, ResponseContextManager
from requests.exceptions import InvalidURL, RequestException

from locust_kit.failures.classify import came_from_redirect
from locust_kit.patches import Patches, change_each


def install() -> str:
    """Let HttpUser count it as a failed request. Return one line that describes the result."""
    return change_each({"HttpUser": _change}, "a redirect that cannot be followed counts as a failed request")


def _change() -> None:
    with Patches() as patches:
        patches.wrap(HttpSession, "_send_request_safe_mode", _send)


def _send(original: Any, session: HttpSession, *args: Any, **kwargs: Any) -> Any:
    try:
        return original(session, *args, **kwargs)
    except ValueError as error:
        if not came_from_redirect(error):
            raise
        if isinstance(error, RequestException):
            return ResponseContextManager(error)
        invalid = InvalidURL(str(error))
        invalid.__cause__ = error
        return ResponseContextManager(invalid)
