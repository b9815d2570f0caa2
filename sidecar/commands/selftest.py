"""The self-test: small containers of the kit are OOM-killed, and the monitor must record each kill."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sidecar.client.reader import MonitorError, SidecarReader, first_snapshot
from sidecar.commands.victims import SelftestError, Victim, started, wait_for_losses
from sidecar.common.console import Console
from sidecar.common.text import aligned
from sidecar.common.times import format_time
from sidecar.engine.docker_engine import DockerEngine, connect
from sidecar.model.incident import FINAL, Incident, IncidentKind
from sidecar.settings import Settings
from sidecar.stack import deployment, workspace
from sidecar.stack.images import IMAGES
from sidecar.stack.registered import Clock

PASSED, MISSED = 0, 1
SETTLING_SECONDS = 15.0  # incidents are final after two seconds; the rest is for a busy machine
_PAUSE_SECONDS = 0.5
_COLUMNS = ("VICTIM", "CONTAINER", "KILLED", "SEEN", "")
_MOST_INCIDENTS = 500
_EARLIER = timedelta(seconds=5)  # the engine uses this machine's clock; a margin does no harm, because ids are compared


def selftest_stack(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Run the self-test beside a running stack. Return 0 if the monitor recorded every kill, 1 if it missed one."""
    engine = connect(environ)
    workspace.running_stack(engine, settings)
    reader = deployment.reader(settings)
    first_snapshot(reader, settings.project)
    return selftest(engine, reader, console, Clock())


def selftest(engine: DockerEngine, reader: SidecarReader, console: Console, clock: Clock) -> int:
    """Kill, compare, and print the result; return 0 if every kill was recorded, 1 if one was missed or invented.

    Raises:
        SelftestError: the test itself failed.
        EngineError: Docker did not answer.

    """
    image = image_with_python(engine)
    since = datetime.now(UTC) - _EARLIER
    with (
        console.step("victims", "starting small containers to be OOM-killed") as step,
        started(image, secrets.token_hex(3)) as victims,
    ):
        losses = wait_for_losses(victims, engine, clock)
        step.result = f"{sum(losses.values())} OOM kills in {len(victims)} containers"
        rows = wait_for_rows(victims, losses, lambda: incidents(reader, since), clock)
    for line in table(rows):
        console.note(line)
    console.line(verdict(rows))
    return PASSED if all(row.passed for row in rows) else MISSED


def image_with_python(engine: DockerEngine) -> str:
    """Choose an image of the kit with Python.

    Raises:
        SelftestError: no such image exists.

    """
    for key in ("monitor", "locust"):
        if engine.image(IMAGES[key].name) is not None:
            return IMAGES[key].name
    raise SelftestError("no image of the kit is built", fix="make up")


def wait_for_rows(
    victims: Sequence[Victim],
    losses: Mapping[str, int],
    read: Callable[[], Sequence[Incident]],
    clock: Clock,
) -> tuple[VictimRow, ...]:
    """Ask the monitor until its incidents are final and match the victims, or until the deadline."""
    names = {victim.id: victim.shape.name for victim in victims}
    deadline = clock.now() + SETTLING_SECONDS
    while True:
        rows = compare(names, losses, read())
        if all(row.passed and row.settled for row in rows) or clock.now() > deadline:
            return rows
        clock.sleep(_PAUSE_SECONDS)


def incidents(reader: SidecarReader, since: datetime) -> tuple[Incident, ...]:
    """Read the recent OOM kills, including the kit's own helpers.

    Raises:
        SelftestError: the monitor does not answer.

    """
    try:
        return reader.incident_list(
            since=format_time(since), kind=IncidentKind.OOM_KILL, helpers=1, evidence=0, limit=_MOST_INCIDENTS
        ).incidents
    except MonitorError as error:
        raise SelftestError(f"the monitor returned no incidents: {error}", fix="make up") from error


@dataclass(frozen=True, slots=True)
class VictimRow:
    """One victim: the number of its kills by its own count, and by the monitor's record.

    `settled` means that the monitor's incidents are final.
    """

    name: str
    container_id: str
    killed: int
    seen: int
    estimated: bool = False
    settled: bool = True

    @property
    def passed(self) -> bool:
        """Whether both counts are the same."""
        return self.killed == self.seen

    @property
    def word(self) -> str:
        """The result in a word or two."""
        if self.passed:
            return "seen (estimated)" if self.estimated else "seen"
        return f"{self.killed - self.seen} MISSED" if self.seen < self.killed else f"{self.seen - self.killed} TOO MANY"


def compare(
    names: Mapping[str, str], losses: Mapping[str, int], incidents: Iterable[Incident]
) -> tuple[VictimRow, ...]:
    """Compare the victims' kills with the incidents; the keys of `names` and `losses` are container ids."""
    kills = [incident for incident in incidents if incident.kind is IncidentKind.OOM_KILL]
    rows = []
    for container_id, killed in losses.items():
        own = [kill for kill in kills if kill.container_id == container_id]
        rows.append(
            VictimRow(
                name=names[container_id],
                container_id=container_id,
                killed=killed,
                seen=sum(kill.count for kill in own),
                estimated=any(kill.estimated for kill in own),
                settled=all(kill.state == FINAL for kill in own),
            )
        )
    return tuple(rows)


def table(rows: Sequence[VictimRow]) -> list[str]:
    """Return the lines of the comparison."""
    cells = [(row.name, row.container_id[:12], str(row.killed), str(row.seen), row.word) for row in rows]
    return aligned([_COLUMNS, *cells])


def verdict(rows: Sequence[VictimRow]) -> str:
    """Return the result of the comparison in one line."""
    killed, seen = sum(row.killed for row in rows), sum(row.seen for row in rows)
    if all(row.passed for row in rows):
        return f"passed: the monitor recorded each of {killed} OOM kills"
    return f"FAILED: {killed} OOM kills happened, but the monitor recorded {seen}"
