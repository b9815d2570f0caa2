"""Pack the user's locustfiles into one small archive, because Swarm sends only a single file to every node."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from sidecar.common import atomic
from sidecar.common.errors import SettingError
from sidecar.common.text import some
from sidecar.settings import Settings
from sidecar.stack import user_files

MOST_BYTES = 500 * 1024  # of a config; Docker's own limit until Engine 28, which accepts twice as much
_ENOUGH_BYTES = 32 << 20  # of unpacked files; packing stops above this size
_MARK_LENGTH = 12
_MOST_NAMED = 8


def pack(settings: Settings, needed: Collection[Path]) -> tuple[Path, str, list[str]]:
    """Write the archive of LOCUSTFILES_DIR; return its path, a mark that changes with it, and notes on left-out files.

    The same files make the same bytes: no times, no owners, sorted names. `needed` are files that must be in it.

    Raises:
        SettingError: the archive is too large for a config of Swarm.

    """
    folder = settings.locustfiles_dir
    tls = [folder / name for name in (settings.tls_ca, settings.tls_cert, settings.tls_key) if name]
    files = user_files.walk(folder, [*needed, *tls])
    outside = [path for path in files.paths if path.is_symlink() and not (_is_inside(path, folder) or path.is_file())]
    paths = [path for path in files.paths if path not in outside]
    body = b"" if not files.is_whole else archive(folder, paths)
    if not body or len(body) > MOST_BYTES:
        what = f"{len(body) / 1024:.0f} KiB (compressed)" if body else f"more than {_ENOUGH_BYTES >> 20} MiB"
        raise _too_large(folder, paths, what if files.is_whole else f"more than {user_files.MOST_FILES} files")
    mark = hashlib.sha256(body).hexdigest()[:_MARK_LENGTH]
    archived = settings.state_dir / "state" / f"{settings.project}.files.tar.gz"
    archived.parent.mkdir(parents=True, exist_ok=True)
    if not archived.exists() or archived.read_bytes() != body:
        atomic.write_bytes(archived, body)
    return archived, mark, list(_left_out(files.ignored, [path.relative_to(folder).as_posix() for path in outside]))


def _left_out(ignored: Sequence[str], outside: Sequence[str]) -> Iterator[str]:
    for names, why in (
        (
            ignored,
            ".gitignore or .dockerignore excludes them → add !NAME to .dockerignore for files that the test needs",
        ),
        (outside, "these links point outside LOCUSTFILES_DIR"),
    ):
        if names:
            yield f"not copied to the nodes: {some(names, _MOST_NAMED)}: {why}"


def _too_large(folder: Path, paths: Sequence[Path], what: str) -> SettingError:
    largest = max(((path.stat().st_size, path) for path in paths if path.is_file()), default=(0, folder))
    name = largest[1].relative_to(folder).as_posix()
    return SettingError(
        f"LOCUSTFILES_DIR holds {what}; the largest file is {name} ({largest[0] / 1024:.0f} KiB)",
        wanted=f"at most {MOST_BYTES // 1024} KiB (compressed), the limit of Swarm",
        where=str(folder),
        fix="exclude unneeded files in .dockerignore, or put large data into your own image (LOCUST_IMAGE)",
    )


def archive(folder: Path, paths: Iterable[Path]) -> bytes:
    """Pack files of a folder. Links to something in the folder stay links. Return b"" if it is far too much."""
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
    """Return whether a link points into the folder by a relative path, so it is valid on any machine."""
    text = link.readlink()
    return not text.is_absolute() and Path(os.path.normpath(link.parent / text)).is_relative_to(folder)
