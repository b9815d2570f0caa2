"""Lets a test write to a file beside its locustfile: in the container, the test gets its own copy.

Python runs this at its start, in each process of the image (by the .pth file beside it). The working folder has links
to the user's files, which are mounted read-only.
"""

import builtins
import fcntl
import io
import os
import pathlib  # not shutil, because its bz2 and lzma would keep Python's own `open`

USER_FILES = "/mnt/locust/"
_PART_BYTES = 1 << 20
_open, _os_open = builtins.open, os.open


def own(path: object, *, is_emptied: bool = False) -> None:
    """Replace a link to one of the user's files with a copy; with an empty file if the file is emptied anyway."""
    try:
        link = pathlib.Path(os.fsdecode(path))  # type: ignore[arg-type]  # for example, a number is refused
        real = os.path.realpath(link) if link.is_symlink() else ""
        if not real.startswith(USER_FILES) or os.path.isdir(real):  # noqa: PTH112  it runs at each opened file, so its time counts
            return
        folder = _os_open(link.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # several processes of one worker may run this at the same time
            if link.is_symlink():
                _replace(link, real, is_emptied=is_emptied)
        finally:
            os.close(folder)
    except (OSError, TypeError, ValueError):
        return  # the call that opens the file reports why it cannot be written


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
        copy.unlink(missing_ok=True)  # it exists only after a failure


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
    """Replace `open` for all code of this process."""
    builtins.open = io.open = opened
    os.open = os_opened
