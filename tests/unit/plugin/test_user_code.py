"""What is said of a locustfile that cannot run: file, line, reason, and what to do."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import locust.runners
import pytest
from locust import events
from locust_kit import check, user_code
from locust_kit.user_code import Loaded, Problem, load

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file into the working folder; forgets the modules that a test imported from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_code, "USER_FILES", tmp_path)
    before, path = set(sys.modules), list(sys.path)

    def writer(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    yield writer
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path[:] = path


def only(loaded: Loaded) -> Problem:
    assert len(loaded.problems) == 1
    return loaded.problems[0]


def test_a_good_file_has_its_classes_and_no_problem(write: Write) -> None:
    write(
        "locustfile.py",
        """
        from locust import HttpUser, LoadTestShape, tag, task
        class Buyer(HttpUser):
            host = "http://shop.invalid"
            weight = 3
            @tag("pay")
            @task
            def pay(self): ...
        class Steps(LoadTestShape):
            def tick(self): return None
        """,
    )
    document = check.document(load("locustfile.py"))
    assert document["passed"]
    assert document["user_classes"] == [
        {"name": "Buyer", "host": "http://shop.invalid", "http": True, "weight": 3, "tags": ["pay"]}
    ]
    assert (document["shape_class"], document["shapes"]) == ("Steps", ["Steps"])


def test_a_syntax_error_names_its_line(write: Write) -> None:
    write("locustfile.py", "x = 1\ndef broken(:\n    pass\n")
    problem = only(load("locustfile.py"))
    assert (problem.file, problem.line, problem.kind) == ("locustfile.py", 2, "syntax")


def test_a_missing_module_is_named_where_it_is_imported_even_in_a_sibling(write: Write) -> None:
    write("locustfile.py", "import flows.login\n")
    write("flows/login.py", "\n\nimport nowhere_to_be_found\n")
    problem = only(load("locustfile.py"))
    assert (problem.file, problem.line, problem.kind) == ("flows/login.py", 3, "import")
    assert "nowhere_to_be_found" in problem.text
    assert "requirements.txt" in problem.fix


@pytest.mark.parametrize(
    ("module", "package"), [("nowhere.to.be_found", "nowhere"), ("dns.nowhere", "dnspython"), ("paho", "paho-mqtt")]
)
def test_the_package_of_a_missing_module_is_named_as_pip_knows_it(module: str, package: str, write: Write) -> None:
    write("locustfile.py", f"import {module}\n")
    assert f"add {package} to requirements.txt" in only(load("locustfile.py")).fix


@pytest.mark.parametrize("name", sorted(user_code.REMOVED))
def test_each_removed_event_is_named_with_its_replacement(write: Write, name: str) -> None:
    write("locustfile.py", f"from locust import events\n@events.{name}.add_listener\ndef f(**kw): ...\n")
    problem = only(load("locustfile.py"))
    assert (problem.line, problem.kind) == (2, "removed-api")
    assert name in problem.text
    assert problem.fix == user_code.REMOVED[name]


def test_a_file_without_a_user_class_says_so(write: Write) -> None:
    write("locustfile.py", "x = 1\n")
    assert only(load("locustfile.py")).kind == "no-user-class"


def test_a_missing_file_and_a_file_that_is_no_python(write: Write) -> None:
    write("notes.txt", "")
    assert only(load("nope.py")).kind == "missing"
    assert "end in .py" in only(load("notes.txt")).fix


def test_an_exception_while_importing_is_one_line(write: Write) -> None:
    write("locustfile.py", "import os\n\nos.environ['NOT_THERE_AT_ALL']\n")
    problem = only(load("locustfile.py"))
    assert (problem.line, problem.kind) == (3, "error")
    assert "KeyError" in problem.text
    assert "\n" not in problem.text


def test_a_file_that_ends_the_process_is_a_problem_and_not_the_end(write: Write) -> None:
    write("locustfile.py", "import sys\nsys.exit(3)\n")
    assert "exit(3)" in only(load("locustfile.py")).text


def test_a_file_that_ends_its_greenlet_is_a_problem_and_not_the_end(write: Write) -> None:
    write("locustfile.py", "from gevent import GreenletExit\nraise GreenletExit\n")
    problem = only(load("locustfile.py"))
    assert (problem.line, "raises GreenletExit" in problem.text) == (2, True)


def test_one_class_name_in_two_files_is_refused(write: Write) -> None:
    user = "from locust import User, task\nclass Same(User):\n    @task\n    def t(self): ...\n"
    write("one.py", user)
    write("two.py", user)
    assert only(load("one.py,two.py")).kind == "duplicate"


def test_the_same_class_imported_by_a_second_file_is_fine(write: Write) -> None:
    write("one.py", "from locust import User, task\nclass Same(User):\n    @task\n    def t(self): ...\n")
    write("two.py", "from one import Same\n")
    assert not load("one.py,two.py").problems


def test_a_class_without_a_method_that_two_files_import_is_fine(write: Write) -> None:
    write("base.py", "from locust import LoadTestShape\nclass Base(LoadTestShape):\n    def tick(self): ...\n")
    write("common.py", "from base import Base\nclass Steps(Base):\n    stages = [(60, 5)]\n")
    user = "from common import Steps\nfrom locust import User, task\nclass {}(User):\n    @task\n    def t(self): ...\n"
    write("one.py", user.format("One"))
    write("two.py", user.format("Two"))
    assert not load("one.py,two.py").problems


def test_a_file_that_is_loaded_after_one_that_imports_its_class_is_fine(write: Write) -> None:
    write("first.py", "from second import Shared\n")
    write("second.py", "from locust import HttpUser\ndef t(user): ...\nclass Shared(HttpUser):\n    tasks = [t]\n")
    assert not load("first.py,second.py").problems


@pytest.mark.parametrize("body", ["tasks = [print]", "def on_start(self): ..."])
def test_one_class_name_in_two_files_of_one_name_is_refused(write: Write, body: str) -> None:
    user = f"from locust import User\nclass Same(User):\n    {body}\n"
    write("one/locustfile.py", user)
    write("two/locustfile.py", user)
    assert only(load("one/locustfile.py,two/locustfile.py")).text.endswith("one/locustfile.py")


def test_a_folder_that_the_containers_user_cannot_read_is_reported_as_such(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("locustfile.py", "x = 1\n")
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path) != tmp_path)  # the tests' user may be root
    problem = only(load("locustfile.py"))
    assert problem.kind == "unreadable"
    assert problem.fix == "chmod o+rx your LOCUSTFILES_DIR"


def test_a_closed_file_is_named_in_its_fix(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("my file.py", "x = 1\n")
    monkeypatch.setattr("os.access", lambda path, _mode: path != "my file.py")  # the tests' user may be root
    problem = only(load("my file.py"))
    assert (problem.kind, problem.fix) == ("unreadable", "chmod o+r 'my file.py'")


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ("users = 5\nrun-time = 2m\ntenant = blue\n", ""),
        ("expect_workers = 3\n", "unrecognized arguments: --expect_workers=3"),
        ("users = many\n", "argument -u/--users: invalid int value: 'many'"),
    ],
)
def test_options_that_locust_itself_would_refuse_are_named(conf: str, text: str, write: Write) -> None:
    write("locust.conf", conf)

    def add_tenant(parser: Any) -> None:
        parser.add_argument("--tenant")

    events.init_command_line_parser.add_listener(add_tenant)
    try:
        problem = check.refused_options()
    finally:
        events.init_command_line_parser.remove_listener(add_tenant)
    assert (problem.text if problem else "") == text


LIBRARY = """
import gevent
from locust import HttpUser, events, task
from locust.env import Environment

class Visitor(HttpUser):
    host = "http://127.0.0.1:1"

    @task
    def front(self):
        self.client.get("/")

"""
AS_A_PROGRAM = """
env = Environment(user_classes=[Visitor], events=events)
runner = env.create_local_runner()
runner.start(1, spawn_rate=1)
runner.greenlet.join()
"""


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        (AS_A_PROGRAM, 15),
        ("Environment().create_master_runner('127.0.0.1', 0)", 13),
        ("def main():\n    Environment().create_local_runner()\nmain()", 14),
        ("try:\n    Environment().create_local_runner()\nexcept Exception:\n    pass", 14),
        ("gevent.spawn(lambda: Environment().create_local_runner())", 13),
        ("from threading import Thread\nThread(target=Environment().create_local_runner).start()", None),
        ("Visitor(Environment()).run()", 13),
        ("from locust import run_single_user\nrun_single_user(Visitor)", 14),
        ("from locust.debug import run_single_user\nrun_single_user(Visitor)", 14),
        ("import subprocess\nsubprocess.run(['locust', '--headless', '-f', __file__])", 14),
        ("import subprocess, sys\nsubprocess.Popen(args=[sys.executable, '-m', 'locust'])", 14),
        ("import os\nos.system('locust -f x.py --headless')", 14),
        ("import sys\nfrom locust.main import main\nsys.argv = ['locust', '-f', 'x.py', '--headless']\nmain()", 16),
    ],
)
def test_a_file_that_starts_locust_itself_is_a_program(
    write: Write, monkeypatch: pytest.MonkeyPatch, rest: str, line: int | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["check"])
    write("x.py", LIBRARY)
    write("locustfile.py", LIBRARY + rest)
    problem = only(load("locustfile.py"))
    assert (problem.file, problem.line, problem.kind) == ("locustfile.py", line, "program"), problem
    assert "it is a program, not a locustfile" in problem.text


@pytest.mark.parametrize(
    "rest",
    [
        "if __name__ == '__main__':\n    Environment().create_local_runner()",
        "env = Environment(user_classes=[Visitor])",
        "@events.init.add_listener\ndef f(environment, **_):\n    environment.runner.start(1, 1)",
        "import subprocess\nsubprocess.run(['true', 'locust'])",
        "import os\nos.system('true')",
        "gevent.spawn(gevent.sleep, 9)",
    ],
)
def test_what_starts_no_locust_on_import_is_a_locustfile(write: Write, rest: str) -> None:
    write("locustfile.py", LIBRARY + rest)
    assert load("locustfile.py").problems == []
    assert locust.runners.Runner.__init__.__qualname__ == "Runner.__init__"


def test_a_service_that_does_not_answer_an_import_is_not_the_lines_fault(write: Write) -> None:
    write("locustfile.py", "import requests\nROWS = requests.get('http://127.0.0.1:1/rows', timeout=1)\n")
    problem = only(load("locustfile.py"))
    assert (problem.line, problem.kind) == (2, "error")
    assert "raises ConnectionError while it is imported" in problem.text
    assert "TARGET_NETWORK" in problem.fix


def test_each_load_shape_is_named_the_first_is_locusts_and_a_second_of_the_same_name_is_refused(write: Write) -> None:
    shape = (
        "from locust import HttpUser, LoadTestShape, task\nclass {0}(LoadTestShape):\n    def tick(self): return None\n"
    )
    write(
        "first.py",
        shape.format("Zig") + shape.format("Along") + "class U(HttpUser):\n    @task\n    def t(self): ...\n",
    )
    write("again.py", "from first import Zig\n")
    write("other.py", shape.format("Zig"))
    document = check.document(load("first.py,again.py"))
    assert (document["shape_class"], document["shapes"]) == ("Zig", ["Zig", "Along"])
    assert only(load("first.py,other.py")).text == "Load shape Zig is also defined in first.py"


def test_pytest_functions_need_a_target_and_one_fixture_that_yields(write: Write) -> None:
    write("test_a.py", "def test_home(session): ...\ndef test_fast(fastsession): ...\n")
    document = check.document(load("test_a.py"))
    assert [(of["name"], of["http"]) for of in document["user_classes"]] == [("test_home", True), ("test_fast", True)]
    write(
        "test_b.py",
        """
        import pytest
        @pytest.fixture
        def shop(user=None):
            yield user
        @pytest.fixture
        def returns(user=None):
            return 1
        def test_own(shop): ...
        def test_none(): ...
        def test_returns(returns): ...
        """,
    )
    loaded = load("test_b.py")
    assert [(problem.line, problem.text.partition(",")[0]) for problem in loaded.problems] == [
        (10, "the pytest function test_none takes 0 fixtures"),
        (11, "the fixture returns of test_returns has no yield"),
    ]
    assert not user_code.needs_host(loaded.users["test_own"])
    write("test_c.py", "def test_unknown(nothing): ...\n")
    assert "Could not find fixture for parameter 'nothing' in test_unknown" in only(load("test_c.py")).text
