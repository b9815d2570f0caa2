"""The parameters of a query string. An unknown parameter or an invalid value becomes a one-line error."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from urllib.parse import parse_qsl


class BadParameterError(ValueError):
    """An invalid path or parameter. Its text is the whole answer to the client."""


class Query:
    """The parameters of a request. Each is read once by name; `finish` then refuses the unread ones."""

    def __init__(self, text: str) -> None:
        pairs = parse_qsl(text, keep_blank_values=True)
        self._left = dict(pairs)
        self._names = [name for name, _value in pairs]
        self._known: list[str] = []

    def whole(self, name: str, *, default: int, least: int, most: int) -> int:
        """Read a whole number from least to most, both included."""
        text = self._take(name)
        if text is None:
            return default
        # isdecimal also accepts digits of other scripts, and int() refuses a very long number with another text.
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise BadParameterError(f"{name} is '{text}'; expected: a whole number from {least} to {most}")
        return int(text)

    def choice(self, name: str, options: Sequence[str]) -> str:
        """Read one of `options`; the first is the default."""
        text = self._take(name)
        if text is None:
            return options[0]
        if text not in options:
            raise BadParameterError(f"{name} is '{text}'; expected: {' or '.join(options)}")
        return text

    def share(self) -> Fraction:
        """Read the share of requests to hit, above 0 and up to 1; the default is all requests."""
        text = self._take("share")
        if text is None:
            return Fraction(1)
        digits = text.replace(".", "", 1)
        # Only decimal notation, because an exponent or a ratio could mean a too large number.
        exact = Fraction(text) if digits.isascii() and digits.isdecimal() and len(text) <= len("0.123456789") else None
        if exact is None or not 0 < exact <= 1:
            raise BadParameterError(f"share is '{text}'; expected: a decimal number above 0 and up to 1, such as 0.1")
        return exact

    def ignore_rest(self) -> None:
        """Accept all other parameters: they belong to the client."""
        self._left.clear()

    def finish(self, path: str) -> None:
        """Refuse parameters that the path does not have."""
        if self._left:
            name = next(iter(self._left))
            known = ", ".join(self._known) or "none"
            raise BadParameterError(f"{path} has no parameter '{name}'; known: {known}")

    def _take(self, name: str) -> str | None:
        self._known.append(name)
        if self._names.count(name) > 1:
            raise BadParameterError(f"{name} is given twice; expected: once")
        return self._left.pop(name, None)
