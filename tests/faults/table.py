"""The fault matrix as tables for the documentation: `python -m tests.faults.table` prints both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from sidecar.diagnose.catalogue import LAYERS, causes
from tests.faults.matrix import FAULTS, Fault


def ordered() -> list[Fault]:
    """Return the faults in the order of their causes."""
    return sorted(FAULTS, key=lambda fault: causes()[fault.cause].order)


def whole() -> list[str]:
    """Return one row for each fault."""
    head = ["| fault | cause that diagnose names first | fix |", "| --- | --- | --- |"]
    return head + [f"| {fault.name.replace('-', ' ')} | `{fault.cause}` | {_fix(fault)} |" for fault in ordered()]


def _fix(fault: Fault) -> str:
    return "printed commands" if fault.commands else "manual step"


def short() -> list[str]:
    """Return one row for each layer."""
    head = ["| layer | causes | faults | printed commands | manual step |", "| --- | --- | --- | --- | --- |"]
    layers = groupby(
        sorted(ordered(), key=lambda fault: LAYERS.index(causes()[fault.cause].layer)),
        lambda fault: causes()[fault.cause].layer,
    )
    return head + [_layer(name, list(group)) for name, group in layers]


def _layer(name: str, faults: Sequence[Fault]) -> str:
    slugs = ", ".join(f"`{slug}`" for slug in dict.fromkeys(fault.cause for fault in faults))
    by_commands = sum(fault.commands for fault in faults)
    return f"| {name} | {slugs} | {len(faults)} | {by_commands} | {len(faults) - by_commands} |"


if __name__ == "__main__":
    print("\n".join([*short(), "", *whole()]))
