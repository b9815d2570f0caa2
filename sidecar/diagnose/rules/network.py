"""The way from a worker to the master, as seen from the worker's place: name, route, port, firewall. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.diagnose.evidence import ContainerFacts, FirewallRule, NameTry, Probe, TcpTry
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_both, without_engine
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.rules.firewall import firewall, hits_text, is_dockers_own, removal, suspects
from sidecar.diagnose.rules.mending import BY_HAND, RECREATE, origin_of_setting
from sidecar.diagnose.stack import DEFAULT_MASTER_HOST, Stack, covers, is_address, is_loopback, names
from sidecar.model.finding import Confidence, FindingEvidence

LAYER = "network"
_STOPPED = frozenset({"timeout", "unreachable"})
_REFUSED = frozenset({"refused", "reset"})


def _probed(stack: Stack) -> tuple[tuple[ContainerFacts, Probe], ...]:
    return tuple(stack.probed_workers)


def _nobody_looked(stack: Stack) -> Outcome:
    gaps = [gap.reason for gap in stack.evidence.gaps if gap.part.startswith("inside:")]
    return cannot_tell(gaps[0] if gaps else "nobody could look from a worker's place")


# ---- name ------------------------------------------------------------------------------------------------------------


def dns(stack: Stack) -> Outcome:
    """Whether the master's name leads to the master, from the workers' place."""
    probed = _probed(stack)
    if not probed:
        return _nobody_looked(stack)
    texts: list[str] = []
    found: list[Found] = []
    for group in grouped([worker for worker, _ in probed], lambda worker: _looked_up(stack, worker)):
        looked_up = _looked_up(stack, group[0])
        if looked_up is None:
            continue
        texts.append(f"{looked_up.name} is {', '.join(looked_up.addresses) or looked_up.error}")
        found += _judge_name(stack, group, looked_up)
    return Outcome("; ".join(dict.fromkeys(texts)) or "no name was looked up", tuple(found))


def _looked_up(stack: Stack, worker: ContainerFacts) -> NameTry | None:
    """What a worker's resolver said of its master's name; it hands several addresses out in any order."""
    probe, host = stack.probe_of(worker), stack.master_host(worker).value
    found = next((name for name in probe.names if name.name == host), None) if probe else None
    return replace(found, addresses=tuple(sorted(found.addresses))) if found else None


def _judge_name(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry) -> Iterator[Found]:
    master = stack.master
    if _is_told_otherwise(stack, group[0], looked_up.name):
        return
    if not looked_up.addresses:
        if all(is_cut_off(stack, worker) for worker in group):
            return
        if stack.running_master or not _is_masters_name(stack, looked_up.name):
            yield _unresolvable(stack, group, looked_up)
        return
    if master is None or _is_elsewhere_on_purpose(stack, group, looked_up):
        return
    own = stack.addresses(master)
    shared = master.network_mode == "host" or group[0].network_mode in ("host", f"container:{master.id}")
    strangers = [address for address in looked_up.addresses if address not in own]
    if own and strangers and not shared:
        yield _elsewhere(stack, group, looked_up, strangers)


def _is_told_otherwise(stack: Stack, worker: ContainerFacts, host: str) -> bool:
    """The default address because a variable has a wrong name, or a URL in place of a name: other rules tell that."""
    if "/" in host or re.fullmatch(r"[^:]+:\d+", host):
        return True
    return not stack.master_host(worker).source and bool(_unread_variable(stack, worker))


def _unread_variable(stack: Stack, worker: ContainerFacts) -> bool:
    from sidecar.diagnose.rules.configuration import variables  # noqa: PLC0415  a rule that asks another one

    return any(
        one.slug == "unknown-locust-variable" and worker.name in one.affects and one.severity == "error"
        for one in variables(stack).found
    )


def _is_masters_name(stack: Stack, name: str) -> bool:
    master = stack.master
    if master is None:
        return True
    aliases = {alias for at in master.networks for alias in at.aliases}
    return name in {master.name, master.service, master.hostname, *aliases}


def _is_elsewhere_on_purpose(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry) -> bool:
    """A way around (the host's published port, another machine) that leads to a master all the same."""
    if all(stack.is_registered(container_facts) for container_facts in group) and not any(
        stack.owner_of(address) for address in looked_up.addresses if address not in _own(stack)
    ):
        return True
    answers = [
        one
        for worker in group
        if (probe := stack.probe_of(worker))
        for one in probe.tcp
        if one.address in looked_up.addresses
    ]
    strangers = [answer for answer in answers if answer.address not in _own(stack)]
    return bool(strangers) and all(
        stranger.greeting == "zmtp" and stack.owner_of(stranger.address) is None and not is_loopback(stranger.address)
        for stranger in strangers
    )


def _own(stack: Stack) -> frozenset[str]:
    return stack.addresses(stack.master) if stack.master else frozenset()


def _unresolvable(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry) -> Found:
    master, probe = stack.running_master, stack.probe_of(group[0])
    where = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_HOST", "--master-host")
    good = _good_names(stack, group[0])
    close = difflib.get_close_matches(looked_up.name, good, n=1)
    real = close[0] if close else next(iter(reversed(good)), "")  # the service's own name is the last of the aliases
    seen = [
        FindingEvidence(
            f"from {names(group)}: look up {looked_up.name!r}",
            looked_up.error or "no address",
            f"the master's address{_addresses_of(master)}",
            probe.at if probe else None,
        ),
        FindingEvidence("the master's names in that network", ", ".join(good) or "none", looked_up.name),
        FindingEvidence(f"{looked_up.name!r} comes from", where.text),
    ]
    sign = log_signs.last(log_signs.current_log(group[0]), "unresolved")
    seen += [FindingEvidence(f"log of {group[0].name}", sign.text, "no such line", sign.at)] if sign else []
    values = {"name": looked_up.name, "real": real or "the master's service name", "containers": names(group)}
    fix, items = where.fix, where.items
    if where.fix == BY_HAND and master and stack.wanted(group[0]) is not None:
        # The workers have the name that this checkout gives them, so it is the master that has lost it.
        shared = stack.shared_networks(group[0], master)
        fix = "alias"
        items = tuple({"network": at.network, "container": master.name, "alias": looked_up.name} for at in shared)
    return Found(
        "master-name-unresolvable",
        tuple(seen),
        tuple(container_facts.name for container_facts in group),
        values,
        fix,
        items,
    )


def _good_names(stack: Stack, worker: ContainerFacts) -> tuple[str, ...]:
    """The names by which the master can be found in the networks that it shares with a worker."""
    master = stack.running_master
    if master is None:
        return ()
    aliases = [alias for at in stack.shared_networks(worker, master) for alias in at.aliases]
    return tuple(dict.fromkeys(aliase for aliase in aliases if aliase != master.hostname))


def _addresses_of(master: ContainerFacts | None) -> str:
    found = sorted(at.address for at in master.networks if at.address) if master else []
    return f" ({', '.join(found)})" if found else ""


def _elsewhere(stack: Stack, group: Sequence[ContainerFacts], looked_up: NameTry, strangers: Sequence[str]) -> Found:
    probe = stack.probe_of(group[0])
    host = looked_up.name
    where = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_HOST", "--master-host")
    seen = [
        FindingEvidence(
            f"from {names(group)}: {host!r} leads to",
            ", ".join(looked_up.addresses),
            f"the master{_addresses_of(stack.master)} alone",
            probe.at if probe else None,
        )
    ]
    seen += [
        FindingEvidence(f"who has {address}", _owner_text(stack, group[0], address, host)) for address in strangers[:3]
    ]
    if stack.master_host(group[0]).source:
        seen.append(FindingEvidence(f"{host!r} comes from", where.text))
    values = {"name": host, "addresses": ", ".join(strangers), "containers": names(group)}
    imposters = [
        (one, address)
        for address in strangers
        if (one := stack.owner_of(address)) is not None and not is_loopback(address)
    ]
    affects = (*(container_facts.name for container_facts in group), *(one.name for one, _ in imposters))
    fix, items = where.fix, where.items
    entry = next((extra_host for extra_host in group[0].extra_hosts if extra_host.partition(":")[0] == host), "")
    if entry:
        seen.append(FindingEvidence(f"extra_hosts of {group[0].name}", entry, "no entry for the master"))
        fix = RECREATE if stack.wanted(group[0]) else BY_HAND
    elif written := [hosts_line for hosts_line in _hosts_lines(probe, host) if not is_loopback(host)]:
        seen.append(FindingEvidence(f"/etc/hosts in {group[0].name}", written[0], "no entry for the master"))
        fix, items = "restart", tuple({"container": container_facts.name} for container_facts in group)
    elif imposters and not is_address(host):
        fix = "imposter"
        items = tuple(
            {"network": at.network, "container": one.name}
            for one, address in imposters
            for at in one.networks
            if at.address == address
        )
    return Found("master-name-resolves-elsewhere", tuple(seen), affects, values, fix, items)


def _hosts_lines(probe: Probe | None, host: str) -> list[str]:
    """The lines of /etc/hosts that name a host."""
    return [one for one in (probe.hosts if probe else ()) if host in one.split()[1:]]


def _owner_text(stack: Stack, worker: ContainerFacts, address: str, host: str) -> str:
    if is_loopback(address):
        default = (
            " (Locust's default: LOCUST_MASTER_NODE_HOST is not set)"
            if host == DEFAULT_MASTER_HOST and not stack.master_host(worker).source
            else ""
        )
        return f"the worker itself{default}"
    owner = stack.owner_of(address)
    if owner is None:
        return "no container of this engine"
    return f"the container {owner.name}" + (
        f" of the project {owner.project!r}" if owner.project and owner.project != stack.evidence.project else ""
    )


# ---- route -----------------------------------------------------------------------------------------------------------


def route(stack: Stack) -> Outcome:
    """Which way packets to the master take from a worker's place."""
    master, probed = stack.running_master, _probed(stack)
    if master is None or not probed:
        return _nobody_looked(stack)
    worker, probe = probed[0]
    for at in stack.shared_networks(worker, master):
        fitting = [one for one in probe.routes if covers(one.split()[0], at.address)]
        best = max(fitting, key=lambda one: int(one.split()[0].partition("/")[2]), default="")
        if best:
            return Outcome(f"{at.address} by {best}")
    return Outcome(
        "no network in common, so no route to look at" if probe.routes else "no route at all", info=bool(probe.routes)
    )


# ---- port ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Knock:
    """One try of a worker at the master's own address and port."""

    worker: ContainerFacts
    probe: Probe
    tried: TcpTry


def knocks(stack: Stack) -> tuple[Knock, ...]:
    """The workers' tries at the master's door: at its addresses in shared networks, and the port it listens on."""
    master = stack.running_master
    if master is None:
        return ()
    port = stack.bind_port(master)
    return tuple(
        Knock(worker, probe, one)
        for worker, probe in stack.probed_workers
        for one in probe.tcp
        if one.port == port and one.address in {at.address for at in stack.shared_networks(worker, master)}
    )


def master_port(stack: Stack) -> Outcome:
    """Whether the master's port can be reached from the workers' place."""
    tried = knocks(stack)
    if not tried:
        master, probed = stack.running_master, _probed(stack)
        apart = master is not None and not any(stack.shares_network(worker, master) for worker, _ in probed)
        if probed and apart:
            return Outcome("no network in common, so nothing to knock at", info=True)
        return _nobody_looked(stack)
    stopped = [one for one in tried if _is_stopped(stack, one)]
    text = "; ".join(
        dict.fromkeys(
            f"{one.tried.address}:{one.tried.port} {one.tried.outcome}{_greeting(one.tried)}" for one in tried
        )
    )
    return Outcome(text, (_filtered(stack, stopped),) if stopped else ())


def _greeting(tcp_try: TcpTry) -> str:
    return {"zmtp": ", a Locust master", "none": ", silent", "http": ", an HTTP server"}.get(tcp_try.greeting, "")


def _is_stopped(stack: Stack, knock: Knock) -> bool:
    """No answer, or a refusal from a port that the master listens on: something between them is at work."""
    if knock.tried.outcome in _STOPPED:
        return True
    sockets, master = stack.master_sockets, stack.running_master
    listens = any(socket.port == knock.tried.port and not is_loopback_only(socket.address) for socket in sockets or ())
    return knock.tried.outcome in _REFUSED and listens and master is not None and not stack.is_young(master)


def is_cut_off(stack: Stack, worker: ContainerFacts) -> bool:
    """Whether nothing at all comes through for a worker, so that names and targets fail with the master's port."""
    stopped = [knock for knock in knocks(stack) if knock.worker.id == worker.id and _is_stopped(stack, knock)]
    probe = stack.probe_of(worker)
    if not stopped or probe is None:
        return False
    mute = any(not network.containers_talk for at in worker.networks if (network := stack.network(at.network_id)))
    culprits = suspects(stack, [one.tried for one in stopped], [worker])
    sweeping = any("--dport" not in rule.rule and "dport" not in rule.rule for rule in culprits)
    no_resolver = any("Temporary failure" in name.error or "Errno -3]" in name.error for name in probe.names)
    return mute or sweeping or no_resolver


def is_loopback_only(address: str) -> bool:
    """Whether a socket at this address is out of others' reach; 0.0.0.0 and :: are not."""
    return is_loopback(address) and address not in ("0.0.0.0", "::")  # noqa: S104  compared, never bound


def _filtered(stack: Stack, stopped: Sequence[Knock]) -> Found:
    master, port = stack.running_master, stopped[0].tried.port
    workers = list(dict.fromkeys(one.worker.name for one in stopped))
    seen = [
        FindingEvidence(
            f"from {one.worker.name}: TCP to {one.tried.address}:{one.tried.port}",
            f"{one.tried.outcome} ({one.tried.error or 'no answer'}) after {one.tried.seconds:.1f} s",
            "open, a Locust master",
            one.probe.at,
        )
        for one in stopped[:2]
    ]
    if master and stack.master_sockets is not None:
        seen.append(
            FindingEvidence(
                f"{master.name} listens on",
                ", ".join(
                    sorted(
                        {
                            f"{master_socket.address}:{master_socket.port}"
                            for master_socket in stack.master_sockets
                            if master_socket.port == port
                        }
                    )
                )
                or "nothing at this port",
            )
        )
    culprits = suspects(stack, [one.tried for one in stopped], [one.worker for one in stopped])
    seen += [
        FindingEvidence(
            f"{rule.tool} on {rule.where}", f"{rule.chain}: {rule.rule}{hits_text(rule)}", "no rule that stops it"
        )
        for rule in culprits
    ]
    mute = [
        network
        for at in (master.networks if master else ())
        if (network := stack.network(at.network_id)) and not network.containers_talk
    ]
    seen += [
        FindingEvidence(
            f"network {network.name}", "com.docker.network.bridge.enable_icc=false: containers may not talk", "true"
        )
        for network in mute
    ]
    if not culprits and not mute and (gap := stack.gap("host.firewall")):
        seen.append(FindingEvidence("firewall of this machine", f"unknown: {gap}"))
    affects = (*workers, *([master.name] if master else []))
    if mute:  # the rule by which Docker keeps them apart goes with the network, and not without it
        culprits = tuple(rule for rule in culprits if not is_dockers_own(rule))
    values = {
        "address": stopped[0].tried.address,
        "port": str(port),
        "where": _where(culprits, mute),
        "containers": " ".join(affects),
    }
    fix, items = _mend(culprits, affects, mute=bool(mute))
    confidence = Confidence.CERTAIN if culprits or mute else Confidence.LIKELY
    return Found("network-filtered", tuple(seen), affects, values, fix, items, confidence=confidence)


def _where(culprits: Sequence[FirewallRule], mute: Sequence[object]) -> str:
    if culprits:
        return f"the firewall of {culprits[0].where}, chain {culprits[0].chain}"
    return "the network's own setting" if mute else "something that could not be named"


def _mend(
    culprits: Sequence[FirewallRule], affects: Sequence[str], *, mute: bool
) -> tuple[str, tuple[dict[str, str], ...]]:
    if culprits:
        return "rule", tuple({"command": removal(rule)} for rule in culprits)
    return ("mute-network", ()) if mute else ("default", tuple({"container": name} for name in affects))


RULES = (
    Rule(
        "dns", LAYER, dns, after=lambda stack: without_engine(stack) or ("" if stack.workers else "there is no worker")
    ),
    Rule("route", LAYER, route, after=without_both),
    Rule("master-port", LAYER, master_port, after=without_both),
    Rule("firewall", LAYER, firewall),
)
