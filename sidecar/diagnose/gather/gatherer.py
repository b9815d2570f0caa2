"""Gather all Evidence: the questions, their order and their time limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sidecar.common.errors import EngineError, KitError
from sidecar.common.units import plural
from sidecar.diagnose.evidence import (
    ConfigFacts,
    ContainerEvent,
    ContainerFacts,
    EngineFacts,
    Evidence,
    FirewallRule,
    Gap,
    HostFacts,
    MasterFacts,
    Network,
    PortFacts,
    Probe,
)
from sidecar.diagnose.gather import config, engine, firewall, host, inside, plan, web
from sidecar.diagnose.gather.later import Deadline, Later, TooLateError, each
from sidecar.diagnose.stack import MASTER, Stack, environment
from sidecar.engine.docker_engine import DockerEngine
from sidecar.locust_api.client import master_url
from sidecar.locust_api.connection import Credentials
from sidecar.model.observation import StatsReading
from sidecar.settings import Settings
from sidecar.stack import as_decided, secrets, workspace
from sidecar.stack.images import IMAGES

T = TypeVar("T")
PATIENCE_SECONDS = 24.0
_MASTER_WAIT_SECONDS = 2.0  # for the master's list of workers, before choosing which workers to probe
_MOST_DOUBTFUL = 8
_PROCESSOR_SECONDS = 1.5  # fifteen of the scheduler's periods


@dataclass
class EvidenceGatherer:
    """Gathers the evidence of one diagnosis. It calls `tell` with the part that is being checked."""

    settings: Settings
    settings_error: str
    environ: Mapping[str, str]
    tell: Callable[[str], None]
    deadline: Deadline
    now: datetime
    gaps: list[Gap] = field(default_factory=list)

    def evidence(self) -> Evidence:
        """Return all evidence. Parts that are missing are among its gaps."""
        self.tell("this machine, the engine and the files")
        asked_host = Later.of(lambda: host.facts(self._disks()))
        asked_engine = Later.of(lambda: engine.ask(self.environ))
        asked_config = Later.of(self._config)
        asked_compose = Later.of(lambda: engine.compose_version(self.environ))
        asked_rules = Later.of(lambda: firewall.read(host.HERE))
        password = secrets.given(self.settings, "WEB_PASSWORD")
        asked_monitor = Later.of(lambda: web.monitor(self.settings.monitor_port, password, self.now))
        silent: tuple[EngineFacts, DockerEngine | None] = (EngineFacts("hung", error="no answer in time"), None)
        about_engine, docker = self._part("engine", asked_engine, silent)
        stack = self._stack(docker, about_engine) if docker else _StackFacts()
        rules_before = self._maybe("host.firewall", asked_rules)
        rules = self._firewall_after(stack, rules_before)
        version, error = self._part("compose", asked_compose, ("", "no answer in time"))
        facts = self._part("config", asked_config, config.facts(self.settings, self.settings_error))
        machine = self._part("host", asked_host, HostFacts("?", is_root=False))
        monitor = self._maybe("monitor", asked_monitor)
        if about_engine.root_dir:
            machine = host.with_disk(machine, "Docker's data", Path(about_engine.root_dir))
        there, starts = self._image(docker, self.settings.locust_image)
        return Evidence(
            project=self.settings.project,
            at=self.now,
            host=replace(machine, firewall=rules, ports=stack.ports),
            engine=replace(about_engine, compose_version=version, compose_error=error),
            config=replace(
                facts, locust_image_there=there, locust_image_starts=starts, differences=self._differences(docker)
            ),
            containers=stack.containers,
            networks=stack.networks,
            events=stack.events,
            probes=stack.probes,
            master=stack.master,
            monitor=monitor,
            gaps=tuple(self.gaps),
            seconds=(datetime.now(UTC) - self.now).total_seconds(),
        )

    def _part(self, part: str, later: Later[T], otherwise: T) -> T:
        """Return one part of the evidence. If it is missing, note the gap and return the replacement."""
        value = self._maybe(part, later)
        return otherwise if value is None else value

    def _maybe(self, part: str, later: Later[T]) -> T | None:
        """Return one part of the evidence. If it is missing, note the gap and return None."""
        try:
            return later.get(self.deadline)
        except (KitError, OSError, ValueError, TooLateError, firewall.UnreadableError) as error:
            self._gap(part, error)
            return None

    def _gap(self, part: str, error: BaseException) -> None:
        reason = error.what if isinstance(error, KitError) else str(error)
        self.gaps.append(Gap(part, reason or type(error).__name__))

    def _disks(self) -> Iterable[tuple[str, Path]]:
        yield "this checkout", self.settings.root
        yield "REPORTS_DIR", self.settings.reports_dir
        yield "LOCUSTFILES_DIR", self.settings.locustfiles_dir
        yield "the kit's own files", self.settings.state_dir

    def _config(self) -> ConfigFacts:
        facts = config.facts(self.settings, self.settings_error)
        try:
            return config.with_compose(facts, self.settings, self.environ)
        except (KitError, ValueError) as error:
            self._gap("compose.config", error)
            return facts

    def _differences(self, docker: DockerEngine | None) -> tuple[as_decided.Difference, ...]:
        try:
            ours = docker.containers(self.settings.project) if docker else ()
            return as_decided.differences(docker, ours, self.settings) if docker else ()
        except (EngineError, ValueError) as error:
            self._gap("differences", error)
            return ()

    def _image(self, docker: DockerEngine | None, name: str) -> tuple[bool, bool]:
        """Return whether LOCUST_IMAGE is on this machine, and whether its command looks like Locust."""
        try:
            about = docker.image(name) if docker and name else None
        except EngineError:
            return True, True
        if about is None:
            return not (docker and name), True
        image = about.get("Config") or {}
        return True, "locust" in " ".join([*(image.get("Entrypoint") or []), *(image.get("Cmd") or [])]).lower()

    # ---- the stack

    def _stack(self, docker: DockerEngine, about: EngineFacts) -> _StackFacts:
        """Gather all facts that need the engine: containers, networks, probes."""
        project = self.settings.project
        try:
            rows = docker.rows()
        except (EngineError, ValueError) as error:
            self._gap("containers", error)
            return _StackFacts()
        ours = [row for row in rows if engine.is_ours(row, project)]
        self.tell(plural(len(ours), "container"))
        facts = _StackFacts()
        asked_networks = Later.of(lambda: engine.networks(docker, engine.networks_in_use(rows)))
        facts.networks = self._part("networks", asked_networks, ())
        asked_events = Later.of(lambda: engine.events(docker, project, self.now))
        wanted = [("WEB_PORT", self.settings.web_port), ("MONITOR_PORT", self.settings.monitor_port)]
        asked_ports = Later.of(lambda: host.port_facts(wanted, docker.containers()))
        inspected = self._inspect(docker, ours)
        mine = frozenset(at.network_id for container in inspected for at in container.networks)
        inspected += self._inspect(docker, engine.neighbours(rows, project, mine))
        stack = Stack(self._partial(inspected, about))
        asked_master = Later.of(lambda: self._ask_master(stack))
        before, since = self._counters(docker, inspected), time.monotonic()
        inspected = self._with_logs(docker, inspected, stack)
        after: dict[str, StatsReading] = {}
        if any(container.cpu_limit for container in inspected):
            # Late enough to judge a CPU limit, and before our probes use CPU time.
            time.sleep(max(0.0, since + _PROCESSOR_SECONDS - time.monotonic()))
            after = self._counters(docker, inspected)
        inspected = engine.with_figures(inspected, before if after else {}, {**before, **after})
        facts.master = self._soon(asked_master)
        stack = Stack(replace(self._partial(inspected, about), master=facts.master, networks=facts.networks))
        facts.probes, facts.rules_before = self._look_around(docker, stack)
        inspected = self._with_processes(docker, inspected, stack)
        after = after or self._counters(docker, inspected)
        facts.containers = tuple(engine.with_figures(inspected, before, after))
        facts.master = self._maybe("master", asked_master)
        if facts.master and facts.master.answer == "ok":  # once more, since workers may have come or gone meanwhile
            facts.master = self._maybe("master", Later.of(lambda: self._ask_master(stack)))
        earlier = self._part("events", asked_events, ())
        facts.events = self._part("events", Later.of(lambda: engine.events(docker, project, datetime.now(UTC))), ())
        facts.events = tuple(dict.fromkeys((*earlier, *facts.events)))  # the engine forgets fast, and much happens
        facts.ports = self._part("ports", asked_ports, ())
        return facts

    def _partial(self, inspected: Sequence[ContainerFacts], about: EngineFacts) -> Evidence:
        nothing = HostFacts("?", is_root=False)
        return Evidence(self.settings.project, self.now, nothing, about, ConfigFacts(), containers=tuple(inspected))

    def _soon(self, later: Later[MasterFacts]) -> MasterFacts | None:
        try:
            return later.get(Deadline.after(self.deadline.left(_MASTER_WAIT_SECONDS)))
        except (TooLateError, KitError, ValueError):
            return None

    def _inspect(self, docker: DockerEngine, rows: Sequence[engine.Row]) -> list[ContainerFacts]:
        outcomes = engine.inspect_all(docker, rows, self.settings.project, self.deadline)
        self.gaps += [Gap("inspect", reason) for reason in outcomes if isinstance(reason, str)]
        return [container for container in outcomes if isinstance(container, ContainerFacts)]

    def _ask_master(self, stack: Stack) -> MasterFacts:
        """Ask the master where the engine publishes its page, else where the settings expect it.

        It logs in only where the engine says that the port is the master's: elsewhere another program may answer.
        """
        master = stack.master
        env = workspace.locust_env(self.settings) if master is None else environment(master)
        if master is not None and stack.running_master:
            inner = stack.web_port(master)
            for published in master.published:
                outside, _, container_port = published.partition("->")
                if container_port == f"{inner}/tcp":
                    url = master_url(int(outside.rpartition(":")[2]), env)
                    return web.master(url, workspace.credentials(self.settings))
        return web.master(master_url(self.settings.web_port, env), Credentials())

    def _counters(self, docker: DockerEngine, inspected: Sequence[ContainerFacts]) -> dict[str, StatsReading]:
        own = [container for container in inspected if not container.neighbour]
        running = [container for container in own if container.state in ("running", "paused")]
        outcomes = each(lambda container: engine.counters(docker, container, self.deadline), running, self.deadline)
        read = zip(running, outcomes, strict=True)
        return {container.id: outcome for container, outcome in read if isinstance(outcome, StatsReading)}

    def _with_processes(
        self, docker: DockerEngine, inspected: Sequence[ContainerFacts], stack: Stack
    ) -> list[ContainerFacts]:
        """Add the processes of unregistered workers, which may not run Locust at all."""
        doubtful = [worker for worker in stack.running_workers if not stack.is_registered(worker)][:_MOST_DOUBTFUL]
        listed = each(lambda worker: engine.processes(docker, worker, self.deadline), doubtful, self.deadline)
        known = {worker.id: names for worker, names in zip(doubtful, listed, strict=True) if isinstance(names, tuple)}
        return [replace(container, processes=known.get(container.id)) for container in inspected]

    def _with_logs(
        self, docker: DockerEngine, inspected: Sequence[ContainerFacts], stack: Stack
    ) -> list[ContainerFacts]:
        ours = [container for container in inspected if not container.neighbour and not container.helper]

        def read(container: ContainerFacts) -> ContainerFacts:
            lines = engine.MASTER_LINES if stack.role(container) == MASTER else engine.WORKER_LINES
            return replace(container, log=engine.logs(docker, container, lines, self.deadline))

        outcomes = each(read, ours, self.deadline)
        logged: dict[str, ContainerFacts] = {}
        for container, outcome in zip(ours, outcomes, strict=True):
            if isinstance(outcome, ContainerFacts):
                logged[container.id] = outcome
            else:
                self.gaps.append(Gap(f"log:{container.name}", str(outcome)))
        return [logged.get(container.id, container) for container in inspected]

    # ---- probes in the containers' networks

    def _look_around(
        self, docker: DockerEngine, stack: Stack
    ) -> tuple[tuple[Probe, ...], dict[str, tuple[FirewallRule, ...]]]:
        jobs = plan.jobs(stack, self.settings.host, dict(workspace.loaded_hosts(self.settings)))
        if jobs:
            self.tell(f"the network of {plural(len(jobs), 'container')}")
        before = {
            container.name: rules for container, _ in jobs if (rules := self._rules_of(container, gap=True)) is not None
        }
        images = self._images(stack)
        deadline = Deadline.after(min(12.0, self.deadline.left() - 2.0))
        outcomes = each(lambda job: inside.look(docker, job[0], job[1], images, deadline), jobs, deadline)
        probes = []
        for (container, _), outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Probe):
                probes.append(outcome)
            else:
                reason = outcome.what if isinstance(outcome, KitError) else str(outcome)
                self.gaps.append(Gap(f"inside:{container.name}", reason))
        return tuple(probes), before

    def _images(self, stack: Stack) -> tuple[str, ...]:
        """Return images with Python for our own probe: the kit's, else those of the Locust containers."""
        own = [IMAGES[key].name for key in ("locust", "monitor")]
        return tuple(dict.fromkeys([*own, *(locust.image_id or locust.image for locust in stack.locusts)]))

    def _rules_of(self, container: ContainerFacts, *, gap: bool) -> tuple[FirewallRule, ...] | None:
        """Read the rules in a container's network namespace; None without the right to do so."""
        if container.pid is None or container.network_mode == "host":
            return None
        try:
            return firewall.read(container.name, container.pid)
        except firewall.UnreadableError as error:
            if gap:
                self.gaps.append(Gap(f"firewall:{container.name}", str(error)))
            return None

    def _firewall_after(self, stack: _StackFacts, before: tuple[FirewallRule, ...] | None) -> tuple[FirewallRule, ...]:
        """Return all stopping rules. If a probe failed, read them again to find the rule that stopped it."""
        rules = [*(before or ()), *(rule for own in stack.rules_before.values() for rule in own)]
        if not any(plan.was_stopped(probe) for probe in stack.probes):
            return tuple(rules)
        after: list[FirewallRule] = []
        if before is not None:
            after += self._part("host.firewall", Later.of(lambda: firewall.read(host.HERE)), ())
        for container in stack.containers:
            if container.name in stack.rules_before:
                after += self._rules_of(container, gap=False) or ()
        return firewall.with_hits(rules, after)


@dataclass
class _StackFacts:
    """All facts that need the engine."""

    containers: tuple[ContainerFacts, ...] = ()
    networks: tuple[Network, ...] = ()
    events: tuple[ContainerEvent, ...] = ()
    ports: tuple[PortFacts, ...] = ()
    probes: tuple[Probe, ...] = ()
    master: MasterFacts | None = None
    rules_before: dict[str, tuple[FirewallRule, ...]] = field(default_factory=dict)


def gather(
    args: Sequence[str],
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    root: Path = workspace.ROOT,
    seconds: float = PATIENCE_SECONDS,
) -> Evidence:
    """Gather the evidence within `seconds`, whatever hangs."""
    settings, error = config.load(args, environ, root)
    return EvidenceGatherer(settings, error, environ, tell, Deadline.after(seconds), datetime.now(UTC)).evidence()
