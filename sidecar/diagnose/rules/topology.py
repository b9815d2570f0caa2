"""Checks of the topology: the containers' networks, and the address on which the master listens. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from sidecar.common.units import plural
from sidecar.diagnose.evidence import ContainerFacts, Network, Pool, Socket
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
    without_engine,
)
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.stack import Stack, is_loopback, is_loopback_only, names
from sidecar.model.finding import FindingEvidence

LAYER = "topology"
# Docker's address pools when its configuration names none (moby, libnetwork/ipamutils).
_DEFAULT_POOLS = (
    *(Pool(f"172.{second}.0.0/16", 16) for second in (17, 18, 19)),
    *(Pool(f"172.{second}.0.0/14", 16) for second in (20, 24, 28)),
    Pool("192.168.0.0/16", 20),
)
_MOST_SUBNETS, _MOST_NAMED = 4096, 4
_UNNAMED = frozenset({"none", "host"})


# ---- networks --------------------------------------------------------------------------------------------------------


def docker_network(stack: Stack) -> Outcome:
    """Check whether master and workers share a network, and whether Docker has addresses for a new one."""
    exhausted, master = tuple(_exhausted(stack)), stack.running_master
    if exhausted or not stack.workers or master is None:
        return Outcome(_networks_text(stack), exhausted)
    apart = [worker for worker in stack.running_workers if not stack.shares_network(worker, master)]
    if stack.knows_registered:
        apart = [worker for worker in apart if not stack.is_registered(worker)]
    if not apart and (gap := stack.gap("networks")):
        return cannot_tell(gap)
    return Outcome(_networks_text(stack), (_not_shared(stack, apart, master),) if apart else ())


def _networks_text(stack: Stack) -> str:
    used = {at.network for locust in stack.locusts for at in locust.networks}
    return ", ".join(sorted(used)) or "the stack has no network"


def _not_shared(stack: Stack, apart: Sequence[ContainerFacts], master: ContainerFacts) -> FoundCause:
    evidence = [stack.observed(f"networks of {master.name}", _networks_of(master), "a network of the workers")]
    for group in grouped(apart, _networks_of):
        wanted = "a network of the master"
        evidence.append(stack.observed(f"networks of {names(group)}", _networks_of(group[0]), wanted))
    odd, others = _who_is_odd(stack, apart, master)
    home = next((at.network for at in others[0].networks if at.network not in _UNNAMED), None)
    modes = [container.network_mode for container in odd]
    place = Origin(RECREATE)
    if home is not None and not any(mode in _UNNAMED or mode.startswith("container:") for mode in modes):
        items = ({"container": lone.name, "network": home, "alias": lone.service or lone.name} for lone in odd)
        place = Origin(items=tuple(items))
    return FoundCause("network-not-shared", evidence, odd, {"containers": names(odd)}, place)


def _networks_of(container: ContainerFacts) -> str:
    if container.network_mode.startswith("container:"):
        return "the networks of another container"
    shown = ", ".join(sorted(at.network for at in container.networks))
    return shown or f"no network (network_mode {container.network_mode})"


def _who_is_odd(
    stack: Stack, apart: Sequence[ContainerFacts], master: ContainerFacts
) -> tuple[Sequence[ContainerFacts], Sequence[ContainerFacts]]:
    """Return (the misplaced containers, the others). The project's own network is the right place."""
    home = {network.id for network in stack.evidence.networks if network.project == stack.evidence.project}

    def is_at_home(container: ContainerFacts) -> bool:
        return any(at.network_id in home for at in container.networks)

    at_home = [container for container in apart if is_at_home(container)]
    return ((master,), at_home) if at_home and not is_at_home(master) else (apart, (master,))


def _exhausted(stack: Stack) -> Iterator[FoundCause]:
    project, networks = stack.evidence.project, stack.evidence.networks
    if any(network.project == project for network in networks) or not networks:
        return
    if free_subnet(networks, stack.evidence.engine.pools, stack.evidence.host.routes):
        return
    unused = [network.name for network in networks if not network.in_use]
    some = ", ".join(unused[:_MOST_NAMED]) + " …" * (len(unused) > _MOST_NAMED)
    pools = "Docker's address pools"
    evidence = (
        stack.observed(pools, f"all in use, by {plural(len(networks), 'network')}", "a free subnet"),
        FindingEvidence("networks that no container uses", f"{len(unused)}: {some}" if unused else "0"),
    )
    fix = "default" if unused else "no-unused"
    yield FoundCause("network-pool-exhausted", evidence, (pools,), {"count": str(len(unused))}, fix)


def free_subnet(networks: Sequence[Network], pools: Sequence[Pool], routes: Sequence[str]) -> str:
    """Return the first free IPv4 subnet for a new network of Docker; "" if all are in use."""
    texts = [subnet for network in networks for subnet in network.subnets]
    texts += [route.split()[0] for route in routes if not route.startswith("0.0.0.0/0")]
    taken = [parsed for text in texts if (parsed := _ipv4(text)) is not None]
    for pool in pools or _DEFAULT_POOLS:
        base = _ipv4(pool.base)
        if base is None or pool.size < base.prefixlen:
            continue
        for _, subnet in zip(range(_MOST_SUBNETS), base.subnets(new_prefix=pool.size), strict=False):
            if not any(subnet.overlaps(other) for other in taken):
                return str(subnet)
    return ""


def _ipv4(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


# ---- where the master listens ----------------------------------------------------------------------------------------


def bind(stack: Stack) -> Outcome:
    """Check whether the workers can reach the address and port on which the master listens."""
    master = stack.running_master
    if master is None:
        return cannot_tell("no master runs")
    sockets, port = stack.master_sockets, stack.bind_port(master)
    if sockets is None:
        return cannot_tell(stack.gap(f"inside:{master.name}") or "the sockets of the master could not be read")
    if port is None or not (listening := stack.listening(port)):
        return cannot_tell(f"nothing listens on port {port}")
    away = [worker for worker in stack.workers if not stack.is_registered(worker)]
    causes = (*_loopback(stack, master, sockets, away), *_wrong_port(stack, master, sockets, away))
    return Outcome(f"the master listens on {listening}", causes)


def _loopback(
    stack: Stack, master: ContainerFacts, sockets: Sequence[Socket], away: Sequence[ContainerFacts]
) -> Iterator[FoundCause]:
    port = stack.bind_port(master)
    at_port = [socket for socket in sockets if socket.port == port]
    outside = [
        worker
        for worker in away
        if worker.network_mode != f"container:{master.id}" and "host" not in (worker.network_mode, master.network_mode)
    ]
    if not outside or not all(is_loopback_only(socket.address) for socket in at_port):
        return
    place = origin_of_setting(stack, [master], "LOCUST_MASTER_BIND_HOST", "--master-bind-host")
    shown = ", ".join(f"{socket.address}:{socket.port}" for socket in at_port)
    evidence = (stack.observed(f"address on which {master.name} listens", shown, f"0.0.0.0:{port}"), place.evidence)
    values = {"container": master.name, "address": at_port[0].address}
    yield FoundCause("master-bound-to-loopback", evidence, (master,), values, place)


def _wrong_port(
    stack: Stack, master: ContainerFacts, sockets: Sequence[Socket], away: Sequence[ContainerFacts]
) -> Iterator[FoundCause]:
    open_ports = {socket.port for socket in sockets if not is_loopback_only(socket.address)}
    bind_port, web_port = stack.bind_port(master), stack.web_port(master)
    if bind_port not in open_ports:
        return
    aimed = [worker for worker in away if _leads_to_master(stack, worker, master)]
    for group in grouped(aimed, stack.master_port):
        port = stack.master_port(group[0])
        if port == bind_port or port is None:
            continue
        if port == web_port or _speaks_http(stack, group, port):
            yield _at_web_port(stack, group, master, port)
        elif port not in open_ports:
            yield _mismatch(stack, group, master, port)


def _leads_to_master(stack: Stack, worker: ContainerFacts, master: ContainerFacts) -> bool:
    """Return whether a worker's name for the master resolves to the master, or does not resolve at all."""
    name = stack.lookup(worker)
    if is_loopback(stack.master_host(worker).value):
        return False
    return name is None or not name.addresses or bool(stack.addresses(master).intersection(name.addresses))


def _speaks_http(stack: Stack, group: Sequence[ContainerFacts], port: int) -> bool:
    probes = (probe for worker in group if (probe := stack.probe_of(worker)))
    return any(attempt.greeting == "http" and attempt.port == port for probe in probes for attempt in probe.tcp)


def _port_evidence(
    stack: Stack, group: Sequence[ContainerFacts], port: int, bind_port: int | None
) -> Iterator[FindingEvidence]:
    yield stack.observed(f"master's port in {names(group)}", str(port), f"{bind_port}, on which the master listens")
    answers = {"http": "an HTTP server answers", "none": "open, but no Locust master answers"}
    for probe in filter(None, map(stack.probe_of, group[:2])):
        for attempt in probe.tcp:
            if attempt.port == port:
                what = f"TCP connection from {probe.container} to {attempt.address}:{port}"
                answer = answers.get(attempt.greeting, attempt.outcome)
                yield FindingEvidence(what, answer, "a Locust master", probe.at)
    yield origin_of_setting(stack, group, "LOCUST_MASTER_NODE_PORT", "--master-port").evidence


def _at_web_port(stack: Stack, group: Sequence[ContainerFacts], master: ContainerFacts, port: int) -> FoundCause:
    place = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_PORT", "--master-port")
    bind_port, sign = stack.bind_port(master), log_signs.latest(master, "web-greeting")
    line = FindingEvidence(f"log of {master.name}", sign.text[:120], "no such line", sign.at) if sign else None
    values = {"port": str(port), "bind_port": str(bind_port), "containers": names(group)}
    evidence = (*_port_evidence(stack, group, port, bind_port), line)
    return FoundCause("worker-points-at-web-port", evidence, group, values, place)


def _mismatch(stack: Stack, group: Sequence[ContainerFacts], master: ContainerFacts, port: int) -> FoundCause:
    """Return the cause. The fix is for the container whose port differs from this checkout."""
    place = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_PORT", "--master-port")
    of_master = origin_of_setting(stack, [master], "LOCUST_MASTER_BIND_PORT", "--master-bind-port")
    if place.fix == BY_HAND != of_master.fix:
        place = of_master
    bind_port = stack.bind_port(master)
    values = {"port": str(port), "bind_port": str(bind_port), "containers": names(group), "master": master.name}
    evidence = _port_evidence(stack, group, port, bind_port)
    return FoundCause("master-port-mismatch", evidence, (*group, master), values, place)


RULES = (
    Rule("docker-network", LAYER, docker_network, after=without_engine),
    Rule("master-bind", LAYER, bind, after=without_both),
)
