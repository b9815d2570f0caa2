"""The process that sends one message: `python -m sidecar.notify.send`, a job on stdin, a line on stdout for each URL.

It is a process of its own for two reasons. Apprise and its imports take 53 MB and, in an image without byte code, a
second of CPU time (measured): too much for the monitor, which sends perhaps one message a day. And a process can be
ended from outside when a receiver or a resolver hangs; a thread cannot.

    job     {"urls": ["https://..."], "title": "...", "body": "...", "type": "failure"}
    lines   {"url": 0, "sent": false, "why": "status 500"}     in the order in which the answers come

A job without a title sends nothing and returns for each URL whether Apprise understands it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import apprise

_STATUS = re.compile(r"error=(\d{3})")
_CONNECTION = re.compile(r"connection error", re.IGNORECASE)
_NICENESS = 5  # an alert must not come a minute late because it got no CPU time
_MOST_MEMORY_BYTES = 128 * 1024 * 1024
_NOT_UNDERSTOOD = "not understood by Apprise"


def main() -> int:
    """Do the job on stdin; returns the exit code."""
    _step_back()
    job = json.load(sys.stdin)
    urls = job["urls"]
    with ThreadPoolExecutor(max(1, len(urls))) as pool:
        running = {pool.submit(_deliver, url, job): number for number, url in enumerate(urls)}
        for done in as_completed(running):
            why = done.result()
            print(json.dumps({"url": running[done], "sent": not why, "why": why}), flush=True)
    return 0


def _step_back() -> None:
    """Lower this process's priority for CPU and memory below the monitor's: an endless answer would fill the memory."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _deliver(url: str, job: dict[str, Any]) -> str:
    """Send to one URL; return "" or the reason of the failure, without any part of the URL."""
    service = service_for(url)
    if service is None:
        return _NOT_UNDERSTOOD
    if not job.get("title"):
        return ""
    heard = _WarningCollector()
    logging.getLogger("apprise").addHandler(heard)
    # Not through an Apprise object: it would send in another thread, and this thread's log has the reason.
    sent = service.notify(
        body=job["body"],
        title=job["title"],
        notify_type=apprise.NotifyType(job["type"]),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return "" if sent else reason("\n".join(heard.said))


class _WarningCollector(logging.Handler):
    """Collects the warnings of the thread that created it: each URL has a thread of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record (called by logging)."""
        if record.thread == self._thread:
            self.said.append(record.getMessage())


def service_for(url: str) -> apprise.NotifyBase | None:
    """Let Apprise parse a URL. An http(s) address of an unknown service becomes a JSON webhook."""
    service = apprise.Apprise.instantiate(url)
    if service is None and url.lower().startswith(("http://", "https://")):
        service = apprise.Apprise.instantiate(webhook(url))
    return service if isinstance(service, apprise.NotifyBase) else None


def webhook(url: str) -> str:
    """Write a plain address in Apprise's form of a JSON webhook. There, `-` marks a part of the receiver's query."""
    parts = urlsplit(url)
    query = "&".join(
        f"-{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return urlunsplit(("jsons" if parts.scheme.lower() == "https" else "json", parts.netloc, parts.path, query, ""))


def reason(said: str) -> str:
    """Return why nothing was sent. Apprise's log may name hosts and tokens, so only the status is taken from it."""
    if status := _STATUS.search(said):
        return f"status {status[1]}"
    return "no connection" if _CONNECTION.search(said) else "not sent"


if __name__ == "__main__":
    sys.exit(main())
