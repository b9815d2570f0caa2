"""What the containers may use: processor, open files, memory limits that are in force. Pure."""

from __future__ import annotations

from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.rule import Found, Outcome, Rule, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.stack import MASTER, WORKER, Stack, names
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "containers"
THROTTLED_PERCENT, STARVED_PERCENT = 20.0, 10.0  # with a limit that is enough to start, and with less than that
LOCUST_WANTS_FILES, TOO_FEW_FILES = 10000, 1024
_UNLIMITED = -1
_ENOUGH_TO_START = 0.5  # processors
_GIB, _MIB = 1 << 30, 1 << 20


def processor(stack: Stack) -> Outcome:
    """Whether a processor limit holds master or workers back."""
    measured = [locust for locust in stack.locusts if locust.throttled_percent is not None]
    held = [one for one in measured if _is_held(stack, one)]
    limited = [locust for locust in stack.locusts if locust.cpu_limit]
    if not limited:
        return Outcome("no processor limit")
    if not measured:
        return Outcome("a processor limit, and no figures", unknown=f"{names(limited)}: no figures")
    if not held:
        return Outcome(f"limits of {min(one.cpu_limit or 0 for one in limited):g} processors or more, not reached")
    seen = tuple(
        FindingEvidence(
            f"{one.name}, limit {one.cpu_limit:g} processors",
            f"held back in {one.throttled_percent:.0f} % of the periods",
            f"below {_bearable(one):.0f} %",
            stack.evidence.at,
        )
        for one in held[:4]
    )
    setting = {"WORKER_CPUS": ""}
    on_master = any(stack.role(one) == MASTER for one in held)
    values = {"containers": names(held), "limit": f"{held[0].cpu_limit:g}"}
    items = tuple({"container": one.name} for one in held)
    fix = "update" if on_master or not _is_our_setting(stack, held) else "default"
    return Outcome(
        f"held back: {names(held)}",
        (Found("cpu-throttled", seen, tuple(one.name for one in held), values, fix, items, up=setting),),
    )


def _is_held(stack: Stack, container_facts: ContainerFacts) -> bool:
    """Whether a container is held back, by more than what slows its start down."""
    starts = stack.is_young(container_facts) and (container_facts.cpu_limit or 0.0) >= _ENOUGH_TO_START
    return not starts and (container_facts.throttled_percent or 0.0) >= _bearable(container_facts)


def _bearable(container_facts: ContainerFacts) -> float:
    return THROTTLED_PERCENT if (container_facts.cpu_limit or 0.0) >= _ENOUGH_TO_START else STARVED_PERCENT


def _is_our_setting(stack: Stack, held: list[ContainerFacts]) -> bool:
    return any(word.startswith("WORKER_CPUS=") for word in stack.evidence.config.up_words) and all(
        stack.wanted(container_facts) for container_facts in held
    )


def open_files(stack: Stack) -> Outcome:
    """Whether each Locust process may open as many files as Locust wants: each connection is one."""
    known = {locust.name: limit for locust in stack.locusts if (limit := _files(stack, locust)) is not None}
    few = [locust for locust in stack.locusts if known.get(locust.name, LOCUST_WANTS_FILES) < LOCUST_WANTS_FILES]
    if not known:
        return Outcome("not known", unknown="the limit of open files could not be read")
    least = min(known.values())
    if not few:
        return Outcome(f"{least} open files or more")
    seen = [
        FindingEvidence(
            f"open files allowed to {one.name}",
            str(known[one.name]) + _in_use(stack, one),
            f"{LOCUST_WANTS_FILES} (Locust's minimum)",
            stack.evidence.at,
        )
        for one in few[:3]
    ]
    sign = next(
        (sign for one in few if (sign := log_signs.last(log_signs.current_log(one), "too-many-files", "file-limit"))),
        None,
    )
    seen += [FindingEvidence(f"log of {few[0].name}", sign.text, "no such line", sign.at)] if sign else []
    told = stack.evidence.config.nofile
    values = {"containers": names(few), "limit": str(least)}
    wanted = max(told, LOCUST_WANTS_FILES)
    severity = Severity.ERROR if least < TOO_FEW_FILES else Severity.WARN
    return Outcome(
        f"{least} open files",
        (
            Found(
                "nofile-too-low",
                tuple(seen),
                tuple(one.name for one in few),
                values,
                severity=severity,
                up={"NOFILE": str(wanted)},
            ),
        ),
    )


def _files(stack: Stack, container_facts: ContainerFacts) -> int | None:
    probe = stack.probe_of(container_facts)
    seen = probe.inside.nofile if probe and probe.inside else None
    return seen if seen is not None else container_facts.nofile


def _in_use(stack: Stack, container_facts: ContainerFacts) -> str:
    probe = stack.probe_of(container_facts)
    count = probe.inside.open_files if probe and probe.inside else None
    return f", {count} in use" if count is not None else ""


def memory_limit(stack: Stack) -> Outcome:
    """Whether the memory limits of master and workers are there, and in force."""
    weak = [(locust, why) for locust in stack.locusts if (why := _weakness(stack, locust))]
    if not weak:
        limits = sorted({locust.memory_limit_bytes or 0 for locust in stack.locusts})
        return Outcome(f"limits of {' and '.join(_size(limit) for limit in limits)}, in force")
    seen = tuple(FindingEvidence(one.name, why[0], why[1], stack.evidence.at) for one, why in weak[:4])
    told = stack.evidence.engine.warnings
    kernel = any("memory limit" in text.lower() for text in told)
    seen += tuple(
        FindingEvidence("Docker says", text, "no such warning")
        for text in told
        if "memory" in text.lower() or "swap" in text.lower()
    )
    items = tuple({"container": one.name, "bytes": str(_wanted_bytes(stack, one))} for one, _ in weak)
    values = {"containers": names([one for one, _ in weak])}
    return Outcome(
        f"not in force: {names([one for one, _ in weak])}",
        (
            Found(
                "memory-limit-not-enforced",
                seen,
                tuple(one.name for one, _ in weak),
                values,
                "kernel" if kernel else "default",
                items,
                severity=Severity.WARN,
            ),
        ),
    )


def _wanted_bytes(stack: Stack, container_facts: ContainerFacts) -> int:
    config = stack.evidence.config
    return config.master_memory_bytes if stack.role(container_facts) == MASTER else config.worker_memory_bytes


def _weakness(stack: Stack, container_facts: ContainerFacts) -> tuple[str, str] | None:
    """(what was seen, what was wanted) of a limit that does not hold; None for one that does."""
    if (
        container_facts.memory_limit_bytes is None
        or stack.role(container_facts) not in (MASTER, WORKER)
        or container_facts.state == "created"
    ):
        return None
    if not container_facts.memory_limit_bytes:
        return "no memory limit", f"a limit of {_size(_wanted_bytes(stack, container_facts))}"
    probe = stack.probe_of(container_facts)
    if probe and probe.inside:
        inside = probe.inside.memory_limit_bytes
        if inside is None:
            return (
                f"Docker was told {_size(container_facts.memory_limit_bytes)}, the kernel has no limit",
                "the same in the kernel",
            )
        if inside > container_facts.memory_limit_bytes:
            return (
                f"Docker was told {_size(container_facts.memory_limit_bytes)}, the kernel has {_size(inside)}",
                "the same in the kernel",
            )
    swap = container_facts.memory_swap_bytes or 0
    if stack.evidence.host.swap_total_bytes and (swap == _UNLIMITED or swap > container_facts.memory_limit_bytes):
        return (
            f"limit {_size(container_facts.memory_limit_bytes)}, and swap beyond it",
            "a swap limit equal to the memory limit",
        )
    return None


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / _MIB:.0f} MiB"


RULES = (
    Rule("processor", LAYER, processor, after=without_stack),
    Rule("open-files", LAYER, open_files, after=without_stack),
    Rule("memory-limit", LAYER, memory_limit, after=without_stack),
)
