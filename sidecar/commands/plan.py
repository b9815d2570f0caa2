"""Plan a run before anything starts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from math import log2
from typing import Any

from sidecar.commands import arguments
from sidecar.commands.arguments import Argument, Texts
from sidecar.common.errors import SettingError, StackError
from sidecar.common.units import plural
from sidecar.settings import Settings, parse
from sidecar.settings.model import REMEMBERED
from sidecar.stack import target

_SHAPE_SETTINGS = ("USERS", "SPAWN_RATE", "RUN_TIME")
NO_SHAPE = "none"
_MOST_COUNTED = 10_000
RUNNING = frozenset({"spawning", "running"})


@dataclass(frozen=True)
class MasterInfo:
    """The facts about a master, from the plugin's status and from its own page.

    `user_classes` are (name, host) as loaded; `live_hosts` are the current hosts of the classes. `own_host` is the host
    of the master's own options (`-H`, LOCUST_HOST); `page_host` is the host on its page for the next run.
    `arguments` are the arguments that the locustfile adds; `sets_arguments` means that the plugin reads them.
    `has_plugin` means that the kit's plugin is there, which records each run. `shape_class` is the load shape of the
    last run. `shapes` are all load shapes, Locust's choice first, and whether each reads users, rate and time.
    `sets_shape` means that a run can choose its shape. `takes` are fixed_count and weight of each class.
    """

    user_classes: tuple[tuple[str, str], ...]
    live_hosts: Mapping[str, str]
    shape_class: str
    class_picker: bool
    changed_on_disk: tuple[str, ...]
    stale_processes: int
    locustfile_sha256: str
    version: str
    run_id: str
    own_host: str = ""
    page_host: str = ""
    arguments: tuple[Argument, ...] = ()
    sets_arguments: bool = False
    has_plugin: bool = False
    shapes: Mapping[str, bool] = field(default_factory=dict)
    sets_shape: bool = False
    takes: Mapping[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunPlan:
    """The plan of one run.

    `run_time` is in seconds, 0 = until it is stopped. `sends_load` is false if a load shape does not read `run_time`,
    `users` and `spawn_rate`. `judge` has the limits of the run, as JSON. `sent_arguments` are the fields that set the
    locustfile's arguments; `arguments` are their values without secrets, for reports.
    """

    users: int
    spawn_rate: float
    run_time: int
    host: str
    classes: tuple[str, ...]
    shape_class: str
    class_picker: bool
    labels: tuple[str, ...] = ()
    judge: str = ""
    sent_arguments: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sends_load: bool = True
    chooses_shape: bool = False

    @property
    def seconds(self) -> int:
        """Return the seconds after which Locust stops the run by itself; 0 = never, or at the end of its shape."""
        return 0 if self.shape_class else self.run_time

    def form(self) -> list[tuple[str, str]]:
        """Return the fields for POST /swarm. An empty host would remove the host of the master's own options."""
        fields = [*([("host", self.host)] if self.host else []), *self.sent_arguments]
        if self.labels:
            fields.append(("kit_labels", " ".join(self.labels)))
        if self.judge:
            fields.append(("kit_judge", self.judge))
        if self.class_picker:
            fields += [("user_classes", name) for name in self.classes]
            fields += [("shape_class", self.shape_class)] if self.shape_class else []
        elif self.chooses_shape:
            fields.append(("kit_shape", self.shape_class or NO_SHAPE))
        if self.sends_load:
            fields += [("user_count", str(self.users)), ("spawn_rate", f"{self.spawn_rate:g}")]
            if self.run_time:
                fields.append(("run_time", str(self.run_time)))
        return fields


def master(status: Mapping[str, Any] | None, page: Mapping[str, Any], loaded_hosts: Mapping[str, str]) -> MasterInfo:
    """Combine the plugin's status, the master's page, and the saved check of the files.

    The page lists every class, the plugin only the classes of the last run. Neither knows the loaded hosts.
    """
    has_plugin, status = status is not None, status or {}
    live = {str(name): str(user_class.get("host") or "") for name, user_class in (page.get("users") or {}).items()}
    if not live:
        live = {
            str(user_class["name"]): str(user_class.get("host") or "")
            for user_class in status.get("user_classes") or []
        }
    shapes, picker = _shapes(status, page), bool(status.get("class_picker", page.get("show_userclass_picker")))
    loaded = status.get("locustfile") or {}
    stale = stale_processes(status)
    changed = sorted({name for process in stale for name in process["changed_on_disk"]})
    return MasterInfo(
        user_classes=tuple((name, loaded_hosts.get(name, host)) for name, host in sorted(live.items())),
        live_hosts=live,
        shape_class=str(status.get("shape_class") or next(iter(shapes), "")),
        class_picker=picker,
        shapes=shapes,
        sets_shape=picker or "shapes" in status,
        takes={
            str(name): (int(of.get("fixed_count") or 0), float(of["weight"]))
            for name, of in (page.get("users") or {}).items()
            if isinstance(of.get("weight"), int | float)
        },
        changed_on_disk=tuple(changed),
        stale_processes=len(stale),
        locustfile_sha256=str(loaded.get("sha256") or ""),
        version=str(page.get("version") or ""),
        run_id=str((status.get("run") or {}).get("run_id") or ""),
        has_plugin=has_plugin,
        own_host=str((status.get("settings") or {}).get("host") or ""),
        page_host=str(page.get("host") or ""),
        arguments=arguments.known(status, page),
        sets_arguments="arguments" in status,
    )


def _shapes(status: Mapping[str, Any], page: Mapping[str, Any]) -> dict[str, bool]:
    """Return the load shapes, Locust's choice first, and whether each reads users, rate and time."""
    if "shapes" in status:
        return {str(shape["name"]): bool(shape.get("uses_common_options")) for shape in status["shapes"]}
    names = [name for name in page.get("available_shape_classes") or [] if name != "Default"]
    known = filter(None, (status.get("shape_class"), *names))
    return dict.fromkeys(map(str, known), bool(page.get("shape_use_common_options")))


def stale_processes(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the processes that, as the plugin reports, run older files than the files on disk."""
    processes = [status.get("locustfile") or {}, *(status.get("workers") or {}).values()]
    return [process for process in processes if process.get("changed_on_disk")]


def make(settings: Settings, about: MasterInfo, decided_host: str) -> RunPlan:
    """Return the plan for these settings on this master.

    `decided_host` is the target of `up`, "" if the classes keep their own hosts.

    Raises:
        SettingError: USERS with a load shape, more users than the classes take, an unknown class or shape, or an
            invalid argument.

    """
    texts = _asked(settings, about)
    if not settings.attach:
        _refuse_others(settings, about, decided_host)
    shape, classes = _shape(settings, about), _classes(settings, about)
    sends_load = not shape or about.shapes.get(shape, False)
    for name in _SHAPE_SETTINGS:
        if settings.said_now(name) and not sends_load:
            raise SettingError(
                f"{name} is set, but the load shape {shape} decides users and time",
                fix=f"remove {name}, and the run ends with the shape; or set SHAPE={NO_SHAPE}",
            )
    return RunPlan(
        users=settings.users if shape else _users(settings, {name: about.takes.get(name) for name in classes}),
        spawn_rate=settings.spawn_rate,
        run_time=settings.run_time,
        host=_host(settings, about, decided_host),
        classes=classes,
        shape_class=shape,
        sends_load=sends_load,
        chooses_shape=about.sets_shape and bool(about.shapes),
        class_picker=about.class_picker,
        labels=settings.labels,
        sent_arguments=tuple(arguments.fields(texts, about.arguments, by_plugin=about.sets_arguments)),
        arguments=_values(settings, about, texts),
    )


def _shape(settings: Settings, about: MasterInfo) -> str:
    """Return the load shape of the run, "" without one; a followed run has its own."""
    own = next(iter(about.shapes), "")
    if settings.attach or settings.shape in ("", own):
        return about.shape_class if settings.attach else own
    refuse_unknown("SHAPE", (settings.shape,), (*about.shapes, NO_SHAPE), "the stack")
    if about.shapes and not about.sets_shape:
        raise SettingError("SHAPE is set, but this master has no kit plugin, which SHAPE needs", fix="remove SHAPE")
    return "" if settings.shape == NO_SHAPE else settings.shape


def _users(settings: Settings, takes: Mapping[str, tuple[int, float] | None]) -> int:
    """Return the number of users to start: the default is at most the sum of each class's fixed_count."""
    fixed = {name: of[0] for name, of in takes.items() if of and of[0]}
    most = sum(fixed.values())
    if not fixed or len(fixed) < len(takes) or settings.users <= most:
        return settings.users
    if "USERS" in settings.given:
        counts = ", ".join(f"{name} {count}" for name, count in fixed.items())
        raise SettingError(
            f"USERS is {settings.users}, but every class has a fixed_count ({counts}), so Locust starts no more",
            wanted=f"at most {most}",
            fix=f"make run USERS={most}, or a class without fixed_count",
        )
    return most


def left_out(plan: RunPlan, about: MasterInfo) -> str:
    """Return the classes with no user, or with fewer than their fixed_count; "" if there is no such class."""
    takes = {name: of for name in plan.classes if (of := about.takes.get(name))}
    if plan.shape_class or not plan.users:
        return ""
    counts = _handed_out(plan.users, takes)
    short = [
        f"{name} gets {counts[name]} of its fixed_count {fixed}"
        for name, (fixed, _) in takes.items()
        if 0 < counts[name] < fixed
    ]
    nobody = [name for name, count in counts.items() if not count]
    parts = [*short, *([f"{', '.join(nobody)} {'get' if len(nobody) > 1 else 'gets'} no user"] if nobody else [])]
    return f"of {plural(plan.users, 'user')}, {'; '.join(parts)}" if parts else ""


def _handed_out(users: int, takes: Mapping[str, tuple[int, float]]) -> dict[str, int]:
    """Return how many users of each class Locust starts: first each fixed_count, then by weight.

    The next user is of the class that brings the shares closest to the weights (Kullback-Leibler), as in
    locust/dispatch.py. A class that gets any user gets one among the first few thousand.
    """
    counts = dict.fromkeys(sorted(takes), 0)
    fixed = {name: float(count) for name, (count, _) in takes.items() if count}
    free = {name: weight for name, (count, weight) in takes.items() if not count and weight > 0}
    of_fixed = min(users, int(sum(fixed.values())))
    for weights, number in ((fixed, of_fixed), (free, min(users - of_fixed, _MOST_COUNTED) if free else 0)):
        heap = [(weight * log2(weight / (weight + 1)), weight + 1, weight, name) for name, weight in weights.items()]
        heapify(heap)
        for _ in range(number):
            _, level, weight, name = heap[0]
            counts[name] += 1
            heapreplace(heap, (weight * log2(level / (level + 1)), level + 1, weight, name))
    return counts


def _asked(settings: Settings, about: MasterInfo) -> Texts:
    if not settings.attach:
        return arguments.asked(settings, about.arguments)
    given = next(iter(settings.words), "ARGS" if settings.said_now("ARGS") else "")
    if given:
        raise SettingError(
            f"{given} is set, but ATTACH=1 follows a run that already has its arguments", fix="remove it"
        )
    return {}


def _values(settings: Settings, about: MasterInfo, texts: Texts) -> dict[str, Any]:
    """Return the arguments' values in this run; for a followed run, the plugin reports them."""
    if settings.attach:
        return {argument.name: argument.value for argument in about.arguments if about.sets_arguments}
    return arguments.values(texts, about.arguments)


def refuse_unknown(setting: str, names: Iterable[str], there: Sequence[str], where: str) -> None:
    """Refuse a setting that names something that does not exist.

    Raises:
        SettingError: a name is not one of `there`.

    """
    for name in names:
        if name not in there:
            wanted = f"{'one' if setting == 'SHAPE' else 'some'} of {', '.join(there)}"
            raise SettingError(f"{setting} names {name!r}, but {where} does not have it", wanted=wanted)


def _classes(settings: Settings, about: MasterInfo) -> tuple[str, ...]:
    there = [name for name, _ in about.user_classes]
    if there:
        refuse_unknown("CLASSES", settings.classes, there, "the stack")
    return settings.classes or tuple(there)


def _host(settings: Settings, about: MasterInfo, decided_host: str) -> str:
    """Return the host to send. If it is known, always send one, because Locust keeps the last host."""
    if known := settings.host or decided_host or about.own_host:
        return known
    hosts = {host for name, host in about.user_classes if not settings.classes or name in settings.classes}
    return hosts.pop() if len(hosts) == 1 else ""


def _refuse_others(settings: Settings, about: MasterInfo, decided_host: str) -> None:
    """Refuse a run whose target, or one of its classes' own hosts, is not in ALLOWED_TARGETS."""
    given = f"HOST, {settings.source('HOST')}"
    known = (
        (settings.host, given),
        (decided_host, f"HOST, {REMEMBERED}"),
        (about.own_host, "the master's own options"),
    )
    own = [
        (host, f"class {name}") for name, host in about.user_classes if not settings.classes or name in settings.classes
    ]
    target.refuse_others(settings, next(([pair] for pair in known if pair[0]), own))


def hosts_overwritten(plan: RunPlan, about: MasterInfo) -> bool:
    """Return whether an earlier run's HOST replaced the classes' own hosts, which this run needs.

    Locust sets a run's host on every class, and never restores it. Only a new process has the classes' own hosts.
    """
    own = {host for _, host in about.user_classes}
    is_left = bool(about.page_host) and about.page_host not in own  # the host of a run that never started
    overwritten = any(about.live_hosts.get(name, host) != host for name, host in about.user_classes)
    return not plan.host and (is_left or overwritten)


def filters_to_change(settings: Settings, status: Mapping[str, Any] | None, *, class_picker: bool) -> tuple[str, ...]:
    """Return the settings among TAGS, EXCLUDE_TAGS and CLASSES of this call that differ from the running stack.

    Locust reads them at its start. Only a master with the class picker accepts other classes for a run.
    """
    running = (status or {}).get("settings") or {}
    wanted = {"TAGS": settings.tags, "EXCLUDE_TAGS": settings.exclude_tags, "CLASSES": settings.classes}
    if class_picker:
        del wanted["CLASSES"]
    return tuple(
        name
        for name, now in wanted.items()
        if settings.said_now(name) and set(now) != set(parse.names(str(running.get(name.lower()) or "")))
    )


def refuse_state(state: str, workers: int, *, attach: bool) -> None:
    """Refuse to start during another run or without workers, and to attach without a run.

    Raises:
        StackError: one of these cases.

    """
    if attach:
        if state not in RUNNING:
            raise StackError("ATTACH=1 is set, but no run is active", fix="make run")
        return
    if state in RUNNING:
        raise StackError("another run is already active", fix="make run ATTACH=1 to follow it, or stop it first")
    if state == "stopping":
        raise StackError("the last run is still stopping", fix="make run again in a moment")
    if not workers:
        raise StackError("no worker is registered at the master", fix="make ps, or make up")
