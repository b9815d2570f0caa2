"""Follow every request of HttpUser and FastHttpUser in this process, from the call to Locust's report.

Locust reports a request when it ends. So Locust's figures do not contain a request that waits forever, a request that
is cut off with its user, or a request with `catch_response=True` and no `with`. The plugin notes each call while it
lasts, and each answer until the test reports it. It makes the names only when they are needed.
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
"""An open request: a list, because each request makes one; the names below are its indexes."""
_SESSION, _METHOD, _URL, _NAME, _OPTIONS, _BEGAN, _SENDS, _TRIES = range(8)

REDIRECTS, RETRIES, RESENT = "redirects", "retries", "resent"


@dataclass(slots=True)
class Endpoint:
    """The requests of one method and name that Locust did not simply report.

    Attributes:
        cut: their user was stopped while they waited; counts by whole seconds of waiting.
        given_up: a time-out in the users' own code ended the wait; counts by whole seconds of waiting.
        raised: the client or the users' code raised another exception, mostly before the request was sent.
        unreported: answered; `catch_response=True` and no `with`.
        left: answered; an exception or the end of the user prevented the report of the `with` block.
        redirects: further requests because of an answer: redirects, a second attempt with credentials.
        retries: further attempts because of the setting RETRIES.
        resent: further attempts of geventhttpclient, because the server closed without an answer.

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
    """A line of the test that sends a request with `catch_response=True`."""

    code: CodeType  # kept, so that no other has its id
    place: str
    reports: bool = False  # whether any answer of this line was reported, or entered a `with`
    unreported: int = 0


Answer = list[Any]
"""An answer that the test reports later: a list, as above."""
_RESPONSE, _KEY, _SITE, _ENTERED, _AT_STOP, _COUNTED = range(6)


class Flights:
    """The open requests of this process, and the results of the others since `begin`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.flying: dict[Any, Flight] = {}
        self.answers: dict[int, Answer] = {}
        self._sites: dict[tuple[int, int], Site] = {}
        self.begin()

    def begin(self) -> None:
        """Forget the results of requests: a run begins, or Locust resets its statistics."""
        self.answered = len(self.answers)
        self.endpoints: dict[Key, Endpoint] = {}
        for site in self._sites.values():
            site.unreported = 0

    def endpoint(self, key: Key) -> Endpoint:
        """Return the counts of a method and name; above 200 names, the common counts of the method's other names."""
        if key not in self.endpoints and len(self.endpoints) >= MOST_FOLLOWED_ENDPOINTS:
            key = (key[0], OTHERS)
        return self.endpoints.setdefault(key, Endpoint())

    def sites(self) -> Iterator[Site]:
        """Yield the lines of the test whose answers were never reported."""
        return (site for site in self._sites.values() if site.unreported)

    def waiting(self) -> Iterator[tuple[Key, float]]:
        """Yield method and name of each open request, and the seconds it has waited."""
        now = self.clock()
        for flight in list(self.flying.values()):
            yield key_of(flight), now - flight[_BEGAN]

    def raised(self, flight: Flight, error: BaseException) -> None:
        """Count a request that ended with an exception of the client."""
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
        """Count further requests for one request; `history` is the number of answers before the last one."""
        endpoint.redirects += max(flight[_SENDS] - 1, history)
        for kind, count in (flight[_TRIES] or {}).items():
            setattr(endpoint, kind, getattr(endpoint, kind) + count)

    def again(self, kind: str, count: int = 1) -> None:
        """Note another attempt of this greenlet's request."""
        if (flight := self.flying.get(getcurrent())) is not None:
            tries = flight[_TRIES] = flight[_TRIES] or {}
            tries[kind] = tries.get(kind, 0) + count

    def expect(self, response: Any, frame: FrameType) -> None:
        """Follow an answer that the test reports later; `frame` is the call to Locust's `request`."""
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
        """Stop counting an answer as unreported: the test kept it and reports it now."""
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
        """Count the answers that no code can report any more, and the answers of lines that never reported one."""
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
        """Note answers that users still hold at lines that report answers: only the end of the users loses them."""
        self.settle()
        if any(not answer[_ENTERED] for answer in self.answers.values()):
            gc.collect()  # an answer of HttpUser and what Locust keeps with it hold each other
            self.settle()
        for answer in self.answers.values():
            answer[_AT_STOP] = True


def key_of(flight: Flight) -> Key:
    """Return the method and the name with which Locust will report this request."""
    session, url, options = flight[_SESSION], flight[_URL], flight[_OPTIONS]
    name = flight[_NAME] or getattr(session, "request_name", None) or url
    if name is url and isinstance(session, HttpSession):
        name = _path(session.base_url, url, options.get("params"))
    return flight[_METHOD], name


def _path(base_url: Any, url: Any, params: Any) -> Any:
    """Return path and query of an address as requests makes them; the address itself if requests cannot."""
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
    """Return whole seconds, rounded down; from 100 s on to two digits, so that there are few different values."""
    whole = max(0, int(seconds))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return whole if whole < _WHOLE_SECONDS else whole // unit * unit


def _was_waiting(trace: TracebackType | None) -> bool:
    """Return whether the exception was raised in a waiting greenlet: its innermost frame is then gevent's."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "gevent" in trace.tb_frame.f_code.co_filename


FLIGHTS = Flights()
"""The requests of this process."""

_FOLLOWED: dict[type[Any], type[Any]] = {}
"""The plugin's class of an answer that the test reports later, by Locust's class."""
_OF_LOCUST = {clients.__file__, fasthttp.__file__, __file__}


def install(flights: Flights = FLIGHTS) -> tuple[list[str], list[str]]:
    """Follow the requests of both clients of this process. Return what is followed, and why other parts are not."""
    RETRIED.listener = functools.partial(flights.again, RETRIES)
    return make_each(
        {
            "HttpUser": functools.partial(_follow_requests, flights),
            "FastHttpUser": functools.partial(_follow_fast, flights),
            "repeated requests of FastHttpUser": functools.partial(_follow_resent, flights),
        }
    )


def _reporting_later(response: type[Any], flights: Flights) -> type[Any]:
    """Return the class of a response that the test reports later: Locust's class, which also notes the result."""
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
            flight[_SENDS] -= 1  # an address to which requests does not send
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
