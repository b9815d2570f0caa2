"""The fault matrix as the tables of the documentation: `python -m tests.faults.table` prints both."""

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
    head = ["| fault, inflicted for real | cause named first | mended by |", "| --- | --- | --- |"]
    return head + [
        f"| {fault.name.replace('-', ' ')} | `{fault.cause}` | {_mended_by([fault])} |" for fault in ordered()
    ]


def short() -> list[str]:
    """Return one row for each layer."""
    head = ["| layer | causes | faults | mended by |", "| --- | --- | --- | --- |"]
    layers = groupby(
        sorted(ordered(), key=lambda fault: LAYERS.index(causes()[fault.cause].layer)),
        lambda fault: causes()[fault.cause].layer,
    )
    return head + [_layer(name, list(group)) for name, group in layers]


def _layer(name: str, faults: Sequence[Fault]) -> str:
    slugs = dict.fromkeys(fault.cause for fault in faults)
    return f"| {name} | {', '.join(slugs)} | {len(faults)} | {_mended_by(faults)} |"


def _mended_by(faults: Sequence[Fault]) -> str:
    by_commands = sum(fault.commands for fault in faults)
    if len(faults) == 1:
        return "the printed commands" if by_commands else "a person, told what to do"
    return f"the printed commands: {by_commands}, a person: {len(faults) - by_commands}"


if __name__ == "__main__":
    print("\n".join([*short(), "", *whole()]))
