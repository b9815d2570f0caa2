"""The kernel's own counts of OOM kills, read on this host."""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def host_kills() -> int:
    """OOM kills since boot, of everything on this kernel."""
    return number_after("oom_kill", VMSTAT.read_text())


def container_kills(container_id: str) -> int | None:
    """OOM kills in a running container's present life; None where its cgroup is not to be found from here."""
    for file in (
        f"/sys/fs/cgroup/memory/docker/{container_id}/memory.oom_control",
        f"/sys/fs/cgroup/docker/{container_id}/memory.events",
        f"/sys/fs/cgroup/system.slice/docker-{container_id}.scope/memory.events",
    ):
        if Path(file).exists():
            return number_after("oom_kill", Path(file).read_text())
    return None


def number_after(word: str, text: str) -> int:
    """The number behind a word that begins a line."""
    return next(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == word)
