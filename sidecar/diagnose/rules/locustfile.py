"""Checks of the user's files: present, loadable, for this Locust, and the same everywhere. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from sidecar.common.units import plural
from sidecar.diagnose.evidence import ContainerFacts, FileProblem
from sidecar.diagnose.rule import BY_HAND, RECREATE, FoundCause, Outcome, Rule, cannot_tell, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.rules.locust_names import NEEDED_BY_LOCUST
from sidecar.diagnose.stack import MASTER, WORKER, Stack, environment, names, setting
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "configuration"
USER_FILES = "/mnt/locust"
_WORK = "/home/locust/run"
_USERS_PATH = re.compile(rf"\(?(?:{USER_FILES}|{_WORK})/([\w./-]+\.py)\)?")
_CHANGELOG = "the replacement that Locust's changelog names"
_INSTEAD = {
    "request_failure": "events.request: its argument `exception` holds the error of a failure",
    "request_success": "events.request: its argument `exception` is empty (None) for a success",
    "HttpLocust": "HttpUser",
    "Locust": "User",
    "TaskSequence": "SequentialTaskSet",
    "seq_task": "SequentialTaskSet",
    "hatch_complete": "events.spawning_complete",
}
_SLUGS = {
    "missing": "locustfile-missing",
    "unreadable": "locustfile-broken",
    "syntax": "locustfile-broken",
    "removed-api": "locustfile-removed-api",
    "shadow": "module-shadows-locust",
}


# ---- does it load? ---------------------------------------------------------------------------------------------------


def loads(stack: Stack) -> Outcome:
    """Check whether Locust can load the user's files: by the containers' logs, else by the files on disk."""
    down = [locust for locust in stack.locusts if _could_not_load(locust)]
    causes = [cause for group in grouped(down, _failure) for cause in _printed(stack, group)]
    known = {cause.slug for cause in causes}
    causes += [cause for cause in _on_disk(stack) if cause.slug not in known]
    causes += _without_effect(stack)
    config = stack.evidence.config
    if not causes and config.settings_error:
        return cannot_tell("the settings cannot be read, so the locustfile is unknown")
    return Outcome(f"{config.locustfile} in {config.locustfiles_dir}", tuple(causes))


def _could_not_load(container: ContainerFacts) -> bool:
    """Return whether a container is down, or restarted so lately that it has not loaded anything yet."""
    is_down = container.state in ("exited", "restarting", "dead")
    return is_down or (container.restarts > 0 and container.health != "healthy")


def _failure(container: ContainerFacts) -> tuple[str, str] | None:
    """Return the name and detail of the last line about loading files; None without such a line."""
    log = log_signs.latest_log(container)
    signs = list(log_signs.signs(log, *log_signs.LOADING))
    if not signs or log_signs.last(log, "bad-address", "bind-busy", "bind-refused", "web-busy"):
        return None
    # A traceback ends in "SomethingError: ..."; the last line is the one that ended the process.
    last = signs[-1]
    named = next((sign for sign in reversed(signs) if sign.name != "python-error"), last)
    chosen = named if named.text == last.text or last.name != "python-error" else last
    if chosen.name == "python-error" and not log_signs.place_in_user_code(log):
        return None
    return chosen.name, chosen.detail


def _printed(stack: Stack, group: tuple[ContainerFacts, ...]) -> Iterator[FoundCause]:
    log, failure = log_signs.latest_log(group[0]), _failure(group[0])
    signs = [sign for sign in log_signs.signs(log, *log_signs.LOADING) if (sign.name, sign.detail) == failure]
    if not signs:
        return
    sign, place = signs[-1], log_signs.place_in_user_code(log)
    slug, fix, values = _cause(stack, sign, group, place)
    evidence = [FindingEvidence(f"log of {names(group)}", sign.text.strip(), "a file that loads", sign.at)]
    if place:
        evidence.append(FindingEvidence("place in your own code", place))
    others = [locust for locust in stack.locusts if locust not in group and locust.state == "running"]
    if others and slug == "locustfile-broken":
        evidence.append(FindingEvidence("containers in which the file loads", names(others)))
    yield FoundCause(slug, evidence, group, values, fix)


def _cause(
    stack: Stack, sign: log_signs.LogPattern, group: tuple[ContainerFacts, ...], place: str
) -> tuple[str, str, dict[str, str]]:
    """Return (slug, fix, values) for a line that a container printed."""
    config = stack.evidence.config
    first = sign.detail.split()[0] if sign.detail else ""
    values = {
        "file": place or config.locustfile,
        "error": sign.text.strip(),
        "folder": config.locustfiles_dir,
        "locustfile": first if sign.name == "no-locustfile" else config.locustfile,
        "module": first,
        "event": first,
        "instead": _INSTEAD.get(first, _CHANGELOG),
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
    """Return whether Locust has removed a name. It has not if a file of the user's hides Locust's module."""
    is_users = USER_FILES in sign.detail or _WORK in sign.detail
    return sign.name == "import-name" and "locust" in sign.detail and not is_users


def _fix_of_missing(stack: Stack, group: tuple[ContainerFacts, ...]) -> str:
    """Return the fix. A container with another file or folder than in this checkout is recreated."""
    is_missing = any(problem.kind == "missing" for problem in stack.evidence.config.file_problems)
    return "default" if is_missing or stack.wanted(group[0]) is None else RECREATE


def _shadowing(stack: Stack, sign: log_signs.LogPattern) -> tuple[str, str] | None:
    """Return the (file, module) of a user's file that hides a package, if an error shows that."""
    match = _USERS_PATH.search(sign.text)
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


def _on_disk(stack: Stack) -> Iterator[FoundCause]:
    """Yield problems of the files on disk: an error if nothing runs, else a warning about the next start."""
    runs = any(locust.state == "running" and locust.health == "healthy" for locust in stack.locusts)
    for problem in stack.evidence.config.file_problems:
        if problem.kind == "no-effect" or (problem.kind == "shadow" and runs):
            continue  # the file was there when they started, and did no harm
        yield _from_disk(stack, problem, Severity.WARN if runs else Severity.ERROR)


def _from_disk(stack: Stack, problem: FileProblem, severity: Severity) -> FoundCause:
    place = f"{problem.file} line {problem.line}" if problem.line else problem.file
    evidence = [stack.observed(place, problem.text, "a file that loads")]
    if severity is Severity.WARN:
        earlier = "have an earlier version of the file; the next start will fail"
        evidence.append(FindingEvidence("running Locust processes", earlier))
    values = {
        "file": place,
        "error": problem.text,
        "folder": stack.evidence.config.locustfiles_dir,
        "locustfile": problem.file,
        "module": problem.fix,
        "event": problem.text.partition(" is gone")[0],
        "instead": problem.fix or _CHANGELOG,
    }
    return FoundCause(_SLUGS[problem.kind], evidence, (problem.file,), values, severity=severity)


def _without_effect(stack: Stack) -> Iterator[FoundCause]:
    """Yield one warning for all lines that Locust silently ignores in these files."""
    ignored = [problem for problem in stack.evidence.config.file_problems if problem.kind == "no-effect"]
    if ignored:
        places = [f"{problem.file} line {problem.line}" if problem.line else problem.file for problem in ignored]
        evidence = [
            stack.observed(place, problem.text, problem.fix) for place, problem in zip(places, ignored, strict=True)
        ]
        files = dict.fromkeys(problem.file for problem in ignored)
        more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
        values = {"place": places[0], "error": f"{ignored[0].text}{more}", "instead": ignored[0].fix}
        yield FoundCause("locustfile-no-effect", evidence, files, values, severity=Severity.WARN)


# ---- is it the same everywhere? --------------------------------------------------------------------------------------


def same(stack: Stack) -> Outcome:
    """Check whether master and workers run the same files."""
    running = [locust for locust in stack.locusts if locust.state == "running"]
    causes = (*_told_differently(stack, running), *_loaded_differently(stack), *_classes_missing(stack))
    digest = stack.evidence.master.master_digest if stack.evidence.master else ""
    text = f"the same in {plural(len(running), 'container')}" + (f" ({digest[:12]})" if digest else "")
    return Outcome(text, causes[:1])


def _told_differently(stack: Stack, running: list[ContainerFacts]) -> Iterator[FoundCause]:
    def files(container: ContainerFacts) -> tuple[str, str]:
        option = setting(container, "LOCUST_LOCUSTFILE", "--locustfile", "-f").value
        name = option or environment(container).get("LOCUSTFILE", "")
        return name, next((mount.source for mount in container.mounts if mount.target == USER_FILES), "")

    groups = list(grouped(running, files))
    if len(groups) > 1:
        evidence = []
        for group in groups:
            shown = " in ".join(part for part in files(group[0]) if part) or "no file"
            evidence.append(stack.observed(f"files of {names(group)}", shown, "the same files in all containers"))
        odd = min(groups, key=len)
        fix = RECREATE if stack.wanted(odd[0]) is not None else BY_HAND
        yield FoundCause("locustfile-mismatch", evidence, odd, {"how": "they were started with different files"}, fix)


def _loaded_differently(stack: Stack) -> Iterator[FoundCause]:
    master = stack.evidence.master
    if master is None or not master.master_digest:
        return
    digest, digests = master.master_digest, {pair.name: pair.value for pair in master.digests}
    odd = [
        worker
        for worker in stack.of(WORKER)
        if any(digests.get(row.id, digest) != digest for row in stack.listed(worker))
    ]
    if odd:
        theirs = next(digests[row.id] for row in stack.listed(odd[0]) if row.id in digests)
        evidence = (
            stack.observed("SHA-256 of the files that the master loaded", digest[:12], "the same in all containers"),
            stack.observed(f"SHA-256 of the files that {names(odd)} loaded", theirs[:12], digest[:12]),
        )
        values = {"how": "the files changed on disk between their starts"}
        yield FoundCause("locustfile-mismatch", evidence, odd, values, "reload")


def _classes_missing(stack: Stack) -> Iterator[FoundCause]:
    """Yield the first worker whose own file lacks a class that the master asks for."""
    for worker in stack.of(WORKER):
        sign = log_signs.latest(worker, "class-missing")
        if sign is None or not log_signs.is_of_runner(log_signs.current_log(worker), sign):
            continue
        late = next((log_signs.latest(master, "late-spawn") for master in stack.of(MASTER)), None)
        evidence = (
            log_signs.quote(worker, sign, f"a class {sign.detail} in the worker's locustfile"),
            FindingEvidence("log of the master", late.text, "no such line", late.at) if late else None,
        )
        values = {"how": f"the master asks for the class {sign.detail}, which the worker's files lack"}
        yield FoundCause("locustfile-mismatch", evidence, (worker,), values, "reload")
        return


RULES = (
    Rule("locustfile", LAYER, loads),
    Rule("locustfile-everywhere", LAYER, same, after=without_stack),
)
