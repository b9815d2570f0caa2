"""Scripts for users, made from a seed: what each sends, and what must become of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

SLOW, FAST = "Slow", "Fast"  # HttpUser and FastHttpUser
GOODBYE = "goodbye"
LOOP = 30  # redirects that both clients follow
RESENT = 11  # tries that geventhttpclient adds: its pool's size and one
NOT_AT_TARGET = "refused"


@dataclass(frozen=True)
class Step:
    """One thing that a user does. `NAME` stands for its name; `counts` says what must become of it, by client."""

    code: str
    slow: dict[str, int]
    fast: dict[str, int]


def alike(code: str, **counts: int) -> Step:
    return Step(code, counts, counts)


GET = "user.client.get"
STEPS = {
    "good": alike(f"{GET}('/fast', name=NAME)", reported=1),
    "failing": alike(f"{GET}('/status/503', name=NAME)", reported=1),
    "empty": alike(f"{GET}('/wrong/empty', name=NAME)", reported=1),
    "accepted": alike(f"with {GET}('/status/404', name=NAME, catch_response=True) as a: a.success()", reported=1),
    "refused_by_test": alike(f"with {GET}('/fast', name=NAME, catch_response=True) as a: a.failure('no')", reported=1),
    "dropped": alike(f"{GET}('/status/500', name=NAME, catch_response=True)", unreported=1),
    "held": alike(f"user.held = {GET}('/fast', name=NAME, catch_response=True)", unreported=1),
    "raises": alike(
        f"with contextlib.suppress(KeyError), {GET}('/fast', name=NAME, catch_response=True): raise KeyError", left=1
    ),
    "redirected": alike(f"{GET}('/redirect?times=3', name=NAME)", reported=1, redirects=3),
    "loop": alike(f"{GET}('/redirect-loop', name=NAME)", reported=1, redirects=LOOP),
    "not_followed": alike(f"{GET}('/redirect', name=NAME, allow_redirects=False)", reported=1),
    "reset": Step(f"{GET}('/reset', name=NAME)", {"reported": 1, "retries": 1}, {"reported": 1, "resent": RESENT}),
    "closed": Step(f"{GET}('/close', name=NAME)", {"reported": 1, "retries": 1}, {"reported": 1, "resent": RESENT}),
    "posted": alike("user.client.post('/close', name=NAME)", reported=1),
    NOT_AT_TARGET: Step(f"{GET}('http://mock-target:9/', name=NAME)", {"reported": 1, "retries": 1}, {"reported": 1}),
    "timed_out": Step(
        f"{GET}('/slow?ms=20000', name=NAME, **({{'timeout': 2}} if is_slow else {{}}))",
        {"reported": 1, "retries": 1},
        {},  # it has no time-out of a request
    ),
    "given_up": Step(
        "with gevent.Timeout(2, False): user.client.post('/hang', name=NAME)", {"unanswered": 1}, {"reported": 1}
    ),
}
HANG = alike("user.client.post('/hang?after=body', name=NAME)", unanswered=1)


@dataclass
class Script:
    """A module for the users, and by name of a request what one user of each client must come to."""

    text: str
    expected: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)

    def counts(self, users: dict[str, int]) -> dict[str, Counter[str]]:
        """What all users together must come to, by name."""
        together: dict[str, Counter[str]] = {}
        for client, count in users.items():
            for name, counts in self.expected[client].items():
                for kind, number in counts.items():
                    together.setdefault(name, Counter())[kind] += count * number
        return together


def make(seed: int) -> Script:
    """Return the script of a seed: some steps for each client, some rounds, maybe an error, a hang, a goodbye."""
    chance = random.Random(seed)  # noqa: S311  the same each time
    rounds = chance.randint(1, 3)
    script = Script("")
    lines = ["import contextlib", "import gevent", f"ROUNDS = {rounds}"]
    for client in (SLOW, FAST):
        kinds = chance.sample(sorted(STEPS), 6)
        expected = script.expected[client] = {}
        lines += [f"def {client}(user):", f"    is_slow = {client == SLOW}"]
        for kind in kinds:
            step = STEPS[kind]
            counts = step.slow if client == SLOW else step.fast
            if counts:
                lines.append(f"    {step.code.replace('NAME', repr(f'{client} {kind}'))}")
                expected[f"{client} {kind}"] = Counter({name: rounds * count for name, count in counts.items()})
        if chance.random() < 0.4:
            lines.append(f"    {HANG.code.replace('NAME', repr(f'{client} hang'))}")  # so its first round is its last
            expected[f"{client} hang"] = Counter(HANG.slow)
            for counts in list(expected.values())[:-1]:
                for name in counts:
                    counts[name] //= rounds
        elif chance.random() < 0.4:
            lines.append("    raise RuntimeError('an error of the task')")
    lines.append("def goodbye(user):")
    if chance.random() < 0.4:
        lines.append(f"    user.client.get('/fast', name={GOODBYE!r})")
        for client in (SLOW, FAST):
            script.expected[client][GOODBYE] = Counter(reported=1)
    else:
        lines.append("    pass")
    script.text = "\n".join(lines) + "\n"
    return script
