"""`.env.example` as text, made from the declarations: `python -m sidecar.settings.example > .env.example`."""

from __future__ import annotations

import textwrap

from sidecar.settings.model import SECTIONS
from sidecar.settings.setting import Setting

_WIDTH = 110
_HEAD = """\
# Every setting of Locust Kit. Copy this file to .env and take the # away from what you want to change.
#
# The first that speaks wins: command line (make up WORKERS=8), environment, .env, the default shown here.
# `make up` decides; scale, reload, run and the others keep what it decided, unless they are told otherwise.
# Any other LOCUST_* setting in .env reaches master and workers as it is. A name one typo away from ours is refused.
"""


def render() -> str:
    """Return the whole file."""
    parts = [_HEAD]
    for title, settings in SECTIONS.items():
        parts.append(f"\n# ---- {title} {'-' * (60 - len(title))}\n")
        parts += map(_entry, settings)
    return "".join(parts)


def _entry(setting: Setting) -> str:
    short = f" Short: {', '.join(setting.aliases)}." if setting.aliases else ""
    from_environment = "" if setting.in_environment else " Not read from the environment."
    lines = [
        *textwrap.wrap(setting.help, _WIDTH),
        f"Unit: {setting.unit}. Default: {setting.default or 'none'}.{short}{from_environment}",
        *textwrap.wrap(f"Cost: {setting.cost or 'none.'}", _WIDTH),
    ]
    return "\n" + "".join(f"# {line}\n" for line in lines) + f"#{setting.name}={setting.default}\n"


if __name__ == "__main__":
    print(render(), end="")
