"""Help of each verb: its settings are the declared ones, and those that its code reads."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sidecar.cli.__main__ import main
from sidecar.cli.usage import sections_of
from sidecar.cli.verbs import VERBS, Needs
from sidecar.common.version import KIT_VERSION
from sidecar.settings import ALIASES, SETTINGS, Destination, Settings
from tests.paths import ROOT

ROOMS = ("cli", "commands", "swarm")  # the code of the verbs themselves; the rooms below serve all verbs alike
FIELDS = {name.lower(): name for name in SETTINGS}


def listed(verb: str) -> set[str]:
    return {setting.name for _, settings in sections_of(VERBS[verb]) for setting in settings}


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words, {}) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_each_setting_flag_example_and_exit_code(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, verb, "--help") if verb != "targets" else shown(capsys, "help", "targets")
    if verb == "targets":
        return
    entry = VERBS[verb]
    assert out.startswith(entry.help)
    lines = out.splitlines()
    assert {line.partition("=")[0].strip() for line in lines if re.match(r"  [A-Z_]+=", line)} >= listed(verb)
    assert all(f"  scripts/kit {example}" in lines for example in entry.examples)
    assert all(any(line.startswith(f"  {flag.name}") for line in lines) for flag in entry.flags)
    assert {int(code) for code in re.findall(r"^  (\d+) +\w", out, re.MULTILINE)} == {
        *(0, 2, 130),
        *dict(entry.exits),
    }


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_names_settings_and_sections_that_exist(verb: str) -> None:
    sections = {section.__name__.removesuffix("Settings") for section in Settings.__bases__}
    for name in VERBS[verb].settings:
        assert name in SETTINGS or name in sections or (name[0] == "@" and Destination[name[1:].upper()])


@pytest.mark.parametrize("verb", VERBS)
def test_examples_use_what_the_verb_has(verb: str) -> None:
    entry = VERBS[verb]
    known = listed(verb) | dict(entry.words).keys() | {flag.name for flag in entry.flags}
    for example in entry.examples:
        _, *words = shlex.split(example)
        named = [word.partition("=")[0] for word in words if "=" in word or word.startswith("--")]
        assert {ALIASES.get(name, name) for name in named} <= known | {"--help"}


def test_every_setting_is_read_by_a_verb() -> None:
    of_setup = {"DRY_RUN"}
    assert set().union(*map(listed, VERBS)) >= set(SETTINGS) - of_setup


@pytest.mark.parametrize("verb", VERBS)
def test_no_setting_that_the_code_of_a_verb_reads_is_missing_in_its_help(verb: str) -> None:
    """`up` hands on what it decided: a verb that follows it lists what it reads beside that."""
    entry = VERBS[verb]
    kept = {name for name in listed("up") if SETTINGS[name].lasting} if entry.needs is not Needs.SETTINGS_FOR_UP else {}
    module, _, function = entry.function.partition(":")
    assert reads(f"sidecar.{module}", function) - set(kept) <= listed(verb)


def test_a_new_setting_in_the_code_of_a_verb_would_be_found() -> None:
    assert {"USERS", "ATTACH", "RUN_TIME"} <= reads("sidecar.commands.run", "run")
    assert reads("sidecar.cli.listing", "logs") >= {"SERVICE", "TAIL", "FOLLOW"}


def test_version_and_the_ways_to_ask_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "--version") == f"Locust Kit {KIT_VERSION}\n"
    assert shown(capsys) == shown(capsys, "--help") == shown(capsys, "help") == shown(capsys, "targets")
    assert shown(capsys, "help", "ps") == shown(capsys, "ps", "-h") == shown(capsys, "ps", "--help")


def reads(module: str, function: str) -> set[str]:
    """The settings that a function reads, itself or through the functions of ROOMS that it names; no other verb's."""
    verbs = {tuple(f"sidecar.{verb.function}".split(":")) for verb in VERBS.values()}
    found, seen, waiting = set(), verbs - {(module, function)}, [(module, function)]
    while waiting:
        here, name = place = waiting.pop()
        if place in seen or here.split(".")[1] not in ROOMS:
            continue
        seen.add(place)
        imports, definitions = parsed(here)
        nodes = list(ast.walk(definitions[name])) if name in definitions else []
        local = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr in FIELDS and "settings" in ast.unparse(node.value):
                found.add(FIELDS[node.attr])
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imports:
                waiting.append((imports[node.value.id][0] + "." + imports[node.value.id][1], node.attr))
            elif isinstance(node, ast.Name) and node.id not in local:
                waiting.append(imports.get(node.id, (here, node.id)))
    return found


@cache
def parsed(module: str) -> tuple[dict[str, tuple[str, str]], dict[str, ast.AST]]:
    """What a module imports from the sidecar (name → module, name), and what it defines."""
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text() if path.is_file() else "")
    imports = {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sidecar.")
        for alias in node.names
    }
    return imports, dict(_definitions(tree))


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
