"""A field of the form that starts a run. Locust keeps it among its options once it knows the name."""

from __future__ import annotations

from typing import Any


class FormField:
    """What came in a field with the order to start; the next run has none of it."""

    def __init__(self, options: Any, name: str) -> None:
        self._options = options
        self._name = name
        self._forget()

    def take(self) -> str:
        """The text for the run that starts now, "" for none."""
        text = str(getattr(self._options, self._name, "") or "")
        self._forget()
        return text

    def _forget(self) -> None:
        if self._options is not None:
            setattr(self._options, self._name, "")
