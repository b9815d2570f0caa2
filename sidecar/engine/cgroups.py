"""Finds the kernel's OOM kill counters of containers, under cgroup v1 and v2.

v1: `<root>/memory/<parent>/<id>/memory.oom_control`. It counts only the group's own processes, so the groups inside a
container (Docker in Docker, systemd in a container) are added.
v2: `<root>/<parent>/docker-<id>.scope/memory.events`. It includes the groups inside, also the removed ones.
The parent is `docker` or `system.slice`, unless somebody chose another (`cgroup_parent`, a rootless engine's
`user.slice/...`). Parents in which containers were found are remembered, and searched first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from sidecar.model.signal import Counter

ROOT_GROUP = "/"  # always in `elsewhere`, so that an empty mapping means "not read"
_FULL_ID = re.compile(r"[0-9a-f]{64}")
_GROUP_NAME = re.compile(r"(?:docker-)?([0-9a-f]{64})(?:\.scope)?")
_USUAL_PARENTS = ("docker", "system.slice")
_LEAF_LINKS = 2  # of a directory without subdirectories
_READ_BYTES = 512


class CounterFile:
    """One open file with an `oom_kill` line. It stays open, so that each reading is one system call."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._fd).st_ino

    def kills(self) -> int | None:
        """Read the count; None if the cgroup is gone (ENODEV), or if this kernel does not count."""
        try:
            text = os.pread(self._fd, _READ_BYTES, 0)
        except OSError:
            return None
        return _kills(text)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class ContainerCounter:
    """The count of one start of a container, with the inner groups that the kernel does not add itself."""

    def __init__(self, directory: Path, name: str, *, hierarchical: bool) -> None:
        self.directory = directory
        self._name, self._hierarchical = name, hierarchical
        self._file = CounterFile(directory / name)
        try:
            self._place = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # removed in the meantime
            self._file.close()
            raise
        self._inner: dict[Path, tuple[CounterFile, int]] = {}
        self._removed = 0  # kills in inner groups that were removed

    def read(self) -> Counter | None:
        """Read the count now; None if the cgroup is gone."""
        own = self._file.kills()
        if own is None:
            return None
        if self._hierarchical:
            return Counter(self._file.inode, own)
        return Counter(self._file.inode, own + self._inner_kills())

    def peak_bytes(self) -> int | None:
        """Read the most memory that this start has used; None if the kernel does not report it (v2 before 5.19)."""
        name = "memory.peak" if self._hierarchical else "memory.max_usage_in_bytes"
        try:
            return int((self.directory / name).read_bytes())
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Close all files."""
        os.close(self._place)
        self._file.close()
        for file, _ in self._inner.values():
            file.close()
        self._inner.clear()

    def _inner_kills(self) -> int:
        self._look_inside()
        for path, (file, before) in list(self._inner.items()):
            kills = file.kills()
            if kills is None:
                file.close()
                del self._inner[path]
                self._removed += before
            else:
                self._inner[path] = (file, kills)
        return self._removed + sum(kills for _, kills in self._inner.values())

    def _look_inside(self) -> None:
        if os.fstat(self._place).st_nlink == _LEAF_LINKS:
            return  # the usual container; one cheap call
        for inner in _below(self.directory):
            path = inner / self._name
            if path not in self._inner:
                with suppress(OSError):
                    self._inner[path] = (CounterFile(path), 0)


class Cgroups:
    """The cgroup tree of the host, mounted at `root` (/host/cgroup). Not for several threads at once.

    `version` is 1, 2, or None if there is no such tree. A hybrid host (v1 with a `unified` v2 tree that has no memory
    controller) counts as 1.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version: int | None = None
        if (root / "memory" / "cgroup.procs").exists():
            self.version, self._top = 1, root / "memory"
            self._name = self._own = "memory.oom_control"
        elif (root / "cgroup.controllers").exists():
            self.version, self._top = 2, root
            self._name, self._own = "memory.events", "memory.events.local"
        self._parents: list[Path] = []
        if self.version:
            self._parents = [self._top / name for name in _USUAL_PARENTS]

    def open(self, container_id: str) -> ContainerCounter | None:
        """Open a container's counter in the known parents; None if it is not there."""
        if not _FULL_ID.fullmatch(container_id):
            return None
        for parent in self._parents:
            for name in (container_id, f"docker-{container_id}.scope"):
                if (counter := self._open_in(parent / name)) is not None:
                    return counter
        return None

    def scan(self, container_ids: Collection[str]) -> None:
        """Search the whole tree for these containers, and remember their parents. Costs one call for each cgroup."""
        if self.version is None:
            return
        wanted = set(container_ids)
        usual = {self._top / name for name in _USUAL_PARENTS}
        self._parents = [parent for parent in self._parents if parent in usual or parent.exists()]
        for group in _below(self._top):
            match = _GROUP_NAME.fullmatch(group.name)
            if match and match[1] in wanted and group.parent not in self._parents:
                self._parents.insert(0, group.parent)

    def present(self) -> set[str]:
        """Return the containers that have a cgroup in the known parents."""
        present: set[str] = set()
        for parent in self._parents:
            with suppress(OSError), os.scandir(parent) as entries:
                present.update(match[1] for entry in entries if (match := _GROUP_NAME.fullmatch(entry.name)))
        return present

    def elsewhere(self, containers: Collection[Path]) -> dict[str, int]:
        """Count the kills in every cgroup outside these containers' directories, by path; zeros are left out.

        The containers of `present` are left out too. The root group is always there, even with a zero.
        """
        if self.version is None:
            return {}
        skipped = set(containers)
        counts = {ROOT_GROUP: self._kills_in(self._top / self._own) or 0}
        for group in _below(self._top, without=lambda group: group in skipped or self._is_container(group)):
            if kills := self._kills_in(group / self._own):
                counts[str(group.relative_to(self._top))] = kills
        return counts

    def _open_in(self, directory: Path) -> ContainerCounter | None:
        try:
            return ContainerCounter(directory, self._name, hierarchical=self._name != self._own)
        except OSError:
            return None

    def _is_container(self, group: Path) -> bool:
        return group.parent in self._parents and _GROUP_NAME.fullmatch(group.name) is not None

    @staticmethod
    def _kills_in(path: Path) -> int | None:
        try:
            return _kills(path.read_bytes())
        except OSError:
            return None


def _kills(text: bytes) -> int | None:
    _, found, rest = text.partition(b"oom_kill ")
    number = rest.split(b"\n", 1)[0].strip()
    return int(number) if found and number.isdigit() else None


def _below(top: Path, without: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yield every cgroup under this one, except those for which `without` is true, and their contents."""
    waiting = [top]
    while waiting:
        for group in _groups_in(waiting.pop()):
            if without is None or not without(group):
                yield group
                waiting.append(group)


def _groups_in(group: Path) -> list[Path]:
    """Return a cgroup's direct children; empty if it is gone."""
    try:
        with os.scandir(group) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
