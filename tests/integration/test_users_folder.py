"""The user's folder: any names, links that loop, many files, what lies above it; and what the test writes there."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.integration.stacks import USERS_FILES, Stack, docker


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose names no list divided by colons, commas or blanks could hold."""
    folder = tmp_path_factory.mktemp("elsewhere") / 'it\'s: a, "b" $HOME'
    (folder / "zz_last").mkdir(parents=True)
    (folder / "zz_last" / "part.py").write_text("KNOWN = 1\n")
    (folder / "data: of 'us,ers'").mkdir()
    (folder / "data: of 'us,ers'" / "a b.csv").write_text("ann bob\n")
    (folder / "results").mkdir()
    (folder / "results" / "log.csv").write_text("number\n")
    (folder / "loop").symlink_to(".")
    for number in range(60):
        (folder / "many" / str(number)).mkdir(parents=True)
        (folder / "many" / str(number) / "again").symlink_to("../..")
        for name in range(100):
            (folder / "many" / str(number) / f"{name}.txt").touch()
    with sqlite3.connect(folder / "seen.db") as database:
        database.execute("create table seen (number)")
    shutil.copyfile(USERS_FILES / "folder" / "locustfile.py", folder / "lo: cust's file.py")
    return folder


def test_a_folder_of_any_names_runs_and_what_it_writes_comes_into_the_report(stack: Stack, odd: Path) -> None:
    stack.settings |= {"LOCUSTFILES_DIR": str(odd), "LOCUSTFILE": "lo: cust's file.py", "MOCK": "1", "WORKERS": "1"}
    stack.up("ARTIFACTS_MEGABYTES=80")
    (worker,) = stack.containers("locust-worker")
    files = docker("exec", worker, "find", "/home/locust/run/many", "-name", "*.txt").splitlines()
    assert len(files) == 6000
    done = stack.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=5s")
    assert done.returncode == 1, done.stdout + done.stderr
    (path,) = stack.reports.glob("*/report.json")
    written = path.parent / "artifacts"
    assert (written / "locust-master-1" / "sum: all.txt").read_text() == "done"
    log = (written / "locust-worker-1" / "log.csv").read_text().split()
    assert log[0] == "number"
    assert {"0", "1", "2"} <= set(log)
    assert (odd / "results" / "log.csv").read_text() == "number\n"
    shots = (written / "locust-worker-1" / "shots").iterdir()
    assert [shot.stat().st_size for shot in shots].count(30_000_000) == 2  # of four, and one that is cut
    assert "it is larger than the rest of ARTIFACTS_MEGABYTES" in (written / "left-out.txt").read_text()
    warnings = "\n".join(json.loads(path.read_text())["warnings"])
    assert "/home/locust/run was full on 1 worker" in warnings
    assert "No space left on device (not caused by the target)" in warnings
    assert "not in artifacts/: locust-worker-1/shots/" in warnings


@pytest.mark.parametrize(
    ("files", "locustfile", "said"),
    [
        (
            {"helpers.py": "N = 1\n", "a b/load/x.py": "import helpers\n"},
            "a b/load/x.py",
            "LOCUSTFILES_DIR={} 'LOCUSTFILE=a b/load/x.py'",
        ),
        pytest.param(
            {
                "data/u.csv": "",
                "load/x.py": "from pathlib import Path\nopen(Path(__file__).parents[1] / 'data/u.csv')\n",
            },
            "load/x.py",
            "LOCUSTFILES_DIR={} LOCUSTFILE=load/x.py",
            marks=pytest.mark.long,
        ),
    ],
)
def test_what_lies_above_the_folder_is_found_and_the_words_that_are_said_reach_it(
    stack: Stack, tmp_path: Path, files: dict[str, str], locustfile: str, said: str
) -> None:
    user = "from locust import HttpUser, task\nclass U(HttpUser):\n    @task\n    def t(self): self.client.get('/')\n"
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + user if name == locustfile else text)
    below = tmp_path / locustfile
    refused = stack.kit("try", f"LOCUSTFILES_DIR={below.parent}", f"LOCUSTFILE={below.name}")
    assert refused.returncode == 2
    assert f"make up {said.format(tmp_path)}" in refused.stderr
    tried = stack.kit("try", f"LOCUSTFILES_DIR={tmp_path}", f"LOCUSTFILE={locustfile}")
    assert tried.returncode == 0, tried.stdout + tried.stderr
