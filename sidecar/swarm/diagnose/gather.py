"""Ask the manager, the master, and every node's sidecar at the node's own address."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sidecar.cluster.peer_client import PeerClient, PeerError
from sidecar.common.errors import EngineError, KitError, StackError
from sidecar.diagnose.gather.config import up_words
from sidecar.engine.host_client import connect
from sidecar.engine.swarm_manager import MASTER, Manager, NodeFacts, SwarmState
from sidecar.locust_api.connection import MasterError, MasterGuardedError
from sidecar.settings import Settings
from sidecar.stack import secrets, workspace
from sidecar.swarm.diagnose.evidence import ClusterEvidence, NodeSeen

_ASKERS = 16
_PEER_SECONDS = 4.0


def gather(settings: Settings, environ: Mapping[str, str]) -> ClusterEvidence:
    """Learn what can be learnt; never raises for what does not answer."""
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
        return None, "no master runs"
    try:
        return workspace.web_for(settings).worker_count(), ""
    except MasterGuardedError:
        return None, "its web API asks for a login"
    except (MasterError, KitError, KeyError, ValueError) as error:
        return None, str(error)


def _nodes(settings: Settings, nodes: Sequence[NodeFacts]) -> tuple[NodeSeen, ...]:
    path = secrets.path_of(settings, "CLUSTER_TOKEN")
    token = path.read_text(encoding="utf-8") if path.exists() else ""

    def ask(node: NodeFacts) -> NodeSeen:
        client = PeerClient(node.address, settings.monitor_port, token, "", _PEER_SECONDS)
        try:
            word = client.report(None)
        except PeerError as error:
            return NodeSeen(node.name, node.address, str(error))
        finally:
            client.close()
        master_error = word.reach.error if word.reach else None
        return NodeSeen(node.name, node.address, "", master_error, bool(word.snapshot.leads))

    with ThreadPoolExecutor(_ASKERS) as pool:
        return tuple(pool.map(ask, nodes))
