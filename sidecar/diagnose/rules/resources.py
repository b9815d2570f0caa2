"""Checks of the containers' limits: CPU, open files, and whether memory limits are enforced. Pure."""

from __future__ import annotations

from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.rule import FoundCause, Origin, Outcome, Rule, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.stack import MASTER, WORKER, Stack, names, size
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "containers"
THROTTLED_PERCENT, STARVED_PERCENT = 20.0, 10.0  # if the limit is high enough to start, and if it is lower
LOCUST_WANTS_FILES, TOO_FEW_FILES = 10000, 1024
_UNLIMITED = -1
_ENOUGH_TO_START = 0.5  # CPUs


def processor(stack: Stack) -> Outcome:
    """Check whether a CPU limit throttles master or workers."""
    measured = [locust for locust in stack.locusts if locust.throttled_percent is not None]
    held = [locust for locust in measured if _is_held(stack, locust)]
    limited = [locust for locust in stack.locusts if locust.cpu_limit]
    if not limited:
        return Outcome("no CPU limit")
    if not measured:
        return Outcome("a CPU limit, but no CPU figures", unknown=f"no CPU figures of {names(limited)}")
    if not held:
        least = min(locust.cpu_limit or 0 for locust in limited)
        return Outcome(f"CPU limits of {least:g} CPUs or more, not reached")
    evidence = (
        stack.observed(
            f"CPU of {locust.name} (limit {locust.cpu_limit:g} CPUs)",
            f"throttled in {locust.throttled_percent:.0f} % of the periods",
            f"below {_bearable(locust):.0f} % of the periods",
        )
        for locust in held[:4]
    )
    on_master = any(stack.role(locust) == MASTER for locust in held)
    fix = "update" if on_master or not _is_our_setting(stack, held) else "default"
    origin = Origin(fix, tuple({"container": locust.name} for locust in held))
    values = {"containers": names(held), "limit": f"{held[0].cpu_limit:g}"}
    cause = FoundCause("cpu-throttled", evidence, held, values, origin, up={"WORKER_CPUS": ""})
    return Outcome(f"throttled: {names(held)}", (cause,))


def _is_held(stack: Stack, container: ContainerFacts) -> bool:
    """Return whether a container is throttled. Throttling during a normal start does not count."""
    starts = stack.is_young(container) and (container.cpu_limit or 0.0) >= _ENOUGH_TO_START
    return not starts and (container.throttled_percent or 0.0) >= _bearable(container)


def _bearable(container: ContainerFacts) -> float:
    return THROTTLED_PERCENT if (container.cpu_limit or 0.0) >= _ENOUGH_TO_START else STARVED_PERCENT


def _is_our_setting(stack: Stack, held: list[ContainerFacts]) -> bool:
    is_set = any(word.startswith("WORKER_CPUS=") for word in stack.evidence.config.up_words)
    return is_set and all(stack.wanted(container) for container in held)


def open_files(stack: Stack) -> Outcome:
    """Check whether each Locust process may open as many files as Locust expects. Each connection is one file."""
    known = {locust.name: limit for locust in stack.locusts if (limit := _files(stack, locust)) is not None}
    few = [locust for locust in stack.locusts if known.get(locust.name, LOCUST_WANTS_FILES) < LOCUST_WANTS_FILES]
    if not known:
        return Outcome("unknown", unknown="the limit of open files could not be read")
    least = min(known.values())
    if not few:
        return Outcome(f"limits of {least} open files or more")
    wanted = f"{LOCUST_WANTS_FILES} or more (Locust's minimum)"
    evidence = [
        stack.observed(f"open file limit of {locust.name}", f"{known[locust.name]}{_in_use(stack, locust)}", wanted)
        for locust in few[:3]
    ]
    signs = (log_signs.latest(locust, "too-many-files", "file-limit") for locust in few)
    quoted = log_signs.quote(few[0], next((sign for sign in signs if sign), None))
    cause = FoundCause(
        "nofile-too-low",
        (*evidence, quoted),
        few,
        {"containers": names(few), "limit": str(least)},
        severity=Severity.ERROR if least < TOO_FEW_FILES else Severity.WARN,
        up={"NOFILE": str(max(stack.evidence.config.nofile, LOCUST_WANTS_FILES))},
    )
    return Outcome(f"a limit of {least} open files", (cause,))


def _files(stack: Stack, container: ContainerFacts) -> int | None:
    limit = stack.inside(container).nofile
    return container.nofile if limit is None else limit


def _in_use(stack: Stack, container: ContainerFacts) -> str:
    count = stack.inside(container).open_files
    return "" if count is None else f", {count} in use"


def memory_limit(stack: Stack) -> Outcome:
    """Check whether master and workers have memory limits, and whether the kernel enforces them."""
    weak = {locust: why for locust in stack.locusts if (why := _weakness(stack, locust))}
    if not weak:
        limits = sorted({locust.memory_limit_bytes or 0 for locust in stack.locusts})
        return Outcome(f"memory limits of {' and '.join(map(size, limits))}, enforced")
    evidence = [stack.observed(f"memory limit of {locust.name}", *why) for locust, why in weak.items()][:4]
    warnings = stack.evidence.engine.warnings
    said = [text for text in warnings if "memory" in text.lower() or "swap" in text.lower()]
    evidence += [FindingEvidence("warning of Docker", text, "no such warning") for text in said]
    items = tuple({"container": locust.name, "bytes": str(_wanted_bytes(stack, locust))} for locust in weak)
    origin = Origin("kernel" if any("memory limit" in text.lower() for text in warnings) else "default", items)
    who = names(list(weak))
    cause = FoundCause("memory-limit-not-enforced", evidence, weak, {"containers": who}, origin, severity=Severity.WARN)
    return Outcome(f"not enforced: {who}", (cause,))


def _wanted_bytes(stack: Stack, container: ContainerFacts) -> int:
    config = stack.evidence.config
    return config.master_memory_bytes if stack.role(container) == MASTER else config.worker_memory_bytes


def _weakness(stack: Stack, container: ContainerFacts) -> tuple[str, str] | None:
    """Return the (seen, expected) texts of a limit that is not enforced; None if it is enforced."""
    limit = container.memory_limit_bytes
    if limit is None or stack.role(container) not in (MASTER, WORKER) or container.state == "created":
        return None
    if not limit:
        return "no memory limit", f"a memory limit of {size(_wanted_bytes(stack, container))}"
    probe = stack.probe_of(container)
    if probe and probe.inside:
        of_kernel = probe.inside.memory_limit_bytes
        if of_kernel is None or of_kernel > limit:
            kernel = "no limit" if of_kernel is None else size(of_kernel)
            return f"{size(limit)} in Docker, {kernel} in the kernel", f"{size(limit)} in the kernel"
    swap = container.memory_swap_bytes or 0
    if stack.evidence.host.swap_total_bytes and (swap == _UNLIMITED or swap > limit):
        return f"memory limit {size(limit)}, and more swap", "a swap limit equal to the memory limit"
    return None


RULES = (
    Rule("processor", LAYER, processor, after=without_stack),
    Rule("open-files", LAYER, open_files, after=without_stack),
    Rule("memory-limit", LAYER, memory_limit, after=without_stack),
)
