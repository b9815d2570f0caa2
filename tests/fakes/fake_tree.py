"""cgroup trees as a host has them, on an ordinary file system, from what the kernel wrote when it was recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sidecar.engine.cgroups import Cgroups

DATA = Path(__file__).parent / "data"


def container_id(number: int) -> str:
    """Make a full id."""
    return f"{number:064x}"


class FakeTree:
    """One host's tree under `root`, of cgroup `version` 1 or 2."""

    def __init__(self, root: Path, version: int, *, hybrid: bool = False) -> None:
        self.root, self.version = root, version
        self.top = root / "memory" if version == 1 else root
        self.top.mkdir(parents=True)
        self.group("docker" if version == 1 else "system.slice")
        marks = ["memory/cgroup.procs"] if version == 1 else ["cgroup.controllers"]
        if hybrid:
            marks += ["unified/cgroup.controllers", "unified/cgroup.procs"]
            (root / "unified").mkdir()
        for mark in marks:
            (root / mark).write_text("")
        self._recorded = {
            name.name: json.loads(name.read_text()) for name in (DATA / f"v{version}").glob("cgroup_files_*.json")
        }

    def cgroups(self) -> Cgroups:
        return Cgroups(self.root)

    def group(self, path: str, kills: int | None = 0, own: int | None = None) -> Path:
        """Make a cgroup with this count; `own`: of its own processes, without the groups in it (v2)."""
        group = self.top / path
        group.mkdir(parents=True, exist_ok=True)
        if kills is not None:
            self.set_kills(path, kills, own)
        return group

    def set_kills(self, path: str, kills: int, own: int | None = None) -> None:
        """Change the count in place: the file stays the same one, as the kernel's does."""
        if self.version == 1:
            (self.top / path / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
            return
        for name, number in (("memory.events", kills), ("memory.events.local", kills if own is None else own)):
            text = f"low 0\nhigh 0\nmax 108\noom {number * 28}\noom_kill {number}\noom_group_kill 0\n"
            (self.top / path / name).write_text(text)

    def recorded(self, path: str, experiment: str) -> Path:
        """Make a cgroup with the files that the kernel had in an experiment."""
        group = self.group(path, None)
        for name, text in self._recorded[f"cgroup_files_{experiment}.json"].items():
            if name != "dir":
                (group / name).write_text(text)
        return group

    def remove(self, path: str) -> None:
        """Remove a cgroup. The kernel answers ENODEV on files still open; here they are emptied, which reads alike."""
        group = self.top / path
        for file in group.rglob("memory.*"):
            file.write_text("")
        shutil.rmtree(group)
