"""The user's locustfiles as one archive: what Swarm hands to every node is a single file, and a small one."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from sidecar.common.errors import SettingError
from sidecar.settings import Settings
from sidecar.stack import user_files

MOST_BYTES = 500 * 1024  # of a config; Docker's own limit until Engine 28, which takes the double
_ENOUGH_BYTES = 32 << 20  # of files, unpacked: what is far too large is not packed to its end
_MARK_LENGTH = 12
_MOST_NAMED = 8


def pack(settings: Settings, needed: Collection[Path]) -> tuple[Path, str, list[str]]:
    """Write the archive of LOCUSTFILES_DIR; return where it is, a mark that changes with it, and what it leaves out.

    The same files make the same bytes: no times, no owners, names in order. `needed` are files that it must hold.

    Raises:
        SettingError: it is too large for a config of Swarm.

    """
    folder = settings.locustfiles_dir
    tls = [folder / name for name in (settings.tls_ca, settings.tls_cert, settings.tls_key) if name]
    files = user_files.walk(folder, [*needed, *tls])
    outside = [path for path in files.paths if path.is_symlink() and not (_is_inside(path, folder) or path.is_file())]
    paths = [path for path in files.paths if path not in outside]
    body = b"" if not files.is_whole else archive(folder, paths)
    if not body or len(body) > MOST_BYTES:
        raise _too_large(folder, paths, body)
    mark = hashlib.sha256(body).hexdigest()[:_MARK_LENGTH]
    archived = settings.state_dir / "state" / f"{settings.project}.files.tar.gz"
    archived.parent.mkdir(parents=True, exist_ok=True)
    if not archived.exists() or archived.read_bytes() != body:
        archived.write_bytes(body)
    return archived, mark, list(_left_out(files.ignored, [path.relative_to(folder).as_posix() for path in outside]))


def _left_out(ignored: Sequence[str], outside: Sequence[str]) -> Iterator[str]:
    for names, why in (
        (ignored, ".gitignore or .dockerignore names them → !NAME in .dockerignore for what the test needs"),
        (outside, "links that lead out of LOCUSTFILES_DIR"),
    ):
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            yield f"not on the nodes: {', '.join(names[:_MOST_NAMED])}{more}: {why}"


def _too_large(folder: Path, paths: Sequence[Path], body: bytes) -> SettingError:
    largest = max(((path.stat().st_size, path) for path in paths if path.is_file()), default=(0, folder))
    what = (
        f"{len(body) / 1024:.0f} KiB, packed"
        if body
        else f"{len(paths)} files or more"
        if len(paths) > user_files.MOST_FILES
        else "over 32 MiB"
    )
    name = largest[1].relative_to(folder).as_posix()
    return SettingError(
        f"LOCUSTFILES_DIR holds {what}; the largest of its files is {name} ({largest[0] / 1024:.0f} KiB)",
        wanted=f"at most {MOST_BYTES // 1024} KiB: Swarm hands no more to a node",
        where=str(folder),
        fix="name what no run needs in .dockerignore, or put large data into an image of your own (LOCUST_IMAGE)",
    )


def archive(folder: Path, paths: Iterable[Path]) -> bytes:
    """Pack files of a folder; links stay links where they lead to something in it. Empty when it is far too much."""
    raw = io.BytesIO()
    packed, unpacked_bytes = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename=""), 0
    with packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path in paths:
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            if path.is_symlink() and _is_inside(path, folder):
                info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(info)
            elif path.is_file():
                unpacked_bytes += (size := path.stat().st_size)
                if unpacked_bytes > _ENOUGH_BYTES:
                    return b""
                info.size, info.mode = size, 0o755 if os.access(path, os.X_OK) else 0o644
                tar.addfile(info, io.BytesIO(path.read_bytes()))
    return raw.getvalue()


def _is_inside(link: Path, folder: Path) -> bool:
    """Return whether a link leads to something in the folder by a relative path, whatever machine it is on."""
    text = link.readlink()
    return not text.is_absolute() and Path(os.path.normpath(link.parent / text)).is_relative_to(folder)
