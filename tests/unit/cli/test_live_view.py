"""The loop of the live view, and what it reads: keys to states, pausing, logs and incidents of the open screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sidecar.cli.monitor import SnapshotFeed, live
from sidecar.client.reader import MonitorError
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.snapshot import LogLine, Snapshot, Warn
from sidecar.views.lines import Line, plain
from sidecar.views.scene import ScreenName, ViewState
from tests.fakes import sidecar_samples as samples

NAME = "locust-locust-worker-3"
T = TypeVar("T")


@dataclass
class PretendReader:
    """Answers with what it holds, or fails with a sentence."""

    held: Snapshot
    problem: str = ""
    asked: list[str] = field(default_factory=list)
    port: int = 8090

    def snapshot(self) -> Snapshot:
        return self._answer("snapshot", self.held)

    def logs(self, container: str, limit: int) -> tuple[LogLine, ...]:
        return self._answer(f"logs {container} {limit}", (LogLine(samples.NOW, "s", container, "said"),))

    def incident(self, incident_id: str) -> Incident:
        found = next(incident for incident in self.held.incidents if incident.id == incident_id)
        return self._answer(f"incident {incident_id}", replace(found, note="the whole record"))

    def _answer(self, asked: str, answer: T) -> T:
        self.asked.append(asked)
        if self.problem:
            raise MonitorError(self.problem)
        return answer


def feed_of(reader: PretendReader) -> SnapshotFeed:
    return SnapshotFeed(reader, reader.held, tail=5)  # type: ignore[arg-type]  # the same three questions


class PretendTerminal:
    """Presses keys, one batch a wait; each wait lasts until the refresh when its batch is None."""

    size = (80, 24)

    def __init__(self, *batches: Sequence[str] | None) -> None:
        self.batches = [*batches, ("q",)]
        self.screens: list[str] = []
        self.clock = 0.0

    def draw(self, lines: Sequence[Line]) -> None:
        self.screens.append(plain(lines))

    def wait(self, seconds: float) -> Sequence[str]:
        batch = self.batches.pop(0)
        if batch is None:
            self.clock += max(0.0, seconds)
        return batch or ()

    def now(self) -> datetime:
        return samples.NOW + timedelta(seconds=self.clock)


def shown(reader: PretendReader, *batches: Sequence[str] | None) -> list[str]:
    terminal = PretendTerminal(*batches)
    live(
        feed_of(reader), terminal, interval_seconds=2, aside="", now=terminal.now, monotonic=lambda: terminal.clock
    )  # fmt: skip
    return terminal.screens


def test_a_key_is_answered_without_waiting_for_the_refresh() -> None:
    reader = PretendReader(samples.oom())
    screens = shown(reader, ("?",), ("esc",))
    assert [" · help" in screen.splitlines()[0] for screen in screens] == [False, True, False]
    assert reader.asked == []


def test_keys_typed_ahead_all_count() -> None:
    assert "▸locust-worker-3" in shown(PretendReader(samples.oom()), ("j", "j"))[-1]


def test_the_log_is_read_at_once_and_again_at_each_refresh() -> None:
    reader = PretendReader(samples.oom())
    screens = shown(reader, ("j", "j", "l"), None)
    assert "said" in screens[1]
    assert reader.asked == [f"logs {NAME} 200", "snapshot", f"logs {NAME} 200"]


def test_a_log_that_cannot_be_read_says_why_and_keeps_what_it_had() -> None:
    reader = PretendReader(samples.oom())
    feed, state = feed_of(reader), ViewState(where=ScreenName.LOG, container=NAME)
    feed.follow(state, samples.NOW, again=False)
    reader.problem = "connection refused"
    feed.follow(state, samples.NOW, again=True)
    assert feed.log is not None
    assert [line.text for line in feed.log.lines] == ["said"]
    assert "connection refused" in feed.log.problem


def test_a_log_that_is_scrolled_back_stands_still() -> None:
    reader = PretendReader(samples.oom())
    feed, state = feed_of(reader), ViewState(where=ScreenName.LOG, container=NAME)
    feed.follow(state, samples.NOW, again=True)
    feed.follow(replace(state, scroll=3), samples.NOW, again=True)
    assert len(reader.asked) == 1


def test_paused_a_log_is_read_when_it_is_opened_and_then_stands_still() -> None:
    reader = PretendReader(samples.oom())
    feed, state = feed_of(reader), ViewState(where=ScreenName.LOG, container=NAME, paused=True)
    for _ in range(3):
        feed.follow(state, samples.NOW, again=True)
    assert reader.asked == [f"logs {NAME} 200"]


def test_the_log_of_another_container_is_never_shown_for_the_selected_one() -> None:
    reader = PretendReader(samples.oom())
    feed, state = feed_of(reader), ViewState(where=ScreenName.LOG, container=NAME)
    feed.follow(state, samples.NOW, again=False)
    reader.problem = "no answer in time"
    feed.follow(replace(state, container="another"), samples.NOW, again=True)
    assert feed.log is not None
    assert (feed.log.container, feed.log.lines) == ("another", ())


def test_paused_nothing_moves_and_what_is_missed_is_counted() -> None:
    reader = PretendReader(replace(samples.running(), at=samples.NOW))
    feed = feed_of(reader)
    paused = ViewState(paused=True)
    feed.follow(paused, samples.NOW, again=False)
    reader.held = samples.oom()
    feed.refresh()
    feed.follow(paused, samples.NOW + timedelta(minutes=2), again=True)
    scene = feed.scene(samples.NOW + timedelta(minutes=2))
    assert scene.snapshot.incidents == ()
    assert not scene.snapshot.stale
    assert (scene.paused, scene.missed) == (True, 5)
    feed.follow(ViewState(), samples.NOW, again=True)
    assert len(feed.scene(samples.NOW).snapshot.incidents) == 5


def test_an_incident_is_read_whole_once_and_again_when_it_has_changed() -> None:
    reader = PretendReader(samples.oom())
    kill = next(incident for incident in reader.held.incidents if incident.kind is IncidentKind.OOM_KILL)
    feed, state = feed_of(reader), ViewState(where=ScreenName.INCIDENT, incident=kill.id)
    for _ in range(3):
        feed.follow(state, samples.NOW, again=True)
    assert reader.asked == [f"incident {kill.id}"]
    feed.snapshot = replace(feed.snapshot, incidents=(replace(kill, revision=2),))
    feed.follow(state, samples.NOW, again=True)
    assert len(reader.asked) == 2


def test_without_an_answer_an_incident_is_shown_as_the_snapshot_has_it() -> None:
    reader = PretendReader(samples.oom(), problem="it does not know this id")
    screens = shown(reader, ("i", "enter"))
    assert "OOM kill  2026-11-22" in screens[-1]


def test_a_lost_sidecar_is_said_on_every_screen() -> None:
    reader = PretendReader(samples.oom(), problem="connection refused")
    for key in ("?", "i", "f", "l"):
        screen = shown(reader, (key,), None)[-1]
        assert "STALE" in screen.splitlines()[0]
        assert "does not answer (connection refused)" in screen


def test_what_the_monitor_cannot_know_is_a_warning_that_goes_when_it_is_over() -> None:
    told: list[tuple[Warn, ...]] = [(Warn("error", "made by another command than `up`"),), ()]
    feed = replace(feed_of(PretendReader(samples.running())), beside=lambda: told.pop(0))
    for expected in (1, 0):
        feed.refresh()
        made = [warn for warn in feed.scene(samples.NOW).snapshot.warnings if warn.text.startswith("made by another")]
        assert len(made) == expected
