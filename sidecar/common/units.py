"""Numbers as people read them, in Docker's own formats where Docker shows the same number. Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
UNKNOWN = "–"

MIB, GIB = 1 << 20, 1 << 30
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_THOUSAND = 1000
_TEN = 10


def memory(size_bytes: float, digits: int = 4) -> str:
    """Write a memory size as `docker stats` does: powers of 1024, four significant digits (`32.02MiB`)."""
    return _scaled(size_bytes, 1024, _BINARY, digits)


def traffic(size_bytes: float) -> str:
    """Write an amount of input or output as `docker stats` does: powers of 1000, three digits (`12.5kB`)."""
    return _scaled(size_bytes, 1000, _DECIMAL, 3)


def rate(bytes_per_second: float | None) -> str:
    """Write a rate (`1.2MB/s`)."""
    return UNKNOWN if bytes_per_second is None else f"{traffic(bytes_per_second)}/s"


def _scaled(size: float, base: int, units: tuple[str, ...], digits: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size /= base
        step += 1
    number = f"{size:.{digits}g}"
    return f"{size:.0f}{units[step]}" if "e" in number else number + units[step]


def mebibytes(size_bytes: float) -> str:
    """Write a memory size in whole MiB (`512 MiB`)."""
    return f"{size_bytes / MIB:.0f} MiB"


def gibibytes(size_bytes: float, decimals: int = 1) -> str:
    """Write a memory size in GiB (`1.5 GiB`)."""
    return f"{size_bytes / GIB:.{decimals}f} GiB"


def of_limit(used_bytes: float, limit_bytes: float) -> str:
    """Write a memory size against its limit (`510 of 512 MiB`)."""
    return f"{used_bytes / MIB:.0f} of {limit_bytes / MIB:.0f} MiB"


def plural(number: int, noun: str, spec: str = "") -> str:
    """Write a number with its noun (`1 worker`, with the spec "," `1,200 users`)."""
    return f"{number:{spec}} {noun}{'' if number == 1 else 's'}"


def percent(value: float | None, decimals: int = 0) -> str:
    """Write a percentage (`12%`, `12.34%`)."""
    return UNKNOWN if value is None else f"{value:.{decimals}f}%"


def count(value: float) -> str:
    """Write a count or a rate, with decimals only where they matter."""
    if value >= _THOUSAND:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value % 1 and value < 10 * _TEN else f"{value:.0f}"


def milliseconds(value: float | None) -> str:
    """Write a response time (`48 ms`, `1.25 s`)."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f} ms" if value < _THOUSAND else f"{value / _THOUSAND:.2f} s"


def whole_milliseconds(value: object) -> str:
    """Write a response time of a document, always in milliseconds (`1250 ms`)."""
    return f"{float(value):.0f} ms" if isinstance(value, int | float) else UNKNOWN


def duration(seconds: float) -> str:
    """Write a span of time in its two largest units (`45s`, `2m 03s`, `3h 05m`, `2d 04h`)."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02d}h"


def elapsed(seconds: float) -> str:
    """Write seconds since a start (`0:45`, `1:02:03`)."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clock(moment: datetime | None, zone: tzinfo | None) -> str:
    """Write the time of day in a zone (None: the machine's own)."""
    return "" if moment is None else moment.astimezone(zone).strftime("%H:%M:%S")


def date_and_time(moment: datetime, zone: tzinfo | None) -> str:
    """Write date, time and zone (`2026-11-22 15:04:05 UTC`)."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
