"""`diagnose`: why it does not work, with evidence, and the commands that mend it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.common.errors import KitError, SettingError, StackError
from sidecar.diagnose import bundle
from sidecar.diagnose.catalogue import LAYERS, causes
from sidecar.diagnose.evidence import Evidence
from sidecar.diagnose.gather.gather import gather
from sidecar.diagnose.judge import RULES, diagnose
from sidecar.diagnose.notes import Notes, incident_for
from sidecar.diagnose.render import listing, markdown, text
from sidecar.model import document
from sidecar.model.finding import Diagnosis
from sidecar.model.note import WANTED, note_line
from sidecar.settings import makeflags, project_name
from sidecar.settings.model import project_word
from sidecar.stack import state, workspace

NAME = "diagnose"
HELP = "why it does not work, with evidence, and the commands that mend it"
FOUND, USAGE, COULD_NOT = 1, 2, 3
_VALUED = ("--format", "--only", "--explain", "--bundle", "--from", "--note")
_AS_WORDS = {f"{option[2:].upper()}": option for option in _VALUED}  # for make, which passes no flags on
_SWITCHES = ("--json", "--list", "--checks")
_PATIENCE_SECONDS = 10.0
_FORMATS = ("text", "json", "markdown")


@dataclass(frozen=True)
class _DiagnoseCall:
    """What this call asks for."""

    rest: list[str]
    options: Mapping[str, str]
    switches: frozenset[str]

    @property
    def format(self) -> str:
        """How the diagnosis is written."""
        return "json" if "--json" in self.switches else self.options.get("--format", "text")


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Diagnose; 0 no error, 1 an error found, 3 nothing could be learnt.

    Raises:
        SettingError: a word that means nothing, an unknown check or cause, a note of no length.

    """
    asked = _asked(args, environ)
    if "--list" in asked.switches:
        sys.stdout.write(listing.listing())
        return 0
    if slug := asked.options.get("--explain"):
        _refuse_unknown("--explain", [slug], causes())
        sys.stdout.write(listing.explanation(causes()[slug], _width()))
        return 0
    note = _note(asked.options.get("--note"))
    only = frozenset(asked.options.get("--only", "").replace(",", " ").split())
    _refuse_unknown("--only", sorted(only), (*causes(), *LAYERS, *(rule.name for rule in RULES)))
    if "--from" not in asked.options:
        _refuse_swarm(asked.rest, environ)
    tell = _Progress()
    evidence = _evidence(asked, environ, tell)
    tell.end()
    notes = Notes.of(workspace.ROOT)
    diagnosis = diagnose(bundle.for_eyes(evidence), only)
    diagnosis = replace(diagnosis, notes=notes.about(diagnosis.summary.root_cause))
    _write(diagnosis, asked, environ)
    if note:
        _keep(note, diagnosis, evidence, notes)
    if path := asked.options.get("--bundle"):
        _bundle(Path(path), evidence)
    return exit_code(diagnosis)


def _refuse_swarm(rest: Sequence[str], environ: Mapping[str, str]) -> None:
    """Refuse a stack of swarm-up: one machine's engine does not know what became of it."""
    try:
        project = project_name(rest, environ, workspace.ROOT)
    except KitError:
        return  # what is wrong with the settings is for the diagnosis to say
    if state.read(state.path_of(workspace.ROOT, project)).get("swarm"):
        raise StackError(f"the stack {project!r} runs on a Swarm", fix=f"make swarm-diagnose{project_word(project)}")


def _note(text: str | None) -> str:
    try:
        return "" if text is None else note_line(text)
    except ValueError as error:
        raise SettingError(f"NOTE: {error}", wanted=WANTED) from None


def _keep(note: str, diagnosis: Diagnosis, evidence: Evidence, notes: Notes) -> None:
    """Keep a person's note with the cause, and with its incident when the sidecar has one; say where it is."""
    cause = diagnosis.summary.root_cause
    notes.keep(cause, note, evidence.at)
    kept = f"kit {NAME}: note kept with {cause or 'no cause'}"
    monitor = evidence.monitor
    incident = incident_for(diagnosis, monitor.incidents) if monitor else None
    if monitor is None or incident is None:
        print(f"{kept}; the sidecar knows of no incident to put it with", file=sys.stderr)
        return
    try:
        SidecarReader(urlsplit(monitor.url).port or 0, _PATIENCE_SECONDS).note(incident.id, note)
    except MonitorError as error:
        print(f"{kept}, not with the incident {incident.id}: {error}", file=sys.stderr)
    else:
        look = f"make incidents ID={incident.id}{project_word(evidence.project)}"
        print(f"{kept} and with the incident {incident.id}: {look}", file=sys.stderr)


def _bundle(path: Path, evidence: Evidence) -> None:
    """Write the archive; what it says is judged from what is in it."""
    shown = bundle.for_others(evidence)
    diagnosis = diagnose(shown)
    texts = {
        "diagnosis.txt": text.render(diagnosis, text.Style(checks=True)),
        "diagnosis.md": markdown.render(diagnosis),
        "diagnosis.json": document.dumps(diagnosis).decode() + "\n",
    }
    bundle.write(path, shown, texts)
    print(
        f"kit {NAME}: bundle written to {path}; secrets were taken out, look through it all the same", file=sys.stderr
    )


def _evidence(asked: _DiagnoseCall, environ: Mapping[str, str], tell: _Progress) -> Evidence:
    if name := asked.options.get("--from"):
        try:
            return document.loads_as(Evidence, Path(name).read_bytes(), "evidence")
        except (OSError, document.DocumentError) as error:
            raise KitError(f"{name} holds no evidence: {error}", wanted="the evidence.json of a bundle") from None
    return gather(asked.rest, environ, tell)


def _write(diagnosis: Diagnosis, asked: _DiagnoseCall, environ: Mapping[str, str]) -> None:
    if asked.format == "json":
        sys.stdout.write(document.dumps(diagnosis).decode() + "\n")
    elif asked.format == "markdown":
        sys.stdout.write(markdown.render(diagnosis))
    else:
        colour = sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        style = text.Style(_width(), colour, checks="--checks" in asked.switches)
        sys.stdout.write(text.render(diagnosis, style))


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def exit_code(diagnosis: Diagnosis) -> int:
    """The exit code of a diagnosis: 0 no error, 1 an error found, 3 nothing could be learnt."""
    counts = diagnosis.summary
    if counts.error:
        return FOUND
    return 0 if counts.ok or counts.info or counts.warn else COULD_NOT


def _asked(args: Sequence[str], environ: Mapping[str, str]) -> _DiagnoseCall:
    """Take this verb's own words out of the command line."""
    rest: list[str] = []
    options: dict[str, str] = {}
    switches: set[str] = set()
    made = [f"{name}={environ[name]}" for name in makeflags.given(environ.get("MAKEFLAGS", "")) if name in environ]
    words = iter([*(word for word in made if word.partition("=")[0] in _AS_WORDS), *args])
    for word in words:
        name, equals, value = word.partition("=")
        name = _AS_WORDS.get(name, name) if equals else name
        if name in _VALUED:
            options[name] = value if equals else next(words, "")
            if not options[name]:
                raise SettingError(f"{name} names nothing", wanted=f"{name} followed by a value")
        elif word in _SWITCHES:
            switches.add(word)
        elif word.startswith("-") or not equals:
            wanted = ", ".join((*_SWITCHES, *_VALUED, "NAME=VALUE"))
            raise SettingError(f"{word!r} means nothing to `{NAME}`", wanted=wanted)
        else:
            rest.append(word)
    if options.get("--format", "text") not in _FORMATS:
        raise SettingError(f"--format is {options['--format']!r}", wanted=f"one of {', '.join(_FORMATS)}")
    return _DiagnoseCall(rest, options, frozenset(switches))


def _refuse_unknown(option: str, words: Sequence[str], known: Sequence[str] | Mapping[str, object]) -> None:
    import difflib  # noqa: PLC0415  only for a mistyped word

    for word in words:
        if word not in known:
            close = difflib.get_close_matches(word, list(known), n=1)
            hint = f"write {close[0]}" if close else "scripts/kit diagnose --list"
            raise SettingError(f"{option} names {word!r}, which is no cause or check", fix=hint)


class _Progress:
    """Says on stderr what is being looked at: one line that is rewritten on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, what: str) -> None:
        """Say what is being looked at now."""
        if self._shown:
            sys.stderr.write(f"\r\x1b[Klooking at {what} …")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
