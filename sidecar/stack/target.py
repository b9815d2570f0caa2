"""Decide the target of the load. Pure.

Precedence, highest first: HOST, MOCK=1, HOST or LOCUST_HOST in the user's own .env, the classes' own hosts. Without any
of them the call is refused, because Locust would fail each request with an empty URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar.common.allowed_targets import AllowedTargets
from sidecar.common.errors import LocustfileError, SettingError
from sidecar.common.redaction import Redactor
from sidecar.settings import Settings, addresses
from sidecar.stack.check import UserClass
from sidecar.stack.compose import MOCK_HOST

MOCK_URL = f"http://{MOCK_HOST}:8080"


@dataclass(frozen=True)
class Target:
    """The decision.

    Attributes:
        host: replaces the host of every class; "" keeps the classes' own hosts.
        shown: the text for people, without secrets.
        mock: whether the mock target is needed.

    """

    host: str
    shown: str
    mock: bool


def decide(
    host: str,
    *,
    mock: bool,
    user_env: Mapping[str, str],
    classes: Sequence[UserClass],
    web_port: int,
    source: str = ".env",
) -> Target:
    """Return the target for these settings and classes.

    Args:
        host: the setting HOST, already checked; "" when not given.
        mock: the setting MOCK.
        user_env: the options of Locust in files: locust.conf, pyproject.toml, the LOCUST_* of the checkout's .env, and
            the .env beside the locustfile.
        classes: the User classes of the run.
        web_port: the port of Locust's page on this machine. Many examples load that page.
        source: the file with LOCUST_HOST.

    Raises:
        SettingError: HOST and MOCK=1 contradict each other, or the host in .env is invalid.
        LocustfileError: there is no target, or a class aims at its own container.

    """
    if host and mock and not is_mock(host):
        raise SettingError(f"HOST is {host} and MOCK is 1", wanted="one target", fix="remove one of them")
    if host or mock:
        url = host or MOCK_URL
        return Target(url, Redactor().text(url), is_mock(url))
    env_host = _from_user_env(user_env, source, web_port)
    if env_host:
        return Target(env_host, f"{Redactor().text(env_host)} ({source})", is_mock(env_host))
    return _from_classes(classes, web_port)


def refuse_others(settings: Settings, targets: Iterable[tuple[str, str]]) -> None:
    """Refuse targets that ALLOWED_TARGETS does not contain. `targets` are pairs of a URL and its source.

    Raises:
        SettingError: one of them is not allowed. The message names it, its source, and what is allowed.

    """
    if not settings.allowed_targets:
        return
    allowed = AllowedTargets(settings.allowed_targets)
    for url, source in targets:
        if other := allowed.refused(url):
            raise SettingError(
                f"the target {other} is not in ALLOWED_TARGETS",
                where=source,
                wanted=f"one of {', '.join(settings.allowed_targets)}",
                fix=f"set HOST to one of these; or add it to ALLOWED_TARGETS ({settings.source('ALLOWED_TARGETS')}), "
                "then make up",
            )


def is_mock(url: str) -> bool:
    """Return whether a URL leads to the kit's own mock target."""
    try:
        return urlsplit(url).hostname == MOCK_HOST
    except ValueError:
        return False


def _from_user_env(user_env: Mapping[str, str], source: str, web_port: int) -> str:
    for name in ("LOCUST_HOST", "HOST"):
        raw = user_env.get(name, "")
        if "://" in raw or (raw and name == "LOCUST_HOST"):
            try:
                return addresses.target_url(raw, web_port)
            except ValueError as error:
                raise SettingError(f"{name} is {raw!r}", where=source, wanted=str(error)) from None
    return ""


def _refuse(name: str, host: str, web_port: int) -> None:
    """Refuse a class's host for what HOST would be refused for."""
    try:
        if "://" in host and addresses.is_loopback(host):
            raise LocustfileError(
                f"class {name} has the host {host}, which inside a container means the container itself",
                wanted=addresses.from_inside(host, web_port),
                fix=f"make up HOST={addresses.from_inside(host, web_port)}",
            )
        addresses.target_url(host, web_port)
    except ValueError as error:
        raise LocustfileError(
            f"class {name} has the host {host!r}",
            wanted=str(error),
            fix="correct it in the class, or make up HOST=<that URL>",
        ) from None


def _from_classes(classes: Sequence[UserClass], web_port: int) -> Target:
    for user_class in classes:
        if user_class.host and (
            user_class.http or "://" in user_class.host
        ):  # the host of another client may be any text
            _refuse(user_class.name, user_class.host, web_port)
    without = [user_class.name for user_class in classes if user_class.http and not user_class.host]
    if without:
        raise LocustfileError(
            f"no target: class {without[0]} has no host, and HOST is not set",
            fix="make up HOST=http://<your service>, or MOCK=1 for the kit's own mock target",
        )
    hosts = list(dict.fromkeys(user_class.host for user_class in classes if user_class.host))
    shown = f"{', '.join(hosts)} (the classes' own)" if hosts else "the targets of the classes' own clients"
    return Target("", Redactor().text(shown), any(is_mock(url) for url in hosts))
