"""`.env.example` as text, made from the registry: `python -m sidecar.settings.example > .env.example`."""

from __future__ import annotations

import textwrap

from sidecar.settings.registry import GROUPS, MAKE_ONLY
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
    """The whole file."""
    parts = [_HEAD]
    for title, settings in GROUPS:
        parts.append(f"\n# ---- {title} {'-' * (60 - len(title))}\n")
        parts += [_setting(setting) for setting in settings]
    return "".join(parts)


def _setting(setting: Setting) -> str:
    lines = textwrap.wrap(setting.help, _WIDTH)
    lines.append(f"Unit: {setting.unit}. Default: {setting.default or 'none'}.{_more(setting)}")
    lines += textwrap.wrap(f"Costs: {setting.cost}", _WIDTH)
    return "\n" + "".join(f"# {line}\n" for line in lines) + f"#{setting.name}={setting.default}\n"


def _more(setting: Setting) -> str:
    short = f" Short: {', '.join(setting.aliases)}." if setting.aliases else ""
    return short + (" Not read from the environment." if setting.name in MAKE_ONLY else "")


if __name__ == "__main__":
    print(render(), end="")
