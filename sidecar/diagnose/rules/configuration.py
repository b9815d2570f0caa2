"""Checks of the configuration: settings, Compose, variables and their values. Pure."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from sidecar.common.units import plural
from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.rule import (
    BY_HAND,
    ENV_LINE,
    RECREATE,
    FoundCause,
    Origin,
    Outcome,
    Rule,
    cannot_tell,
    origin,
    origin_of_setting,
    without_stack,
)
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.locust_names import KNOWN, LEGACY, NUMBERS, PORTS, REMOVED, kit_owns
from sidecar.diagnose.stack import MASTER, WORKER, Stack, environment, is_address, is_on, names, setting
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "configuration"
_ROLES = frozenset({"worker", "slave", "master"})
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_WITH_PORT = re.compile(r"^[^:/]+:\d+$")
_NO_SCHEME = re.compile(r"MissingSchema|InvalidSchema|InvalidURL|No scheme|unknown url")
_REFUSALS = ("bad-value", "bind-refused")


# ---- compose ---------------------------------------------------------------------------------------------------------


def compose(stack: Stack) -> Outcome:
    """Check whether the settings and the Compose file can be read."""
    config = stack.evidence.config
    if error := config.settings_error:
        evidence = stack.observed("settings", error, "valid values")
        values = {"what": error.partition("; ")[0]}
        return Outcome(error, (FoundCause("compose-invalid", (evidence,), ("settings",), values, "setting"),))
    if error := config.compose_error:
        evidence = stack.observed("docker compose config", error, "a file that Docker Compose accepts")
        file = "docker-compose.yml"
        values = {"what": f"Docker Compose rejects {file}"}
        fix = "restore" if config.compose_modified else "default"
        return Outcome(error, (FoundCause("compose-invalid", (evidence,), (file,), values, fix),))
    if not config.services:
        return cannot_tell(stack.gap("compose.config") or "Docker does not answer")
    return Outcome(f"{plural(len(config.services), 'service')}; the settings can be read")


# ---- as decided ------------------------------------------------------------------------------------------------------


def as_decided(stack: Stack) -> Outcome:
    """Check whether master and workers are as `make up` created them."""
    differences = stack.evidence.config.differences
    if not differences:
        if gap := stack.gap("differences"):
            return cannot_tell(gap)
        return Outcome("master and workers are as `make up` created them")
    evidence = [stack.observed(item.setting, *item.words) for item in differences]
    severity = Severity.ERROR if any(item.is_default for item in differences) else Severity.INFO
    affected = dict.fromkeys(name for item in differences for name in item.containers) or stack.locusts
    values = {"differences": "; ".join(item.text for item in differences), "stack": stack.evidence.project}
    cause = FoundCause("made-by-another-command", evidence, tuple(affected), values, severity=severity)
    return Outcome(values["differences"], (cause,))


# ---- variables -------------------------------------------------------------------------------------------------------


def variables(stack: Stack) -> Outcome:
    """Check whether Locust reads each given variable and flag, and accepts its value."""
    causes = [*_unknown(stack), *_invalid(stack), *_url_as_host(stack), *_log_file(stack), *_no_opentelemetry(stack)]
    count = sum(1 for locust in stack.locusts for pair in locust.environment if pair.name.startswith("LOCUST"))
    return Outcome(f"{plural(count, 'LOCUST variable')} in {plural(len(stack.locusts), 'container')}", tuple(causes))


def grouped(
    containers: Sequence[ContainerFacts], key: Callable[[ContainerFacts], object]
) -> Iterator[tuple[ContainerFacts, ...]]:
    """Return the containers in groups of the same key. A container without a key (None) is left out."""
    groups: dict[object, list[ContainerFacts]] = {}
    for container in containers:
        if (value := key(container)) is not None:
            groups.setdefault(value, []).append(container)
    return (tuple(group) for group in groups.values())


def is_read(stack: Stack, name: str) -> bool:
    """Return whether Locust, the kit or the user's own code reads a variable."""
    master = stack.evidence.master
    own = (*stack.evidence.config.own_variables, *(master.argument_variables if master else ()))
    return name in KNOWN or kit_owns(name) or name in own


def _unknown(stack: Stack) -> Iterator[FoundCause]:
    unread = {name for locust in stack.locusts for name in environment(locust) if not is_read(stack, name)}
    for name in sorted(unread):
        having = [locust for locust in stack.locusts if name in environment(locust)]
        culprits = [
            locust for locust in having if _is_meant_as_master(stack, locust, name) or _is_meant_as_role(locust, name)
        ]
        if culprits:
            yield _unread(stack, culprits, name, broken=True)
        elif name.startswith("LOCUST_") or name in LEGACY:
            yield _unread(stack, having, name, broken=False)


def _is_meant_as_master(stack: Stack, worker: ContainerFacts, name: str) -> bool:
    """Return whether a worker has its master's address in a variable that nobody reads.

    The variable's value is a name of the master, or the variable's name resembles the right one.
    """
    if stack.role(worker) != WORKER or stack.master_host(worker).source or stack.is_registered(worker):
        return False
    host = environment(worker)[name].rpartition("://")[2].partition(":")[0]
    is_masters = any(host in stack.names_of(master) | stack.addresses(master) for master in stack.of(MASTER))
    return bool(host) and (is_masters or _means(name) in ("LOCUST_MASTER_NODE_HOST", "LOCUST_MASTER_NODE_PORT"))


def _is_meant_as_role(container: ContainerFacts, name: str) -> bool:
    """Return whether a Locust without a role has the role in a variable that nobody reads."""
    has_role = is_on(container, "LOCUST_MODE_MASTER", "--master") or is_on(container, "LOCUST_MODE_WORKER", "--worker")
    return not has_role and environment(container)[name].strip().lower() in _ROLES


def _means(name: str) -> str:
    """Return the variable of Locust that was most likely meant; "" if no name is similar."""
    if name in LEGACY:
        return LEGACY[name]
    return next(iter(difflib.get_close_matches(name, sorted(KNOWN), n=1, cutoff=0.8)), "")


def _unread(stack: Stack, containers: Sequence[ContainerFacts], name: str, *, broken: bool) -> FoundCause:
    value, role = environment(containers[0])[name], stack.role(containers[0])
    meant = _means(name)
    if broken and value.strip().lower() in _ROLES:
        meant = "LOCUST_MODE_MASTER" if "master" in value.lower() else "LOCUST_MODE_WORKER"
    elif broken and not meant.startswith("LOCUST_MASTER_NODE"):
        meant = "LOCUST_MASTER_NODE_HOST"
    place = origin(stack, containers, name)
    wanted = f"{meant}={value}" if meant else "not set"
    evidence = [stack.observed(f"environment of {names(containers)}", f"{name}={value}", wanted)]
    if broken and role == WORKER and not meant.startswith("LOCUST_MODE"):
        default = "127.0.0.1:5557, which is Locust's default and leads to the worker itself"
        evidence.append(FindingEvidence("master's address that the workers use", default, "the master's name"))
    values = {
        "name": name,
        "meant": meant or "another name",
        "value": value,
        "known": f". The correct name is {meant}" if meant else "",
        "containers": names(containers),
    }
    evidence.append(place.evidence)
    severity = Severity.ERROR if broken else Severity.WARN if meant else Severity.INFO
    return FoundCause("unknown-locust-variable", evidence, containers, values, place, severity=severity)


# ---- values ----------------------------------------------------------------------------------------------------------


def _invalid(stack: Stack) -> Iterator[FoundCause]:
    known: set[tuple[str, str]] = set()
    for locust in stack.locusts:
        for name, value in environment(locust).items():
            wanted = _wanted(stack, locust, name, value)
            if wanted and (name, value) not in known:
                known.add((name, value))
                yield _bad_value(stack, name, value, wanted)
    yield from _refused_by_locust(stack, {name for name, _ in known})
    yield from _two_roles(stack)


def _wanted(stack: Stack, container: ContainerFacts, name: str, value: str) -> str:
    """Return the expected value of a variable; "" if its value is valid."""
    if name in REMOVED:
        return REMOVED[name]
    if name in PORTS:
        return "" if value.isdigit() and 0 < int(value) < 65536 else "a TCP port from 1 to 65535"  # noqa: PLR2004  TCP's
    if name in NUMBERS:
        return "" if re.fullmatch(r"-?\d+(\.\d+)?", value) else "a number"
    if name == "LOCUST_MASTER_BIND_HOST" and stack.role(container) == MASTER:
        return _wanted_bind(stack, container, value)
    return ""


def _wanted_bind(stack: Stack, master: ContainerFacts, value: str) -> str:
    own = stack.addresses(master)
    if not own or master.network_mode == "host" or not is_address(value) or value in own:
        return ""
    address = ipaddress.ip_address(value)
    if address.is_loopback or address.is_unspecified:
        return ""
    return f"0.0.0.0, or an address of the master ({', '.join(sorted(own))})"


def _bad_value(stack: Stack, name: str, value: str, wanted: str) -> FoundCause:
    having = [locust for locust in stack.locusts if environment(locust).get(name) == value]
    place, shown = origin(stack, having, name), value or "(empty)"
    refusals = [sign for locust in having if (sign := log_signs.latest(locust, *_REFUSALS))]
    evidence = (
        stack.observed(f"environment of {names(having)}", f"{name}={shown}", wanted),
        log_signs.quote(having[0], refusals[-1] if refusals else None),
        place.evidence,
    )
    # The kit's own entry point drops empty values. Other images pass them to Locust, which rejects them.
    harmless = not value and not refusals and all(locust.state == "running" for locust in having)
    values = {"name": name, "value": shown, "wanted": wanted}
    severity = Severity.WARN if harmless else Severity.ERROR
    return FoundCause("invalid-locust-value", evidence, having, values, place, severity=severity)


def _refused_by_locust(stack: Stack, known: set[str]) -> Iterator[FoundCause]:
    """Yield the values that Locust itself rejected, and that no rule above knows."""

    def refusal(container: ContainerFacts) -> str | None:
        sign = log_signs.latest(container, *_REFUSALS)
        if sign is None or container.state == "running":
            return None
        is_known = sign.name == "bind-refused" and "LOCUST_MASTER_BIND_HOST" in known
        return None if is_known or any(_flag_of(name) in sign.text for name in known) else sign.text

    for group in grouped(stack.locusts, refusal):
        sign = log_signs.latest(group[0], *_REFUSALS)
        if sign is None:
            continue
        name, source = _named_in(sign, group[0])
        place = Origin(BY_HAND, text="the command line or environment of the container")
        if name:
            place = origin_of_setting(stack, group, name, source)
        wanted = "a value that Locust accepts"
        evidence = (FindingEvidence(f"log of {names(group)}", sign.text, wanted, sign.at), place.evidence)
        values = {"name": name or "an argument", "value": sign.detail, "wanted": wanted}
        yield FoundCause("invalid-locust-value", evidence, group, values, place)


def _flag_of(name: str) -> str:
    """Return the flag of a variable, as Locust's errors name it."""
    known = {"LOCUST_MASTER_NODE_PORT": "--master-port", "LOCUST_MASTER_NODE_HOST": "--master-host"}
    return known.get(name, "--" + name.removeprefix("LOCUST_").lower().replace("_", "-"))


def _named_in(sign: log_signs.LogPattern, container: ContainerFacts) -> tuple[str, str]:
    """Return the variable and the flag that Locust rejected."""
    if sign.name == "bind-refused":
        return "LOCUST_MASTER_BIND_HOST", "--master-bind-host"
    flags = re.findall(r"--[a-z-]+", sign.text)
    for name in environment(container):
        if name in KNOWN and _flag_of(name) in flags:
            return name, _flag_of(name)
    return "", flags[0] if flags else ""


def _two_roles(stack: Stack) -> Iterator[FoundCause]:
    both = [
        locust
        for locust in stack.locusts
        if is_on(locust, "LOCUST_MODE_MASTER", "--master") and is_on(locust, "LOCUST_MODE_WORKER", "--worker")
    ]
    if both:
        variable = "LOCUST_MODE_MASTER" if "worker" in both[0].service else "LOCUST_MODE_WORKER"
        place = origin(stack, both, variable)
        seen = "master and worker at the same time"
        both_roles = stack.observed(f"role of {names(both)}", seen, "master or worker")
        values = {"name": variable, "value": "1", "wanted": "only one of LOCUST_MODE_MASTER and LOCUST_MODE_WORKER"}
        yield FoundCause("invalid-locust-value", (both_roles, place.evidence), both, values, place)


def _url_as_host(stack: Stack) -> Iterator[FoundCause]:
    def url(worker: ContainerFacts) -> str | None:
        value = stack.master_host(worker).value
        return value if _SCHEME.match(value) or "/" in value or _WITH_PORT.match(value) else None

    for group in grouped(stack.workers, url):
        value = stack.master_host(group[0]).value
        host = (urlsplit(value if "://" in value else f"//{value}").hostname or value).strip("/")
        place = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_HOST", "--master-host")
        sign = log_signs.latest(group[0], "bad-address", "connect-failed", "unresolved")
        evidence = (
            stack.observed(f"master's host of {names(group)}", value, host),
            log_signs.quote(group[0], sign),
            place.evidence,
        )
        yield FoundCause("master-url-with-scheme", evidence, group, {"value": value, "host": host}, place)


def _log_file(stack: Stack) -> Iterator[FoundCause]:
    having = [locust for locust in stack.locusts if setting(locust, "LOCUST_LOGFILE", "--logfile").value]
    for group in grouped(having, lambda locust: setting(locust, "LOCUST_LOGFILE", "--logfile")):
        option = setting(group[0], "LOCUST_LOGFILE", "--logfile")
        place = origin_of_setting(stack, group, "LOCUST_LOGFILE", "--logfile")
        wanted = "not set, so that `docker logs` shows the log"
        evidence = (stack.observed(f"{option.source} of {names(group)}", option.value, wanted), place.evidence)
        values = {"file": option.value, "container": group[0].name}
        yield FoundCause("log-file-hides-logs", evidence, group, values, place, severity=Severity.WARN)


def _no_opentelemetry(stack: Stack) -> Iterator[FoundCause]:
    def missing(locust: ContainerFacts) -> str | None:
        sign = log_signs.latest(locust, "no-opentelemetry")
        return (sign.detail or "its SDK") if sign else None

    for group in grouped(stack.locusts, missing):
        quoted = log_signs.quote(group[0], log_signs.latest(group[0], "no-opentelemetry"))
        values = {"what": missing(group[0]) or "", "containers": names(group)}
        yield FoundCause("opentelemetry-missing", (quoted,), group, values, severity=Severity.WARN)


# ---- the target's form -----------------------------------------------------------------------------------------------


def host_scheme(stack: Stack) -> Outcome:
    """Check whether the target is a URL with a scheme."""
    hosts = list(dict.fromkeys(_hosts(stack)))
    for host, label, group in hosts:
        if host and not _SCHEME.match(host) and _is_needed(stack):
            place, url = _origin_of_host(stack, label, group), f"http://{host}"
            where = place.evidence if place.text else None
            evidence = (stack.observed(label, host, url), where, *_scheme_errors(stack))
            up = {"HOST": url} if place.fix in ("setting", ENV_LINE) else {}
            cause = FoundCause("host-without-scheme", evidence, group or (host,), {"host": host}, place, up=up)
            return Outcome(f"{host} has no http:// or https://", (cause,))
    shown = next((host for host, _, _ in hosts if host), "")
    return Outcome(f"target {shown}" if shown else "the hosts in the user classes")


def _hosts(stack: Stack) -> Iterator[tuple[str, str, tuple[ContainerFacts, ...]]]:
    """Yield (host, its source, the containers that have it) for each source of a target."""
    master = stack.evidence.master
    if master and master.host:
        yield master.host, "host on the master's web page", ()
    for locust in stack.locusts:
        for name in ("KIT_HOST", "LOCUST_HOST"):
            if value := environment(locust).get(name, ""):
                group = tuple(other for other in stack.locusts if environment(other).get(name) == value)
                yield value, f"{name} of the containers", group
        flag = setting(locust, "", "--host", "-H")
        if flag.value:
            yield flag.value, f"{flag.source} of {locust.name}", (locust,)
    for pair in stack.evidence.config.class_hosts:
        if pair.value:
            yield pair.value, f"host of the class {pair.name}", ()


def _is_needed(stack: Stack) -> bool:
    """Return whether requests need a URL. Other clients accept any text as host, and their requests succeed."""
    master = stack.evidence.master
    return not (master and master.requests and master.failures < master.requests / 2)


def _scheme_errors(stack: Stack) -> Iterator[FindingEvidence]:
    master = stack.evidence.master
    row = next((row for row in master.errors if _NO_SCHEME.search(row.error)), None) if master else None
    if row:
        yield FindingEvidence(
            f"failures of {row.name}", f"{row.occurrences} × {row.error}", "no failure", row.last_seen
        )


def _origin_of_host(stack: Stack, label: str, group: tuple[ContainerFacts, ...]) -> Origin:
    if label.startswith("host of the class"):
        return Origin("class")
    if not group:
        return Origin("setting")
    place = origin(stack, group, "KIT_HOST" if label.startswith("KIT_HOST") else "LOCUST_HOST")
    return Origin("setting", text=place.text) if place.fix in (BY_HAND, RECREATE) else place


RULES = (
    Rule("compose", LAYER, compose),
    Rule("variables", LAYER, variables, after=without_stack),
    Rule("as-decided", LAYER, as_decided, after=without_stack),
    Rule("target-url", LAYER, host_scheme),
)
