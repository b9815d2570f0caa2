"""The self-test from start to end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sidecar.client.documents import IncidentList
from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.commands.selftest.comparison import VictimRow, compare, table, verdict
from sidecar.commands.selftest.victims import SelftestError, Victim, started, wait_for_losses
from sidecar.common.console import Console
from sidecar.common.times import format_time
from sidecar.engine.docker_engine import DockerEngine
from sidecar.model import document
from sidecar.model.incident import Incident, IncidentKind
from sidecar.stack.images import IMAGES
from sidecar.stack.registered import Clock

PASSED, MISSED = 0, 1
SETTLING_SECONDS = 15.0  # incidents are final after two seconds; the rest is for a machine under load
_PAUSE_SECONDS = 0.5
_MOST_INCIDENTS = 500
_EARLIER = timedelta(seconds=5)  # the engine's clock is this machine's; a margin costs nothing, ids are compared


def selftest(engine: DockerEngine, reader: SidecarReader, say: Console, clock: Clock) -> int:
    """Kill, compare, tell; return 0 when every kill was seen and 1 when one was missed or made up.

    Raises:
        SelftestError: the test itself could not be made.
        EngineError: Docker did not answer.

    """
    image = image_with_python(engine)
    since = datetime.now(UTC) - _EARLIER
    with (
        say.step("victims", "starting small containers to be OOM-killed") as step,
        started(image, secrets.token_hex(3)) as victims,
    ):
        losses = wait_for_losses(victims, engine, clock)
        step.result = f"{sum(losses.values())} OOM kills in {len(victims)} containers"
        rows = wait_for_rows(victims, losses, lambda: incidents(reader, since), clock)
    for line in table(rows):
        say.note(line)
    say.line(verdict(rows))
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
        written = reader.incidents(
            since=format_time(since), kind=IncidentKind.OOM_KILL, helpers=1, evidence=0, limit=_MOST_INCIDENTS
        )
        return document.loads_as(IncidentList, written, "incidents").incidents
    except (MonitorError, document.DocumentError) as error:
        raise SelftestError(f"the sidecar gave no incidents: {error}", fix="make up") from error
