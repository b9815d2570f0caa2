"""The files of a report on the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from sidecar.commands import reports
from sidecar.common.console import Console
from sidecar.common.errors import KitError
from sidecar.model.run_record import Unknown
from sidecar.report.render import html, junit, markdown, pictures, png, text
from sidecar.settings import Settings

Files = Iterable[tuple[str, bytes]]


def rendered(document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file that is made of a report; pictures only where something failed."""
    yield "report.md", markdown.render(document).encode()
    yield "junit.xml", junit.render(document)
    if Unknown.SECONDS in document.get("unknown", ()):  # most of the page is about them
        return
    yield "report.html", html.render(document).encode()
    if document["failure_classes"]:
        yield text.FILE, text.render(document).encode()
        for name, draw in pictures.FILES.items():
            yield f"{name}.png", png.render(draw(document))


def save_anew(settings: Settings, document: Mapping[str, Any], downloads: Files, environ: Mapping[str, str]) -> str:
    """Save a report in a folder of its own; return where it is, or why it could not be saved."""
    try:
        folder = reports.new_folder(settings.reports_dir, str(document["run_id"]))
        write(folder, settings, document, downloads, environ)
    except KitError as error:
        return f"not saved: {error.line()}"
    except OSError as error:
        return f"not saved: {error.strerror or error}: {error.filename or settings.reports_dir}"
    return str(folder)


def write(
    folder: Path, settings: Settings, document: Mapping[str, Any], downloads: Files, environ: Mapping[str, str]
) -> None:
    """Write all files of a report. Raises OSError when the disk does not take them."""
    names = reports.save(folder, document, chain(downloads, rendered(document)))
    reports.hand_over([settings.reports_dir, folder, *(folder / name for name in names)], environ)


def append_summary(file: str, document: Mapping[str, Any], console: Console) -> None:
    """Add the report to the summary of a GitHub Actions job, where there is one."""
    if not file:
        return
    try:
        with Path(file).open("ab") as summary_file:
            summary_file.write(markdown.render(document).encode())
    except OSError as error:
        console.note(f"GITHUB_STEP_SUMMARY {file} cannot be written: {error.strerror or error}")
