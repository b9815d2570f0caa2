"""`.env.example` as text, made from the registry: `python -m sidecar.settings.example > .env.example`."""

from __future__ import annotations

import textwrap

from sidecar.settings.knob import Setting
from sidecar.settings.registry import GROUPS, MAKE_ONLY

_WIDTH = 110
_HEAD = """\
# Every knob of Locust Kit. Copy this file to .env and take the # away from what you want to change.
#
# The first that speaks wins: command line (make up WORKERS=8), environment, .env, the default shown here.
# `make up` decides; scale, reload, run and the others keep what it decided, unless they are told otherwise.
# Any other LOCUST_* setting in .env reaches master and workers as it is. A name one typo away from a knob is refused.
"""


def render() -> str:
    """The whole file."""
    parts = [_HEAD]
    for title, knobs in GROUPS:
        parts.append(f"\n# ---- {title} {'-' * (60 - len(title))}\n")
        parts += [_knob(knob) for knob in knobs]
    return "".join(parts)


def _knob(knob: Setting) -> str:
    lines = textwrap.wrap(knob.help, _WIDTH)
    lines.append(f"Unit: {knob.unit}. Default: {knob.default or 'none'}.{_more(knob)}")
    lines += textwrap.wrap(f"Costs: {knob.cost}", _WIDTH)
    return "\n" + "".join(f"# {line}\n" for line in lines) + f"#{knob.name}={knob.default}\n"


def _more(knob: Setting) -> str:
    short = f" Short: {', '.join(knob.aliases)}." if knob.aliases else ""
    return short + (" Not read from the environment." if knob.name in MAKE_ONLY else "")


if __name__ == "__main__":
    print(render(), end="")
