"""Who is in which network, and at which door the master listens. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from sidecar.diagnose.evidence import ContainerFacts, Network, Pool, Socket
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_both, without_engine
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.rules.mending import RECREATE, origin_of_setting
from sidecar.diagnose.stack import Stack, is_loopback, names
from sidecar.model.finding import FindingEvidence

LAYER = "topology"
# What Docker cuts its networks from when nobody told it otherwise (moby, libnetwork/ipamutils).
_DEFAULT_POOLS = (
    *(Pool(f"172.{second}.0.0/16", 16) for second in (17, 18, 19)),
    *(Pool(f"172.{second}.0.0/14", 16) for second in (20, 24, 28)),
    Pool("192.168.0.0/16", 20),
)
_MOST_SUBNETS, _MOST_NAMED = 4096, 4
_UNNAMED = frozenset({"none", "host"})


# ---- networks --------------------------------------------------------------------------------------------------------


def docker_network(stack: Stack) -> Outcome:
    """Whether master and workers are in one network, and whether Docker has addresses for one."""
    exhausted = tuple(_exhausted(stack))
    if exhausted or not stack.workers or not stack.running_master:
        return Outcome(_networks_text(stack), exhausted)
    master = stack.running_master
    apart = [
        running_worker
        for running_worker in stack.running_workers
        if not stack.shares_network(running_worker, master)
        and not (stack.knows_registered and stack.is_registered(running_worker))
    ]
    found = tuple(_not_shared(stack, apart, master)) if apart else ()
    if not found and (gap := stack.gap("networks")):
        return cannot_tell(gap)
    return Outcome(_networks_text(stack), found)


def _networks_text(stack: Stack) -> str:
    used = {at.network for locust in stack.locusts for at in locust.networks}
    return ", ".join(sorted(used)) or "no network of the stack"


def _not_shared(stack: Stack, apart: Sequence[ContainerFacts], master: ContainerFacts) -> Iterator[Found]:
    seen = [
        FindingEvidence(
            f"networks of {master.name}", _networks_of(master), "one that the workers are in", stack.evidence.at
        ),
        *(
            FindingEvidence(
                f"networks of {names(group)}", _networks_of(group[0]), "one that the master is in", stack.evidence.at
            )
            for group in grouped(apart, _networks_of)
        ),
    ]
    odd, others = _who_is_odd(stack, apart, master)
    home = next((at for at in others[0].networks if at.network not in _UNNAMED), None)
    affects = tuple(one.name for one in odd)
    if home is None or any(one.network_mode in _UNNAMED or one.network_mode.startswith("container:") for one in odd):
        yield Found("network-not-shared", tuple(seen), affects, {"containers": names(odd)}, RECREATE)
        return
    items = tuple({"container": one.name, "network": home.network, "alias": one.service or one.name} for one in odd)
    yield Found("network-not-shared", tuple(seen), affects, {"containers": names(odd)}, items=items)


def _networks_of(container_facts: ContainerFacts) -> str:
    if container_facts.network_mode.startswith("container:"):
        return "those of another container"
    return (
        ", ".join(sorted(at.network for at in container_facts.networks))
        or f"none (network_mode {container_facts.network_mode})"
    )


def _who_is_odd(
    stack: Stack, apart: Sequence[ContainerFacts], master: ContainerFacts
) -> tuple[Sequence[ContainerFacts], Sequence[ContainerFacts]]:
    """(who is out of place, who is not): the project's own network is home."""
    home = {network.id for network in stack.evidence.networks if network.project == stack.evidence.project}

    def at_home(container_facts: ContainerFacts) -> bool:
        return any(at.network_id in home for at in container_facts.networks)

    if not at_home(master) and any(at_home(container_facts) for container_facts in apart):
        return (master,), [container_facts for container_facts in apart if at_home(container_facts)]
    return apart, (master,)


def _exhausted(stack: Stack) -> Iterator[Found]:
    project = stack.evidence.project
    if any(network.project == project for network in stack.evidence.networks) or not stack.evidence.networks:
        return
    if free_subnet(stack.evidence.networks, stack.evidence.engine.pools, stack.evidence.host.routes):
        return
    unused = [network.name for network in stack.evidence.networks if not network.in_use]
    some = ", ".join(unused[:_MOST_NAMED]) + " …" * (len(unused) > _MOST_NAMED)
    seen = (
        FindingEvidence(
            "Docker's address pools",
            f"all taken, by {len(stack.evidence.networks)} networks",
            "room for one more",
            stack.evidence.at,
        ),
        FindingEvidence(
            "networks that no container uses",
            f"{len(unused)}: {some}" if unused else "none",
        ),
    )
    fix = "default" if unused else "no-unused"
    yield Found("network-pool-exhausted", seen, ("Docker's address pools",), {"count": str(len(unused))}, fix)


def free_subnet(networks: Sequence[Network], pools: Sequence[Pool], routes: Sequence[str]) -> str:
    """The first subnet that Docker could still give to a new network; "" when there is none. IPv4 alone."""
    texts = [subnet for network in networks for subnet in network.subnets]
    texts += [route.split()[0] for route in routes if not route.startswith("0.0.0.0/0")]
    taken = [found for text in texts if (found := _ipv4(text)) is not None]
    for pool in pools or _DEFAULT_POOLS:
        base = _ipv4(pool.base)
        if base is None or pool.size < base.prefixlen:
            continue
        for _, subnet in zip(range(_MOST_SUBNETS), base.subnets(new_prefix=pool.size), strict=False):
            if not any(subnet.overlaps(one) for one in taken):
                return str(subnet)
    return ""


def _ipv4(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


# ---- the master's door -----------------------------------------------------------------------------------------------


def bind(stack: Stack) -> Outcome:
    """Whether the master listens where others can reach it, and at the port at which the workers knock."""
    master = stack.running_master
    sockets, port = stack.master_sockets, stack.bind_port(master) if master else None
    if master is None:
        return cannot_tell("no master runs")
    if sockets is None:
        return cannot_tell(stack.gap(f"inside:{master.name}") or "nobody could look into the master's network")
    listening = sorted({f"{socket.address}:{socket.port}" for socket in sockets if socket.port == port})
    if not listening:
        return cannot_tell(f"nothing listens on port {port}")
    away = [worker for worker in stack.workers if not stack.is_registered(worker)]
    found = [*_loopback(stack, master, sockets, port, away), *_wrong_port(stack, master, sockets, away)]
    return Outcome(f"the master listens on {', '.join(listening)}", tuple(found))


def _loopback(
    stack: Stack, master: ContainerFacts, sockets: Sequence[Socket], port: int | None, away: Sequence[ContainerFacts]
) -> Iterator[Found]:
    at_port = [socket for socket in sockets if socket.port == port]
    outside = [
        container_facts
        for container_facts in away
        if container_facts.network_mode != f"container:{master.id}"
        and "host" not in (container_facts.network_mode, master.network_mode)
    ]
    if not at_port or not outside or not all(_only_local(one) for one in at_port):
        return
    where = origin_of_setting(stack, [master], "LOCUST_MASTER_BIND_HOST", "--master-bind-host")
    seen = (
        FindingEvidence(
            f"{master.name} listens on",
            ", ".join(f"{one.address}:{one.port}" for one in at_port),
            f"0.0.0.0:{port}",
            stack.evidence.at,
        ),
        FindingEvidence("it comes from", where.text),
    )
    yield Found(
        "master-bound-to-loopback",
        seen,
        (master.name,),
        {"container": master.name, "address": at_port[0].address},
        where.fix,
        where.items,
    )


def _only_local(socket: Socket) -> bool:
    try:
        return ipaddress.ip_address(socket.address).is_loopback
    except ValueError:
        return False


def _wrong_port(
    stack: Stack, master: ContainerFacts, sockets: Sequence[Socket], away: Sequence[ContainerFacts]
) -> Iterator[Found]:
    open_ports = {socket.port for socket in sockets if not _only_local(socket)}
    bind_port, web_port = stack.bind_port(master), stack.web_port(master)
    if bind_port not in open_ports:
        return
    aimed = [container_facts for container_facts in away if _leads_to_master(stack, container_facts, master)]
    for group in grouped(aimed, stack.master_port):
        port = stack.master_port(group[0])
        if port == bind_port or port is None:
            continue
        if port == web_port or _speaks_http(stack, group, port):
            yield _at_web_port(stack, group, master, port, bind_port)
        elif port not in open_ports:
            yield _mismatch(stack, group, master, port, bind_port)


def _leads_to_master(stack: Stack, worker: ContainerFacts, master: ContainerFacts) -> bool:
    """Whether a worker's name for the master leads there, or nowhere; elsewhere is another matter."""
    probe, host = stack.probe_of(worker), stack.master_host(worker).value
    found = next((name for name in probe.names if name.name == host), None) if probe else None
    own = stack.addresses(master)
    if is_loopback(host):
        return False
    return found is None or not found.addresses or bool(own.intersection(found.addresses))


def _speaks_http(stack: Stack, group: Sequence[ContainerFacts], port: int) -> bool:
    return any(
        one.greeting == "http" and one.port == port
        for worker in group
        if (probe := stack.probe_of(worker))
        for one in probe.tcp
    )


def _port_evidence(
    stack: Stack, group: Sequence[ContainerFacts], port: int, bind_port: int | None
) -> Iterator[FindingEvidence]:
    where = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_PORT", "--master-port")
    yield FindingEvidence(
        f"master's port for {names(group)}", str(port), f"{bind_port}, where the master listens", stack.evidence.at
    )
    for worker in group[:2]:
        probe = stack.probe_of(worker)
        for one in probe.tcp if probe else ():
            if one.port == port:
                answer = {"http": "an HTTP server answers", "none": "open, no Locust master answers"}.get(
                    one.greeting, one.outcome
                )
                yield FindingEvidence(
                    f"from {worker.name}: {one.address}:{port}", answer, "a Locust master", probe.at if probe else None
                )
    yield FindingEvidence("it comes from", where.text)


def _at_web_port(
    stack: Stack, group: Sequence[ContainerFacts], master: ContainerFacts, port: int, bind_port: int | None
) -> Found:
    where = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_PORT", "--master-port")
    seen = [*_port_evidence(stack, group, port, bind_port)]
    sign = log_signs.last(log_signs.current_log(master), "web-greeting")
    seen += [FindingEvidence(f"log of {master.name}", sign.text[:120], "no such line", sign.at)] if sign else []
    values = {"port": str(port), "bind_port": str(bind_port), "containers": names(group)}
    return Found(
        "worker-points-at-web-port",
        tuple(seen),
        tuple(container_facts.name for container_facts in group),
        values,
        where.fix,
        where.items,
    )


def _mismatch(
    stack: Stack, group: Sequence[ContainerFacts], master: ContainerFacts, port: int, bind_port: int | None
) -> Found:
    """Whichever of the two was told something else than this checkout would tell it is the one to mend."""
    where = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_PORT", "--master-port")
    of_master = origin_of_setting(stack, [master], "LOCUST_MASTER_BIND_PORT", "--master-bind-port")
    if where.fix == "by-hand" and of_master.fix != "by-hand":
        where = of_master
    values = {"port": str(port), "bind_port": str(bind_port), "containers": names(group), "master": master.name}
    affects = (*(container_facts.name for container_facts in group), master.name)
    return Found(
        "master-port-mismatch",
        tuple(_port_evidence(stack, group, port, bind_port)),
        affects,
        values,
        where.fix,
        where.items,
    )


RULES = (
    Rule("docker-network", LAYER, docker_network, after=without_engine),
    Rule("master-bind", LAYER, bind, after=without_both),
)
