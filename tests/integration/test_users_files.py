"""What a user brings: locustfiles as pasted, packages, data beside them, shapes, requirements, settings; unchanged."""

import json
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import PREFIX
from tests.integration.stacks import USERS_FILES, Stack, docker, log_of, until

SHOP = USERS_FILES / "shop"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside this repository, as most users' is."""
    target = tmp_path_factory.mktemp("elsewhere") / "shop"
    shutil.copytree(SHOP, target)
    target.chmod(0o755)
    return target


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """The network of another project, which outlives the stack."""
    name = f"{PREFIX}users-files-target"
    docker("network", "rm", name, check=False)
    docker("network", "create", name)
    yield name
    docker("network", "rm", name)


@pytest.fixture(scope="module")
def mine(network: str, stack: Stack, folder: Path) -> Stack:
    """A stack on the user's own folder; one worker is enough."""
    assert network
    stack.settings |= {"LOCUSTFILES_DIR": str(folder), "WORKERS": "1"}
    return stack


def names(stack: Stack) -> set[str]:
    """The request names that the master has statistics of."""
    return {row["name"] for row in stack.web("/stats/requests")["stats"]} - {"Aggregated"}


def test_siblings_data_files_and_the_env_file_beside_the_locustfile_are_there(mine: Stack, network: str) -> None:
    mine.up(f"TARGET_NETWORK={network}")
    assert mine.kit("run", "USERS=1", "SPAWN_RATE=1", "RUN_TIME=6s").returncode == 0
    assert names(mine) == {"health of corner"}


def test_a_container_in_the_targets_network_reaches_the_workers_alone(mine: Stack, network: str) -> None:
    members = set(json.loads(docker("network", "inspect", network))[0]["Containers"])
    assert members == set(mine.containers("locust-worker"))
    (master,) = mine.inspect("locust-master")
    addresses = [own["IPAddress"] for own in master["NetworkSettings"]["Networks"].values()]
    names = [master["Name"].lstrip("/"), master["Config"]["Hostname"], "locust-master", *addresses]
    places = [(name, port) for name in names for port in (8089, 5557)]
    code = (
        "import socket, sys\nfor place in eval(sys.argv[1]):\n"
        "  try: socket.create_connection(place, 1); print('reached', *place)\n  except OSError: pass\n"
        "print('tried', socket.gethostbyname('locust-worker') != '')"
    )
    image = ("--entrypoint", "python3", "locust-kit/locust:local", "-c", code, repr(places))
    assert docker("run", "--rm", "--network", network, *image) == "tried True"


def test_a_package_with_relative_imports_is_one_locustfile(mine: Stack) -> None:
    mine.up("LOCUSTFILE=shop")
    assert mine.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=6s").returncode == 0
    assert names(mine) == {"look", "read"}


def refuses_other_targets(stack: Stack) -> None:
    """Try to load other hosts on a stack with ALLOWED_TARGETS=staging.example: by `run`, `try` and Locust's page."""
    before = stack.newest_run()
    seen = (
        "the target other.invalid:80 is not in ALLOWED_TARGETS (HOST, command line); expected: one of staging.example"
    )
    for verb in ("run", "try"):
        list_of_try = ("LOCUSTFILE=shop", "ALLOWED_TARGETS=staging.example") if verb == "try" else ()
        refused = stack.kit(verb, "HOST=http://ann:pw@other.invalid", *list_of_try)
        assert (refused.returncode, refused.stderr.count(f"kit {verb}: {seen} → set HOST")) == (2, 1), refused.stderr
    form = urllib.parse.urlencode({"user_count": 1, "spawn_rate": 1, "host": "http://mock-target@locust-master:8089"})
    page = f"http://127.0.0.1:{stack.web_port}/swarm"
    with urllib.request.urlopen(page, form.encode(), timeout=30) as answer:
        document = json.load(answer)
    assert not document["success"]
    assert "the host of the run is locust-master:8089, which is not in ALLOWED_TARGETS" in document["message"]
    assert stack.newest_run() == before
    assert "keeps Locust's default" not in log_of(stack.containers("locust-worker")[0])


def test_classes_and_tags_choose_and_only_allowed_targets_are_loaded(mine: Stack) -> None:
    mine.up("LOCUSTFILE=shop", "CLASSES=Looker", "ALLOWED_TARGETS=staging.example")
    assert mine.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=6s").returncode == 0  # the mock target needs no entry
    assert names(mine) == {"look"}
    refuses_other_targets(mine)
    mine.up("LOCUSTFILE=locustfile.py,shop", "CLASSES=Buyer,Reader", "TAGS=read")
    done = mine.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=6s")
    assert "read" in names(mine), done.stdout + done.stderr
    assert "look" not in names(mine)


def newest(stack: Stack) -> Any:
    """The report of the last run."""
    path = max(stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(path.read_text())


def test_a_shape_runs_to_its_own_end_and_refuses_users(mine: Stack) -> None:
    assert "Walker, Rare, Admin, shape Short (or SHAPE=Asked, none)" in mine.up("LOCUSTFILE=shape.py").stdout
    refused = mine.kit("run", "USERS=5")
    assert refused.returncode == 2
    assert "Short" in refused.stderr
    done = mine.kit("run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout


def test_a_shape_that_reads_users_and_time_can_be_chosen_and_gets_them(mine: Stack) -> None:
    done = mine.kit("run", "SHAPE=Asked", "USERS=5", "SPAWN_RATE=5", "RUN_TIME=4s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the shape may read these: 5 users, 5 started per second, for 4 s" in done.stdout
    report = newest(mine)
    asked = {name: report["settings"][name] for name in ("shape_class", "users", "run_time_seconds")}
    assert asked == {"shape_class": "Asked", "users": 5, "run_time_seconds": 4}
    assert report["workers"]["most_users"] == 5
    assert 4 <= report["duration_seconds"] < 9


def test_classes_without_a_user_are_named_before_and_after_a_run(mine: Stack) -> None:
    done = mine.kit("run", "SHAPE=none", "USERS=3", "SPAWN_RATE=3", "RUN_TIME=4s")
    assert "note: of 3 users, Rare gets no user" in done.stdout + done.stderr
    report = newest(mine)
    assert report["users_by_class"] == {"Walker": 1, "Rare": 0, "Admin": 2}, report["reasons"]
    assert "no user of Rare was running; fixed_count comes first (Admin 2)" in report["reasons"]
    refused = mine.kit("run", "SHAPE=none", "CLASSES=Admin", "USERS=3")
    assert refused.returncode == 2
    assert "every class has a fixed_count (Admin 2)" in refused.stderr


def test_a_locustfile_may_write_beside_itself_and_the_users_folder_stays_clean(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "seedlike"
    shutil.copytree(USERS_FILES / "seedlike", folder)
    stack.up(f"LOCUSTFILES_DIR={folder}", "LOCUSTFILE=failure_csv.py", "WORKERS=1")
    done = stack.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=6s", f"LOCUSTFILES_DIR={folder}")
    assert done.returncode == 1, done.stdout + done.stderr
    (worker,) = stack.containers("locust-worker")
    rows = docker("exec", worker, "cat", "/home/locust/run/failure_analysis.csv").splitlines()
    assert len(rows) > 2
    assert "503" in rows[1]
    assert sorted(path.name for path in folder.iterdir()) == ["failure_csv.py", "removed_event.py"]


def test_an_event_that_locust_removed_is_named_with_line_and_replacement(fresh_stack: Stack) -> None:
    folder = USERS_FILES / "seedlike"
    done = fresh_stack.kit("up", f"LOCUSTFILES_DIR={folder}", "LOCUSTFILE=removed_event.py")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "removed_event.py" in line
    assert "6" in line
    assert "request_failure" in line
    assert "events.request" in line
    assert fresh_stack.containers() == []


def test_a_requirements_file_beside_the_locustfile_is_installed(mine: Stack, folder: Path) -> None:
    right = "7a974427f6e119197f670fbbbeae7bef749a6c14e793db934baefc1b5f03efde"
    (folder / "uses.py").write_text(
        "import tomlkit\nfrom locust import HttpUser, constant, task\n"
        "class Toml(HttpUser):\n    host = 'http://mock-target:8080'\n    wait_time = constant(0.2)\n"
        "    @task\n    def get(self):\n        self.client.get('/api/health', name=tomlkit.__version__)\n"
    )
    (folder / "requirements.txt").write_text(f"tomlkit==0.13.2 --hash=sha256:{'0' * 64}\n")
    refused = mine.kit("up", "LOCUSTFILE=uses.py")
    assert refused.returncode == 2
    assert "requires tomlkit==0.13.2, but the file on the package index does not have the hash" in refused.stderr
    (folder / "requirements.txt").write_text(f"tomlkit==0.13.2 --hash=sha256:{right}\n")
    assert "has no hashes" not in mine.up("LOCUSTFILE=uses.py").stdout
    assert mine.kit("run", "USERS=1", "SPAWN_RATE=1", "RUN_TIME=6s").returncode == 0
    assert names(mine) == {"0.13.2"}
    image = mine.inspect("locust-worker")[0]["Config"]["Image"]
    mine.kit("down")
    docker("image", "rm", image, check=False)
    (folder / "requirements.txt").unlink()


def test_a_file_that_asks_while_it_is_imported_runs_behind_its_own_login(mine: Stack, tmp_path: Path) -> None:
    shutil.copytree(USERS_FILES / "guarded", tmp_path / "guarded")
    (tmp_path / "guarded/.env").write_text("LOCUST_WEB_LOGIN=1\nFLASK_SECRET_KEY=abc\n")
    tmp_path.chmod(0o755)
    where = f"LOCUSTFILES_DIR={tmp_path / 'guarded'}"
    mine.up(where)
    done = mine.kit("run", where, "USERS=1", "RUN_TIME=6s")
    assert "asks for a login" in done.stderr, done.stdout + done.stderr
    assert "LOCUST_WEB_USERNAME" in done.stderr.partition("→")[2]
    refused = mine.kit("run", where, "USERS=1", "LOCUST_WEB_USERNAME=ann", "LOCUST_WEB_PASSWORD=open")
    assert "refuses the login" in refused.stderr
    done = mine.kit("run", where, "USERS=1", "RUN_TIME=8s", "LOCUST_WEB_USERNAME=ann", "LOCUST_WEB_PASSWORD=sesame")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "GET /api/health" in done.stdout
    mine.kit("down")


def test_try_prints_each_request_of_one_pass(mine: Stack) -> None:
    done = mine.kit("try", "LOCUSTFILE=shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Looker.look" in done.stdout
    assert "2 requests, 0 failed" in done.stdout
    left = docker(
        "ps",
        "-aq",
        "--filter",
        f"label=com.docker.compose.project={mine.project}",
        "--filter",
        "label=com.docker.compose.oneoff=True",
    )
    assert left == ""


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)],
    ids=["ended", "killed", "Ctrl-C"],
)
def test_a_try_that_is_ended_from_outside_leaves_no_container(fresh_stack: Stack, folder: Path, number: int) -> None:
    (folder / "hangs.py").write_text(
        "import time\nfrom locust import HttpUser, task\nclass Waits(HttpUser):\n    @task\n    def wait(self):\n"
        "        time.sleep(300)\n"
    )
    words = (f"LOCUSTFILES_DIR={folder}", "LOCUSTFILE=hangs.py", "MOCK=1")
    with subprocess.Popen(
        fresh_stack.command("try", *words), env=fresh_stack.environ(), stdout=subprocess.PIPE, text=True
    ) as trying:
        assert trying.stdout is not None
        assert any("Waits.wait" in line for line in trying.stdout)
        trying.send_signal(number)
    of_project = f"label=com.docker.compose.project={fresh_stack.project}"
    left = [("ps", "-aq"), ("network", "ls", "-q")]
    until(
        lambda: not any(docker(*words, "--filter", of_project) for words in left),
        20,
        "its containers and its network to be gone",
    )


def test_the_snapshot_of_a_run_on_the_volume_has_an_end_marker(mine: Stack) -> None:
    mine.up()
    mine.kit("run", "USERS=1", "SPAWN_RATE=1", "RUN_TIME=6s")
    run_id = mine.web("/locust-kit/status")["run"]["run_id"]
    (master,) = mine.containers("locust-master")
    end = json.loads(docker("exec", master, "cat", f"/var/lib/locust-kit/runs/{run_id}/end.json"))
    assert end["state"] == "stopped"
    assert end["requests"] > 0
