"""`.env.example` as text, made from the declarations: `python -m sidecar.settings.example > .env.example`."""

from __future__ import annotations

import textwrap

from sidecar.settings.model import SECTIONS, SETTINGS
from sidecar.settings.setting import Setting

_WIDTH = 110
_HEAD = """\
All settings of Locust Kit. Copy this file to .env, and remove the # from the lines that you want to change.
The value after = is the default.

Precedence, highest first: command line (make up WORKERS=8), environment, the last `make up`, .env, default.
`make up` saves the settings of its call. Commands such as scale, reload and run use them, unless you set others.

Any other LOCUST_* setting in .env reaches master and workers unchanged.
A name that is one typo away from a setting is rejected.
"""
_FIRST = (
    *("HOST", "LOCUSTFILES_DIR", "LOCUSTFILE", "WORKERS", "USERS", "SPAWN_RATE", "RUN_TIME"),
    *("THRESHOLDS", "WORKER_MEMORY", "WEB_PORT"),
)


def render() -> str:
    """Return the whole file."""
    parts = [f"# {line}".rstrip() + "\n" for line in _HEAD.splitlines()]
    for title, settings in {"Begin with these ten": map(SETTINGS.__getitem__, _FIRST), **SECTIONS}.items():
        others = (setting for setting in settings if title not in SECTIONS or setting.name not in _FIRST)
        parts.append(f"\n# ---- {title} {'-' * (60 - len(title))}\n")
        parts += map(_entry, others)
    return "".join(parts)


def _entry(setting: Setting) -> str:
    short = f" Short name: {', '.join(setting.aliases)}." if setting.aliases else ""
    from_environment = "" if setting.in_environment else " Not read from the environment."
    file = [f"Or {setting.name}_FILE=PATH: a file that contains the value."] if setting.secret else []
    lines = [
        *textwrap.wrap(setting.help, _WIDTH),
        f"Value: {setting.unit}.{short}{from_environment}",
        *file,
        *textwrap.wrap(f"Cost: {setting.cost}" if setting.cost else "", _WIDTH),
    ]
    return "\n" + "".join(f"# {line}\n" for line in lines) + f"#{setting.name}={setting.default}\n"


if __name__ == "__main__":
    print(render(), end="")
