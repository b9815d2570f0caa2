"""Changes to Locust's own classes that are made together: all of them, or no change at all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Self


class Patches:
    """A block of changes. An exception in the block undoes all of them."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            self._undo.close()

    def put(self, owner: type, name: str, value: object) -> None:
        """Set an existing attribute of a class. Raises AttributeError if the class does not have it."""
        before = getattr(owner, name)
        if name in vars(owner):
            self._undo.callback(setattr, owner, name, before)
        else:
            self._undo.callback(delattr, owner, name)
        setattr(owner, name, value)

    def wrap(self, owner: type, name: str, around: Callable[..., Any]) -> None:
        """Replace a method by `around`, which gets the original method as its first argument."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        self.put(owner, name, wrapped)


def make_each(changes: Mapping[str, Callable[[], None]]) -> tuple[list[str], list[str]]:
    """Make each client's change, also if others fail. Return the changed clients, and why others are unchanged."""
    changed, kept = [], []
    for client, change in changes.items():
        try:
            change()
        except Exception as error:  # noqa: BLE001  a Locust other than expected, in whatever way: the run goes on
            kept.append(f"{client} keeps Locust's default: {type(error).__name__}: {error}")
        else:
            changed.append(client)
    return changed, kept


def change_each(changes: Mapping[str, Callable[[], None]], to: str) -> str:
    """Make each client's change. Return one line that describes the result."""
    changed, kept = make_each(changes)
    return "; ".join(([f"{', '.join(changed)}: {to}"] if changed else []) + kept)
