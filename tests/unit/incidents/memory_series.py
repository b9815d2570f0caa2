"""Made-up memory of containers, an hour of it, the same each time: what must never look like a leak, and leaks.

Each shape is a function of seconds to (working set, raw usage) in bytes, before noise.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MIB = 1 << 20
Shape = Callable[[float], tuple[float, float]]
Reading = tuple[float, float, float]  # seconds, working set, usage


@dataclass(frozen=True)
class Noise:
    """What lies over a shape: jitter of the moments, and bytes up and down."""

    seed: int
    bytes_: float = 0.5 * MIB
    late_seconds: float = 0.2


def readings(
    shape: Shape, noise: Noise, *, seconds: float = 3600.0, interval: float = 2.0, began: float = 0.3
) -> Iterator[Reading]:
    """Read a shape once an interval."""
    luck = random.Random(noise.seed)  # noqa: S311  # not for secrets
    at = began
    while at <= seconds:
        moment = at + luck.uniform(0.0, noise.late_seconds)
        working_set, usage = shape(moment)
        shift = luck.uniform(-noise.bytes_, noise.bytes_)
        yield moment, max(0.0, working_set + shift), max(0.0, usage + shift)
        at += interval


def _cached(working_set: float, cache: float = 6 * MIB) -> tuple[float, float]:
    return working_set, working_set + cache


def leak(bytes_per_second: float, base: float = 10 * MIB, after: float = 0.3) -> Shape:
    """A leak at a steady pace, `after` seconds from the start."""
    return lambda t: _cached(base + bytes_per_second * max(0.0, t - after))


def collected_leak(bytes_per_second: float, period: float, tooth: float, base: float = 10 * MIB) -> Shape:
    """A leak under a garbage collector: the lows rise."""
    return lambda t: _cached(base + bytes_per_second * t + tooth * (t % period) / period)


def flat(level: float) -> Shape:
    """The same all the time."""
    return lambda _t: _cached(level)


def sawtooth(low: float, high: float, period: float, phase: float = 0.0) -> Shape:
    """A garbage collector with full collections."""
    return lambda t: _cached(low + (high - low) * ((t / period + phase) % 1.0))


def ragged_sawtooth(low: float, high: float, period: float, seed: int) -> Shape:
    """A collector whose peaks, lows and periods differ from one to the next by up to a fifth."""
    luck = random.Random(seed)  # noqa: S311  # not for secrets
    turns = [(0.0, low)]
    while turns[-1][0] < 7200:
        at = turns[-1][0]
        top = at + period * luck.uniform(0.8, 1.2)
        turns += [(top, low + (high - low) * luck.uniform(0.8, 1.0)), (top + 0.1, low * luck.uniform(0.9, 1.1))]

    moments = [at for at, _ in turns]

    def shape(t: float) -> tuple[float, float]:
        next_turn = max(1, bisect.bisect_left(moments, t))
        (since, first), (until, last) = turns[next_turn - 1 : next_turn + 1]
        return _cached(first + (last - first) * (t - since) / (until - since))

    return shape


def generations(low: float, minor: float, major: float, period: float, minors: int) -> Shape:
    """Small collections that leave a little behind, and a full one after so many of them."""

    def shape(t: float) -> tuple[float, float]:
        number, share = divmod(t / period, 1.0)
        return _cached(low + major * (number % minors) / minors + minor * share)

    return shape


def levelling(base: float, level: float, tau: float) -> Shape:
    """A slow start: most of the growth at first, ever less, none in the end."""
    return lambda t: _cached(base + (level - base) * (1 - math.exp(-t / tau)))


def cache_growth(working_set: float, pace: float, limit: float) -> Shape:
    """Files are read or written: raw usage climbs to the limit, the working set stays."""
    return lambda t: (working_set, min(limit, working_set + pace * t))


def cache_drops(working_set: float, pace: float, limit: float, every: float) -> Shape:
    """As cache_growth, and now and then all of the cache is dropped."""
    return lambda t: (working_set, min(limit, working_set + pace * (t % every)))


def activated_cache(low: float, high: float, usage: float, seconds: float) -> Shape:
    """Page cache that is read again counts as working set, without a byte of usage more."""
    return lambda t: (low + (high - low) * min(1.0, t / seconds), usage)


def steps(levels: tuple[float, ...], every: float, ramp: float) -> Shape:
    """Users are added now and then: each time a rise of `ramp` seconds to the next level, which then holds."""

    def shape(t: float) -> tuple[float, float]:
        number = min(int(t / every), len(levels) - 1)
        before = levels[max(0, number - 1)]
        share = min(1.0, (t - number * every) / ramp)
        return _cached(before + (levels[number] - before) * share)

    return shape


def slow_wave(low: float, high: float, period: float) -> Shape:
    """Load that comes and goes."""
    return lambda t: _cached(low + (high - low) * (1 - math.cos(2 * math.pi * t / period)) / 2)
