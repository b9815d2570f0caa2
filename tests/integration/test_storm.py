"""Real OOM kills, hundreds of them, while the sidecar itself is shot at: it must know each one, once."""

from collections.abc import Iterator

import pytest

from tests.integration.stacks import Stack, until
from tests.integration.storm.account import account
from tests.integration.storm.battle import FULL, SHORT, Battle, Waves
from tests.integration.storm.host import sigkill
from tests.integration.storm.judgement import Judgement, table
from tests.integration.storm.victims import Ward

pytestmark = pytest.mark.kills


@pytest.fixture(scope="module")
def watching(stack: Stack) -> Stack:
    """A stack whose sidecar answers."""
    stack.up("WORKERS=1", "MOCK=1")
    until(lambda: account(stack.monitor_port), 60, "the sidecar's account")
    return stack


@pytest.fixture
def ward(watching: Stack) -> Iterator[Ward]:
    """Where this test's victims are."""
    own = Ward(watching.project)
    own.remove()
    yield own
    own.remove()


def storm(stack: Stack, ward: Ward, waves: Waves) -> Judgement:
    """A storm in which the sidecar is killed after the first wave and the proxy after the second."""
    (monitor,) = stack.containers("monitor")
    (proxy,) = stack.containers("docker-proxy")
    battle = Battle(ward)
    battle.fight(waves, (lambda: sigkill(monitor), lambda: sigkill(proxy)))
    judgement = battle.judged(stack.monitor_port)
    print(table(judgement))
    for service in ("monitor", "docker-proxy"):
        assert stack.inspect(service)[0]["RestartCount"] >= 1, f"{service} was never down"
    return judgement


def test_every_kill_of_a_short_storm_is_on_its_container(watching: Stack, ward: Ward) -> None:
    judgement = storm(watching, ward, SHORT)
    assert judgement.happened >= 40
    assert not judgement.problems, table(judgement)


@pytest.mark.long
def test_every_kill_of_a_full_storm_is_on_its_container(watching: Stack, ward: Ward) -> None:
    judgement = storm(watching, ward, FULL)
    assert judgement.happened >= 200
    assert len(judgement.rows) >= 10
    assert not judgement.problems, table(judgement)


def test_four_children_that_fight_four_times_are_sixteen_kills(watching: Stack, ward: Ward) -> None:
    fight = SHORT[0][3]
    battle = Battle(ward)
    battle.wave((fight,))
    battle.over()
    (row,) = battle.judged(watching.monitor_port).rows
    assert (row.truth.most, row.counted) == (16, 16)


def test_while_the_sidecar_was_down_it_says_that_it_was_blind(watching: Stack) -> None:
    (monitor,) = watching.containers("monitor")
    sigkill(monitor)

    def spans() -> int:
        said = account(watching.monitor_port)
        return len([one for one in said.of_kind("blind") if one.until_ns]) if said else 0

    until(spans, 60, "the sidecar to say when it was blind")
