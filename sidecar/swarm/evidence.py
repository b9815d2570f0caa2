"""Gather the evidence of a stack on a Swarm from the manager, the master and every node's monitor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.client.reader import MonitorError
from sidecar.cluster.peer_client import PeerClient
from sidecar.common.errors import EngineError, KitError, StackError
from sidecar.diagnose.gather.config import up_words
from sidecar.engine.docker_engine import connect
from sidecar.engine.swarm_manager import Manager, NodeFacts, SwarmState
from sidecar.locust_api.connection import MasterError, MasterGuardedError
from sidecar.model.cluster import NodeReport
from sidecar.model.snapshot import MASTER
from sidecar.settings import Settings
from sidecar.stack import secrets, workspace

_ASKERS = 16
_PEER_SECONDS = 4.0
_FRESH_SECONDS, _POLL_SECONDS = 10.0, 0.5  # a node tries the master again within four seconds
_NO_STATE = SwarmState((), (), ())


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """The answer of a node's own monitor, asked at the node's address and not over the overlay network.

    `error` is why it gave no report. `master_error` is why the node could not reach the master's port over the overlay
    network; None if it could, or if nobody tried.
    """

    node: str
    address: str
    error: str = ""
    master_error: str | None = None
    leads: bool = False


@dataclass(frozen=True, slots=True)
class ClusterEvidence:
    """All evidence of a Swarm and the stack on it.

    `refused` is why the manager could not be asked, with `refused_fix`; `fleet` is empty then. `registered` is how many
    workers the master counts. It is None if the master did not answer, and `master_answer` is the reason. `wanted` is
    the expected number of workers. `up_words` repeat the last swarm-up.
    """

    project: str
    at: datetime
    seconds: float
    wanted: int
    up_words: tuple[str, ...] = ()
    refused: str = ""
    refused_fix: str = ""
    fleet: SwarmState = _NO_STATE
    nodes: tuple[NodeSeen, ...] = ()
    registered: int | None = None
    master_answer: str = ""


def gather(settings: Settings, environ: Mapping[str, str]) -> ClusterEvidence:
    """Ask all of them. A missing answer is a gap in the evidence, not an error."""
    began, at = time.monotonic(), datetime.now(UTC)
    wanted = workspace.expected_workers(settings)
    words = tuple(up_words(settings))
    try:
        manager = Manager(connect(environ))
        manager.check()
        fleet = manager.fleet(settings.project)
    except (StackError, EngineError) as error:
        return ClusterEvidence(
            settings.project, at, time.monotonic() - began, wanted, words, error.what, error.fix or "make setup"
        )
    registered, answer = _registered(settings, fleet)
    return ClusterEvidence(
        project=settings.project,
        at=at,
        wanted=wanted,
        up_words=words,
        fleet=fleet,
        nodes=_nodes(settings, [node for node in fleet.nodes if node.state == "ready" and node.availability != "drain"])
        if fleet.services
        else (),
        registered=registered,
        master_answer=answer,
        seconds=time.monotonic() - began,
    )


def _registered(settings: Settings, fleet: SwarmState) -> tuple[int | None, str]:
    if fleet.home(MASTER) is None:
        return None, "no master is running"
    try:
        return workspace.web_for(settings).worker_count(), ""
    except MasterGuardedError:
        return None, "the master's web API asks for a login"
    except (MasterError, KitError, KeyError, ValueError) as error:
        return None, str(error)


def _nodes(settings: Settings, nodes: Sequence[NodeFacts]) -> tuple[NodeSeen, ...]:
    token = secrets.read(settings, "CLUSTER_TOKEN")

    def ask(node: NodeFacts) -> NodeSeen:
        client = PeerClient(node.address, settings.monitor_port, token, "", _PEER_SECONDS)
        try:
            report = _with_fresh_reach(client)
        except MonitorError as error:
            return NodeSeen(node.name, node.address, str(error))
        finally:
            client.close()
        master_error = report.reach.error if report.reach else None
        return NodeSeen(node.name, node.address, "", master_error, bool(report.snapshot.leads))

    with ThreadPoolExecutor(_ASKERS) as pool:
        return tuple(pool.map(ask, nodes))


def _with_fresh_reach(client: PeerClient) -> NodeReport:
    """Ask a node for its report. A failure to reach the master counts only if the node tried after the question.

    In an earlier attempt, the master may not have been up yet.

    Raises:
        MonitorError: the node gave no report.
    """
    first = report = client.report(None)
    deadline = time.monotonic() + _FRESH_SECONDS
    while report.reach and report.reach.error and report.reach.at < first.at and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        report = client.report(None)
    return report
