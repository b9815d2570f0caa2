"""Where the load goes. Pure.

HOST wins; then MOCK=1; then HOST or LOCUST_HOST in the user's own .env; then the classes' own hosts. None of
these: refused, since Locust would fail each request with an empty URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar.common.errors import LocustfileError, SettingError
from sidecar.settings import addresses
from sidecar.stack.check import UserClass
from sidecar.stack.compose import MOCK_HOST

MOCK_URL = f"http://{MOCK_HOST}:8080"


@dataclass(frozen=True)
class Target:
    """The decision.

    Attributes:
        host: replaces every class's host; "" leaves each class its own.
        shown: what to tell people.
        mock: whether the mock target is needed.

    """

    host: str
    shown: str
    mock: bool


def decide(
    host: str, *, mock: bool, user_env: Mapping[str, str], classes: Sequence[UserClass], source: str = ".env"
) -> Target:
    """Return the target for these settings and classes.

    Args:
        host: the setting HOST, already checked; "" when not given.
        mock: the setting MOCK.
        user_env: what files tell Locust: locust.conf, pyproject.toml, the LOCUST_* of the checkout's .env, and the .env
            beside the locustfile.
        classes: the User classes that will take part.
        source: where LOCUST_HOST comes from.

    Raises:
        SettingError: HOST and MOCK=1 contradict each other, or .env's host cannot be.
        LocustfileError: no target at all, or a class aims at the container itself.

    """
    if host and mock and not is_mock(host):
        raise SettingError(f"HOST is {host} and MOCK is 1", wanted="one target", fix="leave one of them out")
    if host or mock:
        url = host or MOCK_URL
        return Target(url, url, is_mock(url))
    env_host = _from_user_env(user_env, source)
    if env_host:
        return Target(env_host, f"{env_host} ({source})", is_mock(env_host))
    return _from_classes(classes)


def is_mock(url: str) -> bool:
    """Return whether a URL leads to the kit's own mock target."""
    try:
        return urlsplit(url).hostname == MOCK_HOST
    except ValueError:
        return False


def _from_user_env(user_env: Mapping[str, str], source: str) -> str:
    for name in ("LOCUST_HOST", "HOST"):
        raw = user_env.get(name, "")
        if "://" in raw or (raw and name == "LOCUST_HOST"):
            try:
                return addresses.target_url(raw)
            except ValueError as error:
                raise SettingError(f"{name} is {raw!r}", where=source, wanted=str(error)) from None
    return ""


def _refuse(name: str, host: str) -> None:
    """Refuse a class's host for what HOST would be refused for."""
    try:
        if "://" in host and addresses.is_loopback(host):
            raise LocustfileError(
                f"the class {name} aims at {host}, which inside a container is the container itself",
                wanted=addresses.from_inside(host),
                fix=f"make up HOST={addresses.from_inside(host)}",
            )
        addresses.target_url(host)
    except ValueError as error:
        raise LocustfileError(
            f"the class {name} has the host {host!r}",
            wanted=str(error),
            fix="mend it there, or make up HOST=<that URL>",
        ) from None


def _from_classes(classes: Sequence[UserClass]) -> Target:
    for user_class in classes:
        if user_class.host and (user_class.http or "://" in user_class.host):  # another client's host may be any text
            _refuse(user_class.name, user_class.host)
    without = [user_class.name for user_class in classes if user_class.http and not user_class.host]
    if without:
        raise LocustfileError(
            f"no target: the class {without[0]} has no host, and HOST is not set",
            fix="make up HOST=http://<your service>, or MOCK=1 for the kit's own mock target",
        )
    hosts = list(dict.fromkeys(user_class.host for user_class in classes if user_class.host))
    shown = f"{', '.join(hosts)} (the classes' own)" if hosts else "whatever the classes' own clients reach"
    return Target("", shown, any(is_mock(url) for url in hosts))
