"""Replace a file atomically."""

from __future__ import annotations

import os
import threading
from pathlib import Path

PRIVATE_UMASK = 0o077
"""The umask of the kit's processes: files 0600, folders 0700. It covers SQLite, logs and copies, too."""
READ_BY_CONTAINERS = 0o644
"""The mode of a file that a container mounts, because the container's user is not this machine's."""


def write_bytes(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step: a reader sees the old content or the new one, never a part.

    A container that mounted the old file keeps it.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.chmod(mode)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file by a text, as `write_bytes` does."""
    write_bytes(path, text.encode(), mode)
