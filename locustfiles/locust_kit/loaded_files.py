"""Which of the user's files this process runs, and whether the files on disk have changed since.

Locust never rereads a file, so a process sees an edit only after a restart. The kit compares the bytes of files at the
moment they were loaded, not their times: a checkout or an editor changes times without changing the content.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG

USER_FILES = Path("/mnt/locust")
MOST_FILES = 500

Digests = dict[str, str]
"""Path relative to the user's folder → SHA-256 of its bytes, hexadecimal."""


def loaded(module_files: Iterable[str | None], root: Path = USER_FILES, work: Path | None = None) -> Digests:
    """Return the digests of the files below `root`, links resolved, and of their copies below `work`: at most 500.

    Args:
        module_files: the modules' paths in Python; None for a module without a file.
        root: the user's folder.
        work: the folder with the copies; the working directory by default.

    """
    bases = [os.path.realpath(folder) for folder in (root, work or Path.cwd())]
    digests: Digests = {}
    for name in filter(None, module_files):
        real = os.path.realpath(name)
        base = next((base for base in bases if real.startswith(base + os.sep)), None)
        if base is None or len(digests) == MOST_FILES:
            continue
        relative = os.path.relpath(real, base)
        if (root / relative).exists() and (digest := _digest(real)):
            digests[relative] = digest
    return dict(sorted(digests.items()))


def loaded_modules(root: Path = USER_FILES) -> Digests:
    """Return the digests of the user's files that this process has imported so far."""
    return loaded([getattr(module, "__file__", None) for module in list(sys.modules.values())], root)


def combined(digests: Mapping[str, str]) -> str:
    """Return one digest for the whole set."""
    whole = hashlib.sha256()
    for name, digest in sorted(digests.items()):
        whole.update(f"{digest} {name}\n".encode())
    return whole.hexdigest()


class Disk:
    """The user's files as they are on disk now. Reads a file again only if its time or size changed.

    Args:
        loaded: the names of the files that this process loaded; other files are not read.
        root: their folder.

    """

    def __init__(self, loaded: Iterable[str], root: Path = USER_FILES) -> None:
        self._loaded = frozenset(loaded)
        self._root = root
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    def changed(self, digests: Mapping[str, str]) -> list[str]:
        """Return the names whose bytes on disk differ from `digests`; a file that is gone counts as changed.

        The names come from a worker. Names of files that this process did not load are ignored.
        """
        return [name for name, digest in digests.items() if name in self._loaded and self._now(name) != digest]

    def _now(self, name: str) -> str:
        path = self._root / name
        try:
            stat = path.stat()
        except OSError:
            return ""
        if not S_ISREG(stat.st_mode):
            return ""
        mark = (stat.st_mtime_ns, stat.st_size)
        known = self._known.get(name)
        if known is None or known[0] != mark:
            known = (mark, _digest(path))
            self._known[name] = known
        return known[1]


def _digest(path: str | Path) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
