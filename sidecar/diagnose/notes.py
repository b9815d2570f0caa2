"""What people learnt, kept per cause in the checkout, so that the next diagnosis which names the cause can show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sidecar.drive import state
from sidecar.errors import SettingError
from sidecar.model.finding import Diagnosis
from sidecar.model.incident import Incident, Severity
from sidecar.model.text import clean
from sidecar.model.times import format_time

LONGEST = 500
_KEPT, _SHOWN = 200, 3


@dataclass(frozen=True)
class Notes:
    """The notes of one checkout."""

    path: Path

    @classmethod
    def of(cls, root: Path) -> Notes:
        """Those that are kept in a checkout."""
        return cls(root / ".locust-kit" / "state" / "notes.json")

    def about(self, slug: str | None) -> tuple[str, ...]:
        """The latest notes on a cause, newest first, each with its date."""
        found = [one for one in self._all() if one.get("slug") == slug]
        return tuple(f"{str(one.get('at', ''))[:10]} {one.get('text', '')}" for one in reversed(found[-_SHOWN:]))

    def keep(self, slug: str, text: str, at: datetime) -> None:
        """Write a note down."""
        kept = [*self._all(), {"slug": slug, "at": format_time(at), "text": text}]
        state.write(self.path, {"notes": kept[-_KEPT:]})

    def _all(self) -> list[dict[str, str]]:
        found = state.read(self.path).get("notes")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def checked(text: str) -> str:
    """A note's text, as one line.

    Raises:
        SettingError: there is none, or too much of it.

    """
    plain = clean(text).strip()
    if not plain or len(plain) > LONGEST:
        raise SettingError(f"NOTE has {len(plain)} characters", wanted=f"1 to {LONGEST}")
    return plain


def incident_for(diagnosis: Diagnosis, incidents: Sequence[Incident]) -> Incident | None:
    """The incident that a note on this diagnosis belongs to: the newest of a container that the root cause is about,
    else the newest that is an error; None where neither is there. `incidents` are newest first.
    """
    affected = set(diagnosis.findings[0].affects) if diagnosis.findings else set()
    bad = [one for one in incidents if one.severity is not Severity.INFO]
    of_root = (one for one in bad if one.container in affected)
    return next(of_root, None) or next((one for one in bad if one.severity is Severity.ERROR), None)
