"""A diagnosis to attach to a bug report: one archive without secrets.

All contents are made from evidence that passed the redactor, so only one place can miss a secret. An environment
variable keeps its value only if Locust or the kit reads it. Every other value is masked, and removed from all other
texts, because nobody can know which of these values is a secret.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from sidecar.common import atomic, strict_json
from sidecar.common.errors import KitError
from sidecar.common.redaction import SHORTEST_KNOWN, Redactor, rules
from sidecar.diagnose.evidence import ContainerFacts, Evidence
from sidecar.diagnose.rules.locust_names import LEGACY
from sidecar.model import document
from sidecar.settings import SETTINGS

# Variables of other programs whose values are not secret, and that are needed to understand the evidence.
_PLAIN = frozenset(
    {"PATH", "HOSTNAME", "HOME", "LANG", "LC_ALL", "TZ", "TERM", "PWD", "LOCUSTFILE", "no_proxy", "NO_PROXY"}
)
_PLAIN_PREFIXES = ("LOCUST_", "KIT_", "PYTHON", "DOCKER_HOST")
_LEAST_SECRET = 8  # a shorter value of an unknown variable ("1", "debug") is masked, but not removed from other texts
_OF_URL = re.compile(r"//(?=([^\s/?#@]{1,256})@)[^\s/?#@:]*:?([^\s/?#@]*)@")  # user and password; the password
_URLS_WITH_KEYS = ("PUSH_URL", "HEALTH_URLS")  # any part of their queries may be a key
_QUERY = re.compile(r"[?#]([^\s,]+)")
_READ_ME = """\
The evidence that `scripts/kit diagnose --bundle` collected. These secrets were removed: values of environment variables
that neither Locust nor the kit reads, and credentials in URLs, headers, cookies, JSON and forms. Check the files before
you pass them on.

diagnosis.txt   the findings as text; diagnosis.md for an issue, diagnosis.json as a document
evidence.json   all evidence; `scripts/kit diagnose --from evidence.json` diagnoses it again
logs/           the last lines of each container's log
"""


def is_plain(name: str) -> bool:
    """Return whether a variable's value may be shown: Locust or the kit reads it, and its name is not secret."""
    known = name in _PLAIN or name in SETTINGS or name in LEGACY or name.startswith(_PLAIN_PREFIXES)
    setting = SETTINGS.get(name)
    return known and not rules().is_secret(name) and not (setting and setting.secret)


def for_eyes(evidence: Evidence) -> Evidence:
    """Return the evidence for its owner's terminal, without credentials in any text.

    The words of the last `make up` stay as they are. Otherwise the printed command would not fix anything.
    """
    shown = _cleaned(evidence, _SecretFilter(Redactor(), keep_unknown=True))
    return replace(shown, config=replace(shown.config, up_words=evidence.config.up_words))


def for_others(evidence: Evidence) -> Evidence:
    """Return the evidence as it may be passed to other people."""
    public = frozenset(_public(evidence))
    return _cleaned(evidence, _SecretFilter(Redactor(frozenset(_hidden(evidence, public))), public))


@dataclass(frozen=True, slots=True)
class _SecretFilter:
    """Decides which texts stay: by the redactor's rules. Of unread variables, `public` values or all values stay."""

    redactor: Redactor
    public: frozenset[str] = frozenset()
    keep_unknown: bool = False

    def value(self, name: str, value: str) -> str:
        """Return the value of a variable, masked if necessary."""
        stays = is_plain(name) or value in self.public or (self.keep_unknown and not rules().is_secret(name))
        return self.redactor.value(name, value) if stays or not value else self.redactor.by.mask


def _public(evidence: Evidence) -> Iterator[str]:
    """Yield names and addresses that are everywhere in the evidence, so they are not secret."""
    yield from ("worker", "master", "slave", evidence.project)
    for container in evidence.containers:
        yield from (container.name, container.service, container.image, container.hostname, container.project)
        for at in container.networks:
            yield from (at.network, at.address, *at.aliases)


def _hidden(evidence: Evidence, public: frozenset[str]) -> Iterator[str]:
    """Yield values to remove everywhere: those of secret variables, and longer ones of unread variables."""
    for name, value in _variables(evidence):
        secret = rules().is_secret(name) and len(value) >= SHORTEST_KNOWN
        unread = not is_plain(name) and len(value) >= _LEAST_SECRET and not value.startswith("/")
        if value not in public and (secret or unread):
            yield value
        yield from (part for parts in _OF_URL.findall(value) for part in parts if part and part not in public)
        if name.removeprefix("KIT_") in _URLS_WITH_KEYS:
            yield from (query for query in _QUERY.findall(value) if query not in public)


def _variables(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for container in evidence.containers:
        yield from ((pair.name, pair.value) for pair in container.environment)
    for service in evidence.config.services:
        yield from ((pair.name, pair.value) for pair in service.environment)
    yield from ((line.name, line.value) for line in evidence.config.env_lines)


_NO_VARIABLES = frozenset({"class_hosts", "digests"})


def _cleaned(evidence: Evidence, secrets: _SecretFilter) -> Evidence:
    written = msgspec.to_builtins(evidence, builtin_types=(datetime,))
    return msgspec.convert(_walk(written, secrets, ""), Evidence)


def _walk(value: Any, secrets: _SecretFilter, field: str) -> Any:  # noqa: ANN401  whatever a record is made of
    """Mask every text. Pairs and lines of env files are variables, except pairs that name a class or a worker."""
    match value:
        case str():
            return secrets.redactor.text(value)
        case tuple() if value and all(isinstance(item, str) for item in value):
            return secrets.redactor.words(value)
        case tuple():
            return tuple(_walk(item, secrets, field) for item in value)
        case {"name": str(name), "value": str(text)}:
            shown = secrets.redactor.text(text) if field in _NO_VARIABLES else secrets.value(name, text)
            return {**value, "value": shown}
        case dict():
            return {name: _walk(item, secrets, name) for name, item in value.items()}
    return value


def write(path: Path, evidence: Evidence, texts: Mapping[str, str]) -> None:
    """Write the archive with file mode 0600. `evidence` and `texts` must be without secrets already.

    Raises:
        KitError: the file cannot be written.

    """
    name = path.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz") or "diagnosis"
    try:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for member, text in _members(evidence, texts):
                _add(archive, f"{name}/{member}", text, evidence)
        atomic.write_bytes(path, packed.getvalue())
    except OSError as error:
        raise KitError(f"cannot write the bundle: {error.strerror or error}", where=str(path)) from None


def _members(evidence: Evidence, texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "README.txt", _READ_ME
    yield from texts.items()
    yield "evidence.json", strict_json.dumps(json.loads(document.dumps(evidence)), indent=1, ensure_ascii=False) + "\n"
    for container in evidence.containers:
        if container.log:
            yield f"logs/{container.name}.log", _log(container)


def _log(container: ContainerFacts) -> str:
    lines = (f"{line.at.isoformat() if line.at else '-'} {line.text}" for line in container.log)
    return "\n".join(lines) + "\n"


def _add(archive: tarfile.TarFile, name: str, text: str, evidence: Evidence) -> None:
    body = text.encode()
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = len(body), int(evidence.at.timestamp()), 0o600
    archive.addfile(about, io.BytesIO(body))
