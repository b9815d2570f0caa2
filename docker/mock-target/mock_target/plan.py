"""Make a Plan from a request target (the unchanged path and query). Pure, and cached, because load repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from mock_target.behaviours import OK, Act, Answer, text_answer
from mock_target.query import BadParameterError, Query
from mock_target.routes import ROUTES, Route, listing
from mock_target.share import hits

LONGEST_COUNTED_PATH = 200

_EXACT = {route.path: route for route in ROUTES if not route.path.endswith("/")}
_PREFIX = {route.path: route for route in ROUTES if route.path.endswith("/")}


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan for a target: its acts, used in turn, for a share of the requests."""

    path: str
    acts: tuple[Act, ...]
    share: Fraction = Fraction(1)

    @property
    def needs_turn(self) -> bool:
        """Return whether the act depends on the number of earlier requests."""
        return len(self.acts) > 1 or self.share != 1

    def act(self, index: int) -> Act:
        """Return the act for the request number `index`, from 0."""
        if not hits(index, self.share):
            return OK
        earlier_hits = int(index * self.share)
        return self.acts[earlier_hits % len(self.acts)]


@lru_cache(maxsize=4096)
def plan_for(target: str) -> Plan:
    """Return the plan for a target such as `/slow?ms=300`. An invalid target becomes a 400 or 404 with the reason."""
    path, _, text = target.partition("?")
    # A client with a proxy setting sends an absolute-form target. Only its path counts.
    if path.startswith(("http://", "https://")):
        path = "/" + path.split("/", 3)[3] if path.count("/") > 2 else "/"  # noqa: PLR2004 - the scheme's two
    counted = path[:LONGEST_COUNTED_PATH]
    if path == "/":
        return Plan("/", (Act("listing", Answer(200, "text/plain", listing().encode())),))
    match = _route(path)
    if match is None:
        return Plan(
            counted, (Act("not_found", text_answer(f"path {counted} does not exist; GET / lists all paths", 404)),)
        )
    route, rest = match
    try:
        query = Query(text)
        share = query.share()
        acts = route.build(rest, query)
        query.finish(route.path)
    except BadParameterError as error:
        return Plan(counted, (Act("bad_request", text_answer(str(error), 400)),))
    return Plan(counted, acts, share)


def _route(path: str) -> tuple[Route, str] | None:
    if path in _EXACT:
        return _EXACT[path], ""
    _, first, rest = (*path.split("/", 2), "")[:3]
    route = _PREFIX.get(f"/{first}/")
    return (route, rest) if route else None
