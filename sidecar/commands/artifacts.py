"""Copy the test's own files from the folder ARTIFACTS of each Locust container into the run's report.

The folder is in a tmpfs. Only a process of the container can read it (docs/decisions/0027).
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO

from sidecar.commands import reports
from sidecar.common.errors import KitError
from sidecar.common.text import some
from sidecar.common.times import docker_time
from sidecar.common.units import memory, plural
from sidecar.engine.docker_engine import connect
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import Settings
from sidecar.stack import locustfile

FOLDER, LEFT_OUT = "artifacts", "left-out.txt"
_MOST_FILES = 10_000
_MOST_NAMED = 3
_SECONDS, _TIMED_OUT = 60, 124  # the exit code of `timeout`
# Files that changed since the last run with copied files (`taken` has its time), the smallest first.
_PACK = """
cd "/home/locust/run/$1" 2>/dev/null || exit 0
taken=/tmp/locust-kit/artifacts-taken
touch $taken.now
if [ -e $taken ]; then newer="-cnewer $taken"; fi
find . -type f $newer -printf '%s\\t%p\\0' | sort --zero-terminated --numeric-sort | cut --zero-terminated --fields=2- |
    tar --create --sparse --hard-dereference --null --no-recursion --ignore-failed-read --files-from=- 2>/dev/null
code=$?
[ $code -gt 1 ] && exit $code  # 1: a file changed while tar read it
mv $taken.now $taken
exit 0
"""


@dataclass
class _Taken:
    """The files so far, and the files that were left out, by reason."""

    files: int = 0
    size_bytes: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, why: str, name: str) -> None:
        self.left_out.setdefault(why, []).append(name)


def collect(settings: Settings, environ: Mapping[str, str], since: datetime, into: Path) -> tuple[list[str], list[str]]:
    """Copy the files of the run that has just ended, one folder per container; return the lines about them.

    It copies at most ARTIFACTS_MEGABYTES and 10,000 files in all. A list of the other files is saved beside them.

    Args:
        settings: the settings of the stack.
        environ: the environment, with the address of the engine.
        since: the start of the run.
        into: the target folder, which is created for the first file.

    """
    if not settings.artifacts_megabytes:
        return [], []
    taken, gone, trouble = _Taken(), dict[str, str](), list[str]()
    try:
        engine = connect(environ)
        ours = {
            container.name.removeprefix(f"{container.project}-"): container
            for container in sorted(engine.containers(settings.project), key=lambda container: container.name)
            if container.service in (MASTER, WORKER) and not container.oneoff
        }
        gone = {f"files of {name}": "it is not running any more" for name in ours if ours[name].state != "running"}
        running = {name: container.id for name, container in ours.items() if container.state == "running"}
        for done, (name, container_id) in enumerate(running.items()):
            started = docker_time(((engine.inspect(container_id) or {}).get("State") or {}).get("StartedAt"))
            if started and started > since:
                gone[f"earlier files of {name}"] = f"it was restarted at {started:%H:%M:%S} UTC"
            room = (settings.artifacts_megabytes << 20) - taken.size_bytes
            if why := _take(container_id, name, settings.artifacts, into, room // (len(running) - done), taken):
                gone[f"further files of {name}"] = why
    except (KitError, OSError) as error:
        trouble = [f"some files that the test wrote are not in the report: {error}"]
    for what, why in gone.items() if taken.files or _is_written(settings) else ():
        taken.leave(why, what)
    came = f"{plural(taken.files, 'file')} of the test, {memory(taken.size_bytes)}, in its {FOLDER}/"
    return [came] * bool(taken.files), [*trouble, *_left_out(taken, into)]


def _is_written(settings: Settings) -> bool:
    """Return whether the user's code names the folder. Otherwise the test writes nothing there, and loses nothing."""
    with suppress(KitError, OSError):
        name = settings.artifacts.encode()
        return any(name in path.read_bytes() for path in locustfile.sources(settings))
    return False


def _take(container_id: str, name: str, folder: str, into: Path, room: int, taken: _Taken) -> str:
    """Copy the files of one container, up to `room` bytes; return why some are missing, "" if all were copied."""
    command = ["docker", "exec", container_id, "timeout", str(_SECONDS), "sh", "-c", _PACK, "sh", folder]
    most_bytes, why = taken.size_bytes + room, ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as packed:  # an empty stream is not an archive
                why = "the copy was interrupted"
                _unpack(packed, name, into, most_bytes, taken)
                why = ""
        except tarfile.ReadError:
            pass
        except BaseException:
            process.kill()
            raise
        while process.stdout and process.stdout.read(1 << 16):  # tar pads its archive
            pass
    if process.returncode == _TIMED_OUT:
        return f"the copy took more than {_SECONDS} s"
    return f"the copy ended with exit code {process.returncode}" if process.returncode else why


def _unpack(packed: tarfile.TarFile, name: str, into: Path, most_bytes: int, taken: _Taken) -> None:
    for member in packed:
        path = PurePosixPath(member.name)
        if not member.isfile() or path.is_absolute() or ".." in path.parts:
            continue
        if taken.files >= _MOST_FILES:
            taken.leave(f"more than {_MOST_FILES} files", f"{name}/{path}")
        elif taken.size_bytes + member.size > most_bytes:
            taken.leave("it is larger than the rest of ARTIFACTS_MEGABYTES", f"{name}/{path}, {memory(member.size)}")
        elif content := packed.extractfile(member):
            _copy(content, into / name / path)
            taken.files, taken.size_bytes = taken.files + 1, taken.size_bytes + member.size


def _copy(content: IO[bytes], target: Path) -> None:
    """Copy one file completely, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def move(collected: Path, report: Path, environ: Mapping[str, str]) -> bool:
    """Move the collected files into the folder of a report; return whether that worked."""
    try:
        target = collected.rename(report / FOLDER)
    except OSError:  # no files were collected, or there is no report
        return False
    with suppress(OSError):
        reports.hand_over([target, *target.rglob("*")], environ)
    return True


def _left_out(taken: _Taken, into: Path) -> Iterator[str]:
    for why, names in taken.left_out.items():
        yield f"not in {FOLDER}/: {some(names, _MOST_NAMED)}: {why}"
    if taken.left_out:
        lines = [f"{name}: {why}\n" for why, names in taken.left_out.items() for name in names]
        with suppress(OSError):
            into.mkdir(parents=True, exist_ok=True)
            (into / LEFT_OUT).write_text("".join(lines), encoding="utf-8")
