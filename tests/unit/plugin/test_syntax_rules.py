"""What Locust silently ignores is named with file and line; what is only unusual is not accused."""

from __future__ import annotations

import ast
import codecs
import os
import sys
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from locust import events
from locust_kit import check, user_code
from locust_kit.user_code import load

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """Writes locustfile.py and modules beside it; returns the check's answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_code, "USER_FILES", tmp_path)
    before, path = set(sys.modules), list(sys.path)
    handlers = list(events.test_start._handlers)

    def asked(text: str, **modules: str) -> dict[str, Any]:
        for name, content in {**modules, "locustfile": text}.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(content))
        return check.document(load("locustfile.py"))

    yield asked
    events.test_start._handlers[:] = handlers
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path[:] = path


def user(*lines: str) -> str:
    """A locustfile of one user with these lines in one task; the first of them is line 6."""
    head = "from contextlib import ExitStack\nfrom locust import HttpUser, task\nclass Shop(HttpUser):\n    @task\n"
    return head + "    def buy(self):\n" + "".join(f"        {line}\n" for line in (*lines, "return None"))


def lines_of(answer: dict[str, Any], kind: str) -> list[tuple[str, int]]:
    """File and line of each problem and warning of a kind."""
    return [(one["file"], one["line"]) for one in (*answer["problems"], *answer["warnings"]) if one["kind"] == kind]


GET = 'self.client.get("/", catch_response=True)'


@pytest.mark.parametrize(
    "lines",
    [
        (GET,),
        (f"answer = {GET}",),
        (f"answer = {GET}", "if answer.status_code != 200:", "    print('bad', answer)"),
        (f"answer = {GET}", "answer.failure('bad')"),
        (f"{GET}.json()",),
        (f"assert {GET}.ok",),
        (f"if {GET}.status_code == 200: pass",),
        (f"[{GET} for _ in range(3)]",),
        (f"if (answer := {GET}).ok: print(answer.text)",),
        ("client = self.client; client.post('/', {}, catch_response=True)",),
        ("get = self.client.get; get('/', catch_response=True)",),
        ("options = {'catch_response': True}; self.client.get('/', **options)",),
        ("options = dict(catch_response=True, name='x'); self.client.get('/', **options)",),
        ("yes = True; self.client.request('GET', '/', catch_response=yes)",),
        ("getattr(self.client, 'get')('/', catch_response=True)",),
        ("self.rest('GET', '/')",),
    ],
)
def test_an_answer_that_no_with_enters_is_named(lines: tuple[str, ...], look: Look) -> None:
    answer = look(user(*lines))
    assert lines_of(answer, "catch-response") == [("locustfile.py", 6)]
    assert answer["passed"]


@pytest.mark.parametrize(
    "lines",
    [
        ('self.client.get("/")',),
        ('self.client.get("/", catch_response=False)',),
        (f"with {GET} as answer:", "    answer.success()"),
        (f"with {GET}:", "    pass"),
        (f"answer = {GET}", "with answer:", "    answer.success()"),
        (f"answer = {GET}", "if answer.ok:", "    pass", "with answer as a, open('/dev/null'):", "    a.success()"),
        ("with ExitStack() as stack:", f"    answer = stack.enter_context({GET})"),
        ("with ExitStack() as stack:", f"    answer = {GET}", "    stack.enter_context(answer)"),
        (f"answers = [{GET} for _ in range(3)]", "for answer in answers:", "    with answer: pass"),
        (f"return {GET}",),
        (f"answer = {GET}", "return answer"),
        (f"yield_it = lambda: {GET}", "with yield_it(): pass"),
        (f"answer = {GET}", "answer.__enter__()", "answer.__exit__(None, None, None)"),
        (f"self.answer = {GET}",),
        (f"self.check({GET})",),
        (f"answer = {GET}", "self.check(answer)"),
        (f"answer = {GET}", "def later():", "    with answer: pass", "later()"),
        ("flag = self.host is None", "self.client.get('/', catch_response=flag)"),
        ("self.api.get('/', catch_response=True)",),
        ("with self.rest('GET', '/') as answer: pass",),
        ("self.rest(5)",),
    ],
)
def test_an_answer_that_may_be_entered_is_not_accused(lines: tuple[str, ...], look: Look) -> None:
    assert lines_of(look(user(*lines)), "catch-response") == []


def test_helpers_and_modules_of_the_users_folder_are_looked_into(look: Look) -> None:
    answer = look(
        """
        from locust import HttpUser, task
        import helpers
        class Shop(HttpUser):
            @task
            def buy(self):
                helpers.fetch(self.client)
                helpers.Api(self).login()
        """,
        helpers="""
        def fetch(client):
            client.get("/", catch_response=True)
        class Api:
            def __init__(self, user):
                self.client = user.client
            def login(self):
                self.client.post("/login", catch_response=True)
        """,
    )
    assert lines_of(answer, "catch-response") == [("helpers.py", 3), ("helpers.py", 8)]


def test_a_client_of_the_users_own_may_enter_by_itself(look: Look) -> None:
    answer = look(
        """
        from locust import HttpUser, task
        class Client:
            def __init__(self, session): self.session = session
            def get(self, path, catch_response):
                with self.session.get(path, catch_response=catch_response) as answer: return answer
        class Shop(HttpUser):
            def on_start(self): self.client = Client(self.client)
            @task
            def buy(self): self.client.get("/", catch_response=True)
        """
    )
    assert answer["warnings"] == []


@pytest.mark.parametrize(
    "part",
    [
        "@task\n    async def buy(self): ...",
        "@task(3)\n    async def buy(self): yield",
        "@tag('x')\n    @task\n    async def buy(self): ...",
        "@task\n    def buy(self): yield",
        "@task\n    def look(self): ...\n    async def on_start(self): ...",
        "@task\n    def look(self): ...\n    async def on_stop(self): ...",
        "@task\n    class Inner(TaskSet):\n        @task\n        async def buy(self): ...",
        "tasks = [outside]",
        "tasks = {outside: 3}",
    ],
)
def test_a_part_that_locust_calls_and_never_runs_is_refused(part: str, look: Look) -> None:
    text = "from locust import HttpUser, TaskSet, tag, task\nasync def outside(user): ...\n"
    answer = look(f"{text}class Shop(HttpUser):\n    {part}\n")
    assert not answer["passed"]
    (problem,) = answer["problems"]
    named = (text + f"class Shop(HttpUser):\n    {part}\n").splitlines()[problem["line"] - 1]
    assert problem["kind"] == "coroutine"
    assert "def " in named
    assert "async" in named or "yield" in named


def test_a_coroutine_that_a_plain_function_runs_is_not_accused(look: Look) -> None:
    answer = look(
        """
        import asyncio, functools
        from locust import HttpUser, TaskSet, task
        def runs(function):
            @functools.wraps(function)
            def run(user): return asyncio.run(function(user))
            return run
        class Loop(TaskSet):
            def execute_task(self, task): asyncio.run(task(self))
            @task
            async def own_way(self): ...
        class Shop(HttpUser):
            tasks = [Loop]
            @task
            @runs
            async def buy(self): ...
            async def helper(self): ...
        """
    )
    assert answer["problems"] == []


def test_a_listener_that_never_runs_is_named(look: Look) -> None:
    answer = look(
        """
        from locust import HttpUser, events, task
        @events.test_start.add_listener
        async def prepare(environment, **_): ...
        class Shop(HttpUser):
            @task
            def buy(self): ...
        """
    )
    assert lines_of(answer, "coroutine") == [("locustfile.py", 4)]
    assert answer["passed"]


def test_attributes_of_locust_0_are_named_unless_the_users_own_code_reads_them(look: Look) -> None:
    text = """
        from locust import HttpUser, TaskSet, task{more}
        class Policy:
            min_wait = 5
        class Base(HttpUser):
            abstract = True
            min_wait = 1000
        class Shop(Base):
            max_wait: int = 5000
            @task
            class Inner(TaskSet):
                min_wait = 1
                @task
                def buy(self): ...
        """
    answer = look(text.format(more=""))
    assert lines_of(answer, "old-attribute") == [("locustfile.py", line) for line in (7, 9, 12)]


def test_an_attribute_that_the_users_code_reads_is_not_old(look: Look) -> None:
    answer = look(
        """
        from locust import HttpUser, between, task
        class Shop(HttpUser):
            min_wait = 1
            max_wait = 2
            wait_time = between(min_wait, max_wait)
            @task
            def buy(self): ...
        """
    )
    assert answer["warnings"] == []


def test_an_exit_code_that_nobody_will_see_is_named(look: Look) -> None:
    answer = look(
        """
        from locust import HttpUser, events, task
        @events.quitting.add_listener
        def _(environment, **_):
            if environment.stats.total.fail_ratio > 0.01:
                environment.process_exit_code = 1
        class Shop(HttpUser):
            @task
            def buy(self): ...
        """
    )
    assert lines_of(answer, "exit-code") == [("locustfile.py", 6)]


def test_a_rule_that_fails_keeps_no_good_file_from_running(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    from locust_kit import syntax_rules  # noqa: PLC0415

    def broken(_: syntax_rules.FilesAndClasses) -> Iterator[user_code.Problem]:
        raise RuntimeError
        yield

    monkeypatch.setattr(syntax_rules, "RULES", (syntax_rules.SyntaxRule(broken),))
    assert look(user("pass"))["passed"]


def test_a_long_file_is_walked_a_few_times_and_not_once_for_each_call(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Mock(wraps=ast.walk)
    monkeypatch.setattr(ast, "walk", walk)
    answer = look(user("client = self.client", *([f"answer = client{GET.removeprefix('self.client')}"] * 2000)))
    assert len(lines_of(answer, "catch-response")) == 2000
    assert walk.call_count < 20


READS = """
import csv
from locust import HttpUser, task

with open("people.csv", newline="") as file:
    PEOPLE = list(csv.DictReader(file))

class Shop(HttpUser):
    @task
    def buy(self): self.client.get("/")
"""


@pytest.mark.parametrize(
    ("start", "text", "named"),
    [
        (codecs.BOM_UTF8, READS, "people.csv"),
        (codecs.BOM_UTF16_LE, READS.replace("newline=", "encoding='latin-1', newline="), "people.csv"),
        (b"", READS, ""),
        (codecs.BOM_UTF8, READS.replace("newline=", "encoding='utf-8-sig', newline="), ""),
        (codecs.BOM_UTF8, READS.replace("newline=", "encoding='UTF_8_SIG', newline="), ""),
        (codecs.BOM_UTF8, READS.replace('open("people.csv"', 'open("other.csv"'), ""),
    ],
)
def test_a_table_whose_first_name_has_a_mark_is_said(
    look: Look, tmp_path: Path, start: bytes, text: str, named: str
) -> None:
    (tmp_path / "people.csv").write_bytes(start + b"name,age\r\nAda,36\r\n")
    (tmp_path / "other.csv").write_bytes(b"name,age\r\n")
    answer = look(text)
    assert answer["passed"], answer
    assert [row["file"] for row in answer["warnings"]] == ([named] if named else [])


def test_of_a_large_table_only_the_mark_is_read(look: Look, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_bytes(codecs.BOM_UTF8)
    os.truncate(table, 64 << 20)
    text = user('return "people.csv"')
    tracemalloc.start()
    try:
        answer = look(text)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row["file"] for row in answer["warnings"]] == ["people.csv"]
    assert most_bytes < 32 << 20


def test_pytest_functions_beside_user_classes_are_said_to_be_ignored(look: Look) -> None:
    functions = """
import pytest
def test_home(session): ...
@pytest.fixture
def shop(user): yield user
class TestShop:
    def test_buy(self, shop): ...
def test_data(): ...
def test_helper(session): ...
"""
    with_class = (
        "from locust import HttpUser, task\nclass U(HttpUser):\n    @task\n    def t(self): test_helper(self)\n"
    )
    assert lines_of(look(functions + with_class), "pytest") == [("locustfile.py", 3), ("locustfile.py", 7)]


def test_pytest_functions_alone_are_users(look: Look) -> None:
    answer = look("def test_home(session): ...\n")
    assert (answer["passed"], answer["warnings"]) == (True, [])
