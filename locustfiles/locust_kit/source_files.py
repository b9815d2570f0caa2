"""The user's files that this process has loaded, as syntax trees, for the rules that look into them."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MOST_FILES = 500
_MOST_BYTES = 1_000_000

Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class SourceFile:
    """One file: its path on disk, its name as the user knows it, and its tree."""

    path: str
    shown: str
    tree: ast.Module

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Return the parent of each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def scope(self, node: ast.AST) -> Scope:
        """Return the function, class or module that a node stands in."""
        parent = self.parents.get(node)
        while parent is not None and not isinstance(parent, Scope):
            parent = self.parents.get(parent)
        return parent or self.tree

    def assigned(self, name: str, node: ast.AST) -> ast.expr | None:
        """Return what a name stands for at a node: what its scope, else the module, once assigned to it."""
        for scope in (self.scope(node), self.tree):
            values = [
                assignment.value
                for assignment in ast.walk(scope)
                if isinstance(assignment, ast.Assign | ast.AnnAssign | ast.NamedExpr)
                and any(isinstance(target, ast.Name) and target.id == name for target in _targets(assignment))
            ]
            if values:
                return values[0] if len(values) == 1 else None
        return None


def _targets(assignment: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> list[ast.expr]:
    return assignment.targets if isinstance(assignment, ast.Assign) else [assignment.target]


def source_files() -> list[SourceFile]:
    """Return the loaded files of the working folder, in the order of their names; what cannot be read is left out."""
    return sorted(_source_files(), key=lambda source: source.shown)


def _source_files() -> Iterator[SourceFile]:
    folder = f"{Path.cwd()}{os.sep}"
    paths = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    for path in sorted(path for path in paths if path.startswith(folder))[:MOST_FILES]:
        try:
            text = Path(path).read_bytes()
            if len(text) <= _MOST_BYTES and path.endswith(".py"):
                yield SourceFile(path, path.removeprefix(folder), ast.parse(text))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
