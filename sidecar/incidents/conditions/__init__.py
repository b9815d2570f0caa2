"""Conditions that last: from Snapshots to incidents that open and close, with hysteresis. Pure but for its memory."""

from sidecar.incidents.conditions.conditions import Conditions

__all__ = ["Conditions"]
