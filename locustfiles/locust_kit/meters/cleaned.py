"""Counts the values of clients' requests that had to be cleaned before Locust could count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from locust.env import Environment

from locust_kit.clean_request import CLEANED, KINDS
from locust_kit.meters.reading import whole


class CleanedMeter:
    """The counts by kind: name, type, time, length, error."""

    name = "cleaned"
    never_falls = KINDS

    def listen(self, environment: Environment) -> None:
        """Do nothing: the listener to requests counts them."""

    def begin(self) -> None:
        """Forget the run before."""
        CLEANED.clear()

    def document(self) -> dict[str, Any]:
        """Return the counts since the run's start."""
        return dict(CLEANED)

    @staticmethod
    def merged(by_worker: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the sums over all workers."""
        total: Counter[str] = Counter()
        for document in by_worker.values():
            total.update({kind: count for kind in KINDS if (count := whole(document.get(kind)))})
        return dict(total)

    @staticmethod
    def moment(merged: dict[str, Any]) -> dict[str, Any]:
        """Return no figures: the sums at the end of a run are enough."""
        del merged
        return {}
