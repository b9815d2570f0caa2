"""What a terminal sends, as names of keys. Pure."""

from __future__ import annotations

import re

# CSI and SS3 sequences. Whole ones that mean nothing here (a mouse, a focus change) are dropped whole: none of their
# letters may act as a key.
_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]")
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_NAMES = {
    b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end",
    b"1~": "home", b"7~": "home", b"4~": "end", b"8~": "end", b"5~": "pageup", b"6~": "pagedown",
}  # fmt: skip
_CONTROLS = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x03": "ctrl-c", "\x04": "ctrl-d"}


def is_begun(data: bytes) -> bool:
    """Tell whether more bytes may be on their way: an escape alone is either a key or the start of a sequence."""
    return _BEGUN.search(data) is not None


def decoded(data: bytes) -> tuple[str, ...]:
    """Return the keys in what was read: a character itself, or a name (`up`, `pagedown`, `esc`, `enter`, `ctrl-c`)."""
    keys: list[str] = []
    rest = data
    while rest:
        if found := _SEQUENCE.match(rest):
            name = _NAMES.get(found[0][2:])
            keys += [name] if name else []
            rest = rest[found.end() :]
        elif rest.startswith(b"\x1b"):
            keys.append("esc")
            rest = b"" if is_begun(rest) else rest[1:]
        else:
            plain, escape, after = rest.partition(b"\x1b")
            keys += [_CONTROLS.get(one, one) for one in plain.decode("utf-8", "ignore")]
            rest = escape + after
    return tuple(keys)
