"""Plan the probes: the containers whose networks they use, and the names, ports and URLs that they try. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from sidecar.diagnose.evidence import ContainerFacts, Probe
from sidecar.diagnose.gather.inside import Job
from sidecar.diagnose.stack import DEFAULT_MASTER_HOST, MONITOR, Stack, environment, setting

MOST_SUSPECTS, MOST_WORKERS, MOST_TARGETS = 2, 12, 3
_STOPPED = frozenset({"timeout", "unreachable", "refused", "reset"})
_IGNORED = frozenset({"HOSTNAME", "PATH", "HOME"})


def jobs(stack: Stack, host: str, class_hosts: Mapping[str, str]) -> list[tuple[ContainerFacts, Job]]:
    """Return the probes: in the master's network, in some workers' networks, and in the monitor's."""
    planned: list[tuple[ContainerFacts, Job]] = []
    if master := stack.running_master:
        web_port = stack.web_port(master)
        own_page = ((f"http://127.0.0.1:{web_port}/worker-count", ""),) if web_port else ()
        planned.append((master, Job(http=own_page)))
    chosen = workers(stack)
    scout = _scout(stack, chosen)
    for worker in chosen:
        urls = targets(stack, worker, host, class_hosts) if worker is scout else ()
        planned.append((worker, _workers_job(stack, worker, urls)))
    planned += [(monitor, Job()) for monitor in stack.of(MONITOR) if monitor.state == "running"][:1]
    return planned


def workers(stack: Stack) -> list[ContainerFacts]:
    """Choose the workers to probe: all of a few. Of many, some unregistered ones and one registered of each kind."""
    chosen = list(stack.workers)
    if len(chosen) > MOST_WORKERS:
        kinds: dict[object, list[ContainerFacts]] = {}
        for worker in chosen:
            kinds.setdefault(_kind(worker), []).append(worker)
        chosen = []
        for kind in kinds.values():
            chosen += [worker for worker in kind if not stack.is_registered(worker)][:MOST_SUSPECTS]
            chosen += [worker for worker in kind if stack.is_registered(worker)][:1]
    return sorted(chosen, key=lambda worker: (stack.is_registered(worker) or False, worker.index))[:MOST_WORKERS]


def _kind(worker: ContainerFacts) -> object:
    """Return a worker's kind. Workers of one kind have the same variables, command, image and networks."""
    variables = frozenset(pair for pair in worker.environment if pair.name not in _IGNORED)
    place = frozenset(at.network for at in worker.networks)
    return (worker.image_id, worker.command, variables, place, worker.network_mode, worker.extra_hosts, worker.state)


def _scout(stack: Stack, chosen: list[ContainerFacts]) -> ContainerFacts | None:
    """Choose the worker from which the target is tried: a registered one if possible."""
    running = [container for container in chosen if container.state == "running"]
    ready = [worker for worker in running if stack.is_registered(worker)]
    return next(iter(ready or running or chosen), None)


def _workers_job(stack: Stack, worker: ContainerFacts, urls: tuple[tuple[str, str], ...]) -> Job:
    host, port = stack.master_host(worker).value or DEFAULT_MASTER_HOST, stack.master_port(worker)
    tcp = [(host, port)] if port else []
    names = [host]
    if master := stack.running_master:
        bind_port = stack.bind_port(master)
        shared = stack.shared_networks(worker, master)
        if bind_port:
            tcp += [(at.address, bind_port) for at in shared if at.address]
        names += [master.service] if master.service else []
    return Job(names=tuple(dict.fromkeys(names)), tcp=tuple(dict.fromkeys(tcp)), http=urls)


def targets(
    stack: Stack, worker: ContainerFacts, host: str, class_hosts: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return the (URL, proxy) pairs to try: the target of the load, directly and through a configured proxy."""
    variables = environment(worker)
    given = variables.get("KIT_HOST") or setting(worker, "LOCUST_HOST", "--host", "-H").value or host
    master = stack.evidence.master
    page = master.host if master else ""
    loaded = {pair.name: pair.value for pair in master.class_hosts} if master else {}
    urls = [given or page, *([] if given or page else (loaded or class_hosts).values())]
    pairs: list[tuple[str, str]] = []
    for url in dict.fromkeys(url for url in urls if url):
        pairs.append((url, ""))
        if proxy := proxy_for(url, variables):
            pairs.append((url, proxy))
    return tuple(pairs[: 2 * MOST_TARGETS])


def proxy_for(url: str, variables: Mapping[str, str]) -> str:
    """Return the proxy that an environment names for a URL; "" without a proxy, or for a host in no_proxy."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    lowered = {name.lower(): value for name, value in variables.items() if value}
    proxy = lowered.get(f"{parts.scheme}_proxy") or lowered.get("all_proxy") or ""
    direct = [name.strip().lstrip(".") for name in lowered.get("no_proxy", "").split(",") if name.strip()]
    host = (parts.hostname or "").lower()
    if any(name in ("*", host) or host.endswith(f".{name}") for name in direct):
        return ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def was_stopped(probe: Probe) -> bool:
    """Return whether a probe failed to reach an address, so a firewall rule may have stopped it."""
    outcomes = {*(attempt.outcome for attempt in probe.tcp), *(attempt.outcome for attempt in probe.http)}
    return not _STOPPED.isdisjoint(outcomes)
