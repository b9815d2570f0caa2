"""Replace a file atomically."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_text(path: Path, text: str, mode: int | None = None) -> None:
    """Replace a file in one step: a reader sees the old text or the new one, never a part.

    `mode` is the mode of the new file; by default the umask decides. A container that mounted the old file keeps it.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        if mode is not None:
            draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        if mode is not None:
            draft.chmod(mode)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
