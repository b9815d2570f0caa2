"""Ends and restarts: each with its reason, each told once."""

from __future__ import annotations

import pytest

from sidecar.model.incident import FINAL, ExitReason, IncidentKind, Severity
from sidecar.model.signal import DockerEvent, Inspection, Owner, StreamDown, StreamUp
from tests.unit.incidents.pretend_kernel import MILLISECOND, Box, Machine

ENDS = (IncidentKind.EXIT, IncidentKind.RESTART, IncidentKind.MASTER_RESTART)


def watched() -> Machine:
    machine = Machine()
    machine.begin_watching()
    return machine


def running(machine: Machine, service: str = "web") -> Box:
    box = machine.container(service)
    machine.start(box)
    machine.run(3)
    return box


@pytest.mark.parametrize(
    ("code", "signals", "reason", "severity"),
    [
        (0, (), ExitReason.FINISHED, Severity.INFO),
        (3, (), ExitReason.CRASHED, Severity.ERROR),
        (137, (), ExitReason.KILLED, Severity.ERROR),
        (143, (15,), ExitReason.STOPPED, Severity.INFO),
        (137, (15, 9), ExitReason.STOPPED, Severity.INFO),
        (0, (15,), ExitReason.STOPPED, Severity.INFO),
        (1, (1,), ExitReason.CRASHED, Severity.ERROR),  # SIGHUP asks nobody to end
    ],
)
def test_an_end_has_its_reason(code: int, signals: tuple[int, ...], reason: ExitReason, severity: Severity) -> None:
    machine = watched()
    box = running(machine)
    machine.end(box, code, signals=signals)
    machine.run(10)
    (incident,) = machine.of(*ENDS)
    assert (incident.kind, incident.reason, incident.exit_code) == (IncidentKind.EXIT, reason, code)
    assert (incident.severity, incident.state) == (severity, FINAL)


def test_a_worker_that_leaves_with_0_unasked_has_lost_its_master() -> None:
    machine = watched()
    box = running(machine, "locust-worker")
    machine.end(box, 0, restart_ms=200)
    machine.run(10)
    (incident,) = machine.of(*ENDS)
    assert (incident.kind, incident.reason) == (IncidentKind.RESTART, ExitReason.LOST_MASTER)


def test_a_restart_of_the_master_is_its_own_kind() -> None:
    machine = watched()
    box = running(machine, "locust-master")
    machine.end(box, 1, restart_ms=200)
    machine.run(10)
    (incident,) = machine.of(*ENDS)
    assert (incident.kind, incident.reason, incident.exit_code) == (IncidentKind.MASTER_RESTART, ExitReason.CRASHED, 1)


def test_a_restart_that_waits_is_an_exit_first_and_a_restart_then() -> None:
    machine = watched()
    box = running(machine)
    machine.end(box, 2, restart_ms=8000)
    machine.run(4)
    assert [one.kind for one in machine.of(*ENDS)] == [IncidentKind.EXIT]
    machine.run(10)
    assert [one.kind for one in machine.of(*ENDS)] == [IncidentKind.EXIT, IncidentKind.RESTART]


def test_a_child_killed_just_before_another_exit_code_is_the_cause_of_the_end() -> None:
    machine = watched()
    box = running(machine)
    machine.kill_child(box)
    machine.run(0.5)
    machine.end(box, 3)
    machine.run(10)
    (kill,), (end,) = machine.of(IncidentKind.OOM_KILL), machine.of(IncidentKind.EXIT)
    assert (end.reason, end.exit_code, end.cause) == (ExitReason.OOM, 3, kill.id)
    assert kill.process_survived is False


def test_a_child_killed_long_before_is_not() -> None:
    machine = watched()
    box = running(machine)
    machine.kill_child(box)
    machine.run(8)
    machine.end(box, 3)
    machine.run(10)
    (kill,), (end,) = machine.of(IncidentKind.OOM_KILL), machine.of(IncidentKind.EXIT)
    assert end.reason is ExitReason.CRASHED
    assert kill.process_survived is True


def test_a_stop_with_a_signal_of_the_images_own_is_known_by_the_stop_that_follows() -> None:
    machine = watched()
    box = running(machine)
    machine.end(box, 1, signals=(28,))
    machine.event(box, "stop")
    machine.run(10)
    (incident,) = machine.of(IncidentKind.EXIT)
    assert incident.reason is ExitReason.STOPPED


def test_a_restart_that_no_event_told_of_is_found_by_inspecting() -> None:
    machine = watched()
    box = running(machine)
    machine.watching = False
    machine.end(box, 1, restart_ms=100)
    machine.run(1)
    machine.watching = True
    machine.run(12)
    (incident,) = machine.of(*ENDS)
    assert (incident.kind, incident.reason, incident.severity) == (
        IncidentKind.RESTART,
        ExitReason.UNSEEN,
        Severity.WARN,
    )


def test_an_end_that_no_event_told_of_is_found_by_inspecting() -> None:
    machine = watched()
    box = running(machine)
    machine.watching = False
    machine.end(box, 4)
    machine.run(1)
    machine.watching = True
    machine.run(12)
    (incident,) = machine.of(*ENDS)
    assert (incident.kind, incident.reason, incident.exit_code) == (IncidentKind.EXIT, ExitReason.CRASHED, 4)


def test_the_same_story_gives_the_same_ids() -> None:
    def story() -> list[str]:
        machine = watched()
        box = running(machine)
        machine.kill_main(box)
        machine.run(10)
        return sorted(machine.ledger)

    assert story() == story()
    assert len(story()) == 2


def test_a_span_without_events_is_said_from_when_to_when_and_whether_it_was_made_up_for() -> None:
    machine = watched()
    machine.run(1)
    machine.reducer.apply(StreamDown(machine.ns(), "the proxy is gone"))
    machine.run(4)
    machine.reducer.apply(StreamUp(machine.ns(), machine.ns(), covered=True))
    machine.run(10)
    (blind,) = machine.of(IncidentKind.BLIND)
    assert blind.until is not None
    assert (blind.until - blind.at).total_seconds() == 4.0
    assert (blind.severity, blind.state) == (Severity.INFO, FINAL)
    assert [(one.source, one.covered) for one in machine.reducer.blind()] == [("events", True)]


@pytest.mark.parametrize(("asked", "minutes", "severity"), [(True, 30, "info"), (True, 5, "warn"), (False, 30, "warn")])
def test_a_long_absence_that_somebody_asked_for_is_no_cause_for_alarm(
    minutes: float, severity: str, *, asked: bool
) -> None:
    machine = watched()
    machine.run(2)
    if asked:
        machine.reducer.stop()
        machine.commit()
    machine.host_kills += 3
    machine.crash_and_return(minutes * 60, replay=False)
    machine.run(10)
    (blind,) = machine.of(IncidentKind.BLIND)
    assert blind.severity == severity
    assert machine.unplaced() == (0 if severity == "info" else 3)


def test_a_kernel_that_falls_silent_is_a_blind_span() -> None:
    machine = watched()
    machine.run(2)
    machine.read_all = lambda: None  # type: ignore[method-assign]
    machine.run(15)
    (blind,) = machine.of(IncidentKind.BLIND)
    assert blind.until is None
    assert "kernel" in blind.text


def test_a_removed_container_leaves_nothing_behind() -> None:
    machine = watched()
    box = running(machine)
    machine.end(box, 0, signals=(15,))
    machine.event(box, "destroy")
    del machine.boxes[box.id]
    machine.run(60)
    assert not any(box.id in key for key in machine.kept)


def test_helpers_are_recorded_and_marked() -> None:
    machine = watched()
    box = machine.container("probe", project=None)
    box.owner = Owner("probe", None, "selftest", 1, helper=True)
    machine.start(box)
    machine.run(1)
    machine.kill_child(box)
    machine.run(8)
    (kill,) = machine.of(IncidentKind.OOM_KILL)
    assert (kill.helper, kill.count) == (True, 1)


def test_an_inspect_older_than_the_events_changes_nothing() -> None:
    machine = watched()
    box = running(machine)
    old = Inspection(
        machine.ns() - 500 * MILLISECOND,
        box.id,
        box.owner,
        "running",
        machine.ns() - 10**12,
        None,
        None,
        oom_killed=False,
        restarts=0,
    )
    machine.reducer.apply(old)
    machine.run(10)
    assert machine.of(*ENDS) == []


def test_an_event_of_an_unknown_container_is_no_error() -> None:
    machine = watched()
    for action in ("die", "oom", "kill", "stop", "destroy", "rename", "start"):
        machine.reducer.apply(DockerEvent(machine.ns(), action, "e" * 64, Owner("stranger")))
    machine.run(5)
    assert machine.of(*ENDS) == []
