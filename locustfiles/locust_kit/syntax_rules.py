"""Find code in the user's files that Locust silently ignores: each rule names file, line, and the correct code.

A rule reads the loaded classes and the syntax trees. To add one: a generator of problems, and a row in RULES. A rule
reports only what is certain. If it is not sure, it reports nothing.
"""

from __future__ import annotations

import ast
import codecs
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from locust import TaskSet, User, events
from locust.event import EventHook
from locust.user.users import PytestUser

from locust_kit.source_files import SourceFile, source_files
from locust_kit.unentered import unentered
from locust_kit.user_code import SESSIONS, Loaded, Problem, shown

_DATA = (".csv", ".tsv", ".txt", ".json")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_READ_MARKS = frozenset({"utf-8-sig", "utf-16"})
_READERS = frozenset({"pandas", "polars"})  # these libraries skip the mark themselves
_LONGEST_NAME = 200
_HOOKS = ("on_start", "on_stop")
_OLD_ATTRIBUTES = {
    "min_wait": "wait_time = between(1, 5), in seconds",
    "max_wait": "wait_time = between(1, 5), in seconds",
    "task_set": "tasks = [YourTaskSet]",
}
"""Class attributes of Locust 0.x, and their replacements."""


class FilesAndClasses(NamedTuple):
    """The input of rules: the classes that Locust found, and their files."""

    loaded: Loaded
    sources: Sequence[SourceFile]


class SyntaxRule(NamedTuple):
    """One rule. If `refuses` is true, nothing starts; otherwise its problems are warnings."""

    find: Callable[[FilesAndClasses], Iterator[Problem]]
    refuses: bool = False


def look(loaded: Loaded) -> list[Problem]:
    """Return the warnings of all rules, and add refusals to the problems of `loaded`."""
    warnings: list[Problem] = []
    seen = FilesAndClasses(loaded, source_files())
    for rule in RULES:
        try:
            found = list(dict.fromkeys(rule.find(seen)))
        except Exception as error:  # noqa: BLE001  a rule that fails must not keep a good locustfile from running
            print(f"locust-kit: the rule {rule.find.__name__} failed: {error!r}", file=sys.stderr)
            continue
        (loaded.problems if rule.refuses else warnings).extend(found)
    return warnings


def coroutines(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield tasks, on_start and on_stop that Locust calls without running their code."""
    for owner in _owners(seen.loaded.users.values()):
        if _runs_tasks_itself(owner):
            continue
        tasks = [task for task in owner.tasks if not inspect.isclass(task)]
        hooks = [getattr(owner, name) for name in _HOOKS]
        yield from (problem for part in (*tasks, *hooks) if (problem := _never_runs(part)))


def listeners(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield listeners of Locust's events that are called without running their code."""
    for hook in vars(events).values():
        handlers = hook._handlers if isinstance(hook, EventHook) else ()  # noqa: SLF001  it has no public name
        yield from (problem for handler in handlers if (problem := _never_runs(handler)) and _is_in(problem, seen))


def _owners(classes: Iterable[type[User]]) -> list[type[User | TaskSet]]:
    """Return all User classes and the TaskSets in them, each once."""
    owners: dict[type[User | TaskSet], None] = {}
    waiting: list[Any] = list(classes)
    while waiting:
        owner = waiting.pop()
        if owner not in owners:
            owners[owner] = None
            waiting += [task for task in owner.tasks if inspect.isclass(task) and issubclass(task, TaskSet)]
    return list(owners)


def _runs_tasks_itself(owner: type) -> bool:
    """Return whether a class overrides how its tasks run, perhaps in an event loop."""
    return any(
        not parent.__module__.startswith("locust.") and {"execute_task", "execute_next_task", "run"} & set(vars(parent))
        for parent in owner.__mro__
    )


def _never_runs(part: Any) -> Problem | None:
    if inspect.iscoroutinefunction(part) or inspect.isasyncgenfunction(part):
        kind = "is a coroutine (async def): Locust never awaits it, so its code does not run"
        fix = "write it as a plain def: Locust runs users in gevent, not in asyncio"
    elif inspect.isgeneratorfunction(part):
        kind = "is a generator (it has yield): Locust calls it, but its code does not run"
        fix = "write it without yield"
    else:
        return None
    code = inspect.unwrap(part).__code__
    return Problem(
        shown(code.co_filename),
        _line_of_def(part, code.co_firstlineno),
        "coroutine",
        f"{part.__qualname__} {kind}",
        fix,
    )


def _line_of_def(part: Any, first: int) -> int:
    """Return the line of `def`: a decorated function begins with its first decorator."""
    try:
        lines, begin = inspect.getsourcelines(part)
    except (OSError, TypeError):
        return first
    return next((begin + n for n, line in enumerate(lines) if line.lstrip().startswith(("def ", "async def "))), first)


def _is_in(problem: Problem, seen: FilesAndClasses) -> bool:
    return any(source.shown == problem.file for source in seen.sources)


def old_attributes(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield attributes of Locust 0.x that neither Locust nor the user's own code reads."""
    read = {name for source in seen.sources for name in _names_read(source.tree)}
    classes = {
        (getattr(sys.modules.get(parent.__module__), "__file__", None), parent.__name__)
        for owner in _owners(seen.loaded.users.values())
        for parent in owner.__mro__
    }
    for source in seen.sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and (source.path, node.name) in classes:
                for name, line in _attributes(node):
                    if name in _OLD_ATTRIBUTES and name not in read:
                        text = f"{node.name}.{name} is an attribute of Locust 0.x, ignored since 1.0"
                        yield Problem(source.shown, line, "old-attribute", text, _OLD_ATTRIBUTES[name])


def _names_read(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # getattr(self, "min_wait")


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            yield from ((target.id, statement.lineno) for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target.id, statement.lineno


def exit_codes(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield each place that sets the exit code of Locust's process: the master keeps running after a run."""
    for source in seen.sources:
        for node in ast.walk(source.tree):
            if _sets_exit_code(node):
                text = "sets process_exit_code, which has no effect: the master keeps running after a run"
                fix = 'set limits for the run: make run FAIL_RATIO=1% THRESHOLDS="p95<800"'
                yield Problem(source.shown, getattr(node, "lineno", None), "exit-code", text, fix)


def _sets_exit_code(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
        return any(isinstance(word, ast.Constant) and word.value == "process_exit_code" for word in node.args)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    return any(isinstance(target, ast.Attribute) and target.attr == "process_exit_code" for target in targets)


def answers(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield requests that Locust never reports, because no `with` block enters their answer."""
    for source, line, name in unentered(seen.sources):
        if name == "rest":
            text, fix = "self.rest() without `with` sends no request", "with self.rest(...) as answer:"
        else:
            text = "catch_response=True without `with`: Locust never reports this request"
            fix = "with self.client.get(..., catch_response=True) as answer:"
        yield Problem(source.shown, line, "catch-response", text, fix)


def marked_data(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield data files that begin with a byte order mark, which `open` reads as part of the first column name."""
    texts = [
        (node.value, source)
        for source in seen.sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    if _READ_MARKS & {text.lower().replace("_", "-") for text, _ in texts} or _READERS & sys.modules.keys():
        return
    for text, source in texts:
        if text.endswith(_DATA) and len(text) <= _LONGEST_NAME:
            paths = (Path(text), Path(source.path).parent / text)
            if any(_begins_with_mark(path) for path in paths if path.is_file()):
                problem = "begins with a byte order mark, which open() reads as part of the first column name"
                fix = 'save it as UTF-8 without a byte order mark, or use open(..., encoding="utf-8-sig")'
                yield Problem(text, None, "byte-order-mark", problem, fix)


def _begins_with_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(max(map(len, _MARKS))).startswith(_MARKS)


def ignored_pytest_functions(seen: FilesAndClasses) -> Iterator[Problem]:
    """Yield pytest functions beside User classes: Locust runs them only if no locustfile has a User class."""
    if any(issubclass(user, PytestUser) for user in seen.loaded.users.values()):
        return
    read = {name for source in seen.sources for name in _names_read(source.tree)}
    for source in seen.sources:
        defined = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)]
        fixtures = {*SESSIONS, *(node.name for node in defined if any(map(_is_fixture, node.decorator_list)))}
        for node in defined:
            takes = {argument.arg for argument in node.args.args}
            if node.name.startswith("test") and node.name not in read and takes & fixtures:
                text = f"Locust ignores the pytest function {node.name}, because the locustfiles have User classes"
                yield Problem(
                    source.shown, node.lineno, "pytest", text, "set LOCUSTFILE to a file without User classes"
                )


def _is_fixture(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).partition("(")[0] in ("fixture", "pytest.fixture")


RULES = (
    SyntaxRule(coroutines, refuses=True),
    SyntaxRule(listeners),
    SyntaxRule(old_attributes),
    SyntaxRule(exit_codes),
    SyntaxRule(answers),
    SyntaxRule(ignored_pytest_functions),
    SyntaxRule(marked_data),
)
