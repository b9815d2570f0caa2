"""The arguments that the locustfile adds: NAME=VALUE and ARGS of `run`, checked against the master's list. Pure.

The plugin publishes them, and reads the values with their own types. A master without the plugin gets the texts in the
form of Locust's own page, defaults included, because Locust keeps the last value that anybody sent.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.common.errors import SettingError
from sidecar.common.redaction import rules
from sidecar.model.run_arguments import MASK, in_words
from sidecar.settings import ALIASES, SETTINGS, Settings
from sidecar.settings.load import nearest
from sidecar.settings.model import OUTER_MAKE

FIELD = "kit_arguments"
_WANTED = {"number": "a number", "whole number": "a whole number", "switch": "true or false"}
_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_READERS: Mapping[str, Callable[[str], Any]] = {
    "number": float,
    "whole number": int,
    "switch": lambda text: _SWITCH[text.strip().lower()],
}
_MOST_NAMED = 30

Texts = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Argument:
    """One argument from the plugin's status or the master's page; `value` is its value in the last run."""

    name: str
    kind: str = "text"
    choices: tuple[Any, ...] = ()
    default: Any = None
    value: Any = None
    is_multiple: bool = False
    is_secret: bool = False
    flags: Mapping[str, str | None] = field(default_factory=dict)

    def read(self, text: str | list[str]) -> Any:  # noqa: ANN401  of the argument's own type
        """Return the value of a text. A text for a type of the user's own stays a text.

        Raises:
            SettingError: the argument cannot have the value.

        """
        if self.is_multiple:
            return [self._read_one(item) for item in (text.split(",") if isinstance(text, str) else text)]
        return self._read_one(text if isinstance(text, str) else ",".join(text))

    def _read_one(self, text: str) -> Any:  # noqa: ANN401  the same
        try:
            value = _READERS.get(self.kind, str)(text)
        except (ValueError, KeyError):
            raise self._unusable(text) from None
        if isinstance(value, float) and math.isnan(value):
            raise self._unusable(text)
        is_chosen = value in self.choices or text in map(str, self.choices)
        if self.choices and self.kind != "custom" and not is_chosen:
            raise self._unusable(text)
        return value

    def _unusable(self, text: str) -> SettingError:
        seen = "cannot be used" if self.is_secret else f"is {text!r}"
        wanted = " or ".join(map(str, self.choices)) or _WANTED.get(self.kind, "")
        return SettingError(f"{self.name} {seen}", wanted=wanted)

    def shown(self, value: Any) -> Any:  # noqa: ANN401  the same
        """Return a value without secrets, for a report."""
        return MASK if self.is_secret else value


def known(status: Mapping[str, Any], page: Mapping[str, Any]) -> tuple[Argument, ...]:
    """Return the arguments that the plugin publishes, or without the plugin the arguments of the master's page."""
    if "arguments" in status:
        return tuple(_published(row) for row in status["arguments"])
    return tuple(_of_page(name, row) for name, row in (page.get("extra_options") or {}).items())


def _published(row: Mapping[str, Any]) -> Argument:
    return Argument(
        *(str(row["name"]), str(row.get("kind") or "text"), tuple(row.get("choices") or ()), row.get("default")),
        *(row.get("value"), bool(row.get("is_multiple")), bool(row.get("is_secret")), dict(row.get("flags") or {})),
    )


def _of_page(name: str, row: Mapping[str, Any]) -> Argument:
    default = row.get("default_value")
    return Argument(
        name,
        {bool: "switch", float: "number", int: "whole number"}.get(type(default), "text"),
        tuple(row.get("choices") or ()),
        default,
        None,
        bool(row.get("is_multiple")) or isinstance(default, list),
        bool(row.get("is_secret")) or rules().is_secret(name),
        {f"--{name.replace('_', '-')}": None},
    )


def asked(settings: Settings, arguments: Sequence[Argument]) -> Texts:
    """Return the texts of this call, by argument; NAME=VALUE has priority over ARGS.

    Raises:
        SettingError: a name is not an argument, a value is invalid, or words in ARGS belong to no flag.

    """
    by_name = {argument.name: argument for argument in arguments}
    texts = _of_flags(settings.args, arguments)
    for word, given in settings.words.items():
        name = word if word in by_name else word.replace("-", "_")
        if name in by_name:
            texts.update({name: given.raw} if given.raw else {})  # an empty text means the default, as with settings
        elif given.source != OUTER_MAKE:
            raise _unknown(word, given.raw, arguments)
    for name, text in texts.items():
        by_name[name].read(text)
    return texts


def _unknown(word: str, text: str, arguments: Sequence[Argument]) -> SettingError:
    names = [argument.name for argument in arguments]
    close = difflib.get_close_matches(word.replace("-", "_"), names, n=1)
    meant = nearest(word, (*SETTINGS, *ALIASES)) or next(iter(close), "")
    hides = rules().is_secret(word) or any(argument.is_secret for argument in arguments if argument.name in close)
    has = f"has {', '.join(names[:_MOST_NAMED])}" if names else "has none"
    return SettingError(
        f"{word}={MASK if hides else text}: not a setting, and not an argument of this locustfile, which {has}",
        fix=f"write {meant}" if meant else "",
    )


def _of_flags(words: Sequence[str], arguments: Sequence[Argument]) -> dict[str, str | list[str]]:
    """Read words as on Locust's command line. No message quotes a word, because it may be a secret."""
    flags = {flag: argument for argument in arguments for flag in argument.flags}
    texts: dict[str, str | list[str]] = {}
    waiting = list(words)
    while waiting:
        flag, equals, text = waiting.pop(0).partition("=")
        argument = flags.get(flag)
        if argument is None:
            meant_flag = next(iter(difflib.get_close_matches(flag, flags, n=1)), "")
            raise SettingError(
                "ARGS has a word that belongs to no flag",
                wanted=f"some of {', '.join(flags)}" if flags else "no ARGS, because this locustfile adds no arguments",
                fix=f"write {meant_flag}" if meant_flag else "",
            )
        meant = argument.flags[flag]
        values = [meant] if meant is not None else [text] if equals else list(_following(waiting, flags, argument))
        if not values or (meant is not None and equals):
            raise SettingError(
                f"ARGS: {flag} has {'a' if equals else 'no'} value", wanted="no value" if equals else "a value"
            )
        before = texts.get(argument.name)
        texts[argument.name] = [*(before or ()), *values] if argument.is_multiple else values[-1]
    return texts


def _following(waiting: list[str], flags: Mapping[str, object], argument: Argument) -> Iterator[str]:
    """Take the values of a flag: one word, or all words up to the next flag. A value may begin with a dash."""
    while waiting and waiting[0].partition("=")[0] not in flags:
        yield waiting.pop(0)
        if not argument.is_multiple:
            return


def values(texts: Texts, arguments: Sequence[Argument]) -> dict[str, Any]:
    """Return the value of each argument in a run with these texts, without secrets, for reports."""
    return {
        argument.name: argument.shown(
            argument.read(texts[argument.name]) if argument.name in texts else argument.default
        )
        for argument in arguments
    }


def fields(texts: Texts, arguments: Sequence[Argument], *, by_plugin: bool) -> list[tuple[str, str]]:
    """Return the fields for POST /swarm: one for the plugin, or without it one or more for each argument."""
    if by_plugin:
        return [(FIELD, json.dumps(texts))]
    sent: list[tuple[str, str]] = []
    for argument in arguments:
        value = argument.read(texts[argument.name]) if argument.name in texts else argument.default
        if value is not None:
            sent += [(argument.name, in_words(item)) for item in (value if isinstance(value, list) else [value])]
    return sent
