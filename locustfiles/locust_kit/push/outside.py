"""What the push needs of the world, passed in so that tests need not wait for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from locust_kit.off_loop import off_loop


@dataclass(frozen=True)
class Outside:
    """`clock` is monotonic, `wall` is since 1970, both in seconds; `random` is from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    off_loop: Callable[..., Any] = off_loop
