"""The self-test: small containers of our own are OOM-killed, and the monitor must have seen each kill."""

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
from sidecar.stack import workspace
from sidecar.stack.images import IMAGES
from sidecar.stack.registered import Clock

PASSED, MISSED = 0, 1
SETTLING_SECONDS = 15.0  # incidents are final after two seconds; the rest is for a machine under load
_PAUSE_SECONDS = 0.5
_COLUMNS = ("VICTIM", "CONTAINER", "KILLED", "SEEN", "")
_MOST_INCIDENTS = 500
_EARLIER = timedelta(seconds=5)  # the engine's clock is this machine's; a margin costs nothing, ids are compared


def selftest_stack(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Run the self-test beside a running stack. Return 0 when the monitor saw every kill, 1 when it missed one."""
    engine = connect(environ)
    workspace.running_stack(engine, settings)
    reader = SidecarReader(settings.monitor_port)
    first_snapshot(reader, settings.project)
    return selftest(engine, reader, console, Clock())


def selftest(engine: DockerEngine, reader: SidecarReader, console: Console, clock: Clock) -> int:
    """Kill, compare, tell; return 0 when every kill was seen and 1 when one was missed or made up.

    Raises:
        SelftestError: the test itself could not be made.
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
    """Choose one of the kit's own images that has Python.

    Raises:
        SelftestError: none of them is there.

    """
    for key in ("monitor", "locust"):
        if engine.image(IMAGES[key].name) is not None:
            return IMAGES[key].name
    raise SelftestError("none of the kit's images is built", fix="make up")


def wait_for_rows(
    victims: Sequence[Victim],
    losses: Mapping[str, int],
    read: Callable[[], Sequence[Incident]],
    clock: Clock,
) -> tuple[VictimRow, ...]:
    """Ask the sidecar until it agrees with the victims and has made up its mind, or has had its time."""
    names = {victim.id: victim.shape.name for victim in victims}
    deadline = clock.now() + SETTLING_SECONDS
    while True:
        rows = compare(names, losses, read())
        if all(row.passed and row.settled for row in rows) or clock.now() > deadline:
            return rows
        clock.sleep(_PAUSE_SECONDS)


def incidents(reader: SidecarReader, since: datetime) -> tuple[Incident, ...]:
    """Read the recent OOM kills, those of our own helpers too.

    Raises:
        SelftestError: the sidecar does not tell.

    """
    try:
        return reader.incident_list(
            since=format_time(since), kind=IncidentKind.OOM_KILL, helpers=1, evidence=0, limit=_MOST_INCIDENTS
        ).incidents
    except MonitorError as error:
        raise SelftestError(f"the sidecar gave no incidents: {error}", fix="make up") from error


@dataclass(frozen=True, slots=True)
class VictimRow:
    """One victim: how often it was killed by its own witness, and how many of that the sidecar recorded.

    `settled`: what the sidecar says is its last word.
    """

    name: str
    container_id: str
    killed: int
    seen: int
    estimated: bool = False
    settled: bool = True

    @property
    def passed(self) -> bool:
        """Whether both say the same."""
        return self.killed == self.seen

    @property
    def word(self) -> str:
        """The judgement in a word or two."""
        if self.passed:
            return "seen (estimated)" if self.estimated else "seen"
        return f"{self.killed - self.seen} MISSED" if self.seen < self.killed else f"{self.seen - self.killed} TOO MANY"


def compare(
    names: Mapping[str, str], losses: Mapping[str, int], incidents: Iterable[Incident]
) -> tuple[VictimRow, ...]:
    """Hold the victims' losses against the incidents; `names` and `losses` go by container id."""
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
    """Return the comparison line by line."""
    cells = [(row.name, row.container_id[:12], str(row.killed), str(row.seen), row.word) for row in rows]
    return aligned([_COLUMNS, *cells])


def verdict(rows: Sequence[VictimRow]) -> str:
    """Say in one line what the comparison comes to."""
    killed, seen = sum(row.killed for row in rows), sum(row.seen for row in rows)
    if all(row.passed for row in rows):
        return f"passed: the sidecar saw each of {killed} OOM kills"
    return f"FAILED: {killed} OOM kills happened, the sidecar recorded {seen}"
