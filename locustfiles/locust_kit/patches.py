"""Changes to Locust's own classes that are made together: all of them or none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Self


class Patches:
    """A block of changes. An exception in the block undoes all of them before it leaves the block."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            self._undo.close()

    def put(self, owner: type, name: str, value: object) -> None:
        """Set an attribute that the class has. Raises AttributeError when it has no attribute of that name."""
        before = getattr(owner, name)
        if name in vars(owner):
            self._undo.callback(setattr, owner, name, before)
        else:
            self._undo.callback(delattr, owner, name)
        setattr(owner, name, value)

    def wrap(self, owner: type, name: str, around: Callable[..., Any]) -> None:
        """Replace a method by `around`, which gets the method itself as its first argument."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        self.put(owner, name, wrapped)


def make_each(changes: Mapping[str, Callable[[], None]]) -> tuple[list[str], list[str]]:
    """Make the change of each client, whether or not the others fail. Returns the changed ones, and why others stay."""
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
    """Make the change of each client. Returns one line that says what holds now."""
    changed, kept = make_each(changes)
    return "; ".join(([f"{', '.join(changed)}: {to}"] if changed else []) + kept)
