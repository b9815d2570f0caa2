"""What a stack's own files remember of it, and whose stack it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.commands import up
from sidecar.common.errors import StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.settings import load
from sidecar.stack import check, state, workspace


def test_what_up_was_told_is_remembered_and_what_lasts_no_longer_than_a_call_is_not(tmp_path: Path) -> None:
    settings = load(["WORKERS=8", "TAGS=a b", "YES=1", "USERS=5", "PROJECT=p", "CLASSES="], {}, tmp_path)
    state.write(state.path_of(tmp_path, "p"), {"choices": state.choices(settings)})
    assert state.remembered(tmp_path, "p") == {"WORKERS": "8", "TAGS": "a b"}
    again = workspace.settings_after_up(["PROJECT=p"], {}, tmp_path)
    assert (again.workers, again.tags, again.given["WORKERS"].source) == (8, ("a", "b"), "the last `up`")
    assert workspace.settings_for_up(["PROJECT=p"], {}, tmp_path).workers == 4


@pytest.mark.parametrize("text", ["", "{", "[]", '{"choices": 3}', '{"choices": {"GONE_SETTING": "1"}}'])
def test_a_state_that_cannot_be_read_is_no_state(text: str, tmp_path: Path) -> None:
    path = state.path_of(tmp_path, "p")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert state.remembered(tmp_path, "p") == {}


def foreign(checkout: Path) -> ListedContainer:
    return ListedContainer("id", "n", "locust", "locust-master", "running", "Up", False, str(checkout), ())  # noqa: FBT003


def test_a_stack_of_another_checkout_is_left_alone(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    theirs.mkdir()
    with pytest.raises(StackError, match=rf"belongs to another checkout.*{theirs}"):
        workspace.refuse_foreign([foreign(theirs)], load([], {}, mine))
    workspace.refuse_foreign([foreign(theirs)], load(["YES=1"], {}, mine))
    workspace.refuse_foreign([foreign(mine)], load([], {}, mine))
    workspace.refuse_foreign([foreign(tmp_path / "moved-away")], load([], {}, mine))


def test_ending_a_stack_needs_nothing_but_its_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROJECT=mine\nWORKRES=2\n")
    found = workspace.settings_of_project_alone([], {}, tmp_path)
    assert (found.project, found.root, found.workers) == ("mine", tmp_path, 4)
    assert workspace.settings_of_project_alone(["PROJECT=x"], {}, tmp_path).project == "x"


def test_the_environment_fills_in_the_env_file_beside_the_locustfile(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / ".env").write_text("LOCUST_HOST=${TARGET}\n")
    settings = load(["LOCUSTFILES_DIR=tests"], {"TARGET": "http://shop.example", "SECRET": "s3cret"}, tmp_path)
    assert workspace.user_env(settings) == {"LOCUST_HOST": "http://shop.example"}
    assert up.decide_target(settings, check.Checked((check.UserClass("Shop", None),))).host == "http://shop.example"
    assert "s3cret" not in repr(settings)


def test_several_processes_a_worker_are_counted(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOCUST_PROCESSES=3\n")
    assert workspace.expected_workers(load(["WORKERS=2"], {}, tmp_path)) == 6
    assert workspace.expected_workers(load(["WORKERS=2"], {}, tmp_path / "none")) == 2
