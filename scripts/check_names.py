"""Check the names in the Python code: unique class names, and no word of the vocabulary that was given up.

Run by `scripts/lint`. Prints one line for each finding and exits 1, or prints nothing and exits 0.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sidecar", "locustfiles/locust_kit")

# The word that was given up → the name to use. docs/inside.md has the glossary.
CLASSES = {
    "Account": "HostKillCount, FailureAccount",
    "Blindness": "ObservationGaps",
    "Book": "IncidentReducer",
    "Card": "NetworkInterface",
    "Courier": "MessageSender",
    "Dam": "LineRateLimiter",
    "Desk": "IncidentStore",
    "Door": "ClusterAuth",
    "Ends": "Exits",
    "Figures": "Stats, EndpointStats, HistoryQueries",
    "Fleet": "ContainerPoller",
    "Gatherer": "PeerPoller",
    "Gone": "ContainerRemoved",
    "Keeper": "RoundSink",
    "Knob": "Setting",
    "Lane": "ChartSeries",
    "Life": "ContainerRun",
    "Named": "OwnerLearned",
    "NodeWord": "NodeReport",
    "Own": "SelfMetrics",
    "Pager": "AlertPolicy",
    "Remainder": "UnattributedKills",
    "Say": "Console",
    "Sieve": "LogDeduplicator",
    "Story": "IncidentGroup",
    "Teeth": "TurningPoints",
    "Teller": "NodeStatusPublisher",
    "Uncounted": "UnreadableCounters",
    "Vessel": "ContainerHistory",
}
IDENTIFIERS = {
    "blindness": "gaps",
    "courier": "sender",
    "dam": "rate limiter",
    "desk": "store",
    "going": "running",
    "hence": "caused",
    "knob": "setting",
    "knobs": "settings",
    "lane": "series",
    "lanes": "series",
    "mend": "fix",
    "pager": "policy",
    "remainder": "unattributed",
    "say": "console",
    "sieve": "deduplicator",
    "stories": "groups",
    "story": "group",
    "teeth": "turning points",
    "teller": "publisher",
    "told": "what it holds: oom_reported, incident_id, revised, published",
    "troubles": "problems",
    "uncounted": "unreadable",
    "vessel": "history",
    "was_asked": "stop_requested",
}


def main() -> int:
    """Check every Python file of both packages; return the exit code."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(_files())}
    findings = [*_duplicate_classes(trees), *_given_up(trees)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        # A link is the file of the other package: it would count twice.
        yield from (path for path in (ROOT / package).rglob("*.py") if not path.is_symlink())


def _duplicate_classes(trees: dict[Path, ast.Module]) -> Iterator[str]:
    defined: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    for name, places in sorted(defined.items()):
        if len(places) > 1:
            yield f"{places[1]}: class {name} is defined in {places[0]}, too: give it a name of its own"


def _given_up(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for name in _bound(node):
                better = CLASSES.get(name) or IDENTIFIERS.get(name.strip("_"))
                if better:
                    line = getattr(node, "lineno", 1)
                    yield f"{path.relative_to(ROOT)}:{line}: the name {name} was given up: use {better}"


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds: classes, functions, arguments, variables, attributes, aliases."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield re.sub(r".*\.", "", node.asname or node.name)


if __name__ == "__main__":
    sys.exit(main())
