"""The stream of server-sent events, and the feed of incidents behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity
from sidecar.monitor.board import Board, IncidentFeed, Upserts
from sidecar.serve.app import Written, events
from tests.fakes.sidecar_samples import NOW, running


def incident(number: int, revision: int = 1) -> Incident:
    return Incident(
        id=f"{number}",
        kind=IncidentKind.EXIT,
        severity=Severity.INFO,
        at=NOW + timedelta(seconds=number),
        text="it ended",
        revision=revision,
        evidence=(EvidenceItem("log", "lines", lines=("one",)),),
    )


def test_a_feed_gives_what_came_after_a_mark_each_once_at_its_newest() -> None:
    feed = IncidentFeed()
    feed.add([incident(1)])
    mark = feed.since(None).mark
    feed.add([incident(2), incident(3), incident(2, revision=2)])
    found = feed.since(mark)
    assert found == Upserts(4, (incident(2, revision=2), incident(3)), complete=True)
    assert feed.since(found.mark) == Upserts(4)


def test_a_feed_says_when_it_has_forgotten_what_was_asked_for() -> None:
    feed = IncidentFeed(remembered=2)
    feed.add([incident(number) for number in range(3)])
    assert feed.since(1) == Upserts(3, (incident(1), incident(2)), complete=True)
    assert feed.since(0) == Upserts(3, (incident(1), incident(2)), complete=False)


async def next_event(stream: AsyncIterator[bytes]) -> tuple[str, Any]:
    head, data, *_ = (await anext(stream)).decode().split("\n")
    return head.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_the_whole_state_comes_first_then_incidents_without_sending_it_again() -> None:
    async def play() -> None:
        board = Board(lambda: NOW)
        board.record([incident(1)])
        board.publish(running())
        stream = events(board, asyncio.Event())
        assert (await anext(stream)).startswith(b"retry: ")
        name, state = await next_event(stream)
        assert (name, state["project"]) == ("snapshot", "locust")
        board.record([incident(2)])
        name, told = await next_event(stream)
        assert (name, told["id"], told["evidence"]) == ("incident", "2", [])
        board.record([incident(3)])
        board.publish(replace(running(), project="other"))
        assert (await next_event(stream))[1]["id"] == "3"
        name, state = await next_event(stream)
        assert (name, state["project"]) == ("snapshot", "other")

    asyncio.run(play())


def test_a_reader_that_fell_behind_is_told_to_read_anew() -> None:
    async def play() -> None:
        board = Board(lambda: NOW)
        board.publish(running())
        stream = events(board, asyncio.Event())
        await anext(stream)
        await next_event(stream)
        board.record([incident(number) for number in range(1200)])
        assert (await next_event(stream))[0] == "reload"
        assert (await next_event(stream))[1]["id"] == "200"

    asyncio.run(play())


def test_a_stream_ends_when_the_server_stops() -> None:
    async def play() -> list[bytes]:
        board, stopping = Board(lambda: NOW), asyncio.Event()
        board.publish(running())
        stream = events(board, stopping)
        received = [await anext(stream), await anext(stream)]
        stopping.set()
        board.close()
        return received + [chunk async for chunk in stream]

    assert len(asyncio.run(play())) == 2


def test_an_incident_is_written_once_for_all_readers() -> None:
    written, newest = Written(), incident(1)
    assert written(newest) is written(newest)
    assert written(replace(newest, revision=2)) != written(newest)


def test_what_is_remembered_as_written_is_bounded() -> None:
    written = Written(most=10)
    for number in range(50):
        written(incident(number))
    assert len(written._kept) == 10
