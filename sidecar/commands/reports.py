"""The folder of reports: one folder per run with a report.json of the kit, and the files made from it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from sidecar.common import atomic, strict_json
from sidecar.common.console import Console
from sidecar.common.errors import KitError
from sidecar.common.text import aligned
from sidecar.common.visible_text import visible
from sidecar.model.run_record import Unknown
from sidecar.settings import Settings

Run = tuple[Path, Mapping[str, Any]]
Files = Iterable[tuple[str, bytes]]


FILE, OLDER_FILE = "report.json", "run.json"


def files(root: Path) -> list[Path]:
    """Return the document of a report. Older kits called it run.json."""
    by_folder = {path.parent: path for name in (OLDER_FILE, FILE) for path in root.glob(f"*/{name}")}
    return sorted(by_folder.values())


def all_runs(folder: Path) -> list[Run]:
    """Return (folder, report.json) of every run, oldest first, without unreadable ones."""
    runs: list[Run] = []
    for path in files(folder):
        try:
            document = strict_json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            runs.append((path.parent, document))
    return sorted(runs, key=lambda run: str(run[1].get("started_at")))


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A run in a table; `figures` has requests, fail_ratio, p95_ms and requests_per_second."""

    name: str
    verdict: str
    figures: Mapping[str, Any]
    target: str

    @classmethod
    def of(cls, run: Run) -> ReportRow:
        """Return the row of a report."""
        folder, document = run
        target = str((document.get("settings") or {}).get("host") or "")
        return cls(folder.name, str(document.get("verdict", "?")), document.get("figures") or {}, target)

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row."""
        figures = self.figures
        p95 = figures.get("p95_ms")
        return (
            self.name,
            self.verdict,
            str(figures.get("requests", "?")),
            f"{100 * float(figures.get('fail_ratio') or 0):.2f}%",
            "–" if p95 is None else f"{p95} ms",
            f"{float(figures.get('requests_per_second') or 0):.1f}",
            visible(self.target),
        )


def table(rows: Sequence[ReportRow]) -> list[str]:
    """Return one line per run."""
    header = ("RUN", "VERDICT", "REQUESTS", "FAILED", "P95", "RPS", "TARGET")
    return aligned([header, *(row.cells() for row in rows)])


def probe(root: Path) -> None:
    """Create REPORTS_DIR and write to it, before there are results to lose.

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
    """Create the folder for a run; a second report of the same run gets a number.

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
    raise KitError(f"REPORTS_DIR {root} already has 1,000 reports of {run_id}")


def save(folder: Path, document: Mapping[str, Any], files: Iterable[tuple[str, bytes]]) -> list[str]:
    """Write a run's files, and return their names. report.json comes last, so a folder without it is incomplete."""
    written = []
    for name, content in files:
        atomic.write_bytes(folder / name, content)
        written.append(name)
    atomic.write_text(folder / FILE, strict_json.dumps(document, indent=1) + "\n")
    return [*written, FILE]


def hand_over(paths: Iterable[Path], environ: Mapping[str, str]) -> None:
    """Change the owner of files made under sudo to the user who called sudo."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (uid.isdigit() and gid.isdigit()):
        return
    for path in paths:
        os.chown(path, int(uid), int(gid))


def rendered(document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file of a report; pictures only if something failed."""
    # Slow to import, and not needed for `down`, which only looks for our reports.
    from sidecar.report.render import html, pictures, png, templates  # noqa: PLC0415

    yield "report.md", templates.markdown(document).encode()
    yield "junit.xml", templates.junit(document)
    if Unknown.SECONDS in document.get("unknown", ()):  # most of the page is about failures
        return
    yield "report.html", html.render(document).encode()
    if document["failure_classes"]:
        yield templates.FAILURES_FILE, templates.failures_text(document).encode()
        for name, draw in pictures.FILES.items():
            yield f"{name}.png", png.render(draw(document))


def save_anew(settings: Settings, document: Mapping[str, Any], downloads: Files, environ: Mapping[str, str]) -> str:
    """Save a report in a folder of its own; return its place, or why it could not be saved."""
    try:
        folder = new_folder(settings.reports_dir, str(document["run_id"]))
        write(folder, settings, document, downloads, environ)
    except KitError as error:
        return f"not saved: {error.line()}"
    except OSError as error:
        return f"not saved: {error.strerror or error}: {error.filename or settings.reports_dir}"
    return str(folder)


def write(
    folder: Path, settings: Settings, document: Mapping[str, Any], downloads: Files, environ: Mapping[str, str]
) -> None:
    """Write all files of a report. Raises OSError if the disk refuses them."""
    names = save(folder, document, chain(downloads, rendered(document)))
    hand_over([settings.reports_dir, folder, *(folder / name for name in names)], environ)


def append_summary(file: str, document: Mapping[str, Any], console: Console) -> None:
    """Add the report to the summary of the GitHub Actions job, if there is one."""
    if not file:
        return
    from sidecar.report.render import templates  # noqa: PLC0415  see above

    try:
        with Path(file).open("ab") as summary_file:
            summary_file.write(templates.markdown(document).encode())
    except OSError as error:
        console.note(f"GITHUB_STEP_SUMMARY {file} cannot be written: {error.strerror or error}")
