"""The user's locustfiles as one archive: what Swarm hands to every node is a single file, and a small one."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

from sidecar.common.errors import SettingError
from sidecar.settings import Settings

MOST_BYTES = 500 * 1024  # of a config; Docker's own limit until Engine 28, which takes the double
_SKIPPED = frozenset({".git", ".hg", ".venv", "venv", "node_modules", "__pycache__"})
_MARK_LENGTH = 12


def pack(settings: Settings) -> tuple[Path, str]:
    """Write the archive of LOCUSTFILES_DIR; return where it is, and a mark that changes with what is in it.

    The same files make the same bytes: no times, no owners, names in order.

    Raises:
        SettingError: it is too large for a config of Swarm.

    """
    body = archive(settings.locustfiles_dir)
    if len(body) > MOST_BYTES:
        raise SettingError(
            f"LOCUSTFILES_DIR holds {len(body) / 1024:.0f} KiB, packed",
            wanted=f"at most {MOST_BYTES // 1024} KiB: Swarm hands no more to a node",
            where=str(settings.locustfiles_dir),
            fix="leave what a run does not need out, or put large data into an image of your own (LOCUST_IMAGE)",
        )
    mark = hashlib.sha256(body).hexdigest()[:_MARK_LENGTH]
    path = settings.state_dir / "state" / f"{settings.project}.files.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != body:
        path.write_bytes(body)
    return path, mark


def archive(folder: Path) -> bytes:
    """Pack a folder, without what no locustfile needs."""
    raw = io.BytesIO()
    packed = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="")
    with packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path in _files(folder):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            content = path.read_bytes()
            info.size, info.mode = len(content), 0o755 if os.access(path, os.X_OK) else 0o644
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def _files(folder: Path) -> list[Path]:
    paths = []
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        paths += [Path(here) / name for name in files if not name.endswith(".pyc")]
    return sorted(path for path in paths if path.is_file())
