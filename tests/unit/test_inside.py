"""docs/inside.md names files and functions of the code: each of them is there."""

import ast
import re

import pytest

from tests.paths import ROOT

PAGE = (ROOT / "docs/inside.md").read_text(encoding="utf-8")
# `path/file.py` `Class.method`: one hop of a walk.
HOPS = sorted(set(re.findall(r"`([\w/]+\.py)`\s+`([\w.]+)`", PAGE)))


@pytest.mark.parametrize(("file", "function"), HOPS)
def test_each_hop_of_a_walk_is_a_function_of_its_file(file: str, function: str) -> None:
    path = next(path for path in (ROOT / "sidecar" / file, ROOT / "locustfiles" / file, ROOT / file) if path.is_file())
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for name in function.split("."):
        node = next(
            node
            for node in body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        )
        body = node.body


def test_the_walks_are_short() -> None:
    walks = PAGE.split("## Three walks")[1].split("\n## ")[0].split("\n### ")[1:]
    assert len(walks) == 3
    for walk in walks:
        assert len(set(re.findall(r"`([\w/]+\.py)`", walk))) <= 12
