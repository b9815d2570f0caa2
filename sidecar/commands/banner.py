"""What `up` says at the end: where everything is, and what to do next. Pure but for the printing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.common.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.common.console import Console
    from sidecar.settings import Settings


def show(
    settings: Settings, target: str, web_url: str, seconds: float, environ: Mapping[str, str], say: Console
) -> None:
    """Print the banner."""
    for line in lines(settings, target, web_url, seconds, environ):
        say.line(line)


def lines(settings: Settings, target: str, web_url: str, seconds: float, environ: Mapping[str, str]) -> list[str]:
    """The banner's lines."""
    tail = settings.project_word
    count = plural(settings.workers, "worker")
    found = [
        "",
        f"Ready in {seconds:.1f} s: stack {settings.project!r}, {count}, target {target}",
        "",
        f"  Locust     {web_url}",
        f"  Monitor    http://127.0.0.1:{settings.monitor_port}/",
    ]
    if environ.get("SSH_CONNECTION"):
        found += ["", "  From your own machine, first:", f"  {ssh_line(settings, environ)}"]
    next_commands = [
        (f"make run{tail} USERS=50 RUN_TIME=1m", "one run, one verdict"),
        (f"make monitor{tail}", "the live view"),
        (f"make reload{tail}", "after editing the locustfile"),
    ]
    width = max(len(command) for command, _ in next_commands)
    return [*found, "", "  Next:", *(f"  {command:<{width}}   {why}" for command, why in next_commands)]


def ssh_line(settings: Settings, environ: Mapping[str, str]) -> str:
    """The command that brings both pages to the machine at the other end of this SSH session."""
    parts = environ.get("SSH_CONNECTION", "").split()
    here = parts[2] if len(parts) >= 4 else "<this machine>"  # noqa: PLR2004  client, its port, server, its port
    port = f" -p {parts[3]}" if len(parts) >= 4 and parts[3] != "22" else ""  # noqa: PLR2004  the same
    user = environ.get("USER") or environ.get("LOGNAME") or "<user>"
    forwards = " ".join(f"-L {number}:127.0.0.1:{number}" for number in (settings.web_port, settings.monitor_port))
    return f"ssh{port} {forwards} {user}@{here}"
