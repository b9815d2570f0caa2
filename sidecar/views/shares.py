"""Who gets how many lines of the screen when not all fit. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_LOG_SHARE = 8  # the log keeps at least an eighth of the screen
_HALF, _THIRD, _FIFTH = 2, 3, 5
_FEWEST_WARNINGS, _FEWEST_TICKER, _FEWEST_ROWS = 2, 3, 3


@dataclass(slots=True)
class Shares:
    """Lines wanted by each part, headings not counted; `shrink_to` takes from them in the order of least harm."""

    traffic: int  # the host's second line
    warnings: int
    ticker: int
    rows: int
    watched: int
    logs: int

    @property
    def total(self) -> int:
        """All of them together."""
        return self.traffic + self.warnings + self.ticker + self.rows + self.watched + self.logs

    def refund(self, spare: int, wanted: Shares) -> None:
        """Give lines that others left unused to the containers, then to the log, up to what they wanted."""
        for name in ("rows", "watched", "logs"):
            size: int = getattr(self, name)
            more = max(0, min(spare, getattr(wanted, name) - size))
            setattr(self, name, size + more)
            spare -= more

    def shrink_to(self, room: int, height: int) -> None:
        """Give lines up until no more than `room` are wanted: the log first, what tells of failures last."""
        for name, least in (
            ("logs", height // _LOG_SHARE),
            ("warnings", max(_FEWEST_WARNINGS, room // _FIFTH)),
            ("ticker", max(_FEWEST_TICKER, room // _THIRD)),
            ("rows", max(_FEWEST_ROWS, room // _HALF)),
            ("traffic", 0),
            ("watched", _FEWEST_ROWS),
            ("rows", _FEWEST_ROWS),
            ("warnings", 1),
            ("ticker", 2),
            ("logs", 0),
            ("watched", 1),
            ("ticker", 1),
            ("rows", 1),
        ):
            missing = self.total - room
            size: int = getattr(self, name)
            setattr(self, name, size - max(0, min(missing, size - least)))
