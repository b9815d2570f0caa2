"""The user's files that this process has loaded, as syntax trees for the rules that check them."""

from __future__ import annotations

import ast
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from locust_kit.loaded_files import MOST_FILES
from locust_kit.places import in_folder

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

    @cached_property
    def uses(self) -> dict[tuple[Scope, str], list[ast.Name | ast.Global | ast.Nonlocal]]:
        """Return where each name is read or declared, by scope; an outer scope includes its inner scopes."""
        found = defaultdict(list)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Global | ast.Nonlocal) or (
                isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            ):
                names = [node.id] if isinstance(node, ast.Name) else node.names
                for key in itertools.product(self._scopes(node), names):
                    found[key].append(node)
        return found

    @cached_property
    def _assigned(self) -> dict[tuple[Scope, str], list[ast.expr | None]]:
        """Return the values assigned to each name in each scope, once for each assignment."""
        found = defaultdict(list)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = {target.id for target in targets if isinstance(target, ast.Name)}
                for key in itertools.product(self._scopes(node), names):
                    found[key].append(node.value)
        return found

    def _scopes(self, node: ast.AST) -> Iterator[Scope]:
        """Yield the functions, classes and the module around a node, the innermost first."""
        while (parent := self.parents.get(node)) is not None:
            node = parent
            if isinstance(node, Scope):
                yield node

    def scope(self, node: ast.AST) -> Scope:
        """Return the function, class or module around a node."""
        return next(self._scopes(node), self.tree)

    def assigned(self, name: str, node: ast.AST) -> ast.expr | None:
        """Return the value of a name at a node: the only assignment in its scope, otherwise in the module."""
        for scope in (self.scope(node), self.tree):
            if values := self._assigned.get((scope, name)):
                return values[0] if len(values) == 1 else None
        return None


def source_files() -> list[SourceFile]:
    """Return the loaded files of the working folder, sorted by name; leave out files that cannot be read."""
    return sorted(_source_files(), key=lambda source: source.shown)


def _source_files() -> Iterator[SourceFile]:
    paths = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    within = sorted((path, shown) for path in paths if (shown := in_folder(path)) is not None)
    for path, shown in within[:MOST_FILES]:
        try:
            text = Path(path).read_bytes()
            if len(text) <= _MOST_BYTES and path.endswith(".py"):
                yield SourceFile(path, shown, ast.parse(text))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
