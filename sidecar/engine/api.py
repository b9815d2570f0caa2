"""What is asked of docker.APIClient, and nothing more; sdk.Client is one. Answers are JSON that nobody has checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]  # an object of the engine: its schema is Docker's
Filters = dict[str, list[str]]
Query = Mapping[str, str | int | None]  # None: left out


class Answer(Protocol):
    """The answer to a GET: requests.Response."""

    @property
    def content(self) -> bytes:
        """The whole body."""

    def close(self) -> None:
        """Let go of the connection."""


class DockerApi(Protocol):
    """The calls that the Docker SDK offers and that are used here."""

    def version(self, api_version: bool) -> object:  # noqa: FBT001  the SDK's own signature
        """GET /version, with the API version in the path or without."""

    def info(self) -> object:
        """GET /info."""

    def containers(self, *, all: bool, filters: Filters | None) -> object:  # noqa: A002  the SDK's own name
        """GET /containers/json: one request. It is DockerClient.containers.list that inspects each, and is not used."""

    def inspect_container(self, container: str) -> object:
        """GET /containers/{id}/json."""

    def top(self, container: str, ps_args: str) -> object:
        """GET /containers/{id}/top."""

    def stats(self, container: str, *, stream: bool, one_shot: bool) -> object:
        """GET /containers/{id}/stats."""

    def exec_create(self, container: str, cmd: Sequence[str]) -> object:
        """POST /containers/{id}/exec."""

    def create_container_from_config(self, config: Json, name: str) -> object:
        """POST /containers/create."""

    def connect_container_to_network(self, container: str, net_id: str) -> object:
        """POST /networks/{id}/connect."""

    def start(self, container: str) -> object:
        """POST /containers/{id}/start."""

    def wait(self, container: str) -> object:
        """POST /containers/{id}/wait."""

    def remove_container(self, container: str, *, v: bool, force: bool) -> object:
        """DELETE /containers/{id}."""

    def inspect_image(self, image: str) -> object:
        """GET /images/{name}/json."""

    def images(self, name: str) -> object:
        """GET /images/json."""

    def prune_images(self, filters: Filters) -> object:
        """POST /images/prune."""

    def networks(self, *, filters: Filters | None) -> object:
        """GET /networks."""

    def inspect_network(self, net_id: str) -> object:
        """GET /networks/{id}."""

    def volumes(self, filters: Filters) -> object:
        """GET /volumes."""

    def services(self, filters: Filters) -> object:
        """GET /services."""

    def tasks(self, filters: Filters) -> object:
        """GET /tasks."""

    def nodes(self) -> object:
        """GET /nodes."""

    # What sdk.Client has beside them, and why, is said there.

    def speak(self, version: str) -> None:
        """Take the API version for all that follows."""

    def answer(self, path: str, query: Query, *, stream: bool = False) -> Answer:
        """GET a log or events."""

    def read_some(self, answer: Any) -> bytes:  # noqa: ANN401  what `answer` returned
        """Return what has come of a stream; b"" at its end."""

    def exec_output(self, exec_id: str) -> bytes:
        """Run what exec_create made."""

    def restart_container(self, container: str) -> None:
        """POST /containers/{id}/restart."""

    def cut(self) -> None:
        """End every call."""

    def close(self) -> None:
        """Close the idle connections."""
