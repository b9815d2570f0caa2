from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest
from locust import User
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

from sidecar.commands import plan
from sidecar.common.errors import SettingError, StackError
from sidecar.settings import Settings, load


def settings(*args: str) -> Settings:
    return load(list(args), {}, Path("/nowhere"))


def page(**hosts: str) -> dict[str, Any]:
    return {"users": {name: {"host": host} for name, host in hosts.items()}, "available_shape_classes": ["Default"]}


def master(
    page_: dict[str, Any], status: dict[str, Any] | None = None, loaded: dict[str, str] | None = None
) -> plan.MasterInfo:
    return plan.master(status, page_, loaded or {})


def test_a_run_asks_for_users_rate_time_and_host() -> None:
    what = plan.make(settings("USERS=5", "RATE=2.5", "TIME=2m"), master(page(A="http://a")), "")
    assert what.form() == [("host", "http://a"), ("user_count", "5"), ("spawn_rate", "2.5"), ("run_time", "120")]


@pytest.mark.parametrize(
    ("words", "up_host", "own_host", "seen"),
    [
        (("HOST=http://other.example",), "http://ok.example", "", r"other\.example:80 .* \(HOST, command line\)"),
        ((), "http://other.example", "http://ok.example", r"other\.example:80 .* \(HOST, the last `up`\)"),
        ((), "", "http://other.example", r"other\.example:80 .* \(the master's own options\)"),
        ((), "", "", r"b\.example:80 .* \(class B\)"),
        (("CLASSES=A",), "", "", ""),
        (("HOST=http://ok.example",), "http://other.example", "", ""),
        (("ATTACH=1",), "http://other.example", "", ""),
    ],
)
def test_a_run_against_a_host_that_is_not_allowed_is_refused(
    words: tuple[str, ...], up_host: str, own_host: str, seen: str
) -> None:
    about = master(page(A="http://ok.example", B="http://b.example"), status={"settings": {"host": own_host}})
    given = settings("ALLOWED_TARGETS=ok.example", *words)
    with pytest.raises(SettingError, match=seen) if seen else nullcontext():
        plan.make(given, about, up_host)


def test_a_run_without_end_sends_no_time() -> None:
    form = dict(plan.make(settings("RUN_TIME=0"), master(page(A="http://a")), "").form())
    assert "run_time" not in form


def test_the_host_given_beats_the_one_decided_and_that_the_classes() -> None:
    about = master(page(A="http://a"))
    assert plan.make(settings("HOST=http://new"), about, "http://up").host == "http://new"
    assert plan.make(settings(), about, "http://up").host == "http://up"
    assert plan.make(settings(), about, "").host == "http://a"


def test_classes_with_hosts_of_their_own_keep_them() -> None:
    assert plan.make(settings(), master(page(A="http://a", B="http://b")), "").host == ""


def test_without_a_host_of_its_own_a_run_sends_none_and_the_master_keeps_that_of_its_start() -> None:
    form = dict(plan.make(settings(), master(page(A="http://a", B="http://b")), "").form())
    assert "host" not in form


def test_the_host_that_the_master_was_started_with_is_sent_again_after_another_run_named_one() -> None:
    about = master(page(A="http://other"), status={"settings": {"host": "http://own"}})
    assert plan.make(settings(), about, "").host == "http://own"
    assert plan.make(settings("HOST=http://new"), about, "").host == "http://new"


def test_the_host_as_loaded_is_sent_even_after_another_run_overwrote_it() -> None:
    assert plan.make(settings(), master(page(A="http://other"), loaded={"A": "http://a"}), "").host == "http://a"


def test_overwritten_hosts_are_noticed_when_several_classes_need_their_own() -> None:
    loaded = {"A": "http://a", "B": "http://b"}
    clean, dirty = (
        master(page(A="http://a", B="http://b"), loaded=loaded),
        master(page(A="http://x", B="http://x"), loaded=loaded),
    )
    assert not plan.hosts_overwritten(plan.make(settings(), clean, ""), clean)
    assert plan.hosts_overwritten(plan.make(settings(), dirty, ""), dirty)
    assert not plan.hosts_overwritten(plan.make(settings("HOST=http://y"), dirty, ""), dirty)
    left = master(page(A="http://a", B="http://b") | {"host": "http://of-a-run-that-never-started"}, loaded=loaded)
    assert plan.hosts_overwritten(plan.make(settings(), left, ""), left)


def test_labels_go_with_the_order_to_start() -> None:
    what = plan.make(settings("LABELS=env=staging,team=shop"), master(page(A="http://a")), "")
    assert ("kit_labels", "env=staging team=shop") in what.form()


@pytest.mark.parametrize("word", ["USERS=5", "RATE=2", "RUN_TIME=1m"])
def test_a_load_shape_refuses_what_it_decides_itself(word: str) -> None:
    about = master(page(A="http://a"), {"shape_class": "Steps"})
    with pytest.raises(SettingError, match=r"the load shape Steps decides"):
        plan.make(settings(word), about, "")


def test_a_load_shape_is_asked_for_by_name_only_where_there_is_a_picker() -> None:
    shaped = page(A="http://a") | {"available_shape_classes": ["Default", "Steps"]}
    with_picker = plan.make(settings(), master(shaped | {"show_userclass_picker": True}), "")
    assert with_picker.form() == [("host", "http://a"), ("user_classes", "A"), ("shape_class", "Steps")]
    assert plan.make(settings(), master(shaped), "").form() == [("host", "http://a")]


def shapes(**uses_common_options: bool) -> dict[str, Any]:
    return {"shapes": [{"name": name, "uses_common_options": uses} for name, uses in uses_common_options.items()]}


def test_a_shape_that_reads_users_rate_and_time_is_sent_them_and_another_one_refuses_them() -> None:
    about = master(page(A="http://a"), shapes(UpAndDown=True, Wave=False))
    what = plan.make(settings("USERS=40", "SPAWN_RATE=5", "RUN_TIME=40s"), about, "")
    load_fields = [("user_count", "40"), ("spawn_rate", "5"), ("run_time", "40")]
    assert what.form()[1:] == [("kit_shape", "UpAndDown"), *load_fields]
    assert what.seconds == 0  # the shape decides
    chosen = plan.make(settings("SHAPE=Wave"), about, "")
    assert chosen.form()[1:] == [("kit_shape", "Wave")]
    with pytest.raises(SettingError, match=r"USERS is set, but the load shape Wave decides"):
        plan.make(settings("SHAPE=Wave", "USERS=40"), about, "")
    without = plan.make(settings("SHAPE=none", "USERS=3", "RUN_TIME=9"), about, "")
    assert (without.shape_class, without.seconds) == ("", 9)
    assert without.form()[1:3] == [("kit_shape", "none"), ("user_count", "3")]
    with pytest.raises(SettingError, match=r"SHAPE names 'Walk'.*UpAndDown, Wave, none"):
        plan.make(settings("SHAPE=Walk"), about, "")
    after_none = master(page(A="http://a"), {**shapes(UpAndDown=True), "shape_class": None})
    assert plan.make(settings(), after_none, "").shape_class == "UpAndDown"


def test_a_shape_can_be_chosen_only_where_somebody_sets_it() -> None:
    about = master(page(A="http://a") | {"available_shape_classes": ["Default", "Steps", "Wave"]})
    assert plan.make(settings("SHAPE=Steps"), about, "").shape_class == "Steps"
    with pytest.raises(SettingError, match="no kit plugin"):
        plan.make(settings("SHAPE=Wave"), about, "")


def classes(**takes: tuple[int, float]) -> plan.MasterInfo:
    rows = {name: {"host": "http://a", "fixed_count": of[0], "weight": of[1]} for name, of in takes.items()}
    return master({"users": rows, "available_shape_classes": ["Default"]})


def left_out(about: plan.MasterInfo, *words: str) -> str:
    return plan.left_out(plan.make(settings(*words), about, ""), about)


def test_classes_that_get_no_user_are_named_before_a_run() -> None:
    about = classes(Admin=(6, 1), Rare=(0, 1), Visitor=(0, 3))
    assert left_out(about, "USERS=5") == "of 5 users, Admin gets 5 of its fixed_count 6; Rare, Visitor get no user"
    assert left_out(about, "USERS=7") == "of 7 users, Rare gets no user"
    assert left_out(about, "USERS=10") == ""
    assert left_out(about, "USERS=2", "CLASSES=Visitor") == ""
    assert left_out(master(page(A="http://a")), "USERS=1") == ""


def test_more_users_than_each_fixed_count_allows_are_refused_unless_nobody_asked() -> None:
    about = classes(Admin=(6, 1), Clerk=(1, 1), Visitor=(0, 3))
    with pytest.raises(
        SettingError, match=r"USERS is 10, but every class has a fixed_count \(Admin 6, Clerk 1\).*at most 7"
    ):
        plan.make(settings("USERS=10", "CLASSES=Admin,Clerk"), about, "")
    assert plan.make(settings("USERS=7", "CLASSES=Admin,Clerk"), about, "").users == 7
    assert plan.make(settings("CLASSES=Admin,Clerk"), about, "").users == 7
    assert plan.make(settings("USERS=10"), about, "").users == 10


def test_users_are_handed_out_as_locust_does_it() -> None:
    random = Random(7)  # noqa: S311  the same inputs each time
    for _ in range(60):
        kinds = {
            f"U{number}": (random.choice([0, 0, 0, 1, 4]), random.choice([0, 0.5, 1, 1, 3, 10]))
            for number in range(random.randint(1, 6))
        }
        users = random.randint(1, 30)
        made = [type(name, (User,), {"fixed_count": of[0], "weight": of[1]}) for name, of in kinds.items()]
        dispatcher = UsersDispatcher([WorkerNode("one"), WorkerNode("two")], made)
        dispatcher.new_dispatch(users, 1000)
        expected: Counter[str] = Counter(dict.fromkeys(kinds, 0))
        for dispatched in dispatcher:
            expected = Counter(dict.fromkeys(kinds, 0))
            for of_worker in dispatched.values():
                expected.update(of_worker)
        assert plan._handed_out(users, kinds) == dict(expected), (kinds, users)


def test_users_in_a_file_do_not_stand_in_a_shapes_way(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("USERS=5\n")
    what = plan.make(load([], {}, tmp_path), master(page(A="http://a"), {"shape_class": "Steps"}), "")
    assert (what.seconds, what.sends_load) == (0, False)


def test_a_class_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingError, match=r"CLASSES names 'C'.*some of A, B"):
        plan.make(settings("CLASSES=A,C"), master(page(A="http://a", B="http://a")), "")


def test_every_class_takes_part_although_the_last_run_had_but_one() -> None:
    status = {"user_classes": [{"name": "A", "host": "http://a"}], "class_picker": True}
    about = master(page(A="http://a", B="http://a"), status)
    assert plan.make(settings(), about, "").classes == ("A", "B")


def test_without_a_page_the_plugin_is_believed() -> None:
    about = master({}, {"user_classes": [{"name": "A", "host": None}], "locustfile": {"sha256": "f00"}})
    assert (about.user_classes, about.locustfile_sha256) == ((("A", ""),), "f00")


def test_older_files_are_counted_over_master_and_workers() -> None:
    status = {
        "locustfile": {"changed_on_disk": ["a.py"]},
        "workers": {"w1": {"changed_on_disk": ["b.py", "a.py"]}, "w2": {"changed_on_disk": []}},
    }
    about = master({}, status)
    assert (about.changed_on_disk, about.stale_processes) == (("a.py", "b.py"), 2)


@pytest.mark.parametrize(
    ("words", "picker", "names"),
    [
        ([], False, ()),
        (["TAGS=a,b"], False, ()),
        (["TAGS=b a"], False, ()),
        (["TAGS=a"], False, ("TAGS",)),
        (["TAGS="], False, ("TAGS",)),
        (["CLASSES=X"], False, ("CLASSES",)),
        (["CLASSES=X"], True, ()),
        (["EXCLUDE_TAGS=z"], True, ("EXCLUDE_TAGS",)),
    ],
)
def test_filters_that_the_stack_was_not_started_with_are_found(
    words: list[str],
    picker: bool,  # noqa: FBT001  a parameter of the table
    names: tuple[str, ...],
) -> None:
    status = {"settings": {"tags": "a,b", "classes": "", "exclude_tags": ""}}
    assert plan.filters_to_change(settings(*words), status, class_picker=picker) == names


@pytest.mark.parametrize(
    ("state", "workers", "attach", "said"),
    [
        ("running", 2, False, "ATTACH=1"),
        ("spawning", 2, False, "ATTACH=1"),
        ("stopping", 2, False, "still stopping"),
        ("ready", 0, False, "no worker"),
        ("stopped", 2, True, "no run is active"),
        ("ready", 2, True, "no run is active"),
    ],
)
def test_a_state_in_which_nothing_can_start_is_refused(state: str, workers: int, attach: bool, said: str) -> None:  # noqa: FBT001  a parameter of the table
    with pytest.raises(StackError, match=said):
        plan.refuse_state(state, workers, attach=attach)


@pytest.mark.parametrize(
    ("state", "attach"), [("ready", False), ("stopped", False), ("running", True), ("spawning", True)]
)
def test_a_state_in_which_it_can_is_not(state: str, attach: bool) -> None:  # noqa: FBT001  a parameter of the table
    plan.refuse_state(state, 1, attach=attach)
