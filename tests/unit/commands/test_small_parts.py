"""What is too small for a file of its own: banner, state, reports, the proxy's user, foreign checkouts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sidecar.commands import reports, summary
from sidecar.commands.up import banner
from sidecar.common.errors import KitError, StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.settings import load
from sidecar.stack import proxy_user, state, workspace


def test_the_banner_names_each_page_and_three_commands(tmp_path: Path) -> None:
    text = "\n".join(banner(load(["WORKERS=1"], {}, tmp_path), "http://t", "http://127.0.0.1:8089/", 3.21, {}))
    assert "Ready in 3.2 s: stack 'locust', 1 worker, target http://t" in text
    assert "http://127.0.0.1:8089/" in text
    assert "http://127.0.0.1:8090/" in text
    assert text.count("  make ") == 3
    assert "ssh" not in text


def test_over_ssh_the_banner_names_the_tunnel(tmp_path: Path) -> None:
    environ = {"SSH_CONNECTION": "10.0.0.1 5555 10.0.0.2 2222", "USER": "joe"}
    text = "\n".join(banner(load(["PROJECT=b", "WEB_PORT=9000"], {}, tmp_path), "t", "u", 1, environ))
    assert "ssh -p 2222 -L 9000:127.0.0.1:9000 -L 9001:127.0.0.1:9001 joe@10.0.0.2" in text
    assert "make reload PROJECT=b" in text


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


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "user"),
    [
        (0, 105, 0o660, "65534:105"),
        (0, 0, 0o660, "65534:0"),
        (0, 0, 0o600, "0:0"),
        (1000, 1000, 0o600, "1000:1000"),
        (0, 0, 0o666, "65534:65534"),
        (0, 105, 0o640, "0:105"),
    ],
)
def test_the_proxy_gets_the_least_user_that_opens_the_socket(uid: int, gid: int, mode: int, user: str) -> None:
    assert proxy_user.choose(uid, gid, mode) == user


def test_the_proxys_user_is_found_once_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def inside(image: str) -> tuple[int, int, int]:
        asked.append(image)
        return 0, 7, 0o660

    monkeypatch.setattr(proxy_user, "_inside", inside)
    socket, cache = tmp_path / "sock", tmp_path / "cache.json"
    socket.touch()
    assert [proxy_user.find(cache, socket, "image", "id") for _ in range(3)] == ["65534:7"] * 3
    assert len(asked) == 1
    socket.chmod(0o600)
    proxy_user.find(cache, socket, "image", "id")
    assert len(asked) == 2


def test_a_second_report_of_a_run_gets_a_number(tmp_path: Path) -> None:
    assert [reports.new_folder(tmp_path, "r").name for _ in range(3)] == ["r", "r-2", "r-3"]


def test_a_reports_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KitError, match=r"REPORTS_DIR .* cannot be written"):
        reports.new_folder(tmp_path / "file" / "x", "r")


def test_reports_are_listed_oldest_first_and_broken_ones_left_out(tmp_path: Path) -> None:
    for name, at in (("b", "2026-01-02"), ("a", "2026-01-03")):
        reports.save(
            reports.new_folder(tmp_path, name), {"started_at": at, "verdict": "PASS", "figures": {"requests": 5}}, []
        )
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "report.json").write_text("{")
    found = reports.all_runs(tmp_path)
    assert [folder.name for folder, _ in found] == ["b", "a"]
    assert [line.split()[0] for line in reports.table([reports.ReportRow.of(one) for one in found])] == [
        "RUN",
        "b",
        "a",
    ]


def test_reports_made_under_sudo_belong_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: owners.update({Path(path).name: (uid, gid)}))
    reports.hand_over([tmp_path / "run.json"], {"SUDO_UID": "1000", "SUDO_GID": "1001"})
    reports.hand_over([tmp_path / "other"], {})
    assert owners == {"run.json": (1000, 1001)}


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


def test_several_processes_a_worker_are_counted(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOCUST_PROCESSES=3\n")
    assert workspace.expected_workers(load(["WORKERS=2"], {}, tmp_path)) == 6
    assert workspace.expected_workers(load(["WORKERS=2"], {}, tmp_path / "none")) == 2


def test_the_table_keeps_to_its_width_and_says_what_it_leaves_out() -> None:
    row = {
        "method": "GET",
        "num_requests": 10,
        "num_failures": 1,
        "total_rps": 1.5,
        "median_response_time": 3,
        "response_time_percentile_0.95": 4,
        "response_time_percentile_0.99": 5,
        "max_response_time": 6,
    }
    rows = [{**row, "name": f"/{'x' * 90}/{n}"} for n in range(40)]
    document = {"stats": [*rows, {**row, "name": "Aggregated"}]}
    lines = summary.table(document, 80)
    assert max(map(len, lines)) <= 80
    assert "… and 10 more names, in requests.csv" in lines[-2]
    assert lines[-1].startswith("all ")
    assert json.dumps(summary.endpoints(document))
