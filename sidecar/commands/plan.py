"""What a run will ask of the master, decided before anything starts. Pure."""

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

_SHAPE_SETTINGS = ("USERS", "SPAWN_RATE", "RUN_TIME")
NO_SHAPE = "none"
_MOST_COUNTED = 10_000
RUNNING = frozenset({"spawning", "running"})


@dataclass(frozen=True)
class MasterInfo:
    """What a master says of itself, from the plugin's status and from its own page.

    `user_classes` are (name, host) as loaded, `live_hosts` the hosts that the classes have by now, `own_host` the host
    that the master was started with (`-H`, LOCUST_HOST), `page_host` what its page offers for the next run.
    `arguments` are those that the locustfile adds; `sets_arguments` says whether the plugin reads them.
    `has_plugin` says whether the kit's plugin is there, which writes down each run. `shape_class` is the load shape of
    the last run, `shapes` are all, the one first that Locust takes, and whether each reads users, rate and time;
    `sets_shape` says whether a run can choose. `takes` are fixed_count and weight of each class.
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
    """One run to be.

    `run_time` is in seconds, 0 = until it is stopped; `sends_load` is false where a load shape reads neither that nor
    `users` and `spawn_rate`. `judge` says by what it is judged, as JSON. `sent_arguments` are
    the fields that set the locustfile's arguments, `arguments` their values as reports may hold them.
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
        """Return after how many seconds Locust stops the run by itself; 0 = not at all, or when its shape ends."""
        return 0 if self.shape_class else self.run_time

    def form(self) -> list[tuple[str, str]]:
        """Return the fields for POST /swarm. An empty host would take away the one that the master was started with."""
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
    """Put together what the plugin and the master's page say, and what the check of the files once found.

    The page lists every class; the plugin only those of the last run. Neither knows the hosts as loaded.
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
    """Return the load shapes, the one first that Locust takes, and whether each reads users, rate and time."""
    if "shapes" in status:
        return {str(shape["name"]): bool(shape.get("uses_common_options")) for shape in status["shapes"]}
    names = [name for name in page.get("available_shape_classes") or [] if name != "Default"]
    known = filter(None, (status.get("shape_class"), *names))
    return dict.fromkeys(map(str, known), bool(page.get("shape_use_common_options")))


def stale_processes(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what the plugin knows of those of master and workers that run files older than those on disk."""
    processes = [status.get("locustfile") or {}, *(status.get("workers") or {}).values()]
    return [process for process in processes if process.get("changed_on_disk")]


def make(settings: Settings, about: MasterInfo, decided_host: str) -> RunPlan:
    """Return the plan for these settings on this master.

    `decided_host` is what `up` decided as target, "" when the classes keep their own hosts.

    Raises:
        SettingError: a load shape and USERS together, more users than the classes take, a class or a shape that is not
            there, or an argument that cannot be.

    """
    texts = _asked(settings, about)
    shape, classes = _shape(settings, about), _classes(settings, about)
    sends_load = not shape or about.shapes.get(shape, False)
    for name in _SHAPE_SETTINGS:
        if settings.said_now(name) and not sends_load:
            raise SettingError(
                f"{name} was given, but the load shape {shape} decides users and time",
                fix=f"leave {name} out: the run ends with the shape; or SHAPE={NO_SHAPE}",
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
    """Return the load shape of the run, "" for none; a run that is followed has its own."""
    own = next(iter(about.shapes), "")
    if settings.attach or settings.shape in ("", own):
        return about.shape_class if settings.attach else own
    refuse_unknown("SHAPE", (settings.shape,), (*about.shapes, NO_SHAPE), "the stack")
    if about.shapes and not about.sets_shape:
        raise SettingError("SHAPE was given, but this master has no plugin that sets it", fix="leave SHAPE out")
    return "" if settings.shape == NO_SHAPE else settings.shape


def _users(settings: Settings, takes: Mapping[str, tuple[int, float] | None]) -> int:
    """Return how many users to ask for: of those that nobody asked for, no more than a fixed_count of each class."""
    fixed = {name: of[0] for name, of in takes.items() if of and of[0]}
    most = sum(fixed.values())
    if not fixed or len(fixed) < len(takes) or settings.users <= most:
        return settings.users
    if "USERS" in settings.given:
        counts = ", ".join(f"{name} {count}" for name, count in fixed.items())
        raise SettingError(
            f"USERS is {settings.users}, but every class has a fixed_count ({counts}): Locust makes no more",
            wanted=f"{most} at most",
            fix=f"make run USERS={most}, or a class without fixed_count",
        )
    return most


def left_out(plan: RunPlan, about: MasterInfo) -> str:
    """Return which classes get no user, or fewer than their fixed_count, of so many users; "" where all get theirs."""
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
    """Return how many users of each class Locust makes: first each fixed_count, then by weight.

    Of each kind the next user is of the class that brings the shares closest to the weights (Kullback-Leibler), as in
    locust/dispatch.py. A class that gets one at all is among the first few thousand.
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
        raise SettingError(f"{given} was given, but ATTACH=1 follows a run that has its arguments", fix="leave it out")
    return {}


def _values(settings: Settings, about: MasterInfo, texts: Texts) -> dict[str, Any]:
    """Return the arguments' values in this run; a run that is followed has those that the plugin tells."""
    if settings.attach:
        return {argument.name: argument.value for argument in about.arguments if about.sets_arguments}
    return arguments.values(texts, about.arguments)


def refuse_unknown(setting: str, names: Iterable[str], there: Sequence[str], where: str) -> None:
    """Refuse a setting that names what is not there.

    Raises:
        SettingError: a name is not one of `there`.

    """
    for name in names:
        if name not in there:
            wanted = f"{'one' if setting == 'SHAPE' else 'some'} of {', '.join(there)}"
            raise SettingError(f"{setting} names {name!r}, which {where} does not have", wanted=wanted)


def _classes(settings: Settings, about: MasterInfo) -> tuple[str, ...]:
    there = [name for name, _ in about.user_classes]
    if there:
        refuse_unknown("CLASSES", settings.classes, there, "the stack")
    return settings.classes or tuple(there)


def _host(settings: Settings, about: MasterInfo, decided_host: str) -> str:
    """Return the host to send: always one where it is known, because Locust keeps the last one that anybody sent."""
    if known := settings.host or decided_host or about.own_host:
        return known
    hosts = {host for name, host in about.user_classes if not settings.classes or name in settings.classes}
    return hosts.pop() if len(hosts) == 1 else ""


def hosts_overwritten(plan: RunPlan, about: MasterInfo) -> bool:
    """Whether classes that should keep hosts of their own have lost them to an earlier run's HOST.

    Locust writes a run's host over every class and never back; only a new process knows the classes' own.
    """
    own = {host for _, host in about.user_classes}
    is_left = bool(about.page_host) and about.page_host not in own  # of a run that never started
    overwritten = any(about.live_hosts.get(name, host) != host for name, host in about.user_classes)
    return not plan.host and (is_left or overwritten)


def filters_to_change(settings: Settings, status: Mapping[str, Any] | None, *, class_picker: bool) -> tuple[str, ...]:
    """Return those of TAGS, EXCLUDE_TAGS and CLASSES that this call named and that the stack was started without.

    Locust reads them when it starts; only a master with the class picker takes other classes with a run.
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
    """Refuse to start while a run is under way or no worker would carry it, and to attach without a run.

    Raises:
        StackError: one of these.

    """
    if attach:
        if state not in RUNNING:
            raise StackError("no run is going that could be followed", fix="make run")
        return
    if state in RUNNING:
        raise StackError("a run is going already", fix="make run ATTACH=1 to follow it, or stop it first")
    if state == "stopping":
        raise StackError("the last run is still stopping", fix="make run again in a moment")
    if not workers:
        raise StackError("no worker is registered at the master", fix="make ps, or make up")
