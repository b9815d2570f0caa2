"""Lets a test write to a file that lies beside its locustfile: in its container it gets a copy of its own.

Python runs this as it starts, in each process of the image (the .pth file beside it). The working folder holds links
to the user's files, which are mounted read-only.
"""

import builtins
import fcntl
import io
import os
import pathlib  # not shutil: it has bz2 and lzma keep Python's own `open`

USER_FILES = "/mnt/locust/"
_PART_BYTES = 1 << 20
_open, _os_open = builtins.open, os.open


def own(path: object, *, is_emptied: bool = False) -> None:
    """Put a copy in the place of a link to a file of the user's; an empty one when it is emptied anyhow."""
    try:
        link = pathlib.Path(os.fsdecode(path))  # type: ignore[arg-type]  # a number, say, is refused
        real = os.path.realpath(link) if link.is_symlink() else ""
        if not real.startswith(USER_FILES) or os.path.isdir(real):  # noqa: PTH112  its time counts: at each file opened
            return
        folder = _os_open(link.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # several processes of one worker may come at once
            if link.is_symlink():
                _replace(link, real, is_emptied=is_emptied)
        finally:
            os.close(folder)
    except (OSError, TypeError, ValueError):
        return  # what opens it says why it cannot be written


def _replace(link: pathlib.Path, real: str, *, is_emptied: bool) -> None:
    copy = link.with_name(f"{link.name}.copy-{os.getpid()}")
    to = _open(copy, "xb")
    try:
        with to:
            if not is_emptied:
                with _open(real, "rb") as of:
                    while part := of.read(_PART_BYTES):
                        to.write(part)
        copy.replace(link)
    finally:
        copy.unlink(missing_ok=True)  # there is one only where that failed


def opened(file, mode="r", *args, **more):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201
    """Open a file as `open` does."""
    if isinstance(mode, str) and ("w" in mode or "a" in mode or "+" in mode):
        own(file, is_emptied="w" in mode)
    return _open(file, mode, *args, **more)


def os_opened(path, flags, *args, **more):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201
    """Open a file as `os.open` does."""
    if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
        own(path)
    return _os_open(path, flags, *args, **more)


def install() -> None:
    """Have all code of this process open files so."""
    builtins.open = io.open = opened
    os.open = os_opened
