"""Read the rules that can drop or reject packets, on this machine and in containers' network namespaces."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.diagnose.evidence import FirewallRule

_COMMAND_SECONDS = 4.0
_RULE = re.compile(r"^\[(\d+):\d+\] -A (\S+) (.*)$")
_POLICY = re.compile(r"^:(\S+) DROP \[(\d+):\d+\]$")
_STOPS = re.compile(r"-j (?:DROP|REJECT)\b")
_OF_IPTABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})  # stored in nft, reported by iptables-save


class UnreadableError(Exception):
    """The rules could not be read; the text is the reason."""


def read(where: str, pid: int | None = None) -> tuple[FirewallRule, ...]:
    """Read every rule that stops packets, with the number of stopped packets.

    Args:
        where: `this machine` or a container's name.
        pid: a process in the container's network namespace; None for this machine. Needs root.

    Raises:
        UnreadableError: no tool is installed, or permission is denied.

    """
    enter = [] if pid is None else ["nsenter", "--target", str(pid), "--net"]
    rules: list[FirewallRule] = []
    tools = [tool for tool in ("iptables-save", "iptables-legacy-save") if shutil.which(tool)]
    if not tools and not shutil.which("nft"):
        raise UnreadableError("neither iptables-save nor nft is installed")
    for tool in tools:
        rules += parse_iptables(_run([*enter, tool, "--counters"]), where, tool.removesuffix("-save"))
    if shutil.which("nft"):
        rules += parse_nft(_run([*enter, "nft", "--json", "list", "ruleset"]), where)
    return tuple(dict.fromkeys(rules))


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            errors="replace",
        )
    except FileNotFoundError:
        raise UnreadableError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise UnreadableError(f"{command[0]} did not end within {_COMMAND_SECONDS:.0f} s") from None
    if done.returncode:
        raise UnreadableError((done.stderr.strip().splitlines() or [f"{command[0]} failed"])[0])
    return done.stdout


def parse_iptables(text: str, where: str, tool: str = "iptables") -> Iterator[FirewallRule]:
    """Yield the stopping rules and policies in the output of `iptables-save --counters`. Pure."""
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif match := _POLICY.match(line):
            yield FirewallRule(where, tool, table, match[1], "policy DROP", int(match[2]))
        elif (match := _RULE.match(line)) and _STOPS.search(match[3]):
            yield FirewallRule(where, tool, table, match[2], match[3], int(match[1]))


def parse_nft(text: str, where: str) -> Iterator[FirewallRule]:
    """Yield the stopping rules of native nft tables in the output of `nft --json list ruleset`. Pure."""
    try:
        entries = json.loads(text or "{}").get("nftables", [])
    except (ValueError, AttributeError):
        return
    for entry in entries:
        about = entry.get("rule") or entry.get("chain") or {}
        if about.get("family") in ("ip", "ip6") and about.get("table") in _OF_IPTABLES:
            continue
        if (rule := entry.get("rule")) and (verdict := _verdict(rule.get("expr") or [])):
            counter: Mapping[str, Any] = next(
                (part["counter"] for part in rule["expr"] if isinstance(part.get("counter"), dict)), {}
            )
            yield FirewallRule(
                where,
                "nft",
                f"{rule.get('family')} {rule.get('table')}",
                str(rule.get("chain", "")),
                " ".join(filter(None, [*map(_match, rule["expr"]), verdict])),
                counter.get("packets"),
                handle=str(rule.get("handle", "")),
            )
        elif (chain := entry.get("chain")) and chain.get("policy") == "drop":
            table = f"{chain.get('family')} {chain.get('table')}"
            yield FirewallRule(where, "nft", table, str(chain.get("name", "")), "policy drop")


def _verdict(parts: Sequence[Mapping[str, Any]]) -> str:
    return next((verdict for part in parts for verdict in ("drop", "reject") if verdict in part), "")


def _match(part: Mapping[str, Any]) -> str:
    """Return one condition of an nft rule as text; "" for a part that is not a condition."""
    match = part.get("match")
    if not isinstance(match, dict):
        return ""
    left, right = match.get("left"), match.get("right")
    if isinstance(left, dict):
        inner = next(iter(left.values()))
        left = " ".join(str(value) for value in inner.values()) if isinstance(inner, dict) else str(inner)
    if isinstance(right, dict) and "prefix" in right:
        right = f"{right['prefix']['addr']}/{right['prefix']['len']}"
    return f"{left} {right}"


def with_hits(before: Sequence[FirewallRule], after: Sequence[FirewallRule]) -> tuple[FirewallRule, ...]:
    """Return the rules with the number of packets that each stopped between two readings. Pure."""
    known = {replace(rule, packets=None): rule.packets for rule in before}
    counted = []
    for rule in after:
        earlier = known.get(replace(rule, packets=None))
        hits = rule.packets - earlier if rule.packets is not None and earlier is not None else None
        counted.append(replace(rule, hits=hits))
    return tuple(counted)
