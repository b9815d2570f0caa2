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
    """One setting's text and its source (`make command line`, `.env line 3`, the last `up`).

    An empty text means the default. Only the command line can have one.
    """

    raw: str
    source: str

    @property
    def is_of_a_file(self) -> bool:
        """Return whether it comes from a file, which the next call reads again."""
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

    `given` holds the settings that somebody set. `passthrough` holds the LOCUST_* of .env that are not our settings.
    `words` holds every other NAME=VALUE of the command line: arguments of the locustfile, for `run`.
    `unasked` holds the options that Locust reads from files by itself.
    `environ` is the environment, which replaces each ${NAME} of an env file.
    """

    root: Path
    given: Mapping[str, Given] = field(repr=False)
    passthrough: Mapping[str, str]
    words: Mapping[str, Given] = field(default_factory=dict, repr=False)
    unasked: tuple[UnaskedOption, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def said_now(self, name: str) -> bool:
        """Return whether this call set it: not a file, not an earlier `up`."""
        entry = self.given.get(name)
        return entry is not None and entry.source in (COMMAND_LINE, MAKE_COMMAND_LINE, ENVIRONMENT)

    def source(self, name: str) -> str:
        """Return where a value comes from, such as `.env line 3`; without an entry, the last `up` decided it."""
        entry = self.given.get(name)
        return entry.source if entry else REMEMBERED

    @property
    def project_word(self) -> str:
        """Return the PROJECT=name that a make command needs to find this stack."""
        return project_word(self.project)

    @property
    def state_dir(self) -> Path:
        """Return the git-ignored folder for the kit's own state."""
        return self.root / ".locust-kit"


def project_word(project: str) -> str:
    """Return " PROJECT=name", which a make command needs to find a stack; "" for the default project."""
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
SECRET_FILES: dict[str, str] = {f"{name}_FILE": name for name, setting in SETTINGS.items() if setting.secret}
"""NAME_FILE → NAME: each secret setting can be given as the path of a file that contains it."""
ALIASES: dict[str, str] = {alias: setting.name for setting in SETTINGS.values() for alias in setting.aliases}
