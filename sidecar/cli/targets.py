"""`targets`: the verbs, one line each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sidecar.cli import VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "targets"
HELP = "this list"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print every verb with its one line of help."""
    del args, environ
    print("scripts/kit VERB [NAME=VALUE ...]        every NAME is described in .env.example\n")
    for verb, module in VERBS.items():
        print(f"  {verb:<10} {importlib.import_module(module).HELP}")
    return 0
