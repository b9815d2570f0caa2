"""What is known of one setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.settings import parse

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: what people write, in .env, on the command line, in the environment.
        default: the text used when nobody says anything; "" = none.
        unit: what a number counts, or the form of the text.
        help: what it does, one line.
        cost: what raising or using it costs, one line.
        parse: text → value; ValueError says what would be right.
        aliases: shorter names for the command line and .env.
        lasting: whether `up` writes a given value down for the verbs that follow.
        secret: whether its value must not be shown: no message quotes it, and containers get it as a file.

    """

    name: str
    default: str
    unit: str
    help: str
    cost: str
    parse: Callable[[str], object] = parse.text
    aliases: tuple[str, ...] = ()
    lasting: bool = True
    secret: bool = False
