"""Where the kernel's counters are: on every layout of the tree that Docker makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.engine.cgroups import Cgroups, ContainerCounter
from tests.fakes.fake_tree import FakeTree, container_id

ID, OTHER = container_id(1), container_id(2)
V1_LAYOUTS = ("docker/{}", "system.slice/docker-{}.scope", "ci/jobs/{}", "my.slice/my-ci.slice/docker-{}.scope")
V2_LAYOUTS = (
    *V1_LAYOUTS,
    "user.slice/user-1000.slice/user@1000.service/user.slice/docker-{}.scope",
    "user.slice/user-1000.slice/user@1000.service/app.slice/docker.service/{}",
)
LAYOUTS = [(1, layout) for layout in V1_LAYOUTS] + [(2, layout) for layout in V2_LAYOUTS]


def opened(cgroups: Cgroups, wanted: str = ID) -> ContainerCounter:
    cgroups.scan([wanted])
    counter = cgroups.open(wanted)
    assert counter is not None
    return counter


def kills(counter: ContainerCounter) -> int:
    found = counter.read()
    assert found is not None
    return found.kills


@pytest.mark.parametrize(("version", "layout"), LAYOUTS)
def test_a_counter_is_found_in_every_layout(tmp_path: Path, version: int, layout: str) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.group(layout.format(ID), 5)
    assert kills(opened(tree.cgroups())) == 5


@pytest.mark.parametrize(
    ("version", "layout"), [(1, V1_LAYOUTS[0]), (1, V1_LAYOUTS[1]), (2, V2_LAYOUTS[0]), (2, V2_LAYOUTS[1])]
)
def test_the_usual_layouts_need_no_scan(tmp_path: Path, version: int, layout: str) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.group(layout.format(ID))
    assert tree.cgroups().open(ID) is not None


@pytest.mark.parametrize(("version", "layout"), LAYOUTS)
def test_where_one_container_was_found_the_next_is_looked_for(tmp_path: Path, version: int, layout: str) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.group(layout.format(ID))
    cgroups = tree.cgroups()
    opened(cgroups)
    tree.group(layout.format(OTHER), 2)
    counter = cgroups.open(OTHER)
    assert counter is not None
    assert kills(counter) == 2


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("experiment", "expected"), [("b", 3), ("e3_20_parallel", 20)])
def test_what_the_kernel_wrote_is_read_as_kills_and_not_as_limit_hits(
    tmp_path: Path, version: int, experiment: str, expected: int
) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.recorded(f"docker/{ID}", experiment)
    assert kills(opened(tree.cgroups())) == expected


def test_a_hybrid_host_is_v1(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path / "cgroup", 1, hybrid=True)
    tree.group(f"docker/{ID}", 4)
    cgroups = tree.cgroups()
    assert cgroups.version == 1
    assert kills(opened(cgroups)) == 4


def test_under_v1_groups_inside_a_container_are_added(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path / "cgroup", 1)
    tree.group(f"docker/{ID}", 1)
    counter = opened(tree.cgroups())
    tree.group(f"docker/{ID}/docker", 0)
    tree.group(f"docker/{ID}/docker/{OTHER}", 3)
    assert kills(counter) == 4


def test_under_v1_the_kills_of_a_group_inside_outlive_it(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path / "cgroup", 1)
    tree.group(f"docker/{ID}", 1)
    tree.group(f"docker/{ID}/inner", 3)
    counter = opened(tree.cgroups())
    assert kills(counter) == 4
    tree.remove(f"docker/{ID}/inner")
    assert kills(counter) == 4
    tree.group(f"docker/{ID}/inner", 2)
    assert kills(counter) == 6


def test_under_v2_groups_inside_are_in_the_count_already(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path / "cgroup", 2)
    tree.group(f"system.slice/docker-{ID}.scope", 4, own=1)
    tree.group(f"system.slice/docker-{ID}.scope/inner", 3)
    assert kills(opened(tree.cgroups())) == 4


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_that_is_gone_has_no_count(tmp_path: Path, version: int) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.group(f"docker/{ID}", 1)
    counter = opened(tree.cgroups())
    tree.remove(f"docker/{ID}")
    assert counter.read() is None


@pytest.mark.parametrize("wanted", ["../../etc", "", "a" * 63, ID.replace("0", "A")])
def test_only_a_full_id_is_looked_for(tmp_path: Path, wanted: str) -> None:
    tree = FakeTree(tmp_path / "cgroup", 1)
    tree.group(f"docker/{wanted or 'x'}")
    assert tree.cgroups().open(wanted) is None


def test_a_host_without_a_tree_has_no_counters(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path / "nothing")
    cgroups.scan([ID])
    assert (cgroups.version, cgroups.open(ID), cgroups.present(), cgroups.elsewhere(())) == (None, None, set(), {})


@pytest.mark.parametrize("version", [1, 2])
def test_those_present_are_named(tmp_path: Path, version: int) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.group(f"docker/{ID}")
    tree.group(f"system.slice/docker-{OTHER}.scope")
    tree.group("system.slice/cron.service")
    assert tree.cgroups().present() == {ID, OTHER}


@pytest.mark.parametrize("version", [1, 2])
def test_kills_elsewhere_are_those_outside_of_containers(tmp_path: Path, version: int) -> None:
    tree = FakeTree(tmp_path / "cgroup", version)
    tree.group("system.slice/cron.service", 2)
    tree.group(f"kubepods/pod1/{OTHER}", 7)
    tree.group("user.slice", 1, own=0)
    tracked = tree.group(f"ci/{ID}", 3)
    tree.group(f"ci/{ID}/inner", 9)
    tree.group(f"docker/{container_id(3)}", 5)
    found = tree.cgroups().elsewhere({tracked})
    own = {} if version == 2 else {"user.slice": 1}
    assert found == {"/": 0, "system.slice/cron.service": 2, f"kubepods/pod1/{OTHER}": 7, **own}
