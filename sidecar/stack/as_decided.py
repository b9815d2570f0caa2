"""Check that master and workers are the containers that `up` made.

Plain `docker compose` in the checkout does not know what `up` decided. It recreates containers with the shipped
locustfile and without a target. So `up` saves what it made, and the containers are compared with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.common.errors import EngineError, SettingError, StackError
from sidecar.common.redaction import Redactor
from sidecar.common.text import some
from sidecar.common.units import mebibytes
from sidecar.engine.docker_engine import DockerEngine, ListedContainer, find_socket
from sidecar.engine.labels import SERVICE_LABEL
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import SETTINGS, Settings
from sidecar.stack import deployment, ports, state, workspace
from sidecar.stack.images import IMAGES

_FOLDER = "/mnt/locust"
_WEB = "8089/tcp"
_NANO_CPUS = 1e9
_MOST_NAMED, _MOST_LINES = 3, 6


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of containers that differs from what `up` made; no `containers` means all of them.

    `is_default` means that they have the value of a plain `docker compose up`.
    """

    setting: str
    seen: str
    decided: str
    containers: tuple[str, ...] = ()
    is_default: bool = False

    @property
    def words(self) -> tuple[str, str]:
        """The value of the containers, and the value of `up`."""
        nothing = "the classes' own" if self.setting == "HOST" else "nothing"
        clean = Redactor()
        return clean.value(self.setting, self.seen) or nothing, clean.value(self.setting, self.decided) or nothing

    @property
    def text(self) -> str:
        """The difference in words."""
        seen, decided = self.words
        where = f" in {some(self.containers, _MOST_NAMED)}" if self.containers else ""
        return f"{self.setting} is {seen}{where}, `up` set {decided}"


def facts(inspected: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that a Locust container was made with, by name, from Docker's inspect."""
    config, host = inspected.get("Config") or {}, inspected.get("HostConfig") or {}
    variables = dict(str(line).partition("=")[::2] for line in config.get("Env") or [])
    of_kit = {name.removeprefix("KIT_"): text for name, text in variables.items() if name.startswith("KIT_")}
    role = "MASTER" if (config.get("Labels") or {}).get(SERVICE_LABEL) == MASTER else "WORKER"
    mounts = {mount.get("Destination"): str(mount.get("Source")) for mount in inspected.get("Mounts") or []}
    nofile = [limit.get("Soft") for limit in host.get("Ulimits") or [] if limit.get("Name") == "nofile"]
    published = [port for bindings in [(host.get("PortBindings") or {}).get(_WEB)] for port in bindings or []]
    return {
        "LOCUSTFILE": variables.get("LOCUSTFILE", ""),
        "LOCUSTFILES_DIR": mounts.get(_FOLDER, ""),
        "HOST": _target(variables),
        "LOCUST_IMAGE": str(config.get("Image", "")),
        f"{role}_MEMORY": mebibytes(int(host.get("Memory") or 0)),
        f"{role}_CPUS": f"{int(host.get('NanoCpus') or 0) / _NANO_CPUS:g}",
        "NOFILE": ",".join(map(str, nofile)),
        "WEB_PORT": ",".join(str(port.get("HostPort", "")) for port in published),
        **{name: text for name, text in of_kit.items() if name != "HOST" and not name.endswith(("_MARK", "_FILE"))},
    }


def _target(variables: Mapping[str, str]) -> str:
    """Return the variable from which the image's entry point takes the target."""
    own = variables.get("HOST", "")
    return variables.get("KIT_HOST") or (own if "://" in own else "") or variables.get("LOCUST_HOST", "")


def _is_same(name: str, text: str, other: str) -> bool:
    """Return whether two texts mean the same value of a setting: 5% and 0.05."""
    if text == other or name not in SETTINGS:
        return text == other
    try:
        return SETTINGS[name].value(text) == SETTINGS[name].value(other)
    except SettingError:
        return False


def _default(settings: Settings, name: str) -> str:
    """Return the value that plain Compose gives a setting, in the form of `facts`."""
    if name == "LOCUSTFILES_DIR":
        return str(settings.root / "locustfiles")
    if name == "LOCUST_IMAGE":
        return IMAGES["locust"].name
    default = SETTINGS[name].value() if name in SETTINGS else None
    if name.endswith("_MEMORY"):
        return mebibytes(float(str(default)))
    return "0" if name.endswith("_CPUS") else SETTINGS[name].default if name in SETTINGS else ""


def remember(engine: DockerEngine, settings: Settings) -> None:
    """Save what `up` has just made, in addition to what it decided."""
    made = {}
    for container in engine.containers(settings.project):
        if container.service in (MASTER, WORKER) and not container.oneoff and container.service not in made:
            made[container.service] = {
                "config_hash": container.config_hash,
                "settings": facts(engine.inspect(container.id) or {}),
            }
    state.note(state.path_of(settings.root, settings.project), made=made)


def differences(
    engine: DockerEngine, containers: Iterable[ListedContainer], settings: Settings
) -> tuple[Difference, ...]:
    """Return the differences from what `up` made. Only containers with another configuration hash are inspected.

    Raises:
        EngineError: Docker does not answer.

    """
    made = state.recall(settings).get("made") or {}
    compared = [container for container in containers if container.service in made and not container.oneoff]
    found: dict[tuple[str, str, str], list[str]] = {}
    for container in compared:
        decided = made[container.service]
        if container.config_hash == decided["config_hash"]:
            continue
        has = facts(engine.inspect(container.id) or {})
        for name, text in decided["settings"].items():
            if not _is_same(name, has.get(name, text), text):
                found.setdefault((name, has[name], text), []).append(container.name)
    having = {name: sum(name in made[container.service]["settings"] for container in compared) for name, _, _ in found}
    return tuple(
        Difference(
            *(name, now, text, () if len(having_it) == having[name] else tuple(having_it)),
            is_default=_is_same(name, now, _default(settings, name)),
        )
        for (name, now, text), having_it in found.items()
    )


def seen(settings: Settings, environ: Mapping[str, str]) -> tuple[Difference, ...]:
    """Return the same for a view: nothing in a Swarm, and nothing if Docker does not answer."""
    if deployment.is_swarm(settings):
        return ()
    try:
        engine = DockerEngine(find_socket(environ))
        return differences(engine, engine.containers(settings.project), settings)
    except EngineError:
        return ()


def refuse(found: Sequence[Difference], settings: Settings) -> None:
    """Refuse a stack that differs from what `up` made.

    Raises:
        StackError: there are differences. The message names them.

    """
    if found:
        more = f"; and {len(found) - _MOST_LINES} more" if len(found) > _MOST_LINES else ""
        lines = "; ".join(difference.text for difference in found[:_MOST_LINES])
        raise StackError(
            f"the stack {settings.project!r} was made by another command than `up`: {lines}{more}",
            fix=f"make up{settings.project_word}",
        )


def check(settings: Settings, environ: Mapping[str, str]) -> str:
    """Refuse a stack that a run would mistake for the stack of `up`. Refuse nothing if Docker does not answer.

    Return a note about a stack without an `up`, "" otherwise.

    Raises:
        StackError: the stack belongs to another checkout, does not run, or differs, or another stack has its port.

    """
    if deployment.is_swarm(settings):
        return ""
    try:
        engine = DockerEngine(find_socket(environ))
        every = engine.containers()
    except EngineError:
        return ""
    ours = [container for container in every if container.project == settings.project]
    workspace.refuse_foreign(ours, settings)
    refuse(differences(engine, ours, settings), settings)
    masters = [container.state for container in ours if container.service == MASTER and not container.oneoff]
    if (is_known(settings) or masters) and "restarting" not in masters:
        workspace.running_stack(engine, settings)
    others = [container for container in every if container.project not in ("", settings.project)]
    if other := ports.container_on(settings.web_port, others):
        raise StackError(
            f"port {settings.web_port} belongs to the stack {other.project!r}, not to {settings.project!r}",
            fix=f"make up{settings.project_word} WEB_PORT=<a free port>",
        )
    master = next((container for container in ours if container.service == MASTER), None)
    if is_known(settings) or master is None:
        return ""
    has = facts(engine.inspect(master.id) or {})
    words = (f"{name} {has[name] or 'of the User classes'}" for name in ("LOCUSTFILE", "LOCUSTFILES_DIR", "HOST"))
    return f"the stack {settings.project!r} was not made by `make up` of this checkout: {', '.join(words)}"


def is_known(settings: Settings) -> bool:
    """Return whether an `up` of this checkout made the stack."""
    return bool(state.recall(settings).get("decided"))
