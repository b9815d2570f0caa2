"""One setting, and how a field declares it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import partial
from typing import ClassVar, Generic, TypeVar, cast

from sidecar.common.errors import SettingError
from sidecar.settings import parse

T = TypeVar("T")
_USER_INFO = re.compile(r"(?P<scheme>^[A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_NO_PORT = re.compile(r"(?P<host>^(?:[A-Za-z][A-Za-z0-9+.-]*:/*)?[^\s:/?#@\[\]]*:)(?!/|\d*/?$).+", re.DOTALL)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of value: its unit or the form of its text, and its parser."""

    unit: str
    parse: Callable[[str], T]


def text(form: str) -> Kind[str]:
    """Return the kind of any text."""
    return Kind(form, str)


def count(unit: str, least: int, most: int | None = None) -> Kind[int]:
    """Return the kind of a whole number in a range."""
    return Kind(unit, partial(parse.whole, least, most))


class Destination(Flag):
    """Where the value of a setting goes, in addition to the commands of the host."""

    HOST = 0  # nowhere else
    COMPOSE = auto()  # a variable of docker-compose.yml outside a container's environment
    LOCUST = auto()  # the environment of master and workers; workers of other machines need the same value
    MASTER = auto()  # the environment of the master alone
    MONITOR = auto()  # the environment of the monitor


@dataclass(frozen=True)
class Section:
    """A group of settings. Its docstring is the title in .env.example; TO is the destination of each of them."""

    TO: ClassVar[Destination] = Destination(0)


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: its name in .env, on the command line and in the environment.
        default: the text that applies if nobody sets it; "" = no default.
        unit: what a number counts, or the form of the text.
        parse: text → value; ValueError has the expected form.
        help: what it does; the first sentence is enough for a list.
        cost: what raising or using it costs; "" = nothing.
        to: where it goes, in addition to the destination of its section.
        variable: the variable of docker-compose.yml that holds it; by default its own name.
        aliases: shorter names for the command line and .env.
        lasting: whether `up` saves a given value for later verbs.
        secret: whether its value is hidden: no message quotes it, and containers get it as a file.
        in_environment: whether it is read from the environment of the process.

    """

    name: str
    default: str
    unit: str
    parse: Callable[[str], object]
    help: str
    cost: str = ""
    to: Destination = Destination.HOST
    variable: str = ""
    aliases: tuple[str, ...] = ()
    lasting: bool = True
    secret: bool = False
    in_environment: bool = True

    def value(self, raw: str = "", source: str = "") -> object:
        """Return the value of a text; the default for an empty text, and None without a default.

        Raises:
            SettingError: the text is invalid. The message names `source`, and quotes no secret.

        """
        text = raw or self.default
        try:
            return self.parse(text)
        except ValueError as error:
            if not text:
                return None
            seen = "cannot be used" if self.secret else f"is {self._shown(text)!r}"
            raise SettingError(f"{self.name} {seen}", wanted=str(error), where=source) from None

    def _shown(self, text: str) -> str:
        """Return a refused text without a password. In a mistyped URL, the password may begin anywhere before the @."""
        if "@" in text:
            return _USER_INFO.sub(lambda match: f"{match['scheme'] or ''}***@", text, count=1)
        return _NO_PORT.sub(r"\g<host>***", text) if "://" in f"{self.unit}{text}" else text


def setting(  # noqa: PLR0913  one declaration holds every fact of a setting
    entry: str,
    kind: Kind[T],
    about: str,
    cost: str = "",
    *,
    to: Destination = Destination.HOST,
    variable: str = "",
    aliases: tuple[str, ...] = (),
    lasting: bool = True,
    secret: bool = False,
    in_environment: bool = True,
) -> T:
    """Declare a setting as a field of a dataclass: its type is what the kind's parser returns.

    `entry` is NAME=default, as in .env. NAME is the field's name in capitals. Setting describes the rest.
    """
    name, _, default = entry.partition("=")
    declared = Setting(
        *(name, default, kind.unit, kind.parse, about, cost),
        *(to, variable or name, aliases, lasting, secret, in_environment),
    )
    return field(default=cast("T", declared.value()), repr=not secret, metadata={"setting": declared})
