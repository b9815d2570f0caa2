r"""Which variables were given on the `make` command line. Pure.

GNU make hands a recipe every command-line variable in the environment, exactly, and lists the definitions in
MAKEFLAGS: ` -- HOST=http://a\ b WORKERS=4`. From the list only the names are taken: its values are escaped
for make, those of the environment are not.
"""

from __future__ import annotations

import re

_DEFINITION = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)\s*(?:::?:?|[+?!])?=")
_WORD = re.compile(r"(?:[^\s\\]|\\.)+", re.DOTALL)


def given(makeflags: str) -> tuple[str, ...]:
    """Names of the variables defined on the make command line, each once, in make's order."""
    found = (_DEFINITION.match(word) for word in _WORD.findall(makeflags))
    return tuple(dict.fromkeys(match[1] for match in found if match))
