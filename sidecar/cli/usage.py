"""Help: the list of verbs, and one verb with its settings, flags, examples and exit codes."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING

from sidecar.cli.verbs import GROUPS, Needs
from sidecar.common.version import KIT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidecar.cli.verbs import Verb
    from sidecar.common.console import Console
    from sidecar.settings import Setting

PROGRAM = "scripts/kit"
EXITS = {0: "success", 2: "wrong input, or the verb failed: stderr shows why", 130: "you pressed Ctrl-C"}
_ENTRY_WIDTH = 28
_WIDEST = 120


def targets(_args: Sequence[str], _environ: Mapping[str, str], _console: Console) -> None:
    """Print all verbs in their groups, one line each."""
    print(f"Usage: {PROGRAM} VERB [NAME=VALUE ...]")
    for title, verbs in GROUPS.items():
        print(f"\n{title}")
        for verb in verbs:
            print(f"  {verb.name:<15} {verb.help}")
    print(f"\n{PROGRAM} VERB --help shows the settings, flags, examples and exit codes of a verb.")


def version() -> str:
    """Return the line of `--version`."""
    return f"Locust Kit {KIT_VERSION}"


def explain(verb: Verb) -> None:
    """Print everything that a person can give to a verb, and what it returns."""
    print(f"{verb.help}\n\nUsage: {PROGRAM} {verb.name}{' [FLAG ...]' if verb.flags else ''}{_words(verb)}")
    print("\nExamples")
    print(*(f"  {PROGRAM} {example}" for example in verb.examples), sep="\n")
    if verb.flags:
        print("\nFlags")
        for flag in verb.flags:
            _print_entry(f"{flag.name} {flag.value}".rstrip(), flag.help + _one_of(flag.choices))
    if verb.words:
        print("\nOnly for this verb")
        for name, about in verb.words:
            _print_entry(f"{name}=", about)
    _print_settings(verb)
    print("\nExit codes")
    for code, meaning in sorted((EXITS | dict(verb.exits)).items()):
        _print_entry(str(code), meaning, 5)


def _print_settings(verb: Verb) -> None:
    for title, settings in sections_of(verb):
        print(f"\n{title}")
        for setting in settings:
            _print_entry(f"{setting.name}={setting.default}", f"{_first_sentence(setting.help)} ({setting.unit})")
    if verb.needs is Needs.SETTINGS_OF_RUN:
        print("\nOther words, such as think=0.2, are arguments that your locustfile adds.")
    if verb.settings:
        print("\nEach line shows NAME=default and, in brackets, the unit. .env.example has the details.")
        if verb.needs is not Needs.SETTINGS_FOR_UP:
            print("The stack keeps the other settings of the last `up`.")


def sections_of(verb: Verb) -> Iterator[tuple[str, tuple[Setting, ...]]]:
    """Yield the settings that a verb reads, by section, in the order of the declarations."""
    if not verb.settings:
        return
    from sidecar.settings import SECTIONS, Destination, Settings  # noqa: PLC0415  the list of verbs needs no settings

    destinations = [Destination[name[1:].upper()] for name in verb.settings if name.startswith("@")]
    for section, (title, settings) in zip(Settings.__bases__, SECTIONS.items(), strict=True):
        whole = section.__name__.removesuffix("Settings") in verb.settings
        own = tuple(
            setting
            for setting in settings
            if whole or setting.name in verb.settings or any(setting.to & destination for destination in destinations)
        )
        if own:
            yield title, own


def _words(verb: Verb) -> str:
    if verb.choices:
        return f" {'|'.join(verb.choices)}"
    return f"{' [ID]' if verb.bare_word else ''} [NAME=VALUE ...]" if verb.settings else ""


def _one_of(choices: tuple[str, ...]) -> str:
    return f" One of {', '.join(choices)}." if choices else ""


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\w)\. ", text, maxsplit=1)[0].rstrip(".") + "."


def _print_entry(entry: str, about: str, width: int = _ENTRY_WIDTH) -> None:
    """Print two columns; a long entry has a line of its own."""
    indent = " " * (width + 3)
    first = f"  {entry:<{width}} "
    if len(entry) > width:
        print(f"  {entry}")
        first = indent
    columns = min(shutil.get_terminal_size((_WIDEST, 0)).columns, _WIDEST)
    print(textwrap.fill(about, max(columns, 60), initial_indent=first, subsequent_indent=indent))
