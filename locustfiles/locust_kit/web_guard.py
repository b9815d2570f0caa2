"""Which requests our two web pages refuse: those under a foreign host name, and those that a foreign web page sends.

One file for both pages, Locust's and the monitor's: `sidecar/common/web_guard.py` is a link to this one. A browser says
in Sec-Fetch-Site and Origin which page sends a request, and no page can change that. A program such as curl sends
neither header. A page elsewhere can let its own name resolve to 127.0.0.1, so the host name must be one of ours. An IP
address as host cannot be such a name.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

BAD_HOST, LOGIN, FOREIGN = 400, 401, 403
ANSWER_HEADERS = {
    "content-security-policy": "frame-ancestors 'self'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

LOGIN_HEADERS = {"www-authenticate": 'Basic realm="Locust Kit", charset="UTF-8"'}

_HOST = re.compile(r"(?:\[(?P<ip6>[0-9a-f:.]{2,60})\]|(?P<name>[a-z0-9_.-]{1,253}))(?::\d{1,5})?")
# The services' names, also as Compose and Swarm lengthen them. Without a dot: nobody can own such a name elsewhere.
_OURS = re.compile(r"localhost|host\.docker\.internal|(?:[a-z0-9_-]+[_-])?(?:locust-master|monitor)(?:-\d+)?")
_CHANGING_GETS = ("/stop", "/stats/reset")  # of Locust before 2.47
_OWN_SITE = ("", "none", "same-origin")


class WebGuard:
    """The rules of one page.

    Args:
        hosts: more names under which the page is reached (WEB_HOSTS): a proxy's name, that of a forwarded port.
        password: what each request needs (WEB_PASSWORD); "" for none. The user name does not matter.
    """

    def __init__(self, hosts: Iterable[str], password: str = "") -> None:
        self._hosts = frozenset(name.lower() for name in hosts)
        self._password = password

    def trusts(self, origin: str) -> bool:
        """Tell whether an origin such as `https://locust.shop.example` is of a name in WEB_HOSTS."""
        return bool(origin) and _host(urlsplit(origin).netloc) in self._hosts

    def refusal(self, method: str, path: str, header: Callable[[str], str]) -> tuple[int, str] | None:
        """Return the status and the line of a refused request; None for one that may pass.

        `header` returns the value of a header, "" for one that is missing.
        """
        if not self._is_ours(_host(header("host"))):
            return BAD_HOST, (
                "this host name is not allowed; expected: 127.0.0.1, localhost, an IP address or a name in WEB_HOSTS; "
                "to add a name, set WEB_HOSTS in .env, then make up"
            )
        changes = method not in ("GET", "HEAD") or path.rstrip("/").endswith(_CHANGING_GETS)
        if self._is_foreign(header, changes=changes) and (changes or not _opens_a_page(header)):
            return FOREIGN, "another web page sent this request; expected: a request of this page, or of a program"
        if self._password and not self._is_right(header("authorization")):
            return LOGIN, "this page needs the password in WEB_PASSWORD; a program sends it with HTTP Basic"
        return None

    def _is_right(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        try:
            _, _, password = base64.b64decode(given, validate=True).partition(b":")
        except ValueError:
            return False
        return kind.lower() == "basic" and hmac.compare_digest(password, self._password.encode())

    def _is_ours(self, host: str) -> bool:
        try:
            return not ipaddress.ip_address(host).is_unspecified
        except ValueError:
            return host in self._hosts or bool(_OURS.fullmatch(host))

    def _is_foreign(self, header: Callable[[str], str], *, changes: bool) -> bool:
        origin, site = header("origin"), header("sec-fetch-site")
        if changes and not (origin or site):  # an old browser, or http to another machine
            origin = header("referer")
        if self.trusts(origin):
            return False
        return site not in _OWN_SITE or bool(origin and urlsplit(origin).netloc.lower() != header("host").lower())


def authorization(password: str) -> dict[str, str]:
    """Return the header that a page with this password needs; no header for an empty password."""
    if not password:
        return {}
    return {"authorization": "Basic " + base64.b64encode(f"locust-kit:{password}".encode()).decode("ascii")}


def _opens_a_page(header: Callable[[str], str]) -> bool:
    """Tell whether a person followed a link, or whether a login elsewhere sends the person back."""
    return header("sec-fetch-mode") == "navigate" and header("sec-fetch-dest") == "document"


def _host(place: str) -> str:
    """Return the host of `host:port`; "" if it is not one."""
    match = _HOST.fullmatch(place.lower())
    return match["ip6"] or match["name"] if match else ""
