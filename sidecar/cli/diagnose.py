"""`diagnose` and `swarm-diagnose`: find the root cause, its evidence, and the commands that fix it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidecar.cli.incidents import read_note
from sidecar.cli.verbs import VERBS
from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.common.console import Console
from sidecar.common.errors import KitError, SettingError, StackError
from sidecar.diagnose import bundle, render
from sidecar.diagnose.catalogue import LAYERS, causes
from sidecar.diagnose.evidence import Evidence
from sidecar.diagnose.gather.gatherer import gather
from sidecar.diagnose.judge import RULES, diagnose
from sidecar.diagnose.notes import Notes, incident_for
from sidecar.model import document
from sidecar.model.finding import Diagnosis
from sidecar.settings import named_by_make, project_name
from sidecar.settings.model import project_word
from sidecar.stack import secrets, state, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.cli.verbs import Flags
    from sidecar.settings import Settings

FOUND, COULD_NOT = 1, 3
_OWN_WORDS = dict(VERBS["diagnose"].words)  # the options as words, because make passes no flags
_PATIENCE_SECONDS = 10.0
_FORMATS = ("text", "json", "markdown")


def diagnose_stack(words: Sequence[str], environ: Mapping[str, str], _console: Console, flags: Flags) -> int:
    """Diagnose the stack. Return 0 for no error, 1 if an error was found, 3 if no check was possible.

    Raises:
        SettingError: an unknown format, check or cause, or an empty note.

    """
    words, flags = _with_make_options(words, environ, flags)
    if flags["--list"]:
        sys.stdout.write(render.listing())
        return 0
    if slug := flags["--explain"]:
        _refuse_unknown("--explain", [slug], causes())
        sys.stdout.write(render.explanation(causes()[slug], _width()))
        return 0
    note = read_note(flags["--note"]) if flags["--note"] else ""
    only = frozenset(flags["--only"].replace(",", " ").split())
    _refuse_unknown("--only", sorted(only), (*causes(), *LAYERS, *(rule.name for rule in RULES)))
    if not flags["--from"]:
        _refuse_swarm(words, environ)
    evidence = _evidence(words, environ, flags["--from"])
    notes = Notes.of(workspace.ROOT)
    diagnosis = diagnose(bundle.for_eyes(evidence), only)
    diagnosis = replace(diagnosis, notes=notes.about(diagnosis.summary.root_cause))
    _write(diagnosis, environ, flags, flags["--format"])
    if note:
        _keep(note, diagnosis, evidence, notes)
    if path := flags["--bundle"]:
        _bundle(Path(path), evidence)
    return exit_code(diagnosis)


def diagnose_swarm(settings: Settings, environ: Mapping[str, str], _console: Console, flags: Flags) -> int:
    """Diagnose a stack on a Swarm. Return 0 for no error, 1 if an error was found, 3 if no check was possible."""
    from sidecar.swarm import diagnosis as swarm_diagnosis  # noqa: PLC0415  only for this verb
    from sidecar.swarm import evidence as swarm_evidence  # noqa: PLC0415  only for this verb

    diagnosis = swarm_diagnosis.diagnose(swarm_evidence.gather(settings, environ))
    _write(diagnosis, environ, flags)
    return exit_code(diagnosis)


def _refuse_swarm(rest: Sequence[str], environ: Mapping[str, str]) -> None:
    """Reject a stack of swarm-up, because the engine of one machine does not know its state."""
    try:
        project = project_name(rest, environ, workspace.ROOT)
    except KitError:
        return  # the diagnosis reports errors in the settings
    if state.read(state.path_of(workspace.ROOT, project)).get("swarm"):
        raise StackError(f"the stack {project!r} runs on a Swarm", fix=f"make swarm-diagnose{project_word(project)}")


def _keep(note: str, diagnosis: Diagnosis, evidence: Evidence, notes: Notes) -> None:
    """Save a note with the cause, and with its incident if the monitor has one. Print where it was saved."""
    cause = diagnosis.summary.root_cause
    notes.keep(cause, note, evidence.at)
    kept = f"kit diagnose: note saved for {cause or 'no cause'}"
    monitor = evidence.monitor
    incident = incident_for(diagnosis, monitor.incidents) if monitor else None
    if monitor is None or incident is None:
        print(f"{kept}; the monitor has no matching incident", file=sys.stderr)
        return
    try:
        settings = workspace.settings_of_project_alone([f"PROJECT={evidence.project}"], {})
        password = secrets.read(settings, "WEB_PASSWORD")
        port = urlsplit(monitor.url).port or 0
        SidecarReader(port, _PATIENCE_SECONDS, password=password).note(incident.id, note)
    except MonitorError as error:
        print(f"{kept}, but not for the incident {incident.id}: {error}", file=sys.stderr)
    else:
        look = f"make incidents ID={incident.id}{project_word(evidence.project)}"
        print(f"{kept} and for the incident {incident.id}: {look}", file=sys.stderr)


def _bundle(path: Path, evidence: Evidence) -> None:
    """Write the archive. Its diagnosis is made from the evidence in it."""
    shown = bundle.for_others(evidence)
    diagnosis = diagnose(shown)
    texts = {
        "diagnosis.txt": render.as_text(diagnosis, render.Style(checks=True)),
        "diagnosis.md": render.as_markdown(diagnosis),
        "diagnosis.json": document.dumps(diagnosis).decode() + "\n",
    }
    bundle.write(path, shown, texts)
    print(
        f"kit diagnose: bundle written to {path}; secrets were removed, but check it before you share it",
        file=sys.stderr,
    )


def _evidence(words: Sequence[str], environ: Mapping[str, str], path: str) -> Evidence:
    """Read recorded evidence from a file, or gather it if no file is named."""
    if not path:
        progress = Console(sys.stderr)
        try:
            return gather(words, environ, lambda part: progress.rewrite(f"checking {part} …"))
        finally:
            progress.rewrite()
    try:
        return document.loads_as(Evidence, Path(path).read_bytes(), "evidence")
    except (OSError, document.DocumentError) as error:
        raise KitError(f"{path} holds no evidence: {error}", wanted="the evidence.json of a bundle") from None


def _write(diagnosis: Diagnosis, environ: Mapping[str, str], flags: Flags, form: str = "") -> None:
    if flags["--json"] or form == "json":
        sys.stdout.write(document.dumps(diagnosis).decode() + "\n")
    elif form == "markdown":
        sys.stdout.write(render.as_markdown(diagnosis))
    else:
        colour = sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        style = render.Style(_width(), colour, checks=bool(flags["--checks"]))
        sys.stdout.write(render.as_text(diagnosis, style))


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def exit_code(diagnosis: Diagnosis) -> int:
    """Return the exit code of a diagnosis: 0 no error, 1 an error was found, 3 no check was possible."""
    counts = diagnosis.summary
    if counts.error:
        return FOUND
    return 0 if counts.ok or counts.info or counts.warn else COULD_NOT


def _with_make_options(
    words: Sequence[str], environ: Mapping[str, str], flags: Flags
) -> tuple[list[str], dict[str, str]]:
    """Remove the options that are words (FORMAT=json) from the words and make's variables, and return both."""
    made = [f"{name}={environ[name]}" for name in named_by_make(environ.get("MAKEFLAGS", "")) if name in environ]
    options = dict.fromkeys(flags, "")
    for word in (*made, *words):
        name, _, value = word.partition("=")
        if name not in _OWN_WORDS:
            continue
        option = f"--{name.lower()}"
        if not value:
            raise SettingError(f"{option} has no value", wanted=f"a value after {option}")
        options[option] = value
    options |= {name: value for name, value in flags.items() if value}
    if options["--format"] and options["--format"] not in _FORMATS:
        raise SettingError(f"--format is {options['--format']!r}", wanted=f"one of {', '.join(_FORMATS)}")
    return [word for word in words if word.partition("=")[0] not in _OWN_WORDS], options


def _refuse_unknown(option: str, words: Sequence[str], known: Sequence[str] | Mapping[str, object]) -> None:
    import difflib  # noqa: PLC0415  only for a mistyped word

    for word in words:
        if word not in known:
            close = difflib.get_close_matches(word, list(known), n=1)
            hint = f"write {close[0]}" if close else "scripts/kit diagnose --list"
            raise SettingError(f"{option} has the unknown value {word!r}", fix=hint)
