"""The user's own files: there, loadable, today's Locust, the same everywhere. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from sidecar.diagnose.evidence import ContainerFacts, FileProblem
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.rules.locust_names import NEEDED_BY_LOCUST
from sidecar.diagnose.rules.mending import BY_HAND, RECREATE
from sidecar.diagnose.stack import MASTER, WORKER, Stack, environment, names, setting
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "configuration"
USER_FILES = "/mnt/locust"
_WORK = "/home/locust/run"


# ---- does it load? ---------------------------------------------------------------------------------------------------


def loads(stack: Stack) -> Outcome:
    """Whether Locust can load the user's files: what the containers said, else what lies on disk."""
    down = [locust for locust in stack.locusts if _could_not_load(locust)]
    found = [one for group in grouped(down, _failure) for one in _told(stack, group)]
    known = {one.slug for one in found}
    found += [one for one in _on_disk(stack) if one.slug not in known]
    config = stack.evidence.config
    if not found and config.settings_error:
        return cannot_tell("the settings cannot be read, so nobody knows which file is meant")
    return Outcome(f"{config.locustfile} in {config.locustfiles_dir}", tuple(found))


def _could_not_load(container_facts: ContainerFacts) -> bool:
    """Whether a container is down, or so shortly up again that it has not loaded anything yet."""
    return container_facts.state in ("exited", "restarting", "dead") or (
        container_facts.restarts > 0 and container_facts.health != "healthy"
    )


def _failure(container_facts: ContainerFacts) -> tuple[str, str] | None:
    """What a container last said of loading files: the sign's name and detail; None for nothing of the kind."""
    signs = list(log_signs.signs(log_signs.latest_log(container_facts), *log_signs.LOADING))
    if not signs or log_signs.last(
        log_signs.latest_log(container_facts), "bad-address", "bind-busy", "bind-refused", "web-busy"
    ):
        return None
    # A traceback ends in "SomethingError: ..."; the last line is the one that ended the process.
    last = signs[-1]
    named = next((sign for sign in reversed(signs) if sign.name != "python-error"), last)
    chosen = named if named.text == last.text or last.name != "python-error" else last
    if chosen.name == "python-error" and not log_signs.place_in_user_code(log_signs.latest_log(container_facts)):
        return None
    return chosen.name, chosen.detail


def _told(stack: Stack, group: tuple[ContainerFacts, ...]) -> Iterator[Found]:
    sign = next(
        (
            sign
            for sign in reversed(list(log_signs.signs(log_signs.latest_log(group[0]), *log_signs.LOADING)))
            if (sign.name, sign.detail) == _failure(group[0])
        ),
        None,
    )
    if sign is None:
        return
    place = log_signs.place_in_user_code(log_signs.latest_log(group[0]))
    slug, fix, values = _cause(stack, sign, group, place)
    seen = [FindingEvidence(f"log of {names(group)}", sign.text.strip(), "a file that loads", sign.at)]
    seen += [FindingEvidence("the user's own line", place)] if place else []
    others = [
        locust
        for locust in stack.locusts
        if locust.name not in {same.name for same in group} and locust.state == "running"
    ]
    if others and slug == "locustfile-broken":
        seen.append(FindingEvidence("it loads in", names(others)))
    yield Found(slug, tuple(seen), tuple(container_facts.name for container_facts in group), values, fix)


def _cause(
    stack: Stack, sign: log_signs.LogPattern, group: tuple[ContainerFacts, ...], place: str
) -> tuple[str, str, dict[str, str]]:
    """(slug, fix, values) for what a container said."""
    config = stack.evidence.config
    first = sign.detail.split()[0] if sign.detail else ""
    values = {
        "file": place or config.locustfile,
        "error": sign.text.strip(),
        "folder": config.locustfiles_dir,
        "locustfile": first if sign.name == "no-locustfile" else config.locustfile,
        "module": first,
        "event": first,
        "instead": _instead(first),
        "image": group[0].image,
    }
    if sign.name == "no-locustfile":
        return "locustfile-missing", _fix_of_missing(stack, group), values
    if shadow := _shadowing(stack, sign):
        return "module-shadows-locust", "default", {**values, "file": shadow[0], "module": shadow[1]}
    if sign.name == "removed-event" or _is_removed_name(sign):
        return "locustfile-removed-api", "default", values
    if sign.name == "no-module" and first.split(".")[0] == "locust":
        return "image-without-locust", "default", values
    return "locustfile-broken", "module" if sign.name == "no-module" else "default", values


def _is_removed_name(sign: log_signs.LogPattern) -> bool:
    """A name that Locust itself no longer has; not one that a file of the user's stands in the way of."""
    of_user = USER_FILES in sign.detail or _WORK in sign.detail
    return sign.name == "import-name" and "locust" in sign.detail and not of_user


def _instead(name: str) -> str:
    known = {
        "request_failure": "events.request, whose argument `exception` is not None for a failure",
        "request_success": "events.request, whose argument `exception` is None for a success",
        "HttpLocust": "HttpUser",
        "Locust": "User",
        "TaskSequence": "SequentialTaskSet",
        "seq_task": "SequentialTaskSet",
        "hatch_complete": "events.spawning_complete",
    }
    return known.get(name, "what Locust's changelog names")


def _fix_of_missing(stack: Stack, group: tuple[ContainerFacts, ...]) -> str:
    """A container that was told another file, or folder, than this checkout would tell it, is made anew."""
    wanted = stack.wanted(group[0])
    there = not [file_problem for file_problem in stack.evidence.config.file_problems if file_problem.kind == "missing"]
    return RECREATE if there and wanted is not None else "default"


def _shadowing(stack: Stack, sign: log_signs.LogPattern) -> tuple[str, str] | None:
    """The (file, module) of the user's that stands before a package, when an error shows that it does."""
    match = re.search(rf"\(?(?:{USER_FILES}|{_WORK})/([\w./-]+\.py)\)?", sign.text)
    file = match[1] if match else ""
    module = file.removesuffix("/__init__.py").removesuffix(".py")
    if module in NEEDED_BY_LOCUST or (sign.name == "import-name" and module in sys.stdlib_module_names):
        return file, module
    first = sign.detail.split(".")[0].split()[0] if sign.detail else ""
    for problem in stack.evidence.config.file_problems:
        package = problem.fix
        if problem.kind == "shadow" and (first == package or package in sign.text):
            return problem.file, package
    return None


def _on_disk(stack: Stack) -> Iterator[Found]:
    """What is wrong with the files as they lie there: an error where nothing runs, else a warning of the next start."""
    slugs = {
        "missing": "locustfile-missing",
        "unreadable": "locustfile-broken",
        "syntax": "locustfile-broken",
        "removed-api": "locustfile-removed-api",
        "shadow": "module-shadows-locust",
    }
    runs = any(locust.state == "running" and locust.health == "healthy" for locust in stack.locusts)
    for problem in stack.evidence.config.file_problems:
        if problem.kind == "shadow" and runs:
            continue  # it has been there since they started, and did no harm
        yield _from_disk(stack, problem, slugs[problem.kind], Severity.WARN if runs else Severity.ERROR)


def _from_disk(stack: Stack, problem: FileProblem, slug: str, severity: Severity) -> Found:
    place = f"{problem.file} line {problem.line}" if problem.line else problem.file
    config = stack.evidence.config
    seen = [FindingEvidence(place, problem.text, "a file that loads", stack.evidence.at)]
    if severity is Severity.WARN:
        seen.append(
            FindingEvidence("the running processes", "loaded an earlier version of it; the next start will fail")
        )
    values = {
        "file": place,
        "error": problem.text,
        "folder": config.locustfiles_dir,
        "locustfile": problem.file,
        "module": problem.fix,
        "event": problem.text.partition(" is gone")[0],
        "instead": problem.fix or "what Locust's changelog names",
    }
    return Found(slug, tuple(seen), (problem.file,), values, severity=severity)


# ---- is it the same everywhere? --------------------------------------------------------------------------------------


def same(stack: Stack) -> Outcome:
    """Whether master and workers run the same files."""
    running = [locust for locust in stack.locusts if locust.state == "running"]
    found = [*_told_differently(stack, running), *_loaded_differently(stack), *_classes_missing(stack)]
    digest = stack.evidence.master.master_digest if stack.evidence.master else ""
    text = f"the same in {len(running)} containers" + (f" ({digest[:12]})" if digest else "")
    return Outcome(text, tuple(found[:1]))


def _told_differently(stack: Stack, running: list[ContainerFacts]) -> Iterator[Found]:
    def files(container_facts: ContainerFacts) -> tuple[str, str]:
        told = environment(container_facts)
        name = setting(container_facts, "LOCUST_LOCUSTFILE", "--locustfile", "-f").value or told.get("LOCUSTFILE", "")
        return name, next((mount.source for mount in container_facts.mounts if mount.target == USER_FILES), "")

    groups = list(grouped(running, files))
    if len(groups) > 1:
        seen = tuple(
            FindingEvidence(
                f"files of {names(group)}",
                " in ".join(part for part in files(group[0]) if part) or "none",
                "the same for all",
                stack.evidence.at,
            )
            for group in groups
        )
        odd = min(groups, key=len)
        fix = RECREATE if stack.wanted(odd[0]) is not None else BY_HAND
        yield Found(
            "locustfile-mismatch", seen, tuple(one.name for one in odd), {"how": "they were told different files"}, fix
        )


def _loaded_differently(stack: Stack) -> Iterator[Found]:
    master = stack.evidence.master
    if master is None or not master.master_digest:
        return
    digests = {pair.name: pair.value for pair in master.digests}
    odd = [
        one
        for one in stack.of(WORKER)
        if any(digests.get(row.id, master.master_digest) != master.master_digest for row in stack.listed(one))
    ]
    if odd:
        theirs = next(digests[row.id] for row in stack.listed(odd[0]) if row.id in digests)
        seen = (
            FindingEvidence(
                "files that the master loaded (SHA-256)",
                master.master_digest[:12],
                "the same everywhere",
                stack.evidence.at,
            ),
            FindingEvidence(
                f"files that {names(odd)} loaded", theirs[:12], master.master_digest[:12], stack.evidence.at
            ),
        )
        values = {"how": "they changed on disk between the start of one and the start of the other"}
        yield Found("locustfile-mismatch", seen, tuple(one.name for one in odd), values, "reload")


def _classes_missing(stack: Stack) -> Iterator[Found]:
    """A worker that was told to run a class which its own file does not have."""
    for one in stack.of(WORKER):
        sign = log_signs.last(log_signs.current_log(one), "class-missing")
        if sign is None:
            continue
        master = next((log_signs.last(log_signs.current_log(it), "late-spawn") for it in stack.of(MASTER)), None)
        seen = [FindingEvidence(f"log of {one.name}", sign.text, f"a class {sign.detail} in its locustfile", sign.at)]
        seen += [FindingEvidence("log of the master", master.text, "no such line", master.at)] if master else []
        values = {"how": f"the master asks for the class {sign.detail}, which the worker's files do not have"}
        yield Found("locustfile-mismatch", tuple(seen), (one.name,), values, "reload")
        return


RULES = (
    Rule("locustfile", LAYER, loads),
    Rule("locustfile-everywhere", LAYER, same, after=without_stack),
)
