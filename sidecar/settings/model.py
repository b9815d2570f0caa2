"""The settings of one call, complete and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from sidecar.settings import declarations
from sidecar.settings.locust_options import UnaskedOption
from sidecar.settings.setting import Section, Setting

COMMAND_LINE = "command line"
MAKE_COMMAND_LINE = "make command line"
ENVIRONMENT = "environment"
OUTER_MAKE = "command line of a make around this one"
REMEMBERED = "the last `up`"


@dataclass(frozen=True)
class Given:
    """One setting's text as somebody gave it, and who did (`make command line`, `.env line 3`, the last `up`).

    An empty text, possible on the command line only, asks for the default.
    """

    raw: str
    source: str

    @property
    def is_of_a_file(self) -> bool:
        """Return whether it stands in a file that the next call reads, too."""
        return self.source not in (COMMAND_LINE, MAKE_COMMAND_LINE, ENVIRONMENT, REMEMBERED)


@dataclass(frozen=True, kw_only=True)
class Settings(
    declarations.StackSettings,
    declarations.LocustfileSettings,
    declarations.RunSettings,
    declarations.InvalidSettings,
    declarations.ReportSettings,
    declarations.CapacitySettings,
    declarations.LimitSettings,
    declarations.ClientSettings,
    declarations.FailureSettings,
    declarations.TraceSettings,
    declarations.PushingSettings,
    declarations.ViewSettings,
    declarations.WatchingSettings,
    declarations.AlertSettings,
    declarations.RemoteSettings,
    declarations.SwarmSettings,
    declarations.ImageSettings,
    declarations.SafetySettings,
):
    """Every setting as a value. Sizes are bytes, times seconds, shares 0 to 1, folders absolute.

    `given` holds the settings that somebody set, `passthrough` the LOCUST_* of .env that are no settings of ours,
    `words` what else the command line says as NAME=VALUE: arguments of the locustfile, for `run`; `unasked` the options
    that Locust reads from files by itself; `environ` the environment, which fills in each ${NAME} of an env file.
    """

    root: Path
    given: Mapping[str, Given] = field(repr=False)
    passthrough: Mapping[str, str]
    words: Mapping[str, Given] = field(default_factory=dict, repr=False)
    unasked: tuple[UnaskedOption, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def said_now(self, name: str) -> bool:
        """Return whether this very call named the setting: not a file, not memory."""
        entry = self.given.get(name)
        return entry is not None and entry.source in (COMMAND_LINE, MAKE_COMMAND_LINE, ENVIRONMENT)

    @property
    def project_word(self) -> str:
        """Return what a make command needs to find this stack."""
        return project_word(self.project)

    @property
    def state_dir(self) -> Path:
        """Return the git-ignored folder in which the kit remembers."""
        return self.root / ".locust-kit"


def project_word(project: str) -> str:
    """Return what a make command needs to find the stack of a project: " PROJECT=name", nothing for the default."""
    return "" if project == "locust" else f" PROJECT={project}"


SECTIONS: dict[str, tuple[Setting, ...]] = {
    (section.__doc__ or "").rstrip("."): tuple(
        replace(declared, to=declared.to | section.TO)
        for declared in (item.metadata["setting"] for item in fields(section))
    )
    for section in Settings.__bases__
    if issubclass(section, Section)
}
SETTINGS: dict[str, Setting] = {setting.name: setting for section in SECTIONS.values() for setting in section}
ALIASES: dict[str, str] = {alias: setting.name for setting in SETTINGS.values() for alias in setting.aliases}
