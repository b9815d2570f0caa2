"""Find answers that no `with` block enters: Locust reports a request with `catch_response=True` when its block ends.

A finding must be certain: it does not include an answer that is passed on, returned, or entered later.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from locust_kit.source_files import SourceFile

_VERBS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request"})
_METHODS = frozenset(verb.upper() for verb in _VERBS)
_ENTER = frozenset({"__enter__", "__exit__"})
_LOOKING = frozenset(
    {"print", "len", "str", "repr", "bool", "isinstance", "type", "hasattr", "debug", "info", "warning", "error"}
)
_LOOKS = (ast.Expr, ast.Compare, ast.FormattedValue, ast.Delete, ast.Assert)
_PASSED_ON = (ast.UnaryOp, ast.BoolOp, ast.IfExp, ast.ListComp, ast.SetComp)
_CLIENTS = ("client", "session", "fastsession")
_DEEPEST = 5


def unentered(sources: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, int, str]]:
    """Yield (file, line, name) for each call whose answer no `with` enters; the name is catch_response or rest."""
    if any(_has_own_client(source) for source in sources):
        return  # whose `get` may enter what it gets by itself
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and (name := _asked(node, source)) and _is_lost(node, source):
                yield source, node.lineno, name


def _has_own_client(source: SourceFile) -> bool:
    """Return whether the user's code replaces `self.client`."""
    return any(
        (isinstance(node, ast.FunctionDef) and node.name == "client")
        or (isinstance(node, ast.ClassDef) and any(_last_name(base).endswith("HttpSession") for base in node.bases))
        or (isinstance(node, ast.Assign) and _replaces_client(node, source))
        for node in ast.walk(source.tree)
    )


def _replaces_client(node: ast.Assign, source: SourceFile) -> bool:
    """Return whether an assignment makes another client; a helper that keeps the user's client does not."""
    value = node.value.func if isinstance(node.value, ast.Call) else node.value
    if _last_name(value).endswith(("HttpSession", *_CLIENTS)) or isinstance(value, ast.Constant):
        return False
    is_class_level = isinstance(source.scope(node), ast.ClassDef)
    return any(
        (isinstance(target, ast.Attribute) and target.attr == "client")
        or (is_class_level and isinstance(target, ast.Name) and target.id == "client")
        for target in node.targets
    )


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _asked(call: ast.Call, source: SourceFile) -> str:
    """Return "catch_response" or "rest" for a call whose answer must be entered; "" for all others."""
    function = _resolved(call.func, source)
    if isinstance(function, ast.Attribute) and function.attr in ("rest", "rest_"):
        method = call.args[0] if len(call.args) > 1 else None
        return "rest" if isinstance(method, ast.Constant) and method.value in _METHODS else ""
    if isinstance(function, ast.Call):  # getattr(self.client, method)(...)
        args = function.args
        is_client = _last_name(function.func) == "getattr" and bool(args) and _is_client(args[0], source)
    else:
        is_verb = isinstance(function, ast.Attribute) and function.attr in _VERBS
        is_client = isinstance(function, ast.Attribute) and is_verb and _is_client(function.value, source)
    return "catch_response" if is_client and _catches(call, source) else ""


def _resolved(node: ast.expr, source: SourceFile, depth: int = 0) -> ast.expr:
    """Return the value of a name, or the expression itself."""
    if isinstance(node, ast.Name) and depth < _DEEPEST and (value := source.assigned(node.id, node)) is not None:
        return _resolved(value, source, depth + 1)
    return node


def _is_client(node: ast.expr, source: SourceFile) -> bool:
    """Return whether an expression is a user's HTTP client: `self.client`, or a name or a parameter for it."""
    value = _resolved(node, source)
    if isinstance(value, ast.Call):
        return _last_name(value.func).endswith("HttpSession")
    return _last_name(value) in _CLIENTS


def _catches(call: ast.Call, source: SourceFile) -> bool:
    return any(
        _is_true(keyword.value, source) if keyword.arg == "catch_response" else _holds(keyword, source)
        for keyword in call.keywords
    )


def _holds(keyword: ast.keyword, source: SourceFile) -> bool:
    """Return whether a `**mapping` contains catch_response=True."""
    value = _resolved(keyword.value, source)
    if keyword.arg is None and isinstance(value, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in value.keys]
        pairs = dict(zip(keys, value.values, strict=True))
        return "catch_response" in pairs and _is_true(pairs["catch_response"], source)
    if keyword.arg is None and isinstance(value, ast.Call) and _last_name(value.func) == "dict":
        return _catches(value, source)
    return False


def _is_true(node: ast.expr, source: SourceFile) -> bool:
    value = _resolved(node, source)
    return isinstance(value, ast.Constant) and value.value is True


def _is_lost(node: ast.expr, source: SourceFile) -> bool:
    """Return whether no code can enter the value of an expression, because it is dropped or only read."""
    parent = source.parents.get(node)
    if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr) and parent.value is node:
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if len(names) != len(targets) or isinstance(source.scope(node), ast.ClassDef):
            return False
        is_kept = isinstance(parent, ast.NamedExpr) and not _only_looks(parent, source)
        return not is_kept and all(_never_entered(name, source, node) for name in names)
    return _only_looks(node, source)


def _never_entered(name: str, source: SourceFile, node: ast.AST) -> bool:
    """Return whether each use of a name only reads its value."""
    uses = source.uses.get((source.scope(node), name), [])
    return all(isinstance(use, ast.Name) and _only_looks(use, source) for use in uses)


def _only_looks(node: ast.expr, source: SourceFile) -> bool:
    """Return whether the value of an expression is dropped at its place: no `with`, no call with it, no return."""
    parent = source.parents.get(node)
    if isinstance(parent, _PASSED_ON):
        return (isinstance(parent, ast.IfExp) and parent.test is node) or _only_looks(parent, source)
    looks = isinstance(parent, _LOOKS)
    if isinstance(parent, ast.Attribute):
        looks = parent.attr not in _ENTER
    elif isinstance(parent, ast.Call):
        looks = parent.func is not node and _last_name(parent.func) in _LOOKING
    elif isinstance(parent, ast.If | ast.While):
        looks = parent.test is node
    elif isinstance(parent, ast.Subscript):
        looks = parent.value is node
    return looks
