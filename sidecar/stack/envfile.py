"""Write environment variables as a file that Docker Compose reads back unchanged. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def render(variables: Mapping[str, str]) -> str:
    """The text of an env file. Single quotes take everything literally; a value that holds one needs escapes."""
    return "".join(f"{name}={_quote(value)}\n" for name, value in sorted(variables.items()))


def _quote(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'
