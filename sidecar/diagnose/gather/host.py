"""Read facts of this machine: disks, memory, published ports, addresses and routes, Locust outside Docker."""

from __future__ import annotations

import getpass
import os
import socket
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sidecar.diagnose.evidence import Filesystem, HostFacts, PortFacts
from sidecar.engine.docker_engine import ListedContainer
from sidecar.stack import ports

HERE = "this machine"
_PROC = Path("/proc")


def facts(disks: Iterable[tuple[str, Path]]) -> HostFacts:
    """Gather the facts of this machine that need neither root nor the engine. `disks` are (use, path)."""
    import psutil  # noqa: PLC0415  slow to import, and only a diagnosis needs it

    memory = psutil.virtual_memory()
    return HostFacts(
        user=_user(),
        is_root=os.geteuid() == 0,
        filesystems=tuple(_filesystems(disks)),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        swap_total_bytes=psutil.swap_memory().total,
        addresses=tuple(
            f"{entry.address} dev {name}"
            for name, entries in psutil.net_if_addrs().items()
            for entry in entries
            if entry.family is socket.AF_INET
        ),
        routes=tuple(_routes()),
        locust_processes=tuple(_locust_processes()),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.geteuid()}"


def _filesystems(disks: Iterable[tuple[str, Path]], *, temporary: bool = True) -> Iterable[Filesystem]:
    """Yield each file system once, with its first use."""
    seen: set[int] = set()
    more = [("temporary files", Path(tempfile.gettempdir()))] if temporary else []
    for use, path in (*disks, *more):
        place = _existing(path)
        try:
            device, about = place.stat().st_dev, os.statvfs(place)
        except OSError:
            continue
        if device in seen:
            continue
        seen.add(device)
        yield Filesystem(
            owner=HERE,
            path=str(place),
            total_bytes=about.f_blocks * about.f_frsize,
            free_bytes=about.f_bavail * about.f_frsize,
            free_inodes=about.f_favail if about.f_files else None,
            use=use,
        )


def with_disk(facts: HostFacts, use: str, path: Path) -> HostFacts:
    """Return the facts with one more disk, unless that disk is known already."""
    known = {filesystem.path for filesystem in facts.filesystems}
    devices = {_existing(Path(place)).stat().st_dev for place in known}
    if not path.exists() or path.stat().st_dev in devices:
        return facts
    return replace(facts, filesystems=(*facts.filesystems, *_filesystems([(use, path)], temporary=False)))


def _existing(path: Path) -> Path:
    """Return the path, or the nearest existing folder above it."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def port_facts(wanted: Sequence[tuple[str, int]], containers: Sequence[ListedContainer]) -> tuple[PortFacts, ...]:
    """Find the program that uses each (setting, port) on the loopback address."""
    return tuple(_port_facts(setting, port, ports.holder_of(port, containers)) for setting, port in wanted)


def _port_facts(setting: str, port: int, holder: ports.Holder | None) -> PortFacts:
    if holder is None:
        return PortFacts(setting, port, free=True)
    container, project = (holder.container.name, holder.container.project) if holder.container else ("", "")
    return PortFacts(setting, port, free=False, holder=holder.text, container=container, project=project)


def _routes() -> Iterable[str]:
    """Yield the IPv4 routes as `NETWORK/BITS dev NAME`."""
    try:
        lines = (_PROC / "net" / "route").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for row in (line.split() for line in lines):
        network = ".".join(str(int(row[1][start : start + 2], 16)) for start in (6, 4, 2, 0))
        yield f"{network}/{int(row[7], 16).bit_count()} dev {row[0]}"


def _locust_processes() -> Iterable[str]:
    """Yield each Locust process on this machine outside all containers, as `pid COMMAND`."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:3]
            if not any(Path(word).name == "locust" for word in words):
                continue
            inside = (entry / "cgroup").read_text(errors="replace")
        except OSError:
            continue
        if "docker" not in inside and "containerd" not in inside and "kubepods" not in inside:
            yield f"{entry.name} {' '.join(words).strip()}"
