"""Rules of firewalls: which of them stopped a connection, and the command that takes one away. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecar.diagnose.evidence import ContainerFacts, FirewallRule, TcpTry
from sidecar.diagnose.rule import Outcome, cannot_tell
from sidecar.diagnose.stack import Stack, covers

_MOST_RULES = 4
_DOCKERS_OWN = re.compile(r"^-i (\S+) -o \1 -j DROP$")  # enable_icc=false, as a rule


def is_dockers_own(rule: FirewallRule) -> bool:
    """Whether it is the rule by which Docker keeps the containers of a network apart."""
    return bool(_DOCKERS_OWN.search(rule.rule))


def firewall(stack: Stack) -> Outcome:
    """Which rules of this machine can stop packets; whether one does is told by the check of the port."""
    gap = stack.gap("host.firewall")
    if gap:
        return cannot_tell(gap if stack.evidence.host.is_root else "needs root")
    rules = stack.evidence.host.firewall
    chains = sorted({f"{rule.chain}" for rule in rules if rule.where == "this machine"})
    hit = [rule for rule in rules if rule.hits]
    text = f"{len(rules)} rules that drop or reject, in {', '.join(chains) or 'no chain'}"
    return Outcome(text + (f"; {len(hit)} of them stopped packets while we knocked" if hit else ""))


def hits_text(rule: FirewallRule) -> str:
    """What a rule stopped, as the end of a sentence."""
    return (
        f", stopped {rule.hits} packets while we knocked"
        if rule.hits
        else f", stopped {rule.packets} packets so far"
        if rule.packets
        else ""
    )


def suspects(stack: Stack, tries: Sequence[TcpTry], workers: Sequence[ContainerFacts]) -> tuple[FirewallRule, ...]:
    """The rules that stopped these connections: those that stopped packets meanwhile, else those that name them."""
    rules = stack.evidence.host.firewall
    counted = sorted((rule for rule in rules if rule.hits), key=lambda rule: -(rule.hits or 0))
    named = [rule for rule in counted if _fits(rule, tries, workers)]
    if named or counted:
        return tuple((named or counted)[:_MOST_RULES])
    return tuple(rule for rule in rules if rule.hits is None and _names(rule, tries, workers))[:_MOST_RULES]


def _fits(rule: FirewallRule, tries: Sequence[TcpTry], workers: Sequence[ContainerFacts]) -> bool:
    """Whether nothing in a rule speaks against its having stopped these connections."""
    ports = re.search(r"(?<!! )--dports? (\S+)", rule.rule)
    if ports and not any(_is_among(one.port, ports[1]) for one in tries):
        return False
    source, target = re.search(r"(?<!! )-s (\S+)", rule.rule), re.search(r"(?<!! )-d (\S+)", rule.rule)
    ends = {one.address for one in tries}
    starts = {at.address for worker in workers for at in worker.networks}
    for found in (source, target):
        if found and not any(covers(found[1], address) for address in ends | starts if address):
            return False
    return True


def _is_among(port: int, written: str) -> bool:
    """Whether iptables' list of ports and ranges, `22,5000:6000`, holds one."""
    for part in written.split(","):
        first, _, last = part.partition(":")
        low, high = first or "0", last if ":" in part else first
        if low.isdigit() and (high or "65535").isdigit() and int(low) <= port <= int(high or "65535"):
            return True
    return False


def _names(rule: FirewallRule, tries: Sequence[TcpTry], workers: Sequence[ContainerFacts]) -> bool:
    """Whether a rule that nobody counts for names the port or an address of these connections."""
    starts = {at.address for worker in workers for at in worker.networks if at.address}
    words = {str(one.port) for one in tries} | {one.address for one in tries} | starts
    return any(re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", rule.rule) for word in words)


def removal(rule: FirewallRule) -> str:
    """The command that takes a stopping rule away, in the network namespace that it is in."""
    enter = (
        ""
        if rule.where == "this machine"
        else f"nsenter --target $(docker inspect --format '{{{{.State.Pid}}}}' {rule.where}) --net "
    )
    if rule.tool == "nft":
        if rule.rule == "policy drop":
            return f"{enter}nft 'chain {rule.table} {rule.chain} {{ policy accept; }}'"
        return f"{enter}nft delete rule {rule.table} {rule.chain} handle {rule.handle}"
    table = "" if rule.table == "filter" else f"-t {rule.table} "
    if rule.rule == "policy DROP":
        return f"{enter}{rule.tool} {table}-P {rule.chain} ACCEPT"
    return f"{enter}{rule.tool} {table}-D {rule.chain} {rule.rule}"
