"""The sums of the workers' reports on the master: exact counts, examples, and rows waiting for the disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from locust_kit.failures.classes import FailureClass
from locust_kit.failures.records import LATEST, FailureGroup, GroupKey, Record, record_of
from locust_kit.texts import OTHERS

MOST_GROUPS = 1000
_KEPT = (500, 300, 100)  # of so many: those with a message, `(others)` of an endpoint, `(others)` of all endpoints
MOST_EXAMPLES = 1000  # the first half goes to any groups; after that a group gets one while there is space
MOST_WAITING = 50_000  # rows for the disk; more rows are counted and left out
_KEY = len(GroupKey._fields)


class Collection:
    """The failures of one run. `lost_rows` counts rows dropped on a slow disk; all other counts stay exact."""

    def __init__(self) -> None:
        self.groups: defaultdict[GroupKey, FailureGroup] = defaultdict(FailureGroup)
        self.lost_rows = 0
        self._examples = 0
        self._waiting: list[Record] = []

    @property
    def failures(self) -> int:
        """Return the number of failed requests, as Locust counts them."""
        return sum(group.count for key, group in self.groups.items() if key.kind is not FailureClass.TASK_ERROR)

    @property
    def task_errors(self) -> int:
        """Return the number of exceptions in tasks, which Locust does not count as requests."""
        return sum(group.count for key, group in self.groups.items() if key.kind is FailureClass.TASK_ERROR)

    @property
    def in_others(self) -> int:
        """Return how many failures and errors have no group of their own."""
        return sum(group.count for key, group in self.groups.items() if key.message == OTHERS)

    def by_kind(self) -> dict[FailureClass, int]:
        """Return how many failures each class has, the most frequent first."""
        counts: Counter[FailureClass] = Counter()
        for key, group in self.groups.items():
            counts[key.kind] += group.count
        return dict(counts.most_common())

    def ranked(self) -> list[tuple[GroupKey, FailureGroup]]:
        """Return the groups, the largest first."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].count, item[0]))

    def take(self, worker: str, report: dict[str, Any]) -> None:
        """Add one report of a worker.

        Raises:
            KeyError, TypeError, ValueError: the report has an unexpected form.

        """
        for row in report["groups"]:
            key, (count, first, last) = _key(row), row[_KEY:]
            group = self.groups[key]
            group.add(int(count), float(first), float(last))
            group.workers[worker] = group.workers.get(worker, 0) + int(count)
        for row in report["examples"]:
            record = record_of(row[_KEY])
            record.worker = worker
            self._exemplify(self.groups[_key(row)], record)
        if len(self.groups) > MOST_GROUPS:
            self._fold()
        for row in report["rows"]:
            record = record_of(row)
            record.worker = worker
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(record)
            else:
                self.lost_rows += 1

    def waiting(self) -> list[Record]:
        """Return the rows since the last call, and delete them here."""
        rows, self._waiting = self._waiting, []
        return rows

    def _exemplify(self, group: FailureGroup, record: Record) -> None:
        kept = len(group.examples)
        if kept > LATEST or self._examples < (MOST_EXAMPLES // 2 if kept else MOST_EXAMPLES):
            group.exemplify(record)
            self._examples += len(group.examples) - kept

    def _fold(self) -> None:
        """Merge the smaller groups into `(others)`: first by endpoint, then for all endpoints, then by class."""
        for level, most in enumerate(_KEPT):
            ranked = [key for key, _ in self.ranked() if (key.message == OTHERS) + (key.name == OTHERS) == level]
            for key in ranked[most:]:
                group = self.groups.pop(key)
                others = self.groups[_folded(key, level)]
                others.add(group.count, group.first, group.last)
                for worker, count in group.workers.items():
                    others.workers[worker] = others.workers.get(worker, 0) + count
                others.examples = others.examples or group.examples[:1]
        self._examples = sum(len(group.examples) for group in self.groups.values())


def _folded(key: GroupKey, level: int) -> GroupKey:
    """Return the key of the next larger group that contains this one."""
    if level == 0:
        return key._replace(message=OTHERS)
    method, detail = (key.method, key.detail) if level == 1 else (OTHERS, "")
    return GroupKey(method, OTHERS, key.kind, detail, OTHERS)


def _key(row: list[Any]) -> GroupKey:
    method, name, kind, detail, message = row[:_KEY]
    return GroupKey(str(method), str(name), FailureClass(kind), str(detail), str(message))
