"""`capacity`: one endpoint under ever more users, until more of them bring no more answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.capacity import capacity
from sidecar.common.say import Console
from sidecar.common.signals import interrupt_on_signals
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "capacity"
HELP = "how much one endpoint carries: capacity ENDPOINT=/api/cart HOST=http://shop.example, in a stack of its own"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Measure; 0 when something was measured, 4 when the measurement broke."""
    workspace.refuse_arguments(args, NAME)
    interrupt_on_signals()
    return capacity(workspace.settings_after_up(args, environ), environ, Console())
