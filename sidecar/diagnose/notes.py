"""Notes that people add to a cause. The next diagnosis of the same cause shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

from sidecar.common.errors import KitError
from sidecar.common.times import format_time
from sidecar.diagnose.evidence import KnownIncident
from sidecar.model.finding import Diagnosis
from sidecar.model.incident import Severity
from sidecar.stack import state

_KEPT, _SHOWN = 200, 3
_AT = attrgetter("at")


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one checkout."""

    path: Path

    @classmethod
    def of(cls, root: Path) -> Notes:
        """Return the notes of a checkout."""
        return cls(root / ".locust-kit" / "notes.json")

    def about(self, slug: str | None) -> tuple[str, ...]:
        """Return the latest notes on a cause with their dates, newest first."""
        notes = [note for note in self._all() if note.get("slug") == slug]
        return tuple(f"{str(note.get('at', ''))[:10]} {note.get('text', '')}" for note in reversed(notes[-_SHOWN:]))

    def keep(self, slug: str | None, text: str, at: datetime) -> None:
        """Save a note. Without a slug it belongs to no cause.

        Raises:
            KitError: the file cannot be written, or the present file cannot be read and would be lost.

        """
        kept = self._all()
        if not kept and self.path.exists():
            wanted = f"mv {self.path} {self.path}.old"
            raise KitError(f"{self.path} cannot be read, and a new note would overwrite it", fix=wanted)
        try:
            state.write(self.path, {"notes": [*kept, {"slug": slug, "at": format_time(at), "text": text}][-_KEPT:]})
        except OSError as error:
            raise KitError(f"cannot save the note in {self.path}: {error.strerror}") from error

    def _all(self) -> list[dict[str, str | None]]:
        notes = state.read(self.path).get("notes")
        return [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []


def incident_for(diagnosis: Diagnosis, incidents: Sequence[KnownIncident]) -> KnownIncident | None:
    """Return the incident for a note on this diagnosis.

    It is the newest incident of a container that the root cause affects, else the newest error.
    """
    affected = set(diagnosis.findings[0].affects) if diagnosis.findings else set()
    bad = sorted((incident for incident in incidents if incident.severity != Severity.INFO), key=_AT, reverse=True)
    of_root = (incident for incident in bad if incident.container in affected)
    return next(of_root, None) or next((incident for incident in bad if incident.severity == Severity.ERROR), None)
