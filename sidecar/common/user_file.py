"""A text file from any system: UTF-8, with or without a byte order mark, with any line ends."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from sidecar.common.errors import SettingError

MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""The byte order marks at the beginning of a file."""
_LINE_END = re.compile("\r\n?")


def read(path: Path, name: str = "", *, utf_16: bool = False) -> str:
    r"""Return the text without its mark; lines end with \n.

    Args:
        path: the file.
        name: its name in messages; by default, its own name.
        utf_16: whether it may be UTF-16 with a mark, because only the kit reads it.

    Raises:
        OSError: the file cannot be read.
        SettingError: the file has another encoding.

    """
    raw, shown = path.read_bytes(), name or path.name
    if utf_16 and raw.startswith(MARKS[1:]):
        raw = raw.decode("utf-16", "replace").encode()
    if b"\0" in raw:
        raise SettingError(f"{shown} is saved as UTF-16", where=str(path), fix="save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingError(f"{shown} is not UTF-8", where=f"{path} line {line}", fix="save it as UTF-8") from None
    return _LINE_END.sub("\n", text)
