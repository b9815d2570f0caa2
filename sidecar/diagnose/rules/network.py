"""Checks of the way from a worker to the master: name, route, port, firewall. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.common.units import plural
from sidecar.diagnose.evidence import ContainerFacts, FirewallRule, NameTry, Network, Probe, TcpTry
from sidecar.diagnose.rule import (
    BY_HAND,
    RECREATE,
    FoundCause,
    Origin,
    Outcome,
    Rule,
    cannot_tell,
    origin_of_setting,
    without_both,
    without_workers,
)
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped, variables
from sidecar.diagnose.stack import DEFAULT_MASTER_HOST, Stack, covers, is_address, is_loopback, is_loopback_only, names
from sidecar.model.finding import Confidence, FindingEvidence

_MOST_RULES = 4
_DOCKERS_OWN = re.compile(r"^-i (\S+) -o \1 -j DROP$")  # enable_icc=false, as a rule
_PORTS = re.compile(r"(?<!! )--dports? (\S+)")
_ADDRESSES = (re.compile(r"(?<!! )-s (\S+)"), re.compile(r"(?<!! )-d (\S+)"))


def is_dockers_own(rule: FirewallRule) -> bool:
    """Return whether this is Docker's own rule that separates the containers of a network."""
    return bool(_DOCKERS_OWN.search(rule.rule))


def firewall(stack: Stack) -> Outcome:
    """Check which rules of this machine can stop packets. The check of the port shows whether one does."""
    if gap := stack.gap("host.firewall"):
        return cannot_tell(gap if stack.evidence.host.is_root else "needs root")
    rules = stack.evidence.host.firewall
    chains = sorted({rule.chain for rule in rules if rule.where == "this machine"})
    hit = sum(bool(rule.hits) for rule in rules)
    text = f"{plural(len(rules), 'rule')} with drop or reject, in {', '.join(chains) or 'no chain'}"
    return Outcome(text + (f"; {hit} of them stopped packets during the check" if hit else ""))


def hits_text(rule: FirewallRule) -> str:
    """Return how many packets a rule stopped, as the end of a sentence."""
    if rule.hits:
        return f", stopped {plural(rule.hits, 'packet')} during the check"
    return f", stopped {plural(rule.packets, 'packet')} so far" if rule.packets else ""


def suspects(stack: Stack, tries: Sequence[TcpTry], workers: Sequence[ContainerFacts]) -> tuple[FirewallRule, ...]:
    """Return the rules that stopped these connections: those that stopped packets meanwhile, else matching ones."""
    rules = stack.evidence.host.firewall
    starts = {at.address for worker in workers for at in worker.networks if at.address}
    counted = sorted((rule for rule in rules if rule.hits), key=lambda rule: -(rule.hits or 0))
    fitting = [rule for rule in counted if _fits(rule, tries, starts)]
    if counted:
        return tuple((fitting or counted)[:_MOST_RULES])
    return tuple(rule for rule in rules if rule.hits is None and _names(rule, tries, starts))[:_MOST_RULES]


def _fits(rule: FirewallRule, tries: Sequence[TcpTry], starts: set[str]) -> bool:
    """Return whether a rule can have stopped these connections."""
    ports = _PORTS.search(rule.rule)
    if ports and not any(_is_among(attempt.port, ports[1]) for attempt in tries):
        return False
    addresses = [address for address in (*starts, *(attempt.address for attempt in tries)) if address]
    subnets = [match[1] for pattern in _ADDRESSES if (match := pattern.search(rule.rule))]
    return all(any(covers(subnet, address) for address in addresses) for subnet in subnets)


def _is_among(port: int, written: str) -> bool:
    """Return whether iptables' list of ports and ranges (`22,5000:6000`) contains a port."""
    for part in written.split(","):
        first, colon, last = part.partition(":")
        low, high = first or "0", (last if colon else first) or "65535"
        if low.isdigit() and high.isdigit() and int(low) <= port <= int(high):
            return True
    return False


def _names(rule: FirewallRule, tries: Sequence[TcpTry], starts: set[str]) -> bool:
    """Return whether a rule without a packet counter names the port or an address of these connections."""
    words = {str(attempt.port) for attempt in tries} | {attempt.address for attempt in tries} | starts
    return any(re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", rule.rule) for word in words)


def removal(rule: FirewallRule) -> str:
    """Return the command that deletes a rule in its network namespace."""
    pid = f"$(docker inspect --format '{{{{.State.Pid}}}}' {rule.where})"
    enter = "" if rule.where == "this machine" else f"nsenter --target {pid} --net "
    if rule.tool == "nft":
        if rule.rule == "policy drop":
            return f"{enter}nft 'chain {rule.table} {rule.chain} {{ policy accept; }}'"
        return f"{enter}nft delete rule {rule.table} {rule.chain} handle {rule.handle}"
    table = "" if rule.table == "filter" else f"-t {rule.table} "
    if rule.rule == "policy DROP":
        return f"{enter}{rule.tool} {table}-P {rule.chain} ACCEPT"
    return f"{enter}{rule.tool} {table}-D {rule.chain} {rule.rule}"


LAYER = "network"
_STOPPED = frozenset({"timeout", "unreachable"})
_REFUSED = frozenset({"refused", "reset"})
_GREETINGS = {"zmtp": ", a Locust master", "none": ", no greeting", "http": ", an HTTP server"}


def _nobody_looked(stack: Stack) -> Outcome:
    gaps = [gap.reason for gap in stack.evidence.gaps if gap.part.startswith("inside:")]
    return cannot_tell(gaps[0] if gaps else "the network could not be checked from a worker")


# ---- name ------------------------------------------------------------------------------------------------------------


def dns(stack: Stack) -> Outcome:
    """Check whether the master's name resolves to the master in the workers' network."""
    probed = [worker for worker, _ in stack.probed_workers]
    if not probed:
        return _nobody_looked(stack)
    texts: list[str] = []
    causes: list[FoundCause] = []
    for group in grouped(probed, lambda worker: _looked_up(stack, worker)):
        looked_up = _looked_up(stack, group[0])
        if looked_up is not None:
            texts.append(f"{looked_up.name} → {', '.join(looked_up.addresses) or looked_up.error}")
            causes += _judge_name(stack, group, looked_up)
    return Outcome("; ".join(dict.fromkeys(texts)) or "no name was looked up", tuple(causes))


def _looked_up(stack: Stack, worker: ContainerFacts) -> NameTry | None:
    """Return a DNS lookup with sorted addresses. A resolver returns several addresses in any order."""
    name = stack.lookup(worker)
    return replace(name, addresses=tuple(sorted(name.addresses))) if name else None


def _judge_name(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry) -> Iterator[FoundCause]:
    master = stack.master
    if _is_told_otherwise(stack, group[0], looked_up.name):
        return
    if not looked_up.addresses:
        if all(is_cut_off(stack, worker) for worker in group):
            return
        if stack.running_master or (master and looked_up.name not in stack.names_of(master)):
            yield _unresolvable(stack, group, looked_up)
        return
    if master is None or _is_elsewhere_on_purpose(stack, group, looked_up):
        return
    own = stack.addresses(master)
    is_shared = master.network_mode == "host" or group[0].network_mode in ("host", f"container:{master.id}")
    strangers = [address for address in looked_up.addresses if address not in own]
    if own and strangers and not is_shared:
        yield _elsewhere(stack, group, looked_up, strangers)


def _is_told_otherwise(stack: Stack, worker: ContainerFacts, host: str) -> bool:
    """Return whether another rule names the cause: a URL instead of a name, or a variable that nobody reads."""
    if "/" in host or re.fullmatch(r"[^:]+:\d+", host):
        return True
    return not stack.master_host(worker).source and any(
        cause.slug == "unknown-locust-variable" and worker.name in cause.affects and cause.severity == "error"
        for cause in variables(stack).causes
    )


def _is_elsewhere_on_purpose(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry) -> bool:
    """Return whether another way (the host's published port, another machine) leads to a master, too."""
    own = stack.addresses(stack.master) if stack.master else frozenset[str]()
    away = [address for address in looked_up.addresses if address not in own]
    if all(stack.is_registered(worker) for worker in group) and not any(map(stack.owner_of, away)):
        return True
    probes = (probe for worker in group if (probe := stack.probe_of(worker)))
    strangers = [attempt for probe in probes for attempt in probe.tcp if attempt.address in away]
    return bool(strangers) and all(
        stranger.greeting == "zmtp" and stack.owner_of(stranger.address) is None and not is_loopback(stranger.address)
        for stranger in strangers
    )


def _unresolvable(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry) -> FoundCause:
    worker, master, probe = group[0], stack.running_master, stack.probe_of(group[0])
    place = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_HOST", "--master-host")
    shared = stack.shared_networks(worker, master) if master else ()
    good = list(dict.fromkeys(alias for at in shared for alias in at.aliases if master and alias != master.hostname))
    close = difflib.get_close_matches(looked_up.name, good, n=1)
    real = next(iter((*close, *reversed(good))), "its service name")  # the service's own name is the last one
    what, wanted = (
        f"DNS lookup of {looked_up.name!r} from {names(group)}",
        f"the master's address{_addresses_of(master)}",
    )
    evidence = (
        FindingEvidence(what, looked_up.error or "no address", wanted, probe.at if probe else None),
        FindingEvidence("names of the master in that network", ", ".join(good) or "no name", looked_up.name),
        FindingEvidence(f"source of the name {looked_up.name!r}", place.text),
        log_signs.quote(worker, log_signs.latest(worker, "unresolved")),
    )
    if place.fix == BY_HAND and master and stack.wanted(worker) is not None:
        # The workers use the name from this checkout, so the master has lost the name.
        item = {"container": master.name, "alias": looked_up.name}
        place = Origin("alias", tuple({"network": at.network, **item} for at in shared))
    values = {"name": looked_up.name, "real": real, "containers": names(group)}
    return FoundCause("master-name-unresolvable", evidence, group, values, place)


def _addresses_of(master: ContainerFacts | None) -> str:
    addresses = sorted(at.address for at in master.networks if at.address) if master else []
    return f" ({', '.join(addresses)})" if addresses else ""


def _elsewhere(
    stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry, strangers: Sequence[str]
) -> FoundCause:
    worker, host, probe = group[0], looked_up.name, stack.probe_of(group[0])
    place = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_HOST", "--master-host")
    what, wanted = f"DNS lookup of {host!r} from {names(group)}", f"only the master{_addresses_of(stack.master)}"
    owners = ((f"owner of {address}", _owner_text(stack, worker, address, host)) for address in strangers[:3])
    evidence = [FindingEvidence(what, ", ".join(looked_up.addresses), wanted, probe.at if probe else None)]
    evidence += [FindingEvidence(*owner) for owner in owners]
    if stack.master_host(worker).source:
        evidence.append(FindingEvidence(f"source of the name {host!r}", place.text))
    imposters = [
        (owner, address)
        for address in strangers
        if (owner := stack.owner_of(address)) is not None and not is_loopback(address)
    ]
    entry = next((entry for entry in worker.extra_hosts if entry.partition(":")[0] == host), "")
    written = [line for line in (probe.hosts if probe else ()) if host in line.split()[1:]]
    if entry:
        evidence.append(FindingEvidence(f"extra_hosts of {worker.name}", entry, "no entry for the master"))
        place = Origin(RECREATE if stack.wanted(worker) else BY_HAND, place.items)
    elif written and not is_loopback(host):
        evidence.append(FindingEvidence(f"/etc/hosts in {worker.name}", written[0], "no entry for the master"))
        place = Origin("restart", tuple({"container": each.name} for each in group))
    elif imposters and not is_address(host):
        items = (
            {"network": at.network, "container": owner.name}
            for owner, address in imposters
            for at in owner.networks
            if at.address == address
        )
        place = Origin("imposter", tuple(items))
    values = {"name": host, "addresses": ", ".join(strangers), "containers": names(group)}
    affects = (*group, *(owner for owner, _ in imposters))
    return FoundCause("master-name-resolves-elsewhere", evidence, affects, values, place)


def _owner_text(stack: Stack, worker: ContainerFacts, address: str, host: str) -> str:
    if is_loopback(address):
        is_default = host == DEFAULT_MASTER_HOST and not stack.master_host(worker).source
        why = " (Locust's default: LOCUST_MASTER_NODE_HOST is not set)" if is_default else ""
        return f"the worker itself{why}"
    owner = stack.owner_of(address)
    if owner is None:
        return "no container of this engine"
    is_ours = not owner.project or owner.project == stack.evidence.project
    return f"the container {owner.name}" + ("" if is_ours else f" of the project {owner.project!r}")


# ---- route -----------------------------------------------------------------------------------------------------------


def route(stack: Stack) -> Outcome:
    """Check the route of packets from a worker to the master."""
    master, probed = stack.running_master, next(stack.probed_workers, None)
    if master is None or probed is None:
        return _nobody_looked(stack)
    worker, probe = probed
    for at in stack.shared_networks(worker, master):
        fitting = [route for route in probe.routes if covers(route.split()[0], at.address)]
        best = max(fitting, key=lambda route: int(route.split()[0].partition("/")[2]), default="")
        if best:
            return Outcome(f"{at.address}: route {best}")
    if probe.routes:
        return Outcome("no shared network, so there is no route to check", info=True)
    return Outcome("no route")


# ---- port ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MasterTry:
    """One connection tried from a worker to the master's address and port."""

    worker: ContainerFacts
    probe: Probe
    tried: TcpTry

    @property
    def address(self) -> str:
        """Return the destination as `ADDRESS:PORT`."""
        return f"{self.tried.address}:{self.tried.port}"


def master_tries(stack: Stack) -> tuple[MasterTry, ...]:
    """Return the connections tried to the master: to its addresses in shared networks, and its port."""
    master = stack.running_master
    if master is None:
        return ()
    port = stack.bind_port(master)
    return tuple(
        MasterTry(worker, probe, attempt)
        for worker, probe in stack.probed_workers
        for attempt in probe.tcp
        if attempt.port == port and attempt.address in {at.address for at in stack.shared_networks(worker, master)}
    )


def master_port(stack: Stack) -> Outcome:
    """Check whether the workers can reach the master's port."""
    tried = master_tries(stack)
    if not tried:
        master, probed = stack.running_master, [worker for worker, _ in stack.probed_workers]
        if probed and master and not any(stack.shares_network(worker, master) for worker in probed):
            return Outcome("no shared network, so there is no port to try", info=True)
        return _nobody_looked(stack)
    stopped = [attempt for attempt in tried if _is_stopped(stack, attempt)]
    found: tuple[FoundCause, ...] = (_filtered(stack, stopped),) if stopped else ()
    if all(attempt.worker.restarts and stack.is_young(attempt.worker) for attempt in stopped):
        # A container in a restart loop may lose its network during a try.
        found = tuple(cause for cause in found if cause.confidence is Confidence.CERTAIN)
    texts = (
        f"{attempt.address} {attempt.tried.outcome}{_GREETINGS.get(attempt.tried.greeting, '')}" for attempt in tried
    )
    return Outcome("; ".join(dict.fromkeys(texts)), found)


def _is_stopped(stack: Stack, attempt: MasterTry) -> bool:
    """Return whether something between them stops packets: no answer, or a refusal although the port is open."""
    if attempt.tried.outcome in _STOPPED:
        return True
    master, port = stack.running_master, attempt.tried.port
    sockets = [socket for socket in stack.master_sockets or () if not is_loopback_only(socket.address)]
    listens = any(socket.port == port for socket in sockets)
    return attempt.tried.outcome in _REFUSED and listens and master is not None and not stack.is_young(master)


def is_cut_off(stack: Stack, worker: ContainerFacts) -> bool:
    """Return whether a worker reaches nothing at all, so names and targets fail together with the master's port."""
    own = [attempt for attempt in master_tries(stack) if attempt.worker.id == worker.id]
    stopped = [attempt.tried for attempt in own if _is_stopped(stack, attempt)]
    probe = stack.probe_of(worker)
    if not stopped or probe is None:
        return False
    is_sweeping = any("dport" not in rule.rule for rule in suspects(stack, stopped, [worker]))
    no_resolver = any("Temporary failure" in name.error or "Errno -3]" in name.error for name in probe.names)
    return bool(_mute_networks(stack, worker)) or is_sweeping or no_resolver


def _mute_networks(stack: Stack, container: ContainerFacts) -> list[Network]:
    """Return a container's networks in which Docker separates the containers."""
    networks = (stack.network(at.network_id) for at in container.networks)
    return [network for network in networks if network and not network.containers_talk]


def _filtered(stack: Stack, stopped: Sequence[MasterTry]) -> FoundCause:
    master, first = stack.running_master, stopped[0].tried
    culprits = suspects(stack, [attempt.tried for attempt in stopped], [attempt.worker for attempt in stopped])
    mute = _mute_networks(stack, master) if master else []
    evidence = (*_stopped_evidence(stack, stopped), *_culprit_evidence(stack, culprits, mute))
    workers = dict.fromkeys(attempt.worker.name for attempt in stopped)
    affects = (*workers, *([master.name] if master else []))
    if mute:  # Docker's own rule disappears only together with the network
        culprits = tuple(rule for rule in culprits if not is_dockers_own(rule))
    if culprits:
        where = f"the firewall of {culprits[0].where}, chain {culprits[0].chain}"
        place = Origin("rule", tuple({"command": removal(rule)} for rule in culprits))
    elif mute:
        where, place = "a setting of the Docker network", Origin("mute-network")
    else:
        where = "an unknown rule or device"
        place = Origin(items=tuple({"container": name} for name in affects))
    values = {"address": first.address, "port": str(first.port), "where": where, "containers": " ".join(affects)}
    confidence = Confidence.CERTAIN if culprits or mute else Confidence.LIKELY
    return FoundCause("network-filtered", evidence, affects, values, place, confidence=confidence)


def _stopped_evidence(stack: Stack, stopped: Sequence[MasterTry]) -> Iterator[FindingEvidence]:
    for attempt in stopped[:2]:
        tried = attempt.tried
        outcome = f"{tried.outcome} ({tried.error or 'no answer'}) after {tried.seconds:.1f} s"
        what = f"TCP connection from {attempt.worker.name} to {attempt.address}"
        yield FindingEvidence(what, outcome, "open, a Locust master", attempt.probe.at)
    master, listening = stack.running_master, stack.listening(stopped[0].tried.port)
    if master and stack.master_sockets is not None:
        yield FindingEvidence(f"addresses on which {master.name} listens", listening or "no socket at this port")


def _culprit_evidence(
    stack: Stack, culprits: Sequence[FirewallRule], mute: Sequence[Network]
) -> Iterator[FindingEvidence]:
    for rule in culprits:
        text = f"{rule.chain}: {rule.rule}{hits_text(rule)}"
        yield FindingEvidence(f"{rule.tool} rule on {rule.where}", text, "no rule that stops these packets")
    for network in mute:
        text = "enable_icc=false, so containers may not talk to each other"
        yield FindingEvidence(f"options of the network {network.name}", text, "enable_icc=true")
    if not culprits and not mute and (gap := stack.gap("host.firewall")):
        yield FindingEvidence("firewall of this machine", f"unknown: {gap}")


RULES = (
    Rule("dns", LAYER, dns, after=without_workers),
    Rule("route", LAYER, route, after=without_both),
    Rule("master-port", LAYER, master_port, after=without_both),
    Rule("firewall", LAYER, firewall),
)
