"""What a run is called by: KIT_LABELS of the master, or what came with the order to start it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from .form_field import FormField

logger = logging.getLogger("locust_kit")

VARIABLE = "KIT_LABELS"
FIELD = "kit_labels"
MOST = 16
_LABEL = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,62})=(?P<value>\S{1,200})")


def pairs(text: str) -> dict[str, str]:
    """`env=staging team=shop` as a dictionary; what has another form is left out: `kit` has refused it before."""
    found = filter(None, map(_LABEL.fullmatch, text.replace(",", " ").split()))
    return dict([(match["name"], match["value"]) for match in found][:MOST])


class Labels:
    """The labels of each run in turn. One that is started with none has those of the environment."""

    def __init__(self, options: Any, environ: Mapping[str, str]) -> None:
        self._field = FormField(options, FIELD)
        self._usual = environ.get(VARIABLE, "")
        for word in self._usual.replace(",", " ").split():
            if not _LABEL.fullmatch(word):
                logger.warning("locust-kit: %s holds %r, which is no name=value: left out", VARIABLE, word)

    def of_this_run(self) -> dict[str, str]:
        """What the run that starts now is called by; the next one has none of it."""
        return pairs(self._field.take() or self._usual)
