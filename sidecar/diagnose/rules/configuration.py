"""What Locust is told: settings, Compose, variables and their values. Pure."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.rule import Found, Outcome, Rule, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.locust_names import KNOWN, LEGACY, NUMBERS, PORTS, REMOVED, kit_owns
from sidecar.diagnose.rules.mending import BY_HAND, ENV_LINE, RECREATE, Origin, origin, origin_of_setting
from sidecar.diagnose.stack import (
    MASTER,
    STANDALONE,
    WORKER,
    Stack,
    environment,
    is_address,
    is_on,
    names,
    setting,
)
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "configuration"
_ROLE_WORDS = frozenset({"worker", "slave", "master"})
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_WITH_PORT = re.compile(r"^[^:/]+:\d+$")


# ---- compose ---------------------------------------------------------------------------------------------------------


def compose(stack: Stack) -> Outcome:
    """Whether the settings and the Compose file can be read."""
    config, at = stack.evidence.config, stack.evidence.at
    if config.settings_error:
        seen = FindingEvidence("settings", config.settings_error, "values that can be", at)
        return Outcome(
            config.settings_error, (Found("compose-invalid", (seen,), ("settings",), {"what": "a setting"}, "setting"),)
        )
    if config.compose_error:
        seen = FindingEvidence("docker compose config", config.compose_error, "a file that Compose reads", at)
        fix = "restore" if config.compose_modified else "default"
        values = {"what": "docker-compose.yml"}
        return Outcome(config.compose_error, (Found("compose-invalid", (seen,), ("docker-compose.yml",), values, fix),))
    if not config.services:
        reason = stack.gap("compose.config") or "Docker does not answer"
        return Outcome(reason, unknown=reason)
    return Outcome(f"{len(config.services)} services, settings readable")


# ---- variables -------------------------------------------------------------------------------------------------------


def variables(stack: Stack) -> Outcome:
    """Whether every variable and flag that Locust is given is one that it reads, with a value that it takes."""
    found = [*_unknown(stack), *_invalid(stack), *_url_as_host(stack), *_log_file(stack)]
    count = sum(1 for locust in stack.locusts for pair in locust.environment if pair.name.startswith("LOCUST"))
    return Outcome(f"{count} LOCUST variables in {len(stack.locusts)} containers", tuple(found))


def grouped(
    containers: Sequence[ContainerFacts], key: Callable[[ContainerFacts], object]
) -> Iterator[tuple[ContainerFacts, ...]]:
    """The containers in groups of one key; those with the key None left out."""
    groups: dict[object, list[ContainerFacts]] = {}
    for container in containers:
        if (value := key(container)) is not None:
            groups.setdefault(value, []).append(container)
    return (tuple(group) for group in groups.values())


def is_read(stack: Stack, name: str) -> bool:
    """Whether somebody reads a variable: Locust, the kit, or the user's own code."""
    return name in KNOWN or kit_owns(name) or name in stack.evidence.config.own_variables


def _unknown(stack: Stack) -> Iterator[Found]:
    told = {name for locust in stack.locusts for name in environment(locust) if not is_read(stack, name)}
    for name in sorted(told):
        having = [locust for locust in stack.locusts if name in environment(locust)]
        culprits = [one for one in having if _is_meant_as_master(stack, one, name) or _is_meant_as_role(one, name)]
        if culprits:
            yield _unread(stack, culprits, name, broken=True)
        elif name.startswith("LOCUST_") or name in LEGACY:
            yield _unread(stack, having, name, broken=False)


def _is_meant_as_master(stack: Stack, worker: ContainerFacts, name: str) -> bool:
    """A worker that nobody told its master, beside a variable whose value leads there, or whose name says so."""
    if stack.role(worker) != WORKER or stack.master_host(worker).source or stack.is_registered(worker):
        return False
    value = environment(worker)[name]
    host = value.rpartition("://")[2].partition(":")[0]
    return bool(host) and (
        host in _names_of_master(stack) or _means(name) in ("LOCUST_MASTER_NODE_HOST", "LOCUST_MASTER_NODE_PORT")
    )


def _names_of_master(stack: Stack) -> frozenset[str]:
    return frozenset(
        name
        for one in stack.of(MASTER)
        for name in (
            one.name,
            one.service,
            one.hostname,
            *(alias for at in one.networks for alias in at.aliases),
            *stack.addresses(one),
        )
        if name
    )


def _is_meant_as_role(container_facts: ContainerFacts, name: str) -> bool:
    """A Locust that was told no role, beside a variable whose value is one."""
    told_a_role = is_on(container_facts, "LOCUST_MODE_MASTER", "--master") or is_on(
        container_facts, "LOCUST_MODE_WORKER", "--worker"
    )
    return not told_a_role and environment(container_facts)[name].strip().lower() in _ROLE_WORDS


def _means(name: str) -> str:
    """The variable of Locust that was most likely meant; "" when none comes to mind."""
    if name in LEGACY:
        return LEGACY[name]
    close = difflib.get_close_matches(name, sorted(KNOWN), n=1, cutoff=0.8)
    return close[0] if close else ""


def _unread(stack: Stack, containers: Sequence[ContainerFacts], name: str, *, broken: bool) -> Found:
    value, role = environment(containers[0])[name], stack.role(containers[0])
    meant = _means(name)
    if broken and environment(containers[0])[name].strip().lower() in _ROLE_WORDS:
        meant = "LOCUST_MODE_MASTER" if "master" in value.lower() else "LOCUST_MODE_WORKER"
    elif broken and not meant.startswith("LOCUST_MASTER_NODE"):
        meant = "LOCUST_MASTER_NODE_HOST"
    where = origin(stack, containers, name)
    seen = [
        FindingEvidence(
            f"environment of {names(containers)}",
            f"{name}={value}",
            f"{meant}={value}" if meant else "no such variable",
            stack.evidence.at,
        ),
        FindingEvidence("it comes from", where.text, ""),
    ]
    if broken and role == WORKER and not meant.startswith("LOCUST_MODE"):
        seen.insert(
            1,
            FindingEvidence(
                "so the workers look for a master at",
                "127.0.0.1:5557, Locust's default: themselves",
                "the master's name",
            ),
        )
    known = f"; Locust's name for it is {meant}" if meant else ""
    return Found(
        "unknown-locust-variable",
        tuple(seen),
        tuple(container.name for container in containers),
        {
            "name": name,
            "meant": meant or "another name",
            "value": value,
            "known": known,
            "containers": names(containers),
        },
        where.fix,
        where.items,
        severity=Severity.ERROR if broken else Severity.WARN if meant else Severity.INFO,
    )


# ---- values ----------------------------------------------------------------------------------------------------------


def _invalid(stack: Stack) -> Iterator[Found]:
    told: set[tuple[str, str]] = set()
    for locust in stack.locusts:
        for name, value in environment(locust).items():
            wanted = _wanted(stack, locust, name, value)
            if wanted and (name, value) not in told:
                told.add((name, value))
                yield _bad_value(stack, name, value, wanted)
    yield from _refused_by_locust(stack, {name for name, _ in told})
    yield from _two_roles(stack)


def _wanted(stack: Stack, container_facts: ContainerFacts, name: str, value: str) -> str:
    """What the value of a variable should have been; "" when it is right."""
    if name in REMOVED:
        return REMOVED[name]
    if name in PORTS:
        return "" if value.isdigit() and 0 < int(value) < 65536 else "a TCP port, 1 to 65535"  # noqa: PLR2004  TCP's
    if name in NUMBERS:
        return "" if re.fullmatch(r"-?\d+(\.\d+)?", value) else "a number"
    if name == "LOCUST_MASTER_BIND_HOST" and stack.role(container_facts) == MASTER:
        return _wanted_bind(stack, container_facts, value)
    return ""


def _wanted_bind(stack: Stack, master: ContainerFacts, value: str) -> str:
    own = stack.addresses(master)
    if not own or master.network_mode == "host" or not is_address(value) or value in own:
        return ""
    found = ipaddress.ip_address(value)
    return (
        "" if found.is_loopback or found.is_unspecified else f"0.0.0.0, or its own address ({', '.join(sorted(own))})"
    )


def _bad_value(stack: Stack, name: str, value: str, wanted: str) -> Found:
    having = [locust for locust in stack.locusts if environment(locust).get(name) == value]
    where = origin(stack, having, name)
    refusals = [
        sign for one in having for sign in log_signs.signs(log_signs.current_log(one), "bad-value", "bind-refused")
    ]
    seen = [
        FindingEvidence(f"environment of {names(having)}", f"{name}={value or '(empty)'}", wanted, stack.evidence.at)
    ]
    seen += (
        [FindingEvidence(f"log of {having[0].name}", refusals[-1].text, "no such line", refusals[-1].at)]
        if refusals
        else []
    )
    seen += [FindingEvidence("it comes from", where.text, "")]
    # The kit's own entry point drops an empty value before Locust can stumble over it; any other image does not.
    harmless = not value and not refusals and all(one.state == "running" for one in having)
    return Found(
        "invalid-locust-value",
        tuple(seen),
        tuple(one.name for one in having),
        {"name": name, "value": value or "(empty)", "wanted": wanted},
        where.fix,
        where.items,
        severity=Severity.WARN if harmless else Severity.ERROR,
    )


def _refused_by_locust(stack: Stack, known: set[str]) -> Iterator[Found]:
    """A value that Locust itself refused, and that no rule above knows."""

    def refusal(container_facts: ContainerFacts) -> str | None:
        sign = log_signs.last(log_signs.current_log(container_facts), "bad-value", "bind-refused")
        if sign is None or container_facts.state == "running":
            return None
        return (
            None
            if any(
                _flag_of(name) in sign.text or (name == "LOCUST_MASTER_BIND_HOST" and sign.name == "bind-refused")
                for name in known
            )
            else sign.text
        )

    for group in grouped(stack.locusts, refusal):
        sign = log_signs.last(log_signs.current_log(group[0]), "bad-value", "bind-refused")
        if sign is None:
            continue
        name, source = _named_in(sign.text, sign.name, group[0])
        where = (
            origin_of_setting(stack, group, name, source)
            if name
            else Origin(BY_HAND, text="its command line or environment")
        )
        seen = (
            FindingEvidence(f"log of {names(group)}", sign.text, "a value that Locust takes", sign.at),
            FindingEvidence("it comes from", where.text, ""),
        )
        values = {"name": name or "an argument", "value": sign.detail, "wanted": "a value that Locust takes"}
        yield Found("invalid-locust-value", seen, tuple(one.name for one in group), values, where.fix, where.items)


def _flag_of(name: str) -> str:
    """The flag that a variable stands for, as Locust's errors name it."""
    known = {"LOCUST_MASTER_NODE_PORT": "--master-port", "LOCUST_MASTER_NODE_HOST": "--master-host"}
    return known.get(name, "--" + name.removeprefix("LOCUST_").lower().replace("_", "-"))


def _named_in(text: str, sign: str, container_facts: ContainerFacts) -> tuple[str, str]:
    """The variable, and the flag, that a refusal is about."""
    if sign == "bind-refused":
        return "LOCUST_MASTER_BIND_HOST", "--master-bind-host"
    flags = re.findall(r"--[a-z-]+", text)
    for name in environment(container_facts):
        if name in KNOWN and _flag_of(name) in flags:
            return name, _flag_of(name)
    return "", flags[0] if flags else ""


def _two_roles(stack: Stack) -> Iterator[Found]:
    both = [
        locust
        for locust in stack.locusts
        if is_on(locust, "LOCUST_MODE_MASTER", "--master") and is_on(locust, "LOCUST_MODE_WORKER", "--worker")
    ]
    if both:
        variable = "LOCUST_MODE_MASTER" if both[0].service and "worker" in both[0].service else "LOCUST_MODE_WORKER"
        where = origin(stack, both, variable)
        seen = (
            FindingEvidence(
                f"environment of {names(both)}",
                "told to be master and worker at once",
                "one of the two",
                stack.evidence.at,
            ),
            FindingEvidence("it comes from", where.text, ""),
        )
        values = {"name": variable, "value": "1", "wanted": "only one of LOCUST_MODE_MASTER and LOCUST_MODE_WORKER"}
        yield Found("invalid-locust-value", seen, tuple(one.name for one in both), values, where.fix, where.items)


def _url_as_host(stack: Stack) -> Iterator[Found]:
    def bad(worker: ContainerFacts) -> str | None:
        value = stack.master_host(worker).value
        is_url = bool(_SCHEME.match(value)) or "/" in value or bool(_WITH_PORT.match(value))
        return value if is_url else None

    for group in grouped(stack.workers, bad):
        value = stack.master_host(group[0]).value
        host = (urlsplit(value if "://" in value else f"//{value}").hostname or value).strip("/")
        where = origin_of_setting(stack, group, "LOCUST_MASTER_NODE_HOST", "--master-host")
        sign = log_signs.last(log_signs.current_log(group[0]), "bad-address", "connect-failed", "unresolved")
        seen = [FindingEvidence(f"master's host of {names(group)}", value, host, stack.evidence.at)]
        seen += [FindingEvidence(f"log of {group[0].name}", sign.text, "no such line", sign.at)] if sign else []
        seen += [FindingEvidence("it comes from", where.text, "")]
        values = {"value": value, "host": host}
        yield Found(
            "master-url-with-scheme", tuple(seen), tuple(one.name for one in group), values, where.fix, where.items
        )


def _log_file(stack: Stack) -> Iterator[Found]:
    having = [locust for locust in stack.locusts if setting(locust, "LOCUST_LOGFILE", "--logfile").value]
    for group in grouped(having, lambda one: setting(one, "LOCUST_LOGFILE", "--logfile")):
        found = setting(group[0], "LOCUST_LOGFILE", "--logfile")
        where = origin_of_setting(stack, group, "LOCUST_LOGFILE", "--logfile")
        seen = (
            FindingEvidence(
                f"{found.source} of {names(group)}",
                found.value,
                "unset, so that `docker logs` has the log",
                stack.evidence.at,
            ),
            FindingEvidence("it comes from", where.text, ""),
        )
        values = {"file": found.value, "container": group[0].name}
        yield Found(
            "log-file-hides-logs",
            seen,
            tuple(one.name for one in group),
            values,
            where.fix,
            where.items,
            severity=Severity.WARN,
        )


# ---- the target's form -----------------------------------------------------------------------------------------------


def host_scheme(stack: Stack) -> Outcome:
    """Whether the target is a URL with a scheme."""
    known = list(dict.fromkeys(_hosts(stack)))
    for host, place, group in known:
        if host and not _SCHEME.match(host) and _is_needed(stack):
            where = _origin_of_host(stack, place, group)
            seen = (
                FindingEvidence(place, host, f"http://{host}", stack.evidence.at),
                *([FindingEvidence("it comes from", where.text, "")] if where.text else []),
                *_scheme_errors(stack),
            )
            values = {"host": host}
            affects = tuple(one.name for one in group) or (host,)
            return Outcome(
                f"{host} has no scheme",
                (
                    Found(
                        "host-without-scheme",
                        seen,
                        affects,
                        values,
                        where.fix,
                        where.items,
                        up=_with_scheme(where, host),
                    ),
                ),
            )
    shown = next((host for host, _, _ in known if host), "")
    return Outcome(f"target {shown}" if shown else "the classes' own hosts")


def _hosts(stack: Stack) -> Iterator[tuple[str, str, tuple[ContainerFacts, ...]]]:
    """(host, where it stands, whose it is) of each place that names a target."""
    master = stack.evidence.master
    if master and master.host:
        yield master.host, "host on the master's page", ()
    for locust in stack.locusts:
        for name in ("KIT_HOST", "LOCUST_HOST"):
            value = environment(locust).get(name, "")
            if value:
                yield (
                    value,
                    f"{name} of the containers",
                    tuple(other for other in stack.locusts if environment(other).get(name) == value),
                )
        flag = setting(locust, "", "--host", "-H")
        if flag.value:
            yield flag.value, f"{flag.source} of {locust.name}", (locust,)
    for pair in stack.evidence.config.class_hosts:
        if pair.value:
            yield pair.value, f"host of the class {pair.name}", ()


def _is_needed(stack: Stack) -> bool:
    """Whether requests go to a URL: other clients' hosts may be any text, and their requests succeed."""
    master = stack.evidence.master
    return not (master and master.requests and master.failures < master.requests / 2)


def _scheme_errors(stack: Stack) -> tuple[FindingEvidence, ...]:
    master = stack.evidence.master
    rows = (
        [
            row
            for row in master.errors
            if re.search(r"MissingSchema|InvalidSchema|InvalidURL|No scheme|unknown url", row.error)
        ]
        if master
        else []
    )
    return tuple(
        FindingEvidence(f"failures of {row.name}", f"{row.occurrences} times {row.error}", "none", row.last_seen)
        for row in rows[:1]
    )


def _origin_of_host(stack: Stack, place: str, group: tuple[ContainerFacts, ...]) -> Origin:
    if place.startswith("host of the class"):
        return Origin("class")
    variable = "KIT_HOST" if place.startswith("KIT_HOST") else "LOCUST_HOST"
    if not group:
        return Origin("setting")
    where = origin(stack, group, variable)
    return Origin("setting", text=where.text) if where.fix in (BY_HAND, RECREATE) else where


def _with_scheme(where: Origin, host: str) -> dict[str, str]:
    return {"HOST": f"http://{host}"} if where.fix in ("setting", ENV_LINE) else {}


RULES = (
    Rule("compose", LAYER, compose),
    Rule("variables", LAYER, variables, after=without_stack),
    Rule("target-url", LAYER, host_scheme),
)
_ = STANDALONE
