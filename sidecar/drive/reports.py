"""The folder of reports: one folder a run, its run.json ours."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sidecar.errors import KitError

Run = tuple[Path, Mapping[str, Any]]


def all_runs(folder: Path) -> list[Run]:
    """(folder, run.json) of every run that left one, oldest first; what cannot be read is left out."""
    found: list[Run] = []
    for path in folder.glob("*/run.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            found.append((path.parent, document))
    return sorted(found, key=lambda run: str(run[1].get("started_at")))


def table(runs: Sequence[Run]) -> list[str]:
    """One line a run."""
    header = ("RUN", "VERDICT", "REQUESTS", "FAILED", "P95", "RPS", "TARGET")
    rows = [header, *(_row(folder, document) for folder, document in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(folder: Path, document: Mapping[str, Any]) -> tuple[str, ...]:
    figures = document.get("figures") or {}
    return (
        folder.name,
        str(document.get("verdict", "?")),
        str(figures.get("requests", "?")),
        f"{100 * float(figures.get('fail_ratio') or 0):.2f}%",
        f"{figures.get('p95_ms', '?')} ms",
        f"{float(figures.get('requests_per_second') or 0):.1f}",
        str((document.get("settings") or {}).get("host") or ""),
    )


def probe(root: Path) -> None:
    """Make REPORTS_DIR and try it, before there is anything to lose.

    Raises:
        KitError: it cannot be written to.

    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=".probe-", dir=root)).rmdir()
    except OSError as error:
        raise _not_writable(root, error) from None


def _not_writable(root: Path, error: OSError) -> KitError:
    return KitError(f"REPORTS_DIR {root} cannot be written: {error.strerror}", fix="make run REPORTS_DIR=<folder>")


def new_folder(root: Path, run_id: str) -> Path:
    """Make the folder for a run; a second report of the same run gets a number.

    Raises:
        KitError: REPORTS_DIR cannot be written to.

    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = root / (run_id if number == 1 else f"{run_id}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise _not_writable(root, error) from None
    raise KitError(f"REPORTS_DIR {root} holds a thousand reports of {run_id}")


def save(folder: Path, document: Mapping[str, Any], files: Iterable[tuple[str, bytes]]) -> list[str]:
    """Write a run's files, run.json last: a folder without it was not finished. The names written."""
    written = []
    for name, content in files:
        (folder / name).write_bytes(content)
        written.append(name)
    draft = folder / "run.json.tmp"
    draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / "run.json")
    return [*written, "run.json"]


def hand_over(paths: Iterable[Path], environ: Mapping[str, str]) -> None:
    """Give files made under sudo to the person who called it."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (uid.isdigit() and gid.isdigit()):
        return
    for path in paths:
        os.chown(path, int(uid), int(gid))
