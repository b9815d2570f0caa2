"""Kills of a main process, one after another, and which of them the engine itself has no word of.

A few containers are started again in turn: on an emulated machine a start takes seconds, and making one even longer.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.integration.stacks import docker
from tests.integration.storm.battle import Battle
from tests.integration.storm.truth import Truth
from tests.integration.storm.victims import Shape, eater

IN_TURN = 5
LINGER_SECONDS = "0.5"  # a life that is no flash


@dataclass(slots=True)
class Engine:
    """What the engine said of the kills: when it told of one, by container, and OOMKilled after each start's end."""

    told: dict[str, list[int]] = field(default_factory=dict)
    flags: dict[str, list[bool]] = field(default_factory=dict)


def one_after_another(battle: Battle, kills: int) -> Engine:
    """Have so many main processes killed, never two at once; return what the engine said of them."""
    engine = Engine()
    shape = Shape("main", eater("main", str(kills), LINGER_SECONDS))
    with oom_events(battle.began_ns) as lines:
        for turn in range(kills):
            if turn < IN_TURN:
                battle.wave((shape,))
            container = battle.victims[turn % IN_TURN].id
            if turn >= IN_TURN:
                # Asked for one round after the kill: a flag that comes late is not called lost.
                engine.flags.setdefault(container, []).append(flagged(container))
                docker("start", container)
            docker("wait", container)
            print(f"kill {turn + 1} of {kills}", flush=True)
        for victim in battle.victims:
            engine.flags.setdefault(victim.id, []).append(flagged(victim.id))
        for line in lines.read_text().splitlines():
            event = json.loads(line)
            engine.told.setdefault(event["id"], []).append(event["timeNano"])
    return engine


def flagged(container_id: str) -> bool:
    """OOMKilled, as the engine has it for a container's last end."""
    return docker("inspect", "--format", "{{.State.OOMKilled}}", container_id) == "true"


@contextmanager
def oom_events(since_ns: int) -> Iterator[Path]:
    """Write the engine's `oom` events to a file from that moment on: its own memory is too short for a storm."""
    since = f"{since_ns // 10**9}.{since_ns % 10**9:09}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        with path.open("w") as file:
            stream = subprocess.Popen(
                ["docker", "events", "--since", since, "--filter", "event=oom", "--format", "{{json .}}"], stdout=file
            )
        try:
            yield path
        finally:
            stream.terminate()
            stream.wait(30)


def lost(engine: Engine, truths: Sequence[Truth]) -> dict[str, int]:
    """How many kills had no `oom` event, how many no OOMKilled, and how many neither."""
    missed = {"event": 0, "flag": 0, "both": 0}
    for truth in truths:
        starts = [life.began_ns for life in truth.lives]
        for (since, until), flag in zip(pairwise([*starts, 1 << 63]), engine.flags[truth.container_id], strict=True):
            told = any(since <= one < until for one in engine.told.get(truth.container_id, ()))
            missed["event"] += not told
            missed["flag"] += not flag
            missed["both"] += not told and not flag
    return missed
