"""The table of verbs, and how a verb is called.

Functions are named as "module:function" and imported when they are called: a command line that imports all its verbs
starts slowly. Help (`cli/usage.py`) and completion (`cli/completion.py`) are made from this table and from the
declarations of the settings.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sidecar.common.console import Console
from sidecar.common.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    # The flags of one call: the text that was given with an option, "yes" for a switch, "" for what was not given.
    Flags = Mapping[str, str]

_GIVEN = "yes"


class Needs(Enum):
    """What a verb's function takes before the environment."""

    SETTINGS_FOR_UP = "the settings of a call that decides; the choices of the last `up` do not count"
    SETTINGS_AFTER_UP = "the settings of a call that follows an `up`"
    SETTINGS_OF_RUN = "the same; other names are arguments of the locustfile"
    WORDS = "the NAME=VALUE words as they are"
    ARGUMENTS = "all arguments, unread"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of a verb: a switch, or an option, which has a `value`."""

    name: str
    help: str
    value: str = ""  # what the value is; "" for a switch
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the command line.

    The function gets what `needs` names, the environment, a Console and, where the verb has flags, the flags.
    It returns the exit code; None is 0.

    Attributes:
        name: what people write.
        function: "module:function", the module below `sidecar`.
        help: what the verb does, in one line.
        examples: two command lines, without the program's name.
        needs: what the function takes first.
        settings: the settings that the verb reads: the name of one, "Run" for all of RunSettings, or "@master" for all
            that go to Destination.MASTER.
        words: NAME=VALUE words of this verb alone, and what each does.
        flags: its flags.
        exits: exit codes and their meaning, beside those of every verb (`usage.EXITS`).
        bare_word: a pattern: words that need no `=`.
        choices: the words that it takes one of, for a verb without settings.
        expected: what the words of the verb look like, for the message about a wrong one.
        signals_interrupt: SIGTERM and SIGHUP end it as Ctrl-C does, because it has something to take away.

    """

    name: str
    function: str
    help: str
    examples: tuple[str, str]
    needs: Needs = Needs.SETTINGS_AFTER_UP
    settings: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    flags: tuple[Flag, ...] = ()
    exits: tuple[tuple[int, str], ...] = ()
    bare_word: str = ""
    choices: tuple[str, ...] = ()
    expected: str = "NAME=VALUE, such as WORKERS=4"
    signals_interrupt: bool = False

    @property
    def switches(self) -> tuple[str, ...]:
        """Return the names of the flags without a value."""
        return tuple(flag.name for flag in self.flags if not flag.value)

    @property
    def options(self) -> tuple[str, ...]:
        """Return the names of the flags with a value."""
        return tuple(flag.name for flag in self.flags if flag.value)


_JSON = Flag("--json", "Print JSON.")
_CHECKS = Flag("--checks", "Also print the checks that found no problem.")
_DIAGNOSE = (
    _JSON,
    _CHECKS,
    Flag("--list", "List all causes and checks."),
    Flag("--format", "Output format.", "FORMAT", ("text", "json", "markdown")),
    Flag("--only", "Run only these checks, causes or layers.", "NAMES"),
    Flag("--explain", "Explain one cause, and exit.", "CAUSE"),
    Flag("--bundle", "Write an archive for a bug report. Secrets are removed.", "FILE"),
    Flag("--from", "Diagnose the recorded evidence of a bundle.", "FILE"),
    Flag("--note", "Keep a note with the cause and with its incident.", "TEXT"),
)
_CONTAINERS = ("@compose", "@locust", "@master", "@monitor")
_DECIDED = ("WORKERS", "HOST", "MOCK", "SHAPE", "THRESHOLDS_FILE", "TARGET_NETWORK_MASTER")
_MONITOR = ("PROJECT", "MONITOR_PORT")
_VIEW = (*_MONITOR, "INTERVAL", "TAIL", "ONCE")
_JUDGING = ("THRESHOLDS", "THRESHOLDS_FILE", "FAIL_RATIO", "OUTAGE_RATIO", "TASK_ERROR_RATIO", "ON_INVALID")
_DIAGNOSED = ((1, "an error was found"), (3, "nothing could be checked"))

GROUPS: Mapping[str, tuple[Verb, ...]] = MappingProxyType(
    {
        "Start and stop": (
            Verb(
                "up",
                "commands.up:up_or_set_up",
                "Start the stack, and wait until every worker is registered.",
                ("up WORKERS=4 HOST=http://shop.example", "up LOCUSTFILES_DIR=./my-tests CLASSES=Orders"),
                Needs.SETTINGS_FOR_UP,
                (*_CONTAINERS, *_DECIDED, "YES"),
            ),
            Verb(
                "down",
                "commands.down:down_in_any_case",
                "Stop the stack. Runs and reports stay.",
                ("down", "down PROJECT=shop"),
                Needs.WORDS,
                ("PROJECT", "YES"),
            ),
            Verb(
                "restart",
                "commands.restart:restart",
                "Restart every container of the stack.",
                ("restart", "restart YES=1"),
                settings=("PROJECT", "YES"),
            ),
            Verb(
                "reload",
                "commands.restart:reload",
                "Load the edited locustfile in every process, without a build.",
                ("reload", "reload YES=1"),
                settings=("PROJECT", "YES"),
            ),
            Verb(
                "scale",
                "commands.restart:scale",
                "Change the number of workers, also during a run.",
                ("scale WORKERS=8", "scale WORKERS=2 PROJECT=shop"),
                settings=("PROJECT", "WORKERS"),
            ),
            Verb(
                "join",
                "commands.join:join",
                "Start workers on this machine for the master of another machine.",
                ("join MASTER=10.0.0.5 WORKERS=4", "join MASTER=10.0.0.5:5557 LOCUSTFILES_DIR=./my-tests"),
                Needs.SETTINGS_FOR_UP,
                (
                    "MASTER",
                    "PROJECT",
                    "WORKERS",
                    "HOST",
                    "SHAPE",
                    "LOCUSTFILES_DIR",
                    "TARGET_NETWORK",
                    "@locust",
                    "Limit",
                    "Image",
                ),
            ),
            Verb(
                "clean",
                "commands.down:clean_up",
                "Stop the stack, and remove the built images that nobody else uses. Results stay.",
                ("clean", "clean PROJECT=shop"),
                settings=("PROJECT", "YES"),
            ),
            Verb(
                "purge",
                "commands.down:purge_after_asking",
                "Stop the stack, and delete images, runs and ledger. It asks first.",
                ("purge", "purge YES=1 WITH_REPORTS=1"),
                settings=("PROJECT", "REPORTS_DIR", "Safety"),
                exits=((1, "you answered no"),),
            ),
        ),
        "Test": (
            Verb(
                "try",
                "commands.try_once:try_once",
                "Run each task once with one user per class, and print each request.",
                ("try", "try HOST=http://shop.example CLASSES=Orders"),
                settings=("PROJECT", "HOST", "MOCK", "LOCUSTFILES_DIR", "TARGET_NETWORK", "@locust", "Image"),
                exits=((1, "a request failed, or a task raised an exception"),),
                signals_interrupt=True,
            ),
            Verb(
                "run",
                "commands.run:run",
                "Run one test. It ends with PASS, FAIL or INVALID, and a report.",
                ("run USERS=200 SPAWN_RATE=20 RUN_TIME=2m", 'run USERS=50 RUN_TIME=1m THRESHOLDS="p95<800 rps>50"'),
                Needs.SETTINGS_OF_RUN,
                ("PROJECT", "HOST", "CLASSES", "TAGS", "EXCLUDE_TAGS", "Run", "Invalid"),
                exits=(
                    (0, "PASS"),
                    (1, "FAIL: too many failed requests or exceptions"),
                    (3, "FAIL: a threshold is missed"),
                    (4, "INVALID: something broke the measurement"),
                    (130, "you pressed Ctrl-C twice, before the run began, or with ATTACH=1"),
                ),
                signals_interrupt=True,
            ),
            Verb(
                "capacity",
                "commands.capacity:capacity",
                "Find the maximum throughput of one endpoint, in a stack of its own.",
                (
                    "capacity ENDPOINT=/api/cart HOST=http://shop.example",
                    "capacity ENDPOINT=/api/cart METHOD=POST MOST_USERS=512",
                ),
                settings=("Capacity", "PROJECT", "HOST", "MOCK", "WORKERS", "REPORTS_DIR", "Limit"),
                exits=((4, "INVALID: something broke the measurement"),),
                signals_interrupt=True,
            ),
            Verb(
                "report",
                "cli.listing:report",
                "List the recorded runs, or make the report of one run again.",
                ("report RUN=last", "report RUN=last BASELINE=20261122T150205Z-ab12"),
                settings=("PROJECT", "Report", "USERS", "REPORTS_DIR", *_JUDGING, "Invalid"),
                flags=(_JSON,),
            ),
            Verb(
                "reports",
                "cli.listing:reports",
                "List the reports in REPORTS_DIR, newest last.",
                ("reports", "reports REPORTS_DIR=./ci-reports --json"),
                settings=("REPORTS_DIR",),
                flags=(_JSON,),
            ),
        ),
        "Watch and diagnose": (
            Verb(
                "monitor",
                "cli.monitor:monitor",
                "Show the live view: run, incidents, containers, logs. Press ? for its keys.",
                ("monitor", "monitor ONCE=1"),
                settings=_VIEW,
            ),
            Verb(
                "diagnose",
                "cli.diagnose:diagnose_stack",
                "Find out why something does not work: cause, evidence, fix.",
                ("diagnose", "diagnose --only target --checks"),
                Needs.WORDS,
                ("PROJECT",),
                tuple((flag.name[2:].upper(), f"Same as {flag.name}.") for flag in _DIAGNOSE if flag.value),
                _DIAGNOSE,
                _DIAGNOSED,
                expected=", ".join((*(flag.name for flag in _DIAGNOSE), "NAME=VALUE")),
            ),
            Verb(
                "incidents",
                "cli.incidents:incidents",
                "List what went wrong, or show one incident with its evidence.",
                ("incidents SINCE=10m", 'incidents 5f0c2a9be1d34a67 NOTE="memory limit was too low"'),
                Needs.WORDS,
                _MONITOR,
                (
                    ("SINCE", "Same as --since."),
                    ("ID", "Show this incident."),
                    ("NOTE", "Keep a note with the incident."),
                ),
                (_JSON, Flag("--since", "Only incidents since then: 10m, 2h, 1d or 2026-11-22T15:04:05Z.", "TIME")),
                bare_word=r"[0-9a-f]{16}",
                expected="an incident's id, --since TIME, --json or NAME=VALUE",
            ),
            Verb(
                "health",
                "cli.incidents:health",
                "Check that master, statistics, monitor, target and HEALTH_URLS answer.",
                ("health", "health --json"),
                settings=_MONITOR,
                flags=(_JSON,),
                exits=((0, "all answer"), (1, "at least one does not answer")),
            ),
            Verb(
                "ps",
                "cli.listing:ps",
                "List the containers of the stack and their states.",
                ("ps", "ps --json"),
                settings=("PROJECT",),
                flags=(_JSON,),
            ),
            Verb(
                "logs",
                "cli.listing:logs",
                "Print the logs of the containers.",
                ("logs SERVICE=worker TAIL=50", "logs FOLLOW=1"),
                settings=("PROJECT", "SERVICE", "TAIL", "FOLLOW"),
            ),
            Verb(
                "snapshot",
                "cli.incidents:snapshot",
                "Print what the live view shows as one JSON document.",
                ("snapshot", "snapshot PROJECT=shop"),
                settings=_MONITOR,
                flags=(_JSON,),
            ),
            Verb(
                "selftest",
                "commands.selftest:selftest_stack",
                "Check that the monitor records OOM kills on this machine.",
                ("selftest", "selftest PROJECT=shop"),
                settings=_MONITOR,
                exits=((0, "the monitor recorded every kill"), (1, "the monitor missed a kill")),
                signals_interrupt=True,
            ),
        ),
        "Many machines (Docker Swarm)": (
            Verb(
                "swarm-up",
                "swarm.up:swarm_up",
                "Start the stack on all nodes of a Docker Swarm.",
                (
                    "swarm-up WORKERS=40 SWARM_NODES=ssh://user@node2",
                    "swarm-up WORKERS=40 REGISTRY=registry.example:5000",
                ),
                Needs.SETTINGS_FOR_UP,
                (*_CONTAINERS, *_DECIDED, "Swarm"),
            ),
            Verb(
                "swarm-scale",
                "swarm.scale:swarm_scale",
                "Change the number of workers on the Swarm.",
                ("swarm-scale WORKERS=60", "swarm-scale WORKERS=60 PROJECT=shop"),
                settings=("PROJECT", "WORKERS"),
            ),
            Verb(
                "swarm-down",
                "swarm.scale:swarm_down",
                "Stop the stack on the Swarm. Runs and ledgers stay on their nodes.",
                ("swarm-down", "swarm-down PROJECT=shop"),
                settings=("PROJECT",),
            ),
            Verb(
                "swarm-monitor",
                "cli.monitor:swarm_monitor",
                "Show the live view of all nodes of the Swarm.",
                ("swarm-monitor", "swarm-monitor ONCE=1"),
                settings=_VIEW,
            ),
            Verb(
                "swarm-diagnose",
                "cli.diagnose:diagnose_swarm",
                "Find out why the stack on the Swarm does not work.",
                ("swarm-diagnose", "swarm-diagnose --json"),
                settings=_MONITOR,
                flags=(_JSON, _CHECKS),
                exits=_DIAGNOSED,
            ),
        ),
        "Help": (
            Verb(
                "targets",
                "cli.usage:targets",
                "List all verbs. `kit VERB --help` explains one verb.",
                ("targets", "up --help"),
                Needs.ARGUMENTS,
            ),
            Verb(
                "completion",
                "cli.completion:completion",
                "Print the completion script for a shell: bash, zsh or fish.",
                ("completion bash", "completion zsh"),
                Needs.ARGUMENTS,
                choices=("bash", "zsh", "fish"),
            ),
            Verb(
                "serve",
                "serve.server:serve_monitor",
                "Run the monitor. Its container calls this verb.",
                ("serve", "serve --help"),
                Needs.ARGUMENTS,
            ),
        ),
    }
)
VERBS: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verbs in GROUPS.values() for verb in verbs})


def call(verb: Verb, args: Sequence[str], environ: Mapping[str, str]) -> int:
    """Call a verb's function and return the exit code.

    Raises:
        KitError: what the verb raises; SettingError for a flag or a word that the verb does not know.

    """
    words, flags = _read_arguments(verb, args)
    parameters: list[Any] = [_first_parameter(verb, words, environ), environ, Console()]
    if flags:
        parameters.append(flags)
    function = load(verb)
    if verb.signals_interrupt:
        from sidecar.common.process import interrupt_on_signals  # noqa: PLC0415  four verbs need it

        interrupt_on_signals()
    return int(function(*parameters) or 0)


def load(verb: Verb) -> Any:  # noqa: ANN401  a function whose parameters depend on the verb
    """Import a verb's function."""
    module, _, name = verb.function.partition(":")
    return getattr(importlib.import_module(f"sidecar.{module}"), name)


def _read_arguments(verb: Verb, args: Sequence[str]) -> tuple[list[str], Flags]:
    """Split the arguments into words and flags.

    Raises:
        SettingError: a flag or a word that the verb does not know, an option without a value.

    """
    if verb.needs is Needs.ARGUMENTS:
        return list(args), {}
    words, flags = _parse_flags(verb, args) if verb.flags else (list(args), {})
    _refuse_unknown(verb, words)
    return words, flags


def _parse_flags(verb: Verb, args: Sequence[str]) -> tuple[list[str], Flags]:
    import argparse  # noqa: PLC0415  7 ms that only the verbs with flags pay

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]  # where exit_on_error=False forgets itself
            raise SettingError(message)

    parser = Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for switch in verb.switches:
        parser.add_argument(switch, dest=switch, action="store_const", const=_GIVEN, default="")
    for option in verb.options:
        parser.add_argument(option, dest=option)
    try:
        given, words = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        name = str(error.argument_name)
        if name in verb.options:
            raise _without_value(name) from None
        raise SettingError(f"{name!r} takes no value", wanted=f"{name} alone") from None
    flags: dict[str, str | None] = vars(given)
    for name, value in flags.items():
        if value == "" and name in verb.options:
            raise _without_value(name)
    return words, {name: value or "" for name, value in flags.items()}


def _without_value(option: str) -> SettingError:
    return SettingError(f"{option} has no value", wanted=f"a value after {option}")


def _refuse_unknown(verb: Verb, words: Iterable[str]) -> None:
    """Refuse every word that is neither NAME=VALUE nor a bare word of this verb."""
    for word in words:
        if word.startswith("-") or ("=" not in word and not (verb.bare_word and re.fullmatch(verb.bare_word, word))):
            raise SettingError(f"unknown argument {word!r} of `{verb.name}`", wanted=verb.expected)


def _first_parameter(verb: Verb, words: list[str], environ: Mapping[str, str]) -> Any:  # noqa: ANN401  by `needs`
    if verb.needs in (Needs.WORDS, Needs.ARGUMENTS):
        return words
    from sidecar.stack import workspace  # noqa: PLC0415  loads the settings and the engine's client

    if verb.needs is Needs.SETTINGS_OF_RUN:
        return workspace.settings_after_up(words, environ, with_arguments=True)
    settings = (
        workspace.settings_for_up(words, environ)
        if verb.needs is Needs.SETTINGS_FOR_UP
        else workspace.settings_after_up(words, environ)
    )
    if unknown := sorted(settings.words.keys() & {word.partition("=")[0] for word in words}):
        raise SettingError(f"unknown setting {unknown[0]}", wanted="a name from .env.example")
    return settings
