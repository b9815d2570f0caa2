"""Puts the parts together, for a sidecar that has somebody to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sidecar.model.incident import Incident
from sidecar.notify.courier import MessageSender
from sidecar.notify.notifier import Notifier
from sidecar.notify.pager import AlertPolicy
from sidecar.settings.monitor import WatchSettings


def make_notifier(
    settings: WatchSettings,
    recorded: Iterable[Incident],
    environ: Mapping[str, str],
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Notifier | None:
    """Make the notifier, not yet started; None without ALERT_URLS.

    Args:
        settings: where to, what, and how often.
        recorded: incidents of the last days that an earlier sidecar recorded, which are not told again.
        environ: the sidecar's environment.
        clock: the time of day.
        monotonic: a clock in seconds that never jumps.
    """
    if not settings.alert_urls:
        return None
    pager = AlertPolicy(settings.project, settings.alert_kinds, settings.alert_cooldown_seconds)
    pager.restore(recorded)
    return Notifier(settings.alert_urls, pager, MessageSender(environ), clock=clock, monotonic=monotonic)
