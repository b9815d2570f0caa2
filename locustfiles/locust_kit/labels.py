"""What a run is called by: KIT_LABELS of the master, or what came with the order to start it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("locust_kit")

VARIABLE = "KIT_LABELS"
FIELD = "kit_labels"  # of the form that starts a run; Locust keeps it among its options, for it knows the name
MOST = 16
_LABEL = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,62})=(?P<value>\S{1,200})")


def pairs(text: str) -> dict[str, str]:
    """`env=staging team=shop` as a dictionary; what has another form is left out: `kit` has refused it before."""
    found = filter(None, map(_LABEL.fullmatch, text.replace(",", " ").split()))
    return dict([(match["name"], match["value"]) for match in found][:MOST])


class Labels:
    """The labels of each run in turn. One that is started with none has those of the environment."""

    def __init__(self, options: Any, environ: Mapping[str, str]) -> None:
        self._options = options
        self._usual = environ.get(VARIABLE, "")
        for word in self._usual.replace(",", " ").split():
            if not _LABEL.fullmatch(word):
                logger.warning("locust-kit: %s holds %r, which is no name=value: left out", VARIABLE, word)
        self._forget()

    def of_this_run(self) -> dict[str, str]:
        """What the run that starts now is called by; the next one has none of it."""
        text = getattr(self._options, FIELD, "") or self._usual
        self._forget()
        return pairs(text)

    def _forget(self) -> None:
        if self._options is not None:
            setattr(self._options, FIELD, "")
