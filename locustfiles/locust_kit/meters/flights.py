"""Every request of HttpUser and FastHttpUser, from the call to Locust's report, as it happens in this process.

Locust reports a request when it is over. A request that waits for ever, that is cut off with its user, or that was
made with `catch_response=True` and no `with` is in none of its figures. Here each call is noted while it lasts, and
each answer that is to be reported later until it is. Names are worked out only when somebody asks.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType, TracebackType
from typing import Any

import geventhttpclient.client
from gevent import GreenletExit, getcurrent
from geventhttpclient.useragent import RetriesExceeded
from locust import clients
from locust.clients import HttpSession
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession, FastRequest, LocustUserAgent
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from requests import PreparedRequest
from requests.exceptions import InvalidSchema, InvalidURL

from locust_kit import places
from locust_kit.connections import RETRIED
from locust_kit.guard import WarnOnce
from locust_kit.patches import Patches, make_each
from locust_kit.texts import OTHERS

MOST_FOLLOWED_ENDPOINTS, MOST_SITES = 200, 100
_FROM_LISTENERS = (StopUser, StopTest, RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet)
_WHOLE_SECONDS = 100  # waits of up to so many seconds are kept to the second, longer ones to two digits

Key = tuple[Any, Any]
"""Method and name, as the test gave them."""

Flight = list[Any]
"""A request on its way. A list, as one is made for each request; the names below are its indexes."""
_SESSION, _METHOD, _URL, _NAME, _OPTIONS, _BEGAN, _SENDS, _TRIES = range(8)

REDIRECTS, RETRIES, RESENT = "redirects", "retries", "resent"


@dataclass(slots=True)
class Endpoint:
    """What came of the requests of one method and name that Locust did not simply report.

    Attributes:
        cut: by whole seconds waited: their user was stopped while they waited.
        given_up: by whole seconds waited: the users' own code ended the wait, by a time-out of its own.
        raised: the client or the users' code raised something else, mostly before anything was sent.
        unreported: answered; `catch_response=True` and no `with`.
        left: answered; an exception or the end of the user came before the `with` block had reported them.
        redirects: requests that followed from an answer: redirects, a second try with credentials.
        retries: tries that the setting RETRIES made.
        resent: tries that geventhttpclient made by itself: the server had closed without an answer.

    """

    cut: dict[int, int] = field(default_factory=dict)
    given_up: dict[int, int] = field(default_factory=dict)
    raised: int = 0
    unreported: int = 0
    left: int = 0
    redirects: int = 0
    retries: int = 0
    resent: int = 0


@dataclass(slots=True)
class Site:
    """A line of the test that asks for an answer with `catch_response=True`."""

    code: CodeType  # kept, so that no other has its id
    place: str
    reports: bool = False  # whether any answer of this line was ever reported, or entered a `with`
    unreported: int = 0


Answer = list[Any]
"""An answer that is to be reported later: a list, as above."""
_RESPONSE, _KEY, _SITE, _ENTERED, _AT_STOP, _COUNTED = range(6)


class Flights:
    """The requests of this process: those on their way, and what came of the others since `begin`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.flying: dict[Any, Flight] = {}
        self.answers: dict[int, Answer] = {}
        self._sites: dict[tuple[int, int], Site] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what came of requests: a run begins, or Locust resets its statistics."""
        self.answered = len(self.answers)
        self.endpoints: dict[Key, Endpoint] = {}
        for site in self._sites.values():
            site.unreported = 0

    def endpoint(self, key: Key) -> Endpoint:
        """Return the counts of a method and name; beyond 200 of them, those of all others of the method."""
        if key not in self.endpoints and len(self.endpoints) >= MOST_FOLLOWED_ENDPOINTS:
            key = (key[0], OTHERS)
        return self.endpoints.setdefault(key, Endpoint())

    def sites(self) -> Iterator[Site]:
        """Yield the lines of the test whose answers were never reported."""
        return (site for site in self._sites.values() if site.unreported)

    def waiting(self) -> Iterator[tuple[Key, float]]:
        """Yield method and name of each request on its way, and the seconds that it has waited."""
        now = self.clock()
        for flight in list(self.flying.values()):
            yield key_of(flight), now - flight[_BEGAN]

    def raised(self, flight: Flight, error: BaseException) -> None:
        """Count a request that left the client by an exception."""
        if isinstance(error, _FROM_LISTENERS):
            self.answered += 1  # a listener to `request` ends the user: Locust has counted it by then
            return
        endpoint = self.endpoint(key_of(flight))
        if isinstance(error, GreenletExit):
            _count(endpoint.cut, self.clock() - flight[_BEGAN])
        elif _was_waiting(error.__traceback__):
            _count(endpoint.given_up, self.clock() - flight[_BEGAN])
        else:
            endpoint.raised += 1
        self.add_tries(flight, endpoint)

    def add_tries(self, flight: Flight, endpoint: Endpoint, history: int = 0) -> None:
        """Count what was sent beyond the request itself; `history` is how many answers led to the last one."""
        endpoint.redirects += max(flight[_SENDS] - 1, history)
        for kind, count in (flight[_TRIES] or {}).items():
            setattr(endpoint, kind, getattr(endpoint, kind) + count)

    def again(self, kind: str, count: int = 1) -> None:
        """Note a try more of the request that this greenlet makes."""
        if (flight := self.flying.get(getcurrent())) is not None:
            tries = flight[_TRIES] = flight[_TRIES] or {}
            tries[kind] = tries.get(kind, 0) + count

    def expect(self, response: Any, frame: FrameType) -> None:
        """Follow an answer that is to be reported later; `frame` is that of the call to Locust's `request`."""
        while frame.f_code.co_filename in _OF_LOCUST and frame.f_back is not None:
            frame = frame.f_back
        where = (id(frame.f_code), frame.f_lasti)
        site = self._sites.get(where) or self._site(where, frame)
        meta = response.request_meta
        key = (meta["request_type"], meta["name"])
        response._locust_kit_answer = answer = [weakref.ref(response), key, site, False, False, None]  # noqa: SLF001  ours
        self.answers[id(answer)] = answer
        response.__class__ = _FOLLOWED[response.__class__]

    def heard(self, answer: Answer) -> None:
        """Take back that an answer is unreported: it was held back, and the test reports it now."""
        counted, answer[_COUNTED] = answer[_COUNTED], None
        if any(counted is endpoint for endpoint in self.endpoints.values()):
            counted.unreported -= 1
            answer[_SITE].unreported -= 1
        else:  # of before `begin`, which forgot it: Locust's statistics have the report from now on
            self.answered += 1
        self.answers[id(answer)] = answer

    def _site(self, where: tuple[int, int], caller: FrameType) -> Site:
        if len(self._sites) >= MOST_SITES:
            where = (0, 0)
        return self._sites.setdefault(where, Site(caller.f_code, places.of_caller(caller).line or OTHERS))

    def settle(self) -> None:
        """Count the answers that nobody can report any more, and those of lines that never reported one."""
        for number, answer in list(self.answers.items()):
            gone, site = answer[_RESPONSE]() is None, answer[_SITE]
            if not gone and (answer[_ENTERED] or site.reports):
                continue
            del self.answers[number]
            endpoint = self.endpoint(answer[_KEY])
            if answer[_ENTERED] or (answer[_AT_STOP] and site.reports):
                endpoint.left += 1
            else:
                endpoint.unreported += 1
                site.unreported += 1
                answer[_COUNTED] = endpoint

    def stopping(self) -> None:
        """Note which answers users still hold, at lines that report them: the end of a user is no fault of theirs."""
        self.settle()
        if any(not answer[_ENTERED] for answer in self.answers.values()):
            gc.collect()  # an answer of HttpUser and what Locust keeps with it hold each other
            self.settle()
        for answer in self.answers.values():
            answer[_AT_STOP] = True


def key_of(flight: Flight) -> Key:
    """Return the method, and the name by which Locust will report this request."""
    session, url, options = flight[_SESSION], flight[_URL], flight[_OPTIONS]
    name = flight[_NAME] or getattr(session, "request_name", None) or url
    if name is url and isinstance(session, HttpSession):
        name = _path(session.base_url, url, options.get("params"))
    return flight[_METHOD], name


def _path(base_url: Any, url: Any, params: Any) -> Any:
    """Return path and query as requests makes them of an address; the address itself where it cannot."""
    if isinstance(url, str) and url.startswith("/") and url.isascii() and not params and not {*url} & {*" #%"}:
        return url
    prepared = PreparedRequest()
    try:
        prepared.prepare_url(url if _is_absolute(url) else f"{base_url}{url}", params)
    except Exception:  # noqa: BLE001  an address that cannot be read is its own name
        return url
    return prepared.path_url


def _is_absolute(url: Any) -> bool:
    return isinstance(url, str) and bool(clients.absolute_http_url_regexp.match(url))


def _count(waited: dict[int, int], seconds: float) -> None:
    whole = whole_seconds(seconds)
    waited[whole] = waited.get(whole, 0) + 1


def whole_seconds(seconds: float) -> int:
    """Return whole seconds, rounded down: from 100 s on to two digits, so that there are few different ones."""
    whole = max(0, int(seconds))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return whole if whole < _WHOLE_SECONDS else whole // unit * unit


def _was_waiting(trace: TracebackType | None) -> bool:
    """Return whether the exception was thrown into a greenlet that waited: its innermost frame is then gevent's."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "gevent" in trace.tb_frame.f_code.co_filename


FLIGHTS = Flights()
"""Those of this process."""

_FOLLOWED: dict[type[Any], type[Any]] = {}
"""The class of an answer that is to be reported later, by Locust's own."""
_OF_LOCUST = {clients.__file__, fasthttp.__file__, __file__}


def install(flights: Flights = FLIGHTS) -> tuple[list[str], list[str]]:
    """Follow the requests of both clients of this process. Returns what is followed, and why anything is not."""
    RETRIED.listener = functools.partial(flights.again, RETRIES)
    return make_each(
        {
            "HttpUser": functools.partial(_follow_requests, flights),
            "FastHttpUser": functools.partial(_follow_fast, flights),
            "what FastHttpUser sends again": functools.partial(_follow_resent, flights),
        }
    )


def _reporting_later(response: type[Any], flights: Flights) -> type[Any]:
    """Return the class of a response that is to be reported later: Locust's own, with notes of what becomes of it."""
    enter, report, answers = response.__enter__, response._report_request, flights.answers  # noqa: SLF001  its only name

    class Followed(response):  # type: ignore[misc]  # one of two classes
        def __enter__(self) -> Any:
            answer = self._locust_kit_answer
            answer[_ENTERED] = answer[_SITE].reports = True
            if answer[_COUNTED] is not None:
                flights.heard(answer)
            return enter(self)

        def _report_request(self, *args: Any) -> None:
            answer = self._locust_kit_answer
            answer[_SITE].reports = True
            if answer[_COUNTED] is not None:
                flights.heard(answer)
            answers.pop(id(answer), None)
            report(self, *args)

    Followed.__name__, Followed.__qualname__ = response.__name__, response.__qualname__
    return Followed


def _followed(original: Callable[..., Any], flights: Flights) -> Callable[..., Any]:
    flying, clock, current, frame_of = flights.flying, flights.clock, getcurrent, sys._getframe  # noqa: SLF001
    warn = WarnOnce("following requests")
    of_requests = original.__module__ == clients.__name__  # there an attribute, for FastHttpUser a call

    @functools.wraps(original)
    def request(session: Any, method: Any, url: Any, name: Any = None, *args: Any, **options: Any) -> Any:
        greenlet = current()
        outer = flying.get(greenlet)
        flying[greenlet] = flight = [session, method, url, name, options, clock(), 0, None]
        try:
            response = original(session, method, url, name, *args, **options)
        except BaseException as error:
            try:
                flights.raised(flight, error)
            except Exception as failure:  # noqa: BLE001  whatever it is, the run goes on
                warn(failure)
            raise
        finally:
            if outer is None:
                del flying[greenlet]
            else:
                flying[greenlet] = outer
        flights.answered += 1
        try:
            if flight[_SENDS] > 1 or flight[_TRIES] or (of_requests and response.history):
                history = len(response.history) if of_requests else 0
                flights.add_tries(flight, flights.endpoint(key_of(flight)), history)
            if response.__class__ in _FOLLOWED and response._catch_response:  # noqa: SLF001  its only name
                flights.expect(response, frame_of(1))
        except Exception as failure:  # noqa: BLE001  as above
            warn(failure)
        return response

    return request


def _follow_requests(flights: Flights) -> None:
    flying, current, send = flights.flying, getcurrent, HttpSession.send

    @functools.wraps(send)
    def sent(session: Any, request: Any, **options: Any) -> Any:
        if (flight := flying.get(current())) is None:
            return send(session, request, **options)
        flight[_SENDS] += 1
        try:
            return send(session, request, **options)
        except (InvalidSchema, InvalidURL):
            flight[_SENDS] -= 1  # to an address that requests does not send to
            raise

    _FOLLOWED[clients.ResponseContextManager] = _reporting_later(clients.ResponseContextManager, flights)
    with Patches() as patches:
        patches.put(HttpSession, "request", _followed(HttpSession.request, flights))
        patches.put(HttpSession, "send", sent)


def _follow_fast(flights: Flights) -> None:
    def redirect(original: Callable[..., None], request: Any, *args: Any, **options: Any) -> None:
        original(request, *args, **options)
        flights.again(REDIRECTS)

    def fail(original: Callable[..., Any], agent: Any, error: BaseException, *args: Any, **options: Any) -> Any:
        if isinstance(error, RetriesExceeded):
            flights.again(REDIRECTS, -1)  # the one beyond the limit is not followed
        return original(agent, error, *args, **options)

    _FOLLOWED[fasthttp.ResponseContextManager] = _reporting_later(fasthttp.ResponseContextManager, flights)
    with Patches() as patches:
        patches.put(FastHttpSession, "request", _followed(FastHttpSession.request, flights))
        patches.wrap(FastRequest, "redirect", redirect)
        patches.wrap(LocustUserAgent, "_handle_error", fail)


def _follow_resent(flights: Flights) -> None:
    may_retry = geventhttpclient.client._may_retry_after_send_error  # noqa: SLF001  no other sign of it

    def counted(method: str) -> bool:
        if is_sent_again := may_retry(method):
            flights.again(RESENT)
        return is_sent_again

    geventhttpclient.client._may_retry_after_send_error = counted  # noqa: SLF001
