"""The arguments that the locustfile adds to Locust's own, and their values in each run.

Locust keeps the last value that anybody sent. A run of the kit uses the values sent with its start, and the defaults of
all other arguments. The kit sends texts in one field of the form. The argument's own type converts them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from flask import Flask, Response, jsonify, request
from locust import events
from locust.argument_parser import default_args_dict, get_parser
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from locust_kit.failures.settings import redactor
from locust_kit.redaction import rules
from locust_kit.run_shape import RunShape
from locust_kit.texts import safe

FIELD = "kit_arguments"
TEXT, NUMBER, WHOLE, SWITCH, CUSTOM = "text", "number", "whole number", "switch", "custom"
_WANTED = {NUMBER: "a number", WHOLE: "a whole number", SWITCH: "true or false"}
_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_LONGEST = 500
_MOST_CHOICES = 50


class UnusableValueError(ValueError):
    """A value that an argument cannot have. The text names the value, unless it is secret, and the expected values."""


@dataclass(frozen=True, slots=True)
class AddedArgument:
    """One argument of the locustfile.

    `flags` maps each flag of Locust's command line to the text it stands for; None: a value follows the flag.
    """

    name: str
    kind: str
    default: Any
    choices: Collection[Any]
    is_multiple: bool
    is_secret: bool
    flags: Mapping[str, str | None]
    variable: str
    read_text: Callable[[str], Any]

    def read(self, given: str | list[str]) -> Any:
        """Convert the given text to the argument's value. A list is several texts, or one text with commas.

        Raises:
            UnusableValueError: the argument cannot have this value.

        """
        if not self.is_multiple:
            return self._read_one(given if isinstance(given, str) else ",".join(given))
        return [self._read_one(text) for text in (given.split(",") if isinstance(given, str) else given)]

    def _read_one(self, text: str) -> Any:
        wanted = self._choices() or _WANTED.get(self.kind, "")
        try:
            value = self.read_text(text)
        except Exception as error:  # noqa: BLE001  the user's own function reads it
            raise self._unusable(text, wanted or safe(error, _LONGEST)) from None
        if (self.choices and value not in self.choices) or (isinstance(value, float) and math.isnan(value)):
            raise self._unusable(text, wanted)
        try:
            Message("spawn", value, "").serialize()
        except Exception:  # noqa: BLE001  the value's own type decides what it raises
            raise self._unusable(text, f"a value that can be sent to workers, not a {type(value).__name__}") from None
        return value

    def _choices(self) -> str:
        """Return the choices as a text; cut a long list."""
        some = [safe(choice, _LONGEST) for choice in islice(self.choices, _MOST_CHOICES)]
        return " or ".join([*some, "…"] if len(self.choices) > len(some) else some)

    def _unusable(self, text: str, wanted: str) -> UnusableValueError:
        if self.is_secret:  # the expected values may quote the secret
            return UnusableValueError(
                f"{self.name} cannot be used; expected: {_WANTED.get(self.kind, 'another value')}"
            )
        return UnusableValueError(f"{self.name} is {safe(text, _LONGEST)!r}; expected: {wanted}")

    def document(self, value: Any) -> dict[str, Any]:
        """Return the argument and its current value for the status document, secrets masked."""
        return {
            "name": self.name,
            "kind": self.kind,
            "choices": [_plain(choice) for choice in self.choices] if len(self.choices) <= _MOST_CHOICES else [],
            "default": self.shown(self.default),
            "value": self.shown(value),
            "is_multiple": self.is_multiple,
            "is_secret": self.is_secret,
            "flags": dict(self.flags),
            "variable": self.variable,
        }

    def shown(self, value: Any) -> Any:
        """Return a value for documents, masked if secret."""
        return rules().mask if self.is_secret else _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON, without secrets that can be recognized by their form."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return redactor(os.environ).text(safe(value, _LONGEST))


def _is_text_or_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _copy(value: Any) -> Any:
    """Return a copy of a list, dict or set; return other values as they are, since they may not be copyable."""
    return copy.deepcopy(value) if isinstance(value, list | dict | set) else value


def added(options: Any) -> tuple[AddedArgument, ...]:
    """Return the arguments that Locust itself does not have, with the values in `options` as defaults."""
    if options is None:
        return ()
    own, arguments = default_args_dict(), dict[str, AddedArgument]()
    for action in get_parser()._actions:  # noqa: SLF001  argparse has no public way to list them
        name = action.dest
        if name in own or name in arguments or not hasattr(options, name):
            continue
        arguments[name] = _argument(action, _copy(getattr(options, name)))
    return tuple(arguments.values())


def _argument(action: argparse.Action, default: Any) -> AddedArgument:
    kind = _kind(action, default)
    return AddedArgument(
        name=action.dest,
        kind=kind,
        default=default,
        choices=action.choices if isinstance(action.choices, Collection) else (),
        is_multiple=_is_multiple(action, default),
        is_secret=_is_secret(action),
        flags=_flags(action, kind),
        variable=str(getattr(action, "env_var", None) or ""),
        read_text=_reader(action, kind, default),
    )


def _kind(action: argparse.Action, default: Any) -> str:
    takes_none = action.nargs == 0 and not isinstance(action, argparse._CountAction)  # noqa: SLF001  has no other name
    if takes_none or isinstance(default, bool) or action.type is bool:
        return SWITCH
    if isinstance(action, argparse._CountAction):  # noqa: SLF001  as above
        return WHOLE
    if action.type is None:  # as Locust's page does it
        return {float: NUMBER, int: WHOLE}.get(type(default), TEXT)
    return {float: NUMBER, int: WHOLE, str: TEXT}.get(action.type, CUSTOM) if isinstance(action.type, type) else CUSTOM


def _is_multiple(action: argparse.Action, default: Any) -> bool:
    adds = isinstance(action, argparse._AppendAction)  # noqa: SLF001  argparse names it nowhere else
    many = action.nargs in ("*", "+") or (isinstance(action.nargs, int) and action.nargs > 0)
    divides_itself = callable(action.type) and not isinstance(action.type, type)  # a function that makes the whole list
    is_list = isinstance(default, list | tuple) and not divides_itself
    return adds or many or is_list or bool(getattr(action, "is_multiple", False))


def _flags(action: argparse.Action, kind: str) -> dict[str, str | None]:
    if action.nargs != 0:
        return dict.fromkeys(action.option_strings)
    if kind != SWITCH:
        return {}
    off = action.const is False
    return {flag: "false" if off or flag.startswith("--no-") else "true" for flag in action.option_strings}


def _reader(action: argparse.Action, kind: str, default: Any) -> Callable[[str], Any]:
    if kind == SWITCH:
        is_store_const = action.nargs == 0 and action.const is not None and not isinstance(action.const, bool)
        values = {True: action.const, False: default} if is_store_const else {True: True, False: False}
        return lambda text: values[_SWITCH[text.strip().lower()]]
    if callable(action.type):
        return action.type
    return {NUMBER: float, WHOLE: int}.get(kind, str)


def secrets_of(environment: Environment) -> frozenset[str]:
    """Return the current secret values of the arguments: no document of a run may contain them."""
    options = environment.parsed_options
    names = _secret_names(tuple(events.init_command_line_parser._handlers)) if options else ()  # noqa: SLF001  no other way
    values = (getattr(options, name) for name in names if hasattr(options, name))
    return frozenset(text for value in values for text in _texts(value) if text)


@lru_cache(maxsize=1)
def _secret_names(_adders: tuple[object, ...]) -> tuple[str, ...]:
    """Return the names of the secret arguments, made once for the same hooks: a parser takes up to 30 ms of a run."""
    own = default_args_dict()
    actions = [action for action in get_parser()._actions if action.dest not in own]  # noqa: SLF001  as above
    return tuple(action.dest for action in actions if _is_secret(action))


def _is_secret(action: argparse.Action) -> bool:
    return bool(getattr(action, "is_secret", False)) or redactor(os.environ).by.is_secret(action.dest)


def _texts(value: Any) -> Iterable[str]:
    items = value if isinstance(value, list | tuple) else [value]
    return (safe(item, _LONGEST) for item in items if item is not None)


class RunArguments:
    """The locustfile's arguments on the master: read from the order to start a run, shown in the status document."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._options = environment.parsed_options
        self._known = {argument.name: argument for argument in added(self._options)}
        self._are_of_the_kit = False
        self._shape = RunShape(environment)

    def install(self, app: Flask, authorized: Callable[[Callable[[], Any]], Callable[[], Any]], base: str) -> None:
        """Read each order to start a run before Locust does; `authorized` requires the same login as Locust's page."""
        look = authorized(self._before_start)

        def before_request() -> Any:
            return look() if request.method == "POST" and request.path == f"{base}/swarm" else None

        app.before_request(before_request)

    def documents(self) -> list[dict[str, Any]]:
        """Return each argument with its current value."""
        return [argument.document(getattr(self._options, name, None)) for name, argument in self._known.items()]

    def shapes(self) -> list[dict[str, Any]]:
        """Return the load shapes that a run can use."""
        return self._shape.documents()

    def values(self) -> dict[str, Any]:
        """Return the current values, secrets masked."""
        return {name: argument.shown(getattr(self._options, name, None)) for name, argument in self._known.items()}

    def _before_start(self) -> Response | None:
        """Set the arguments of a run of the kit. An edit of the run keeps them; a start from elsewhere does not."""
        self._shape.choose(request.form)
        text, runner = request.form.get(FIELD), self._environment.runner
        if text is None:
            if self._are_of_the_kit and (runner is None or runner.state not in (STATE_SPAWNING, STATE_RUNNING)):
                self._set({})
                self._are_of_the_kit = False
            return None
        try:
            self._set(self._read(json.loads(text)))
        except (ValueError, RecursionError) as error:
            return jsonify({"success": False, "message": str(error), "host": self._environment.host})
        self._are_of_the_kit = True
        return None

    def _read(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise UnusableValueError(f"{FIELD} is not a JSON object")
        for name in given:
            if name not in self._known:
                has = ", ".join(self._known) or "none"
                unknown = f"{safe(name, _LONGEST)} is not an argument of this locustfile"
                raise UnusableValueError(f"{unknown}; its arguments: {has}")
            if not _is_text_or_texts(given[name]):
                raise UnusableValueError(f"{name} is not valid; expected: a text or a list of texts")
        return {name: self._known[name].read(value) for name, value in given.items()}

    def _set(self, values: Mapping[str, Any]) -> None:
        for name, argument in self._known.items():
            setattr(self._options, name, values[name] if name in values else _copy(argument.default))
